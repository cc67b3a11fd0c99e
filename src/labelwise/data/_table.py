"""A file of items, features and labels becomes a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations, Codes, names_in, parse_names
from labelwise.data._cells import Columns
from labelwise.data._columns import Roles, assign_roles
from labelwise.data._formats import read_columns
from labelwise.data._options import TableOptions
from labelwise.data._paths import resolve_inside
from labelwise.errors import UserError, listed, near

__all__ = ["Table", "read_table"]


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds: n items, their features or contents, and what is known of their labels.

    :ivar items: the n item ids, all different.
    :ivar kind: "features", "image" or "text".
    :ivar features: (n, D) float32, finite; None for images and texts.
    :ivar feature_names: the D feature names; empty for images and texts.
    :ivar labels: the label states (n, K) and the K label names, or None where the file has none;
        ``annotations`` is the same, and refuses where there are none.
    :ivar contents: the n texts as the file has them, or the n images' absolute paths with links followed;
        None for features.
    :ivar path: the file.
    :ivar extra_labels: names in the column of label names that a trained model does not know; they were left out.
    """

    items: list[str]
    kind: Literal["features", "image", "text"]
    features: NDArray[np.float32] | None
    feature_names: tuple[str, ...]
    labels: Annotations | None
    contents: list[str] | None
    path: Path
    extra_labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def annotations(self) -> Annotations:
        """The label states. A file read with ``require_labels=False`` may have none: then a ``UserError``."""
        if self.labels is None:
            raise UserError(
                f"{self.path.name} has no labels; name them with --label-columns or --labels-column"
            )
        return self.labels


def read_table(
    path: str | Path,
    options: TableOptions | None = None,
    *,
    label_names: Sequence[str] | None = None,
    require_labels: bool = True,
    expect: tuple[Sequence[str], Sequence[str]] | None = None,
    images: str | Path | None = None,
    kind: str | None = None,
    **given: Any,
) -> Table:
    """Read a table from CSV, TSV, Parquet or JSONL (UTF-8, with or without a byte order mark).

    Item ids come from ``item_column``, else from a column ``id``, ``item`` or ``image``, else from the index
    column that pandas writes, else they are the row numbers 1..n.

    Labels are one column per label (1 relevant, 0 irrelevant, empty, null, NaN or -1 unknown) or one column
    of label names (``labels_column``: a list, or a string that ``separator`` splits; an empty cell is a row
    that nobody labelled). ``label_columns`` and ``feature_columns`` take names and glob patterns
    (``"label_*"``). Where they are not given: beside an ``image`` or ``text`` column every other column is a
    label; else the features are the columns called feature, feat, f, x, dim, emb or v with a number, those
    that begin with ``feature_`` or ``x_``, and those that hold a list of numbers in each row, and all others
    are labels; with the labels named and no column so called, all others are features.

    :param options: what the user says of the table; each field of :class:`TableOptions` can be given as a keyword
        too, which wins.
    :param label_names: the labels and their order in ``labels_column``; by default the names that occur.
    :param require_labels: False reads a file without labels, and the label columns that it does have.
    :param expect: (feature names, label names) of a trained model: the table gets these columns in this
        order, whatever their order in the file; other columns are ignored. With ``require_labels=False`` a
        label that is not in the file is unknown throughout.
    :param kind: that of the items that a trained model takes ("features", "image" or "text"), where a table has more
        than one.
    :param images: the folder at which the relative paths of an image column start, and which no path may leave;
        by default the table's own. Whether the files are there is seen when they are read.
    :raises UserError: one line that names the file, the row, its line and the column, and how to mend it.
    """
    asked = (options or TableOptions()).changed(given)
    labels_column, label_columns = asked.labels_column, asked.label_columns
    feature_columns, item_column = asked.feature_columns, asked.item_column
    path = Path(path)
    columns = read_columns(path, delimiter=asked.delimiter, max_rows=asked.max_rows)
    vectors = frozenset(name for name in columns.data if columns.is_vector(name))
    if expect is not None:
        feature_columns = _sources(columns, expect[0], vectors) or None
        label_names = tuple(expect[1])
        if labels_column is None:
            label_columns = _present(columns, label_names, require_labels)
    if not require_labels and labels_column is not None and labels_column not in columns.data:
        labels_column, label_columns = None, []
    example = (
        columns.strings(item_column)[0] if item_column in columns.data and item_column is not None else None
    )
    roles = assign_roles(
        list(columns.data),
        file=path.name,
        vectors=vectors,
        labels_column=labels_column,
        label_columns=label_columns,
        feature_columns=feature_columns,
        item_column=item_column,
        item_example=example,
        require_labels=require_labels,
        kind=kind,
    )
    if images is not None and roles.kind != "image":
        raise UserError(
            f"{path.name} has no column of pictures: leave out images (--images), or name the column 'image'"
        )
    features, feature_names = _features(columns, roles)
    if expect is not None:
        features, feature_names = _align(columns, features, feature_names, tuple(expect[0]))
    return Table(
        items=_items(columns, roles.item),
        kind=roles.kind,
        features=features,
        feature_names=feature_names,
        labels=(
            _annotations(columns, roles.labels, roles.labels if expect is None else tuple(expect[1]), asked)
            if labels_column is None
            else _named(
                columns,
                labels_column,
                asked,
                label_names,
                require_labels,
                "refuse" if expect is None else "ignore",
            )
        ),
        contents=None if roles.content is None else _contents(columns, roles, images),
        path=path,
        extra_labels=()
        if expect is None or labels_column is None
        else _extra(columns, labels_column, tuple(expect[1]), asked),
    )


