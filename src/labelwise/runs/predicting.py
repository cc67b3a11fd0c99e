"""Predict the labels of a table's items, into a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import replacing
from labelwise.annotations import row_blocks
from labelwise.data import Table, parquet_files
from labelwise.errors import UserError, listed
from labelwise.runs.directory import check_output
from labelwise.runs.streaming import predict_stream
from labelwise.runs.tables import FinishedRun, ModelColumns, check_some_read, items_of, read_folder
from labelwise.workers import Workers, open_workers

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier, ReadItems

_BLOCK = 1 << 23  # logits of a block: 64 MB of float64
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Predictions:
    """The summary of a written file of predictions.

    Attributes:
        calibrated: Whether the scores are calibrated probabilities.
        skipped: The items that could not be read, each with the reason; the file does not have them.
        notes: Sentences on what was guessed of the table, and on columns that had to be renamed.
    """

    run: str
    table: str
    out: str
    n_items: int
    n_labels: int
    labels_per_item: float
    rule: str
    calibrated: bool
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)


def predict(
    run: str | Path,
    table: str | Path,
    out: str | Path,
    *,
    images: str | None = None,
    on_bad_item: str | None = None,
    keep: Sequence[str] = (),
    quote_formulas: bool = False,
    top: int | None = None,
    engine: str = "here",
    workers: int | None = None,
    progress: bool = False,
    **given: Any,
) -> Predictions:
    """Predict the labels of a table's items and write them to ``out``.

    The file (.parquet, .csv or .jsonl) has the item, one probability for each label, and the predicted names.
    These are a list; in CSV one text separated by ``;``, by ``|`` where a name holds ``;``, and a list in JSON where
    names hold both. The table needs the columns that the model was trained on, in any order; its labels are not read.

    A folder of Parquet files is scored in fragments of rows, each written to a Parquet file of its own in the folder
    ``out``; the same command goes on where it was killed, to the same bits.

    Args:
        table: A file, ``"-"`` (standard input), a folder of pictures, whose ids are their paths in it, or of Parquet.
        keep: Names and patterns of the table's columns that are written too, behind the item.
        quote_formulas: Whether CSV gets an apostrophe before texts that a spreadsheet would take for a formula, which
            begin with =, +, -, @, a tab or a line end.
        top: Write, in the place of a column for each label, only each item's labels of the highest probabilities, so
            many, and these.
        engine: Who scores a folder of Parquet files: ``"here"``, this process, or ``"ray"``, the workers of a cluster.
        workers: Ray's tasks at a time.
        given: Fields of ``labelwise.data.TableOptions`` that differ from what the run was asked.

    Raises:
        UserError: For a run that is not finished, a table without the model's features, or an ``out`` that cannot
            be written.
    """
    if top is not None and top < 1:
        raise UserError(f"top (--top) is {top}: give the number of labels to write for each item, from 1")
    if str(table) != "-" and Path(table).is_dir() and parquet_files(Path(table)):
        finished = FinishedRun.open(run, progress=progress, images=images, on_bad_item=on_bad_item)
        crew = open_workers(engine, workers)
        return _predict_folder(finished, Path(table), Path(out), keep, top, given, crew)
    if engine != "here" or workers is not None:
        raise UserError("--engine and --workers: they are for folders of Parquet files; leave them out")
    target = check_output(out, [table], tuple(_WRITERS))
    finished = FinishedRun.open(run, progress=progress, images=images, on_bad_item=on_bad_item)
    model, labels = finished.model, finished.model.label_names_
    if Path(table).is_dir():
        data = _folder(Path(table), finished.columns, keep, given)
    else:
        data = finished.read_table(table, given=given, labels=False, keep=keep)
    read = model.read(items_of(data), items=data.items)
    check_some_read(read.bad, len(data), data)
    _check_writable(data, target)
    scores, names = _in_blocks(model, _logits(model, read, top), top)
    header, renamed = _header(labels if top is None else _TOP, list(data.kept))
    rows = _Rows(
        header=header,
        items=[data.items[i] for i in read.kept],
        given=[column.take(read.kept) for column in data.kept.values()],
        scores=scores,
        names=names,
        separator=next((mark for mark in ";|" if not any(mark in name for name in labels)), None),
        quoted=quote_formulas,
    )
    with replacing(target) as draft:
        _WRITERS[target.suffix.lower()](draft, rows)
    return Predictions(
        run=str(run),
        table=str(table),
        out=str(target),
        n_items=len(rows.items),
        n_labels=len(labels),
        labels_per_item=float(np.mean([len(one) for one in names])),
        rule=model.rule_.name,
        calibrated=model.calibration_ is not None,
        skipped=tuple((item.item, item.reason) for item in (*data.left_out, *read.bad)),
        notes=(*data.notes, *renamed),
    )


_TOP = ("top_labels", "top_probabilities")
"""Columns in the place of those of all labels."""


def _names(predicted: NDArray[np.int8], labels: Sequence[str]) -> list[list[str]]:
    return [[labels[int(k)] for k in np.flatnonzero(row)] for row in predicted]


def _scores(logits: NDArray[Any], labels: Sequence[str], top: int | None) -> _Scores:
    """Return the probabilities of all labels, or the names and probabilities of each item's highest."""
    from scipy.special import expit

    from labelwise.metrics import top_labels

    if top is None:
        return _Scores(np.asarray(expit(logits), dtype=np.float32))
    places = top_labels(logits, top)
    values = np.asarray(expit(np.take_along_axis(logits, places, axis=1)), dtype=np.float32)
    return _Scores(values, [[labels[int(k)] for k in row] for row in places])


