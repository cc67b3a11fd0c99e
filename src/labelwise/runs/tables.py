"""Read tables for a run's model, by the columns of its training."""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.data import Preparation, Table, has_delimiter, list_pictures, read_table
from labelwise.errors import UserError, listed
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.records import require

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import BadItem

_STDIN = "-"
"""The name by which standard input is given in the place of a file."""


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a training table, for which other tables are read."""

    kind: str
    feature_names: tuple[str, ...]
    label_names: tuple[str, ...]
    content_column: str | None = None
    preparation: Preparation | None = None
    added_labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, added_labels: Sequence[str] = ()) -> Self:
        """Return the columns of a training table.

        ``added_labels`` are those of its labels that came with answers, and are no columns of the file.
        """
        labels, added = table.annotations.label_names, tuple(added_labels)
        return cls(table.kind, table.feature_names, labels, table.content_column, table.preparation, added)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the columns in a run's state; earlier versions say less."""
        features, labels = tuple(state["feature_names"]), tuple(state["label_names"])
        record = state.get("preparation")
        preparation = None if record is None else Preparation.from_dict(record)
        added = tuple(state.get("added_labels", ()))
        return cls(state["kind"], features, labels, state.get("content_column"), preparation, added)

    def to_state(self) -> dict[str, Any]:
        """Return what ``from_state`` reads."""
        return {**vars(self), "preparation": None if self.preparation is None else self.preparation.to_dict()}


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, opened to use its model on other tables."""

    directory: RunDirectory
    config: RunConfig
    model: MultiLabelClassifier
    columns: ModelColumns

    @classmethod
    def open(cls, run: str | Path, *, progress: bool, **given: str | None) -> Self:
        """Open the run in a folder.

        ``given`` (None: not given) wins over the run's ``images`` and ``on_bad_item``.
        """
        directory = RunDirectory(Path(run))
        state, config = directory.finished(), directory.config()
        config = config.model_copy(update={name: value for name, value in given.items() if value})
        model, columns = read_model(directory, state)
        model.set_params(on_bad_item=config.on_bad_item, cache=config.cache, progress=progress)
        return cls(directory, config, model, columns)

    def read_table(self, table: str | Path, **options: Any) -> Table:
        """Read a file or standard input by ``options`` of ``read_for_model``."""
        config = self.config
        if config.images is None and self.columns.kind == "image" and str(table) == _STDIN:
            # A file's pictures lie beside it; those of standard input where the command is given.
            config = config.model_copy(update={"images": "."})
        with opened(table) as path:
            return read_for_model(path, config, self.columns, **options)


def read_model(
    directory: RunDirectory, state: Mapping[str, Any]
) -> tuple[MultiLabelClassifier, ModelColumns]:
    """Return a finished run's model and its columns.

    Labels and features are known by name, never by place.

    Raises:
        UserError: Where the model is of another run, with other labels or features.
    """
    from labelwise.classifier import load

    require(state, directory.path)
    model, columns = load(directory.model), ModelColumns.from_state(state)
    features = tuple(map(str, getattr(model, "feature_names_in_", columns.feature_names)))
    for what, of_run, of_model in (
        ("labels", columns.label_names, model.label_names_),
        ("features", columns.feature_names, features),
    ):
        if different := set(of_run) ^ set(of_model):
            raise UserError(
                f"{directory.model} is the model of another run: its {what} differ from those of {directory.path} in"
                f" {listed(map(repr, sorted(different)))}; put the run's own model back"
            )
    return model, replace(columns, label_names=tuple(model.label_names_), feature_names=features)


def read_for_model(
    path: str | Path,
    config: RunConfig,
    columns: ModelColumns,
    *,
    given: Mapping[str, Any] | None = None,
    labels: bool = True,
    keep: Sequence[str] = (),
) -> Table:
    """Read another table for a model.

    It gets the columns that the model was trained on, in the model's order, and items of its kind.

    Args:
        given: Options of ``labelwise.data.TableOptions`` that differ from the configuration's.
        labels: Whether labels are read.
        keep: Columns to hand on.
    """
    options = config.table_options()
    # Another table may be a file of another format, to which the delimiter of the run's own means nothing.
    if options.delimiter is not None and not has_delimiter(path, options.delimiter):
        options = replace(options, delimiter=None)
    if not labels:
        options = replace(options, labels_column=None, label_columns=None, label_value=None)
    # The column that the run took its items from is a better guess than a new one.
    if options.text_column is None and columns.kind == "text":
        options = replace(options, text_column=columns.content_column)
    if options.item_column is None and columns.kind == "image":
        options = replace(options, item_column=columns.content_column)
    read = partial(
        read_table,
        path,
        options,
        require_labels=labels,
        preparation=columns.preparation,
        images=config.images,
        kind=columns.kind,
        on_bad_item=config.on_bad_item,
        keep=keep,
        beside=columns.kind != "features" and bool(columns.feature_names),
        **(given or {}),
    )
    names = columns.label_names if labels else ()
    try:
        return read(expect=(columns.feature_names, names))
    except UserError:
        # A label that reviewers added is no column of the training table, and need be none of another.
        if not (labels and columns.added_labels):
            raise
        own = tuple(name for name in names if name not in columns.added_labels)
        return with_labels(read(expect=(columns.feature_names, own)), names)


def with_labels(table: Table, names: Sequence[str]) -> Table:
    """Return the table with a column of unknown entries for each label that it lacks.

    Labels in ``names`` stand in that order, before the others.
    """
    labels = table.annotations
    order = (*names, *(name for name in labels.label_names if name not in names))
    places = {name: place for place, name in enumerate(labels.label_names)}
    matrix = np.full((len(labels.matrix), len(order)), -1, np.int8)
    for column, name in enumerate(order):
        if name in places:
            matrix[:, column] = labels.matrix[:, places[name]]
    return replace(table, labels=Annotations(matrix, order, labels.notes))


def read_folder(folder: Path) -> Table:
    """Return the pictures in a folder as a table without labels.

    Those in folders below it count too; their ids are relative paths.
    """
    items = list_pictures(folder)
    if not items:
        raise UserError(
            f"{folder} holds no pictures (.jpg, .png, .webp, .gif, .bmp, .tiff): give another folder"
        )
    return Table(
        items=items,
        kind="image",
        features=None,
        feature_names=(),
        labels=None,
        contents=[str(folder.resolve() / item) for item in items],
        path=folder,
    )


@contextmanager
def opened(table: str | Path) -> Iterator[Path]:
    """Yield the path of a table, which may be standard input.

    That lies in a temporary file meanwhile, with the ending of its format.
    """
    if str(table) != _STDIN:
        yield Path(table)
        return
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise UserError(
            "standard input is empty: send a table, as in 'cat new.csv | labelwise predict RUN - --out ...'"
        )
    with tempfile.TemporaryDirectory(prefix="labelwise-") as folder:
        path = Path(folder) / f"stdin{_ending(data)}"
        path.write_bytes(data)
        yield path


def _ending(data: bytes) -> str:
    """Return the ending of a file of such a format."""
    if data.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            return _ending(zlib.decompressobj(31).decompress(data, 1 << 16)) + ".gz"
    start = data[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if data.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(b"{"):
        return ".jsonl"
    if start.startswith(b"["):
        return ".json"
    header = start.splitlines()[0] if start else b""
    return ".tsv" if b"\t" in header and b"," not in header and b";" not in header else ".csv"


def items_of(table: Table) -> Any:
    """Return a table's items as the classifier takes them.

    They are features (n, D), paths of pictures, or texts; or a frame of these with features beside them.
    """
    if table.contents is None or table.features is None:
        return table.contents if table.features is None else table.features
    import pandas as pd

    contents = pd.DataFrame({table.content_column: pd.Series(table.contents, dtype=object)})
    return pd.concat([contents, pd.DataFrame(table.features, columns=list(table.feature_names))], axis=1)


def select_items(items: Any, rows: NDArray[np.int64]) -> Any:
    """Return the items of some rows, as the classifier takes them."""
    if isinstance(items, list):
        return [items[row] for row in rows]
    return items.iloc[rows] if hasattr(items, "iloc") else items[rows]


def check_some_read(bad: Sequence[BadItem], n_items: int, table: Table) -> None:
    """Raise ``UserError`` where no item could be read."""
    if n_items and len(bad) == n_items:
        raise UserError(
            f"{table.path.name}: no item could be read; the first, {bad[0].item!r}, {bad[0].reason}: give items that"
            " can be"
        )


def notes_on(table: Table, role: str) -> list[str]:
    """Return notes on a table, each with its role in the run."""
    return [f"{role}, {table.path.name}: {note}" for note in (*table.notes, *extra_labels(table))]


def extra_labels(table: Table) -> list[str]:
    """Return a sentence on labels unknown to the model, if any."""
    names = table.extra_labels
    return [f"Left out, since the model does not know them: {listed(names)}."] if names else []
