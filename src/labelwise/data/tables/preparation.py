"""Features from empty cells and columns of words, by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.data.tables import looks
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.numerals import as_number
from labelwise.errors import UserError, listed, shown

_EMPTY = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
_NOTHING = "(empty)"
_MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Preparation:
    """A recipe for features, learnt from a training table's columns.

    Other tables are made into features by it.

    Attributes:
        columns: The feature columns, in order.
        impute: How empty cells of numbers are filled, or None.
        values: By column of numbers, what an empty cell is filled with.
        categories: By column of words, the words, each of which is a feature.
    """

    columns: tuple[str, ...]
    impute: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def fit(cls, columns: Columns, names: Sequence[str], impute: str | None, encode: str | None) -> Self:
        """Learn what the columns ``names`` hold.

        Raises:
            UserError: For a column without a value, and one of words that are no categories.
        """
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        values: dict[str, float] = {}
        categories: dict[str, Sequence[str]] = {}
        for name in names:
            if columns.is_vector(name):
                continue
            if encode is not None and looks.holds_words(columns, name):
                encoder = OneHotEncoder(handle_unknown="ignore").fit(_words(columns, name))
                words = [str(word) for word in encoder.categories_[0]]
                if len(words) > min(_MOST_CATEGORIES, max(20, columns.rows // 2)):
                    raise UserError(
                        f"{columns.path.name}: column {name!r} holds {len(words):,} different words, which are no"
                        " categories; leave it out by naming the feature columns (--feature-columns), or give it as"
                        " --text-column"
                    )
                categories[name] = words
            elif impute is not None:
                column = _numbers(columns, name)
                if np.isnan(column).all():
                    raise UserError(
                        f"{columns.path.name}: column {name!r} is empty in all rows; leave it out by naming the"
                        " feature columns (--feature-columns)"
                    )
                values[name] = float(SimpleImputer(strategy=impute).fit(column).statistics_[0])
        return cls(tuple(names), impute, values, categories)

    def apply(self, columns: Columns) -> tuple[NDArray[np.float32], tuple[str, ...], list[str]]:
        """Return features (n, D) float32, their D names, and notes.

        The notes are sentences on what was filled and what is not known.

        Raises:
            UserError: For cells that are neither empty nor numbers.
        """
        blocks: list[NDArray[np.float32]] = []
        names: list[str] = []
        filled, unknown, empty = _Counts(), _Counts(), _Counts()
        for name in self.columns:
            if name in self.categories:
                block = self._encoded(columns, name, unknown, empty)
                labels = [f"{name}={word or _NOTHING}" for word in self.categories[name]]
            elif name in self.values:
                block, labels = self._filled(columns, name, filled), [name]
            else:
                numbers = columns.numbers(name)
                block = numbers.reshape(columns.rows, -1)
                labels = [name] if numbers.ndim == 1 else [f"{name}_{i}" for i in range(block.shape[1])]
            blocks.append(block.astype(np.float32, copy=False))
            names += labels
        notes = []
        if filled:
            notes.append(
                f"empty cells filled by the {str(self.impute).replace('_', ' ')} of training: {filled}"
            )
        if empty:
            notes.append(f"empty cells of words count as a category of their own: {empty}")
        if unknown:
            notes.append(
                f"words that training did not have count as none of a column's categories: {unknown}"
            )
        return np.hstack(blocks), tuple(names), notes

    def _encoded(self, columns: Columns, name: str, unknown: _Counts, empty: _Counts) -> NDArray[Any]:
        from sklearn.preprocessing import OneHotEncoder

        known = list(self.categories[name])
        encoder = OneHotEncoder(
            categories=[np.array(known, dtype=object)], handle_unknown="ignore", sparse_output=False
        ).fit(np.array([[known[0]]], dtype=object))
        words = _words(columns, name)
        strange = ~np.isin(words[:, 0].astype(str), known)
        unknown.add(name, int(strange.sum()), sorted({str(word) for word in words[strange, 0]}))
        empty.add(name, int((words == "").sum()) if "" in known else 0)
        block: NDArray[Any] = encoder.transform(words)
        return block

    def _filled(self, columns: Columns, name: str, filled: _Counts) -> NDArray[Any]:
        from sklearn.impute import SimpleImputer

        column = _numbers(columns, name)
        filled.add(name, int(np.isnan(column).sum()))
        # One row of the value that was learnt: its mean, median and most frequent value are that.
        imputer = SimpleImputer(strategy=self.impute).fit(np.array([[self.values[name]]]))
        block: NDArray[Any] = imputer.transform(column)
        if not (np.abs(block) <= np.finfo(np.float32).max).all():
            columns.numbers(name)
        return block

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the preparation that ``to_dict`` wrote."""
        try:
            return cls(
                tuple(map(str, data["columns"])),
                data["impute"],
                {str(name): float(value) for name, value in data["values"].items()},
                {str(name): tuple(map(str, words)) for name, words in data["categories"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(
                "the run's record of how its features were made is damaged: train again to another --out"
            ) from None


class _Counts:
    """Numbers of cells by column, for a sentence."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, name: str, count: int, examples: Sequence[str] = ()) -> None:
        """Count ``count`` cells of column ``name``; none is not told."""
        if count:
            words = listed((shown(word) if word else _NOTHING for word in examples), 3)
            self._parts.append(f"{name!r} ({count:,}{': ' + words if words else ''})")

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __str__(self) -> str:
        return listed(self._parts)


def _words(columns: Columns, name: str) -> NDArray[np.object_]:
    values = [value or "" for value in columns.strings(name)]
    return np.array([["" if value.lower() in _EMPTY else value] for value in values], dtype=object)


def _numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """Return a column (n, 1) of numbers, empty cells as NaN."""
    numbers = np.full((columns.rows, 1), np.nan)
    for row, value in enumerate(columns.number_texts(name)):
        if value is None or value.lower() in _EMPTY:
            continue
        try:
            numbers[row] = as_number(value)
        except ValueError:
            raise UserError(
                f"{columns.where(row, name)}: the feature is {shown(value)}, not a number; mend it, give"
                " --encode onehot where the column holds words, or name the feature columns (--feature-columns)"
            ) from None
        if not np.isfinite(numbers[row]):
            raise UserError(
                f"{columns.where(row, name)}: the feature is infinite; mend it or leave the cell empty"
            )
    return numbers