def _logits(model: MultiLabelClassifier, read: ReadItems, top: int | None) -> Iterator[NDArray[Any]]:
    """Yield the logits (b, K) of items: of all at once, or in blocks where only the highest are written."""
    from labelwise.metrics import decides_by_row

    entries = len(read.kept) * len(model.label_names_)
    if top is not None and decides_by_row(model.rule_):
        entries = _BLOCK
    for rows in row_blocks(len(read.kept), len(model.label_names_), entries):
        yield model.decision_function(read.rows(np.arange(rows.start, rows.stop)))


def _in_blocks(
    model: MultiLabelClassifier, blocks: Iterable[NDArray[Any]], top: int | None
) -> tuple[_Scores, list[list[str]]]:
    """Return the scores and the predicted names of items whose logits come block by block."""
    labels, parts = model.label_names_, list[_Scores]()
    names: list[list[str]] = []
    for logits in blocks:
        # One pass serves both, and the rule sees what float32 probabilities near 1 no longer tell apart.
        parts.append(_scores(logits, labels, top))
        names += _names(model.decision_.sets(logits), labels)
    return _Scores.joined(parts), names


def _predict_folder(
    finished: FinishedRun,
    table: Path,
    out: Path,
    keep: Sequence[str],
    top: int | None,
    given: Mapping[str, Any],
    workers: Workers,
) -> Predictions:
    """Score a folder of Parquet files, fragment by fragment."""
    model, labels = finished.model, finished.model.label_names_
    if finished.columns.kind != "features" or finished.columns.preparation is not None:
        raise UserError(
            f"{table} is a folder of Parquet files, which only models of plain features take: give a table"
        )
    header, renamed = _header(labels if top is None else _TOP, list(keep))

    def write(path: Path, items: list[str], kept: list[Any], blocks: Iterable[NDArray[Any]]) -> int:
        scores, names = _in_blocks(model, blocks, top)
        _write_parquet(path, _Rows(header, items, kept, scores, names, None))
        return sum(map(len, names))

    scored, stream = predict_stream(
        finished, table, out, keep=keep, given=given, settings={"top": top}, write=write, workers=workers
    )
    notes = [*stream.notes, *renamed]
    if scored.n_found:
        notes.append(
            f"{scored.n_found:,} of {scored.n_fragments:,} fragments were there already; the figures are of the others"
        )
    return Predictions(
        run=str(finished.directory.path),
        table=str(table),
        out=str(out),
        n_items=scored.n_items,
        n_labels=len(labels),
        labels_per_item=scored.n_predicted / max(scored.n_items, 1),
        rule=model.rule_.name,
        calibrated=model.calibration_ is not None,
        notes=tuple(notes),
    )


def _folder(folder: Path, columns: ModelColumns, keep: Sequence[str], given: Mapping[str, Any]) -> Table:
    """Return a folder's pictures, for a model that takes pictures."""
    if columns.kind != "image":
        raise UserError(f"{folder} is a folder, and the model takes {columns.kind}: give a table of them")
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if keep or named:
        raise UserError(
            f"{folder} is a folder, which has no columns: leave out {listed(named or ['--keep'])}"
        )
    return read_folder(folder)


