"""Runs on rows that are read in passes: what a stream is, how it is trained on, and predictions in fragments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import file_digest, replacing
from labelwise._processes import is_first_process
from labelwise.annotations import Annotations, are_many, row_blocks, stays_lists
from labelwise.data import Table, TableStream, parquet_files
from labelwise.errors import UserError, listed
from labelwise.runs.config import RunConfig
from labelwise.runs.fragments import begun, one_by_one
from labelwise.runs.inputs import Inputs, parse_rule, read_prior
from labelwise.runs.tables import FinishedRun, ModelColumns
from labelwise.workers import Workers, open_workers

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_MEMORY = 4.0  # gigabytes that a table may take before it is streamed by itself
_IN_MEMORY = (
    *(
        "images",
        "group_column",
        "weight_column",
        "max_rows",
        "label_weights",
        "label_texts",
        "hierarchy",
        "true_labels",
    ),
    *("answers", "warm_start", "hints"),
)
_ENTRIES = 1 << 23  # scores of a block: 64 MB of float64
_MANIFEST = "predictions.json"


def is_streamed(config: RunConfig) -> bool:
    """Return whether a run reads its rows in passes.

    It does where it was asked to, on a folder of Parquet files, and, where the method is ridge or left open, on a
    Parquet file that decodes to more than the memory setting allows or lists thousands of labels.
    """
    if config.table is None or config.stream:
        return config.stream
    path = Path(config.table)
    if path.is_dir():
        return bool(parquet_files(path))
    if path.suffix.lower() != ".parquet" or config.method not in (None, "ridge") or not path.is_file():
        return False
    return _decoded_gigabytes(path) > (config.memory or _MEMORY) or _lists_many_labels(path, config)


def check_streamed(config: RunConfig, logs: Sequence[str]) -> None:
    """Refuse, before anything is read, what rows in passes are not trained by."""
    if logs:
        raise UserError("log (--log): rows that are read in passes are trained without epochs; leave it out")
    if config.method not in (None, "ridge"):
        raise UserError(
            f"method {config.method!r} needs all rows in memory, and {config.table} is read in passes: leave"
            " --method out (ridge), or give a table that fits in memory"
        )
    if config.backbone not in (None, "features"):
        raise UserError(
            f"backbone {config.backbone!r}: rows that are read in passes are features; leave --backbone out"
        )
    if not is_first_process() or config.devices != 1 or config.nodes != 1:
        raise UserError("--devices and --nodes: rows are read in passes by one process; leave them out")


def check_unstreamed(config: RunConfig) -> None:
    """Refuse workers for rows in memory."""
    if config.engine != "here" or config.workers is not None:
        raise UserError(
            "--engine and --workers: they read rows in passes (a folder of Parquet files, --stream); leave them out,"
            " or spread the steps of a network by --devices and --nodes"
        )


def _decoded_gigabytes(path: Path) -> float:
    from pyarrow import parquet

    try:
        footer = parquet.read_metadata(path)
        groups = (footer.row_group(number) for number in range(footer.num_row_groups))
        return float(sum(group.total_byte_size for group in groups)) / 1e9
    except Exception:  # the reader of tables says what is wrong with it
        return 0.0


def _lists_many_labels(path: Path, config: RunConfig) -> bool:
    """Return whether a table of features lists so many labels that its matrix would be too large."""
    if config.labels_column is None or _given(config, _IN_MEMORY):
        return False
    try:
        if not _many_listed(path, config.labels_column):
            return False
        TableStream.open(path, config.table_options())
    except Exception:  # the reader of tables says what is wrong with it
        return False
    return True


def _many_listed(path: Path, column: str) -> bool:
    """Return whether a column of lists names thousands of labels; its footer alone mostly tells that it does not."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        footer = file.metadata
        if not are_many(footer.num_rows, _most_different(footer, column)):
            return False
        distinct: Any = None
        for number in range(footer.num_row_groups):
            lists = file.read_row_group(number, columns=[column]).column(0)
            found = pc.unique(pc.list_flatten(lists))
            if distinct is not None:
                found = pc.unique(pa.chunked_array([distinct, found]))
            distinct = found
            if are_many(footer.num_rows, len(distinct)):
                return True
    return False


