"""A file of items, features and labels becomes a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.data.images.files import BadItem
from labelwise.data.images.paths import names_files
from labelwise.data.tables import looks
from labelwise.data.tables.arff import read_arff
from labelwise.data.tables.columns import Columns, different_names
from labelwise.data.tables.delimited import read_delimited
from labelwise.data.tables.items import Groups, empty_contents, one_row_each, read_contents, read_items
from labelwise.data.tables.json import read_json
from labelwise.data.tables.labels import read_labels
from labelwise.data.tables.lines import FORMATS, check_rows, kind_of
from labelwise.data.tables.model_columns import align, for_model
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.parquet import read_parquet
from labelwise.data.tables.preparation import Preparation
from labelwise.data.tables.roles import Roles, assign_roles
from labelwise.errors import UserError, listed, near, shown

_ASIDE = {"group_column": "groups", "weight_column": "weights"}
"""What a column is that is no feature and no label, by the option that names it."""


@dataclass(frozen=True, eq=False)
class Table:
    """The content of a file of items.

    It has n items, their features or contents, and what is known of their labels.

    Attributes:
        items: The n item ids, all different.
        kind: "features", "image" or "text".
        features: (n, D) float32, finite; None for images and texts, unless they were read beside them.
        feature_names: The D feature names; empty where there are no features.
        labels: The label states (n, K) and the K label names, or None where the file has none; ``annotations`` is
            the same, and refuses where there are none.
        contents: The n texts as the file has them, or the n images: absolute paths with links followed, or the
            bytes of those that the file holds; None for features.
        path: The file.
        extra_labels: Names in the column of label names that a trained model does not know; they were left out.
        roles: Sentences on every column's role, and why it has it.
        notes: Sentences on what was guessed, filled or left out.
        content_column: The column of the contents; None for features.
        preparation: How columns of words and empty cells were made into features, where that was asked for.
        left_out: Rows without their picture or text, where such are left out.
        kept: Columns that were asked for as the file has them, each an Arrow array of n values.
        item_column: The column of the item ids; None where they are the row numbers.
    """

    items: list[str]
    kind: Literal["features", "image", "text"]
    features: NDArray[np.float32] | None
    feature_names: tuple[str, ...]
    labels: Annotations | None
    contents: list[Any] | None
    path: Path
    extra_labels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    content_column: str | None = None
    preparation: Preparation | None = None
    left_out: tuple[BadItem, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)
    item_column: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def annotations(self) -> Annotations:
        """The label states; a ``UserError`` where there are none.

        A file read with ``require_labels=False`` may have none.
        """
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
    require_items: bool = True,
    expect: tuple[Sequence[str], Sequence[str]] | None = None,
    preparation: Preparation | None = None,
    images: str | Path | None = None,
    kind: str | None = None,
    on_bad_item: str = "stop",
    keep: Sequence[str] = (),
    beside: bool = False,
    group_column: str | None = None,
    weight_column: str | None = None,
    **given: Any,
) -> Table:
    """Read a table of items, features and labels from a file.

    It is CSV, TSV, JSONL or a JSON array (UTF-8; packed by gzip, bzip2, xz or zstd too), dense ARFF, or Parquet.

    Item ids come from ``item_column``, else from a column ``id``, ``item`` or ``image``, else from an index
    column (``Unnamed: 0``, ``index``, one without a name), else they are the row numbers 1..n.

    Labels are one column per label (1 relevant, 0 irrelevant, empty, null, NaN or -1 unknown), one column
    of label names (``labels_column``: a list, or a string that ``separator`` splits; an empty cell is a row
    that nobody labelled), or one row for each item and label (``labels_column`` and ``label_value``).
    ``label_columns`` and ``feature_columns`` take names and glob patterns (``"label_*"``). Where they are not
    given: beside an ``image`` or ``text`` column every other column is a label; else the features are the
    columns called feature, feat, f, x, dim, emb or v with a number, those that begin with ``feature_`` or
    ``x_``, and those that hold a list of numbers in each row, and all others are labels. A column that holds 1,
    0 or nothing in each row is a label even where its name says otherwise (``feature_request``, ``text``). With
    the labels named and no column of features so called, a column of pictures' names or of sentences is the
    content, else all others are features. ``roles`` of the table says what became of every column.

    Args:
        options: What the user says of the table; each field of ``TableOptions`` can be given as a keyword too,
            which wins.
        label_names: The labels and their order in ``labels_column``; by default the names that occur.
        require_labels: False reads a file without labels, and the label columns that it does have.
        require_items: False reads a file of labels alone, without features, pictures or texts.
        expect: (feature names, label names) of a trained model: the table gets these columns in this order,
            whatever their order in the file; other columns are ignored. With ``require_labels=False`` a label that
            is not in the file is unknown throughout. What ``options`` name beside them and the file has not is
            looked for anew.
        preparation: How a trained model's features were made of columns of words and empty cells.
        kind: That of the items that a trained model takes ("features", "image" or "text"), where a table has more
            than one.
        images: The folder at which the relative paths of an image column start, and which no path may leave; by
            default the table's own. Whether the files are there is seen when they are read.
        on_bad_item: "skip" leaves rows without their picture or text out, up to 5%.
        keep: Names and patterns of columns that the table hands on as they are.
        beside: Read columns of features beside that of pictures or texts. So they are, too, where both
            ``text_column`` and ``feature_columns`` are given.
        group_column: The column of what items belong to; it is no feature and no label, and handed on as ``keep`` is.
        weight_column: The column of the rows' weights, likewise.

    Raises:
        UserError: One line that names the file, the row, its line and the column, and how to mend it.
    """
    path = Path(path)
    if on_bad_item not in ("stop", "skip"):
        raise UserError(
            f"on_bad_item (--on-bad-item) is {shown(on_bad_item)}: {near(str(on_bad_item), ('stop', 'skip'))}"
        )
    columns, options, notes = _open(
        path, options or TableOptions(), given, expect, preparation, require_labels
    )
    given_aside = {"group_column": group_column, "weight_column": weight_column}
    named = {option: column for option, column in given_aside.items() if column is not None}
    whole, aside = columns, tuple(named.values())
    for option, column in named.items():
        if column not in columns.data:
            raise UserError(
                f"{path.name}: {option} ({_flag(option)}) {column!r} is no column;"
                f" {near(column, columns.data)}"
            )
    columns = replace(columns, data={n: c for n, c in columns.data.items() if n not in aside})
    folder = path.parent if images is None else Path(images)
    roles = _roles(
        columns,
        options,
        folder,
        folder_named=images is not None,
        kind=kind,
        expected=expect is not None,
        require_labels=require_labels,
        require_items=require_items,
        beside=beside,
    )
    notes += roles.notes
    features, feature_names, preparation = _features(columns, roles, options, preparation, notes)
    if expect is not None:
        features, feature_names = align(columns, features, feature_names, tuple(expect[0]))
    items, groups = read_items(columns, roles, options)
    contents = (
        None if roles.content is None else read_contents(columns, roles, options.image_suffix, folder, notes)
    )
    labels = read_labels(
        columns,
        options,
        roles.labels,
        groups,
        label_names=label_names or columns.declared.get(options.labels_column or ""),
        known=None if expect is None else tuple(expect[1]),
        require=require_labels,
    )
    notes += labels.notes
    if expect is None:
        # What a run was asked at its training says nothing of the tables that its model reads later.
        encoded = preparation is not None and bool(preparation.categories)
        labelled, featured = labels.annotations is not None, features is not None
        notes += options.unused(roles.kind, labelled=labelled, featured=featured, encoded=encoded)
    if groups is not None:
        features, contents = one_row_each(columns, groups, roles, options, features, contents, notes)
    table = Table(
        items=items,
        kind=roles.kind,
        features=features,
        feature_names=feature_names,
        labels=labels.annotations,
        contents=contents,
        path=path,
        extra_labels=labels.extra,
        roles=(
            *roles.reasons,
            *(f"{_ASIDE[option]}: {name}, by {_flag(option)}" for option, name in named.items()),
        ),
        notes=(*notes, *(() if labels.annotations is None else labels.annotations.notes)),
        content_column=roles.content,
        preparation=preparation,
        kept=_selected_columns(whole, (*keep, *aside), groups),
        item_column=roles.item,
    )
    return table if contents is None else _with_contents(columns, table, groups, on_bad_item)


def read_columns(path: Path, *, delimiter: str | None = None, max_rows: int | None = None) -> Columns:
    """Read the columns of a CSV, TSV, Parquet, JSONL, JSON or ARFF file.

    All but Parquet may be packed (.gz, .bz2, .xz, .zst).

    Args:
        delimiter: What separates the fields of a CSV or TSV; None: what its first lines agree on, told in the
            columns' notes where it is not what the ending says.
        max_rows: The most rows; None: 50 million. What a file unpacks or decodes to is bounded by 4 GiB, or 50
            times its size where that is more.

    Raises:
        UserError: For a file that is missing, of another format, empty, ragged, not UTF-8, with two columns of one
            name, too large, or that does not parse; the message names the row and the line.
    """
    try:
        _check_file(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{shown(str(path), 200)} cannot be opened: {shown(str(error), 200)}") from None
    kind, _ = kind_of(path)
    if path.stat().st_size == 0:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    if delimiter is not None and kind not in ("CSV", "TSV"):
        raise UserError(f"{path.name} is {kind}, which has no delimiter; leave delimiter (--delimiter) out")
    if kind == "Parquet":
        columns = read_parquet(path, max_rows)
    elif kind in ("JSONL", "JSON"):
        columns = read_json(path, max_rows)
    elif kind == "ARFF":
        columns = read_arff(path, max_rows)
    else:
        columns = read_delimited(path, delimiter, max_rows)
    if not columns.rows:
        raise UserError(f"{path.name} has column names but no rows; give at least one item")
    check_rows(path, columns.rows, max_rows)
    return columns


def _check_file(path: Path) -> None:
    """Refuse what is no file, with the tables that are beside it."""
    if path.is_file():
        return
    if path.is_dir():
        raise UserError(f"{path} is a directory; give a table (CSV, TSV, Parquet, JSONL, JSON or ARFF)")
    if path.exists():
        raise UserError(f"{path} is a pipe, socket or device; give a table in a file")
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{path}: no such file, and there is no folder {str(folder)!r}")
    tables = sorted(
        entry.name
        for entry in folder.iterdir()
        if any(suffix.lower() in FORMATS for suffix in entry.suffixes[-2:])
    )
    raise UserError(f"{path}: no such file; {near(path.name, tables)}")


def _open(
    path: Path,
    options: TableOptions,
    given: Mapping[str, Any],
    expect: tuple[Sequence[str], Sequence[str]] | None,
    preparation: Preparation | None,
    require_labels: bool,
) -> tuple[Columns, TableOptions, list[str]]:
    """Return a file's columns, its options, and notes so far."""
    given = {name: value for name, value in given.items() if value is not None}
    options = options.changed(given)
    columns = read_columns(path, delimiter=options.delimiter, max_rows=options.max_rows)
    # Names typed in a shell and names in a file may differ in their form of Unicode alone.
    columns = columns.renamed([*options.named_columns(), *(name for names in expect or () for name in names)])
    notes = list(columns.notes)
    if expect is not None:
        options = for_model(columns, options, given, expect, preparation, require_labels, notes)
    if not require_labels and options.labels_column is not None and options.labels_column not in columns.data:
        options = replace(options, labels_column=None, label_value=None, label_columns=())
    return columns, options, notes