def _check_writable(data: Table, target: Path) -> None:
    """Refuse given columns of bytes or objects in a text file."""
    import pyarrow.types as kinds

    raw = [
        name
        for name, column in data.kept.items()
        if kinds.is_binary(column.type) or kinds.is_large_binary(column.type) or kinds.is_struct(column.type)
    ]
    if raw and target.suffix.lower() != ".parquet":
        raise UserError(
            f"--keep {raw[0]!r}: the column holds bytes or objects, which {target.suffix} cannot hold: write .parquet"
            " or leave it out"
        )


@dataclass(frozen=True)
class _Scores:
    """Probabilities of every label (n, K), or of each item's highest (n, k) with their names."""

    probabilities: NDArray[np.float32]
    names: list[list[str]] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return those of several parts of the items, one after another."""
        named = [name for part in parts for name in part.names or ()]
        return cls(
            np.concatenate([part.probabilities for part in parts]),
            named if parts[0].names is not None else None,
        )

    def rows(self) -> Iterator[list[Any]]:
        """Yield each item's values."""
        if self.names is None:
            yield from map(list, self.probabilities)
            return
        for names, row in zip(self.names, self.probabilities, strict=True):
            yield [names, [float(str(value)) for value in row]]

    def columns(self) -> list[Any]:
        """Return the values as Arrow columns."""
        import pyarrow as pa

        if self.names is None:
            return [pa.array(column) for column in self.probabilities.T]
        offsets = np.arange(len(self.names) + 1, dtype=np.int32) * self.probabilities.shape[1]
        values = pa.array(self.probabilities.ravel())
        return [pa.array(self.names, pa.list_(pa.string())), pa.ListArray.from_arrays(offsets, values)]


@dataclass(frozen=True)
class _Rows:
    """The rows of a file of predictions.

    Attributes:
        given: Columns of the table that are written too, as Arrow has them.
        scores: Probabilities.
        names: The predicted names of each item.
        separator: That of the names in CSV; None where no mark is free, and names are written as a list in JSON.
        quoted: Whether CSV gets an apostrophe before what a spreadsheet would compute.
    """

    header: list[str]
    items: list[str]
    given: list[Any]
    scores: _Scores
    names: list[list[str]]
    separator: str | None
    quoted: bool = False

    def __iter__(self) -> Iterator[tuple[str, tuple[Any, ...], list[Any], list[str]]]:
        # Without columns zip would yield no row at all.
        given = zip(*(column.to_pylist() for column in self.given), strict=True)
        values = given if self.given else iter([()] * len(self.items))
        return zip(self.items, values, self.scores.rows(), self.names, strict=True)


def _write_csv(path: Path, rows: _Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        text = _quoted if rows.quoted else _as_it_is
        writer.writerow(map(text, rows.header))
        for item, given, row, names in rows:
            joined = _cell(names) if rows.separator is None else rows.separator.join(names)
            values = [text(_cell(value)) for value in given]
            cells = [text(_cell(value)) if isinstance(value, list) else str(value) for value in row]
            writer.writerow([text(item), *values, *cells, text(joined)])


def _write_jsonl(path: Path, rows: _Rows) -> None:
    with path.open("w", encoding="utf-8") as file:
        for item, given, row, names in rows:
            # The shortest text that reads back as the same float32.
            scores = [value if isinstance(value, list) else float(str(value)) for value in row]
            values = [item, *given, *scores, names]
            record = dict(zip(rows.header, values, strict=True))
            file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def _write_parquet(path: Path, rows: _Rows) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [
        pa.array(rows.items, pa.string()),
        *rows.given,
        *rows.scores.columns(),
        pa.array(rows.names, pa.list_(pa.string())),
    ]
    parquet.write_table(pa.table(columns, names=rows.header), path)


_WRITERS: dict[str, Callable[[Path, _Rows], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}


def _as_it_is(value: Any) -> Any:
    return value


def _quoted(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _cell(value: Any) -> Any:
    """Return a value for a CSV cell, lists and objects as JSON."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value


def _header(labels: Sequence[str], given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the column names, all different, and notes on renamed ones.

    The labels' names stay; the others give way.
    """
    used = set(labels)

    def unused(name: str, suffix: str) -> str:
        while name in used:
            name += suffix
        used.add(name)
        return name

    names = ("item", "predicted", *given)
    item, predicted = unused("item", "_"), unused("predicted", "_")
    written = (item, predicted, *(unused(name, "_given") for name in given))
    renamed = [
        f"the column {name!r} is written as {other!r}"
        for name, other in zip(names, written, strict=True)
        if name != other
    ]
    return [item, *written[2:], *labels, predicted], renamed