def _most_different(footer: Any, column: str) -> int:
    """Return a bound of the different values that lists hold: their number, and the range of whole numbers."""
    leaves = [
        chunk
        for number in range(footer.num_row_groups)
        for chunk in map(footer.row_group(number).column, range(footer.num_columns))
        if chunk.path_in_schema.startswith(f"{column}.")
    ]
    bound = sum(leaf.num_values for leaf in leaves)
    ranges = [leaf.statistics for leaf in leaves]
    if all(one is not None and one.has_min_max and isinstance(one.min, int) for one in ranges) and ranges:
        bound = min(bound, max(one.max for one in ranges) - min(one.min for one in ranges) + 1)
    return int(bound)


def open_stream(config: RunConfig) -> TableStream:
    """Open the rows that a run is trained on.

    Raises:
        UserError: For settings that need all rows in memory, and for what is no stream.
    """
    if config.table is None:
        raise UserError(
            "no table: give a folder of Parquet files, as in 'labelwise train FOLDER --out runs/first'"
        )
    path = Path(config.table)
    if path.is_file() and path.suffix.lower() != ".parquet":
        raise UserError(
            f"stream (--stream): {path.name} is no Parquet file; give a Parquet file or a folder of them, or leave"
            " it out"
        )
    given = _given(config, _IN_MEMORY)
    if config.validation not in ("auto", "none"):
        given.append("validation")
    if given:
        flags = listed((f"--{name.replace('_', '-')}" for name in given), len(given))
        raise UserError(
            f"{flags}: these need all rows in memory; leave them out for rows that are read in passes"
        )
    stream = TableStream.open(config.table, config.table_options())
    return replace(stream, workers=open_workers(config.engine, config.workers))


def stream_options(config: RunConfig, stream: TableStream) -> dict[str, Any]:
    """Return the classifier's keywords, those that files and words decide among them."""
    return config.classifier_options() | {
        "backbone": "features",
        "validation": None if config.validation == "none" else config.validation,
        "prior": read_prior(config.prior, stream.label_names),
        "rule": parse_rule(config.rule),
    }


def stream_state(stream: TableStream, config: RunConfig) -> dict[str, Any]:
    """Return the first state of a run on a stream."""
    from labelwise._version import __version__

    files = {name: file_digest(Path(path)) for name, path in config.files().items() if name != "table"}
    return {
        "labelwise": __version__,
        "reason": None if config.method is not None else _WHY,
        **ModelColumns("features", stream.feature_names, stream.label_names).to_state(),
        "roles": list(stream.roles),
        "files": {"table": stream.digest, **files},
    }


WHY_LISTS = (
    "no matrix is made of so many labels; what 'auto' adds to it (neighbours, trees, students) would need one"
)
_WHY = (
    "its sums are all that has to be held of the rows; what 'auto' adds to it (neighbours, trees, students) needs all"
    " rows in memory"
)


def inputs_of(stream: TableStream, config: RunConfig, model: MultiLabelClassifier) -> Inputs:
    """Return the judged rows of a fit in the place of a table that was read whole."""
    rows = model.streamed_
    table = Table(
        items=_names_of_rows(stream, rows.index),
        kind="features",
        features=rows.X,
        feature_names=stream.feature_names,
        labels=Annotations(rows.labels, stream.label_names),
        contents=None,
        path=Path(str(config.table)),
        roles=stream.roles,
    )
    return Inputs(table, None, None, None, None, parse_rule(config.rule), stream.notes)


def keeps_lists(config: RunConfig, annotations: Annotations) -> bool:
    """Return whether ridge is solved on labels that stay lists, and the run has nothing that needs their matrix."""
    names = [name for name in _IN_MEMORY if name not in ("images", "max_rows", "label_texts")]
    plain = config.backbone in (None, "features") and config.validation in ("auto", "none")
    return plain and not _given(config, names) and stays_lists(annotations.states)


def _given(config: RunConfig, names: Iterable[str]) -> list[str]:
    """Return those of some settings that are not their defaults."""
    defaults = RunConfig()
    return [name for name in names if getattr(config, name) != getattr(defaults, name)]