def _roles(
    columns: Columns, options: TableOptions, folder: Path, *, folder_named: bool, **given: Any
) -> Roles:
    """Return the columns' roles.

    Refuse a named ``folder`` of pictures where no column names any.
    """

    def finds_pictures(name: str) -> bool:
        return names_files(looks.sample(columns, name)[:20], folder, named=folder_named)

    roles = assign_roles(columns, options, finds_pictures=finds_pictures, folder_named=folder_named, **given)
    if folder_named and roles.kind != "image":
        raise UserError(
            f"{columns.path.name} has no column of pictures: leave out images (--images), or name the column 'image' or"
            " by item_column (--item-column)"
        )
    return roles


def _features(
    columns: Columns,
    roles: Roles,
    options: TableOptions,
    preparation: Preparation | None,
    notes: list[str],
) -> tuple[NDArray[np.float32] | None, tuple[str, ...], Preparation | None]:
    if not roles.features:
        return None, (), preparation
    if commas := [name for name in roles.features if columns.has_decimal_commas(name)]:
        notes.append(f"{listed(map(repr, commas))}: a comma is read as the decimal point.")
    if preparation is None and (options.impute or options.encode):
        preparation = Preparation.fit(columns, roles.features, options.impute, options.encode)
    if preparation is not None:
        features, names, filled = preparation.apply(columns)
        notes += filled
        return features, different_names(columns, names), preparation
    blocks, labels = [], []
    for name in roles.features:
        block = columns.numbers(name)
        blocks.append(block.reshape(columns.rows, -1))
        labels += [name] if block.ndim == 1 else [f"{name}_{i}" for i in range(block.shape[1])]
    return np.hstack(blocks), different_names(columns, labels), None


