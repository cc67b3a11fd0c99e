"""Rows of Parquet files or of an Arrow dataset, read in fragments, never all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations, Codes, ListedStates, States, check_label_names, row_blocks
from labelwise.data.tables.class_labels import declared_names, named
from labelwise.data.tables.columns import Columns, different_names
from labelwise.data.tables.lines import check_names
from labelwise.data.tables.model_columns import sources_of
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.parts import Part, parts_of, rebatched
from labelwise.data.tables.roles import assign_roles
from labelwise.errors import UserError, listed, near, shown
from labelwise.workers import HERE, Workers

Result = TypeVar("Result")

FRAGMENT_ROWS = 65_536
"""Most rows of a fragment; fewer where a row has more than a thousand features."""

_FRAGMENT_ENTRIES, _LEAST_ROWS = 1 << 26, 1024
_LOOKED_AT = 1000  # rows by which columns get their roles
_NOT_STREAMED = ("label_value", "text_column", "image_suffix", "impute", "encode", "delimiter", "name_key")


@dataclass(frozen=True)
class Fragment:
    """Rows of one part that are read together.

    Attributes:
        number: Its place among all fragments.
        part: The part that holds it.
        start: Its first row in the part.
        rows: How many it has.
    """

    number: int
    part: Part
    start: int
    rows: int

    @property
    def name(self) -> str:
        """A file name without ending, different for each fragment and in their order."""
        return f"{self.number:06d}-{Path(self.part.name).stem}"


@dataclass(frozen=True)
class _Rows(Columns):
    """The columns of a fragment, whose rows count from its first in messages."""

    first: int = 0

    def where(self, row: int, name: str | None = None) -> str:
        """Return a place such as "file: row 3, column 'x'"."""
        return super().where(row + self.first, name)


@dataclass(frozen=True, eq=False)
class TableStream:
    """Rows of features and their labels, read fragment by fragment as often as is needed.

    Attributes:
        parts: What is read, in the order of their names.
        source: The folder, file or kind of dataset, for messages.
        options: How columns and cells are read.
        feature_columns: The columns of features, of one number or of a list of numbers each.
        feature_names: The D features' names.
        label_columns: The column that lists labels, or one column for each label; none where labels are not read.
        label_names: The K labels' names.
        item_column: The column of item ids; None: a part's name and the row.
        declared: Names of a column's classes, where the file declares them.
        roles: Sentences on every column's role.
        notes: Sentences on what was guessed.
        workers: Who reads it in ``over``.
        only: The fragments that are read, by their numbers; None: all.
        most_rows: Of a fragment; None: by the number of features.
    """

    parts: tuple[Part, ...]
    source: str
    options: TableOptions
    feature_columns: tuple[str, ...]
    feature_names: tuple[str, ...]
    label_columns: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    item_column: str | None = None
    declared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    workers: Workers = HERE
    only: range | None = None
    most_rows: int | None = None

    @classmethod
    def open(
        cls,
        source: Any,
        options: TableOptions | None = None,
        *,
        expect: tuple[Sequence[str], Sequence[str]] | None = None,
        require_labels: bool = True,
    ) -> Self:
        """Look at a folder of Parquet files, one such file, or a ``pyarrow.dataset.Dataset``.

        Labels are a column of lists of names or numbers (``labels_column``), or a column of states for each. Where
        lists do not declare their names, one pass over their column finds them.

        Args:
            source: Files count in the order of their paths, those in folders below too.
            options: As for ``read_table``.
            expect: Names of a model's features and labels: these are read, in this order.
            require_labels: Whether there must be labels.

        Raises:
            UserError: For a source without rows, columns that cannot be read in fragments, and options that only whole
                tables have.
        """
        options = options or TableOptions()
        given = [name for name in _NOT_STREAMED if getattr(options, name) is not None]
        if given:
            flags = listed(f"--{name.replace('_', '-')}" for name in given)
            raise UserError(f"{flags} cannot be used on a stream of rows: give a table that fits in memory")
        parts, name = parts_of(source)
        first = _first_rows(parts, name)
        if expect is not None:
            options = _named_for_model(first, options, tuple(expect[0]), require_labels)
        elif not require_labels:
            options = replace(options, labels_column=None, label_columns=())
        roles = assign_roles(
            first, options, kind="features", expected=expect is not None, require_labels=require_labels
        )
        if roles.kind != "features":
            raise UserError(f"{name}: a stream of rows takes features; embed pictures and texts before")
        features = _feature_names(first, roles.features)
        if expect is not None and set(expect[0]) - set(features):
            missing = [one for one in expect[0] if one not in set(features)]
            raise UserError(f"{name}: the model's features {listed(map(repr, missing))} are not in the files")
        labels = () if options.labels_column is None else (options.labels_column,)
        stream = cls(
            parts,
            name,
            options,
            tuple(roles.features),
            features if expect is None else tuple(expect[0]),
            labels or (tuple(roles.labels) if require_labels else ()),
            item_column=roles.item,
            declared=first.declared,
            roles=roles.reasons,
            notes=(*first.notes, *roles.notes),
        )
        if not require_labels:
            return stream
        if expect is not None:
            return replace(stream, label_names=tuple(expect[1]))
        return replace(stream, label_names=stream._found_labels())

    def __len__(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return len(self.feature_names)

    @property
    def n_labels(self) -> int:
        """Number K of labels."""
        return len(self.label_names)

    @property
    def digest(self) -> str:
        """A digest of the parts, by their names, sizes and footers."""
        words = "\n".join(f"{part.name} {part.digest}" for part in self.parts)
        return hashlib.sha256(words.encode()).hexdigest()

    def fragments(self) -> list[Fragment]:
        """Return all fragments, in their order: runs of a part's rows, each of the same length but the last."""
        return fragments_of(self.parts, self._most_rows)

    @property
    def _most_rows(self) -> int:
        return self.most_rows or fragment_rows(self.n_features)

    def over(self, work: Callable[[TableStream], Result]) -> Iterator[Result]:
        """Yield what ``work`` makes of runs of consecutive fragments, in their order.

        The workers read the runs; alone, this process reads all fragments as one.
        """
        count = len(self.fragments())
        size = count if self.workers.count == 1 else _run_length(count, self.workers.count)
        runs = [self.part(range(rows.start, rows.stop)) for rows in row_blocks(count, 1, size)]
        yield from self.workers.map(work, runs)

    def part(self, fragments: range) -> TableStream:
        """Return a stream of some of the fragments, for a worker."""
        return replace(self, workers=HERE, only=fragments, most_rows=self._most_rows)

    def labels(self) -> Iterator[tuple[int, States]]:
        """Yield each fragment's number and its states (b, K)."""
        for fragment, columns in self._read(self.label_columns):
            yield fragment.number, self._states(columns)

    def rows(self) -> Iterator[tuple[int, NDArray[np.float32], States]]:
        """Yield each fragment's number, its rows (b, D) float32 and its states (b, K)."""
        for fragment, columns in self._read((*self.feature_columns, *self.label_columns)):
            yield fragment.number, self._features(columns), self._states(columns)

    def items(
        self, keep: Sequence[str] = (), skip: Callable[[Fragment], bool] | None = None
    ) -> Iterator[tuple[Fragment, NDArray[np.float32], list[str], dict[str, Any]]]:
        """Yield each fragment, its rows (b, D), its items' ids, and columns to keep as Arrow arrays.

        Args:
            keep: Names of columns.
            skip: Fragments that are passed over, unread where whole parts are.
        """
        ids = () if self.item_column is None else (self.item_column,)
        for fragment, columns in self._read((*self.feature_columns, *ids, *keep), skip):
            if self.item_column is None:
                places = range(fragment.start + 1, fragment.start + fragment.rows + 1)
                names = [f"{fragment.part.name}:{place}" for place in places]
            else:
                names = self._ids(columns, self.item_column)
            yield fragment, self._features(columns), names, {name: columns.data[name] for name in keep}

    def _ids(self, columns: Columns, name: str) -> list[str]:
        ids = columns.strings(name)
        if None in ids:
            raise UserError(f"{columns.where(ids.index(None), name)}: the item has no id; give it one")
        return [str(one) for one in ids]

    def _read(
        self, names: Sequence[str], skip: Callable[[Fragment], bool] | None = None
    ) -> Iterator[tuple[Fragment, Columns]]:
        """Yield the fragments that are not skipped, with columns."""
        by_part: dict[str, list[Fragment]] = {}
        for fragment in self.fragments():
            if self.only is None or fragment.number in self.only:
                by_part.setdefault(fragment.part.name, []).append(fragment)
        for fragments in by_part.values():
            if skip is not None and all(map(skip, fragments)):
                continue
            part = fragments[0].part
            tables = rebatched(part, list(dict.fromkeys(names)), self._most_rows, fragments[0].start)
            for fragment in fragments:
                table = next(tables, None)
                if table is None or table.num_rows != fragment.rows:
                    raise UserError(
                        f"{part.name} does not hold the {part.rows:,} rows that it promises; write it anew"
                    )
                if skip is not None and skip(fragment):
                    continue
                yield fragment, self._columns(part.name, table, fragment.start)

    def _columns(self, name: str, table: Any, first: int) -> Columns:
        data = dict(zip(table.column_names, table.columns, strict=True))
        columns = _Rows(Path(name), data, table.num_rows, first=first)
        for one, classes in self.declared.items():
            if one in data:
                data[one] = named(columns.path, one, data[one], classes)
        return columns

    def _features(self, columns: Columns) -> NDArray[np.float32]:
        blocks = [_numbers(columns, name) for name in self.feature_columns]
        X = blocks[0] if len(blocks) == 1 else np.hstack(blocks)
        names = _names_of(columns, self.feature_columns, [block.shape[1] for block in blocks])
        if names != self.feature_names:
            place = {name: k for k, name in enumerate(names)}
            # A model's features may stand in another order, and not all of a table's be the model's.
            if set(self.feature_names) - set(names) or (
                self.label_names and set(names) - set(self.feature_names)
            ):
                raise UserError(
                    f"{columns.where(0)}: its rows have {X.shape[1]} features, those before {self.n_features}:"
                    " write all files with the same features"
                )
            X = X[:, [place[name] for name in self.feature_names]]
        return np.ascontiguousarray(X)

    def _states(self, columns: Columns) -> States:
        """Return the states (b, K) of a fragment's labels."""
        if self.options.labels_column is None:
            codes = Codes.named(self.options.minus_one, self.options.empty)
            names = {name: k for k, name in enumerate(self.label_names)}
            matrix = np.full((columns.rows, len(names)), -1, dtype=np.int8)
            for name in self.label_columns:
                if name in names:
                    matrix[:, names[name]] = columns.states(name, codes)
            return matrix
        return self._listed(columns, self.options.labels_column)

    def _listed(self, columns: Columns, name: str) -> ListedStates:
        import pyarrow as pa
        import pyarrow.compute as pc

        lists = _lists(columns, name)
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
        values = _texts(columns, name, lists)
        places = pc.index_in(values, value_set=pa.array(self.label_names, values.type))
        unknown = np.asarray(pc.and_(pc.is_null(places), pc.is_valid(values)))
        if unknown.any():
            row = int(np.searchsorted(np.cumsum(lengths), np.flatnonzero(unknown)[0], side="right"))
            wrong = values[int(np.flatnonzero(unknown)[0])].as_py()
            raise UserError(
                f"{columns.where(row, name)}: the label {shown(wrong)} is none of those known;"
                f" {near(str(wrong), self.label_names)}"
            )
        indices = np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
        row_of = np.repeat(np.arange(columns.rows), lengths)
        row_of, indices = row_of[indices >= 0], indices[indices >= 0]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row_of, minlength=columns.rows))])
        silent, nothing = (
            0 if word == "absent" else -1 for word in (self.options.unlisted, self.options.empty)
        )
        empty = np.asarray(lists.is_null())
        says = np.where(empty, nothing, silent).astype(np.int8)
        return ListedStates.of(indptr, indices, says, self.n_labels)

    def _found_labels(self) -> tuple[str, ...]:
        """Return the labels' names: of the columns, as declared, or all that a pass over the lists finds."""
        import pyarrow.compute as pc

        name = self.options.labels_column
        if name is None:
            return check_label_names(self.label_columns)
        if name in self.declared:
            return self.declared[name]
        found: set[str] = set()
        for _, columns in self._read((name,)):
            found.update(pc.unique(_texts(columns, name, _lists(columns, name))).drop_null().to_pylist())
        if not found:
            raise UserError(f"{self.source}: column {shown(name)} lists no label")
        if "" in found:
            raise UserError(
                f"{self.source}: column {shown(name)} lists a label without a name; name it or drop it"
            )
        names = check_label_names(sorted(found))
        Annotations(np.zeros((1, len(names)), np.int8), names)
        return names