def judged_inputs(inputs: Inputs, model: MultiLabelClassifier) -> Inputs:
    """Return the judged rows of a fit on a table whose labels stay lists."""
    rows, table = model.streamed_, inputs.table
    judged = replace(
        table,
        items=[table.items[row] for row in rows.index.tolist()],
        features=rows.X,
        labels=Annotations(rows.labels, table.annotations.label_names, table.annotations.notes),
    )
    return replace(inputs, table=judged)


def _names_of_rows(stream: TableStream, index: NDArray[np.int64]) -> list[str]:
    """Return a name for rows by their places among all: a file and its row, counted from 1."""
    starts = np.cumsum([0, *(part.rows for part in stream.parts)])
    part = np.searchsorted(starts, index, side="right") - 1
    return [f"{stream.parts[p].name}:{row - starts[p] + 1}" for p, row in zip(part, index, strict=True)]


@dataclass(frozen=True)
class Scored:
    """What a pass of predictions wrote: items, labels predicted in all, and fragments that were there already."""

    n_items: int
    n_predicted: int
    n_fragments: int
    n_found: int


Write = Callable[[Path, list[str], list[Any], Iterable[NDArray[np.floating[Any]]]], int]
"""Writes items, kept columns and blocks of logits (b, K) to a file, and returns the number of predicted labels."""


def predict_stream(
    finished: FinishedRun,
    source: str | Path,
    out: Path,
    *,
    keep: Sequence[str],
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    write: Write,
    workers: Workers,
    endings: str = ".parquet",
) -> tuple[Scored, TableStream]:
    """Score rows fragment by fragment, each into a file of its own in ``out``.

    A fragment that is there is left as it is: a killed command that is given again goes on, to the same bits.

    Args:
        finished: The run.
        source: A folder or file of Parquet.
        out: A folder; it is made where there is none.
        keep: Names of columns to write too.
        given: Fields of ``TableOptions`` that differ from the run's.
        settings: What else decides what is written.
        write: Writes one fragment; it is sent to the workers.
        workers: Who scores them.
        endings: That of the files.

    Raises:
        UserError: For rows without the model's features, and an ``out`` that holds anything else.
    """
    options = finished.config.table_options().changed(given)
    names = (finished.columns.feature_names, finished.columns.label_names)
    stream = TableStream.open(source, options, expect=names, require_labels=False)
    if Path(source).resolve() == out.resolve():
        raise UserError(f"--out {out} is the folder of the rows itself: give another")
    wanted = {
        "model": file_digest(finished.directory.model / "model.json"),
        "weights": file_digest(finished.directory.model / "weights.safetensors"),
        "rows": stream.digest,
        "keep": list(keep),
        **settings,
    }
    fragments = stream.fragments()
    done = begun(out, wanted, {f"{one.name}{endings}" for one in fragments}, _MANIFEST, "predictions")
    score = _Scoring(finished.model, out.absolute(), endings, tuple(keep), write)
    scored = list(workers.map(score, one_by_one(stream, done, endings), keep=True))
    n_items, n_predicted = (sum(values) for values in zip((0, 0), *scored, strict=True))
    return Scored(n_items, n_predicted, len(fragments), len(done)), stream


@dataclass(frozen=True)
class _Scoring:
    """Scores a stream's one fragment, and writes it whole."""

    model: MultiLabelClassifier
    out: Path
    endings: str
    keep: tuple[str, ...]
    write: Write

    def __call__(self, stream: TableStream) -> tuple[int, int]:
        """Return the numbers of items and of predicted labels."""
        from labelwise.metrics import decides_by_row

        ((fragment, X, items, kept),) = stream.items(self.keep)
        blocks = self._logits(self.model.read(X).X)
        if not decides_by_row(self.model.rule_):
            blocks = iter([np.concatenate(list(blocks))])
        with replacing(self.out / f"{fragment.name}{self.endings}") as draft:
            return len(items), self.write(draft, items, list(kept.values()), blocks)

    def _logits(self, X: Any) -> Iterator[NDArray[np.float32]]:
        """Yield the logits (b, K) of blocks of read rows."""
        n_labels = max(1, len(self.model.label_names_))
        for rows in row_blocks(len(X), 1, max(1, _ENTRIES // n_labels)):
            yield self.model.decision_function(X[rows]).astype(np.float32)
