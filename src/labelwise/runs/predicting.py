"""Predict the labels of a table's items by a finished run, into a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import replacing
from labelwise.data import Table
from labelwise.errors import UserError, listed
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.inputs import ModelColumns, check_some, items_of, read_for_model, read_model
from labelwise.runs.tables import opened, pictures_of, read_folder

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Predictions:
    """What was written.

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
    progress: bool = False,
    **given: Any,
) -> Predictions:
    """Write ``out`` (.parquet, .csv or .jsonl): item, one probability for each label, and the predicted names.

    The table needs the columns that the model was trained on, in any order; its labels are not read. ``table`` may be
    ``"-"`` (standard input), or a folder of pictures, whose ids are their paths in it. The predicted names are a list;
    in CSV one text separated by ``;``, by ``|`` where a name holds ``;``, and a list in JSON where names hold both.
    ``keep``: names and patterns of the table's columns that are written too, behind the item. ``quote_formulas`` (CSV):
    an apostrophe before texts that a spreadsheet would take for a formula, which begin with =, +, -, @, a tab or a line
    end. ``given``: fields of ``labelwise.data.TableOptions`` that differ from what the run was asked.

    Raises:
        UserError: For a run that is not finished, a table without the model's features, or an ``out`` that cannot
            be written.
    """
    from scipy.special import expit

    from labelwise.metrics import decide

    target = check_output(out, [table], tuple(_WRITERS))
    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    model, columns = read_model(directory, state)
    policy = on_bad_item or config.on_bad_item
    if Path(table).is_dir():
        data = _folder(Path(table), columns, keep, given)
    else:
        folder = pictures_of(table, columns.kind, images or config.images)
        with opened(table) as path:
            data = read_for_model(
                path,
                config,
                columns,
                given=given,
                labels=False,
                images=folder,
                on_bad_item=policy,
                keep=keep,
            )
    model.set_params(on_bad_item=policy, cache=config.cache, progress=progress)
    X = model.read(items_of(data), items=data.items)
    check_some(X.bad, len(data), data)
    # One pass serves both, and the rule sees what float32 probabilities near 1 no longer tell apart.
    logits = model.decision_function(X)
    probabilities = np.asarray(expit(logits), dtype=np.float32)
    chosen = decide(model.rule_, logits)
    labels = model.label_names_
    _check_kept(data, target)
    header, renamed = _header(labels, list(data.kept))
    rows = _Rows(
        header,
        [data.items[i] for i in X.kept],
        [column.take(X.kept) for column in data.kept.values()],
        probabilities,
        [[labels[int(k)] for k in np.flatnonzero(row)] for row in chosen],
        next((mark for mark in ";|" if not any(mark in name for name in labels)), None),
        quote_formulas,
    )
    with replacing(target) as draft:
        _WRITERS[target.suffix.lower()](draft, rows)
    return Predictions(
        run=str(run),
        table=str(table),
        out=str(target),
        n_items=len(rows.items),
        n_labels=len(labels),
        labels_per_item=float(chosen.sum(axis=1).mean()),
        rule=model.rule_.name,
        calibrated=model.calibration_ is not None,
        skipped=tuple((item.item, item.reason) for item in (*data.left_out, *X.bad)),
        notes=(*data.notes, *renamed),
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


def _check_kept(data: Table, target: Path) -> None:
    """Refuse columns of bytes in a text file."""
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
class _Rows:
    """What is written: ids, kept columns (Arrow), probabilities (n, K), predicted names, and their separator in CSV.

    Attributes:
        mark: The separator; None where no mark is free, and names are written as a list in JSON.
    """

    header: list[str]
    items: list[str]
    kept: list[Any]
    probabilities: NDArray[np.float32]
    names: list[list[str]]
    mark: str | None
    quoted: bool = False

    def __iter__(self) -> Iterator[tuple[str, tuple[Any, ...], NDArray[np.float32], list[str]]]:
        kept = zip(*(column.to_pylist() for column in self.kept), strict=True)
        others = kept if self.kept else iter([()] * len(self.items))
        return zip(self.items, others, self.probabilities, self.names, strict=True)


def _write_csv(path: Path, rows: _Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        text = _quoted if rows.quoted else _as_it_is
        writer.writerow(map(text, rows.header))
        for item, kept, row, names in rows:
            joined = _cell(names) if rows.mark is None else rows.mark.join(names)
            others = [text(_cell(value)) for value in kept]
            writer.writerow([text(item), *others, *map(str, row), text(joined)])


def _write_jsonl(path: Path, rows: _Rows) -> None:
    with path.open("w", encoding="utf-8") as file:
        for item, kept, row, names in rows:
            # The shortest text that reads back as the same float32.
            values = [item, *kept, *(float(str(value)) for value in row), names]
            record = dict(zip(rows.header, values, strict=True))
            file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def _write_parquet(path: Path, rows: _Rows) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [
        pa.array(rows.items, pa.string()),
        *rows.kept,
        *(pa.array(column) for column in rows.probabilities.T),
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
    """Return a text that a spreadsheet shows as it is, and does not compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _cell(value: Any) -> Any:
    """Return a kept value for a cell of CSV: lists and objects as JSON."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value


def _header(labels: Sequence[str], kept: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the column names, all different, and what was renamed; the labels' names stay, the others give way."""
    used = set(labels)

    def free(name: str, suffix: str) -> str:
        while name in used:
            name += suffix
        used.add(name)
        return name

    item, predicted = free("item", "_"), free("predicted", "_")
    others = [free(name, "_given") for name in kept]
    renamed = [
        f"the column {name!r} is written as {other!r}"
        for name, other in zip(("item", "predicted", *kept), (item, predicted, *others), strict=True)
        if name != other
    ]
    return [item, *others, *labels, predicted], renamed