def _items(columns: Columns, name: str | None) -> list[str]:
    if name is None:
        return [str(row) for row in range(1, columns.rows + 1)]
    values = columns.strings(name)
    first: dict[str, int] = {}
    repeated: dict[str, int] = {}
    for row, value in enumerate(values):
        if value is None:
            raise UserError(f"{columns.where(row, name)}: an item without an id; give it one")
        if first.setdefault(value, row) != row:
            repeated.setdefault(value, row)
    if repeated:
        value, row = next(iter(repeated.items()))
        more = f"; {len(repeated)} ids occur more than once: {listed(repeated)}" if len(repeated) > 1 else ""
        raise UserError(
            f"{columns.where(row, name)}: item {value!r} is already in row {first[value] + 1}{more};"
            " keep one row of each"
        )
    return list(first)


def _contents(columns: Columns, roles: Roles, images: str | Path | None) -> list[str]:
    name = str(roles.content)
    values = columns.strings(name)
    if None in values:
        raise UserError(
            f"{columns.where(values.index(None), name)}: empty; give the item its {name} or drop the row"
        )
    contents = [str(value) for value in values]
    if roles.kind == "text":
        return contents
    folder = columns.path.parent if images is None else images
    return resolve_inside(contents, folder, lambda row: columns.where(row, name), "images (--images)")


def _features(columns: Columns, roles: Roles) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    if not roles.features:
        return None, ()
    blocks, names = [], []
    for name in roles.features:
        block = columns.numbers(name)
        blocks.append(block.reshape(columns.rows, -1))
        names += [name] if block.ndim == 1 else [f"{name}_{i}" for i in range(block.shape[1])]
    return np.hstack(blocks), tuple(names)


def _annotations(
    columns: Columns, present: Sequence[str], label_names: Sequence[str], asked: TableOptions
) -> Annotations | None:
    if not label_names:
        return None
    matrix = np.full((columns.rows, len(label_names)), -1, dtype=np.int8)
    place = {name: k for k, name in enumerate(label_names)}
    codes = Codes.named(asked.minus_one, asked.empty)
    for name in present:
        matrix[:, place[name]] = columns.states(name, codes)
    return Annotations(matrix, tuple(label_names), codes.notes())


def _named(
    columns: Columns,
    name: str,
    asked: TableOptions,
    label_names: Sequence[str] | None,
    require: bool,
    extra: str,
) -> Annotations | None:
    cells = columns.names(name)
    if not require and label_names is None and not any(cells):
        return None
    try:
        return parse_names(
            cells,
            unlisted=asked.unlisted or "unknown",
            label_names=label_names,
            separator=asked.separator,
            extra=extra,
            minus_one=asked.minus_one,
            empty=asked.empty,
            name_key=asked.name_key,
        )
    except UserError as error:
        row = re.match(r"row (\d+) \(counted from 0\)(.*)", str(error))
        if row is None:
            raise UserError(f"{columns.path.name}, column {name!r}: {error}") from None
        raise UserError(f"{columns.where(int(row[1]), name)}{row[2]}") from None


def _extra(columns: Columns, name: str, label_names: tuple[str, ...], asked: TableOptions) -> tuple[str, ...]:
    found = names_in(
        columns.names(name), label_names=label_names, separator=asked.separator, name_key=asked.name_key
    )
    return tuple(label for label in found if label not in set(label_names))


def _sources(columns: Columns, feature_names: Sequence[str], vectors: frozenset[str]) -> list[str]:
    """Return the columns that hold the expected features, alone or as one place of a list."""
    wanted = set(feature_names)
    return [name for name in columns.data if name in wanted or (name in vectors and f"{name}_0" in wanted)]


def _align(
    columns: Columns, features: NDArray[np.float32] | None, names: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    place = {name: i for i, name in enumerate(names)}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise UserError(
            f"{columns.path.name}: the model's feature columns {listed(map(repr, missing))} are not in the"
            f" file; {near(missing[0], [name for name in columns.data if name not in wanted])}"
        )
    if not wanted and features is not None:
        raise UserError(
            f"{columns.path.name}: the model needs an 'image' or a 'text' column, and there is none"
        )
    if features is None or names == wanted:
        return features, wanted
    return np.ascontiguousarray(features[:, [place[name] for name in wanted]]), wanted


def _present(columns: Columns, label_names: Sequence[str], require: bool) -> list[str]:
    missing = [name for name in label_names if name not in columns.data]
    if missing and require:
        others = [name for name in columns.data if name not in label_names]
        raise UserError(
            f"{columns.path.name}: the model's label columns {listed(map(repr, missing))} are not in the"
            f" file; {near(missing[0], others)}"
        )
    return [name for name in label_names if name in columns.data]