def _selected_columns(columns: Columns, patterns: Sequence[str], groups: Groups | None) -> dict[str, Any]:
    selected: dict[str, Any] = {}
    for pattern in patterns:
        hits = [name for name in columns.data if name == pattern or fnmatchcase(name, pattern)]
        if not hits:
            raise UserError(
                f"{columns.path.name}: keep (--keep) names {pattern!r}, which is no column;"
                f" {near(pattern, columns.data)}"
            )
        selected |= {name: columns.data[name] for name in hits}
    return (
        selected if groups is None else {name: column.take(groups.first) for name, column in selected.items()}
    )


def _with_contents(columns: Columns, table: Table, groups: Groups | None, on_bad_item: str) -> Table:
    """Return the table without rows that lack their picture or text.

    Refuse them unless such rows are skipped.
    """

    def row_of(place: int) -> int:
        return place if groups is None else int(groups.first[place])

    contents = table.contents or []
    left_out = empty_contents(columns, table.items, contents, str(table.content_column), row_of, on_bad_item)
    if not left_out:
        return table
    places = [place for place, value in enumerate(contents) if value]
    labels = table.labels
    if labels is not None:
        labels = labels.take(places)
    return replace(
        table,
        items=[table.items[place] for place in places],
        contents=[contents[place] for place in places],
        features=None if table.features is None else table.features[places],
        labels=labels,
        left_out=left_out,
        kept={name: column.take(places) for name, column in table.kept.items()},
    )


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
