"""Options of reading a table, in one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from labelwise.errors import UserError

_WORDS: dict[str, tuple[str, ...]] = {
    "unlisted": ("unknown", "absent"),
    "minus_one": ("unknown", "absent"),
    "empty": ("unknown", "absent"),
    "impute": ("mean", "median", "most_frequent"),
    "encode": ("onehot",),
}
_LISTS = ("label_columns", "feature_columns")


@dataclass(frozen=True)
class TableOptions:
    """A user's words on a table's columns and cells.

    Whatever is None is found by looking, and told.

    Attributes:
        labels_column: The column of label names.
        label_columns: Names and glob patterns (``"label_*"``); one text or several.
        feature_columns: As ``label_columns``.
        label_value: The column of states (1, 0) in the long format, where a row holds one item and one label.
        item_column: The column of item ids.
        text_column: The column of texts.
        image_suffix: The ending of the pictures' files (``".jpg"``) where the table's names have none.
        separator: What separates names in ``labels_column``; ``" "`` stands for any whitespace.
        name_key: The key of the name where ``labels_column`` holds lists of objects.
        unlisted: What a name is that a row of ``labels_column`` does not list; None: "unknown".
        minus_one: What -1 and an empty cell of a label are.
        empty: As ``minus_one``.
        delimiter: What separates the fields of a text table.
        max_rows: The most rows that are read; a table that holds more is refused.
        impute: How empty cells of numeric features are filled: "mean", "median" or "most_frequent" of the column.
        encode: How columns of words become features: "onehot".
    """

    labels_column: str | None = None
    label_columns: Sequence[str] | str | None = None
    label_value: str | None = None
    feature_columns: Sequence[str] | str | None = None
    item_column: str | None = None
    text_column: str | None = None
    image_suffix: str | None = None
    separator: str | None = None
    name_key: str | None = None
    unlisted: Literal["unknown", "absent"] | None = None
    minus_one: Literal["unknown", "absent"] = "unknown"
    empty: Literal["unknown", "absent"] = "unknown"
    delimiter: str | None = None
    max_rows: int | None = None
    impute: Literal["mean", "median", "most_frequent"] | None = None
    encode: Literal["onehot"] | None = None

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            value = getattr(self, name)
            if value not in (*words, None) or (value is None and name in ("minus_one", "empty")):
                raise UserError(f"{flag_of(name)} is {value!r}: it is {' or '.join(map(repr, words))}")
        for name in (
            "labels_column",
            "label_value",
            "item_column",
            "text_column",
            "image_suffix",
            "name_key",
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise UserError(f"{flag_of(name)} is {value!r}: give one name, as text")
        for name in _LISTS:
            value = getattr(self, name)
            if value is None or isinstance(value, str):
                continue
            if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
                raise UserError(f"{flag_of(name)} is {value!r}: give names of columns, as texts")
            object.__setattr__(self, name, tuple(value))
        if self.max_rows is not None and (
            isinstance(self.max_rows, bool) or not isinstance(self.max_rows, int) or self.max_rows < 1
        ):
            raise UserError(f"max_rows (--max-rows) is {self.max_rows!r}: give a whole number from 1")
        if self.labels_column is not None and self.label_columns is not None:
            raise UserError(
                "give labels_column (one column of names) or label_columns (one column per label), not both"
            )
        if self.label_value is not None and self.labels_column is None:
            raise UserError(
                f"label_value (--label-value) {self.label_value!r} holds the states of the names in another column:"
                " name that one with --labels-column"
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the options' names."""
        return tuple(field.name for field in fields(cls))

    def unused(self, kind: str, *, labelled: bool, featured: bool, encoded: bool) -> list[str]:
        """Return sentences on the given options that this table does not use.

        Each is on a group of options.

        Args:
            kind: Of its items.
            labelled: Whether its labels were read.
            featured: Whether it has columns of features.
            encoded: Whether columns of words became features.
        """
        cases: list[tuple[tuple[str, ...], str, bool]] = [
            (
                ("separator", "name_key", "unlisted"),
                "each label has a column of its own",
                self.labels_column is None,
            ),
        ]
        if not labelled:
            cases = []
        cases += [
            (("image_suffix",), "the items are no pictures", kind != "image"),
            (("impute", "encode"), "the items are no features", not featured),
            (("encode",), "no column of features holds words", featured and not encoded),
        ]
        notes = []
        for names, reason, unused in cases:
            flags = [flag_of(name) for name in names if getattr(self, name) not in (None, "unknown")]
            if unused and flags:
                notes.append(f"not used: {', '.join(flags)}, since {reason}")
        return notes

    def named_columns(self) -> list[str]:
        """Return every column that is named, patterns included."""
        lists = ([value] if isinstance(value, str) else value for value in map(self.__getattribute__, _LISTS))
        single = (self.labels_column, self.label_value, self.item_column, self.text_column)
        return [
            *(name for name in single if name is not None),
            *(name for names in lists for name in names or ()),
        ]

    def changed(self, given: Mapping[str, Any]) -> Self:
        """Return the options with those of ``given`` that are not None.

        One form of labels takes the other's place.
        """
        changes = {name: value for name, value in given.items() if value is not None}
        if changes.get("label_columns") is not None and "labels_column" not in changes:
            changes |= {"labels_column": None, "label_value": None}
        if changes.get("labels_column") is not None and "label_columns" not in changes:
            changes["label_columns"] = None
        return replace(self, **changes)


def flag_of(name: str) -> str:
    """Return an option's name in Python and on the command line.

    The latter stands in brackets.
    """
    return f"{name} (--{name.replace('_', '-')})"