def fragments_of(parts: Sequence[Part], most_rows: int) -> list[Fragment]:
    """Return all fragments of parts, in their order: runs of a part's rows, each of the same length but the last."""
    found: list[Fragment] = []
    for part in parts:
        for rows in row_blocks(part.rows, 1, most_rows):
            found.append(Fragment(len(found), part, rows.start, rows.stop - rows.start))
    return found


def _run_length(fragments: int, workers: int) -> int:
    """Return how many fragments a task reads: a power of two, for whole branches of sums, of several tasks a worker."""
    return int(2 ** np.clip(np.log2(max(1, fragments / (4 * workers))), 0, 3).astype(int))


def fragment_rows(n_features: int) -> int:
    """Return the most rows of a fragment, by the number of features."""
    return int(min(FRAGMENT_ROWS, max(_LEAST_ROWS, _FRAGMENT_ENTRIES // max(1, n_features))))


def _first_rows(parts: Sequence[Part], name: str) -> Columns:
    """Return the first rows of the first part, by which columns get their roles."""
    import pyarrow as pa

    (part, *_) = parts
    check_names(Path(part.name), list(part.columns))
    table = next(rebatched(part, list(part.columns), _LOOKED_AT), None)
    if table is None:
        raise UserError(f"{name}: there are no rows")
    names = list(table.column_names)
    declared = {
        one: classes for one, classes in declared_names(table.schema.metadata).items() if one in names
    }
    data = dict(zip(names, table.columns, strict=True))
    for one, classes in declared.items():
        data[one] = named(Path(part.name), one, data[one], classes)
    dictionaries = [one for one, column in data.items() if pa.types.is_dictionary(column.type)]
    for one in dictionaries:
        data[one] = data[one].cast(data[one].type.value_type)
    return Columns(Path(part.name), data, table.num_rows, declared=declared)


def _feature_names(columns: Columns, names: Sequence[str]) -> tuple[str, ...]:
    widths = [_numbers(columns, name).shape[1] for name in names]
    return different_names(columns, _names_of(columns, names, widths))


def _names_of(columns: Columns, names: Sequence[str], widths: Sequence[int]) -> tuple[str, ...]:
    """Return the features' names: a column's own, or those of the places of its lists."""
    found: list[str] = []
    for name, width in zip(names, widths, strict=True):
        found += [f"{name}_{place}" for place in range(width)] if columns.is_vector(name) else [name]
    return tuple(found)


def _numbers(columns: Columns, name: str) -> NDArray[np.float32]:
    """Return a column of features (b, d) float32, finite."""
    import pyarrow.compute as pc

    if columns.is_vector(name) and not columns.data[name].null_count:
        lists = columns.data[name].combine_chunks()
        lengths, values = pc.min_max(pc.list_value_length(lists)).as_py(), pc.list_flatten(lists)
        if lengths["min"] == lengths["max"] and lengths["min"] and not values.null_count:
            with np.errstate(over="ignore"):
                numbers = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
            if np.isfinite(numbers).all():
                return np.asarray(numbers.reshape(columns.rows, lengths["min"]))
    # Slower, and with words for what is wrong.
    return columns.numbers(name).reshape(columns.rows, -1)


def _lists(columns: Columns, name: str) -> Any:
    """Return a column of lists as one array."""
    import pyarrow.types as kinds

    column = columns.data[name]
    if not (
        kinds.is_list(column.type)
        or kinds.is_large_list(column.type)
        or kinds.is_fixed_size_list(column.type)
    ):
        raise UserError(
            f"{columns.path.name}: column {shown(name)} holds {str(column.type)[:60]}; a stream of rows takes lists of"
            " names or numbers (--labels-column), or a column of 1 and 0 for each label (--label-columns)"
        )
    return column.combine_chunks()


def _texts(columns: Columns, name: str, lists: Any) -> Any:
    """Return the names or whole numbers in a column of lists, one after another."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.list_flatten(lists)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64()).cast(pa.string())
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise UserError(
            f"{columns.path.name}: column {shown(name)} lists {str(values.type)[:60]}; give names or whole numbers"
        )
    return pc.utf8_trim_whitespace(values).cast(pa.large_string())


def _named_for_model(
    columns: Columns, options: TableOptions, features: Sequence[str], require_labels: bool
) -> TableOptions:
    """Return options by which a trained model finds its columns."""
    sources = sources_of(columns, features)
    if not sources:
        raise UserError(
            f"{columns.path.name}: the model's feature columns are not in the file;"
            f" {near(features[0], columns.data)}"
        )
    options = replace(options, feature_columns=tuple(sources))
    if not require_labels:
        options = replace(options, labels_column=None, label_columns=())
    if options.item_column is not None and options.item_column not in columns.data:
        options = replace(options, item_column=None)
    return options
