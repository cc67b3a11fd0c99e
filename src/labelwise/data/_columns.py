"""Which columns of a table are ids, features and labels."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from labelwise.errors import UserError, listed, near

__all__ = ["Roles", "assign_roles"]

_FEATURE = re.compile(r"^(feature|feat|f|x|dim|emb|v)[ _:.\-]?\d+$|^(feature|x)_", re.IGNORECASE)
_IDS = ("id", "item", "image", "text", "", "__index_level_0__")  # the last two: what pandas calls its index
_CONTENTS = ("image", "text")
_IMAGE_FILE = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Roles:
    """The names of the columns that play each role."""

    item: str | None
    content: str | None
    kind: Literal["features", "image", "text"]
    features: tuple[str, ...]
    labels: tuple[str, ...]


def assign_roles(
    columns: Sequence[str],
    *,
    file: str,
    vectors: frozenset[str] = frozenset(),
    labels_column: str | None = None,
    label_columns: Sequence[str] | str | None = None,
    feature_columns: Sequence[str] | str | None = None,
    item_column: str | None = None,
    item_example: str | None = None,
    require_labels: bool = True,
    kind: str | None = None,
) -> Roles:
    """Decide the role of each column, by name or by the rules that ``read_table`` documents.

    :param vectors: columns that hold a list of numbers in each row.
    :param item_example: the first value of ``item_column``; an image file's name makes the kind "image".
    :param kind: that of the items that a trained model takes; None lets the columns decide.
    :raises UserError: for a column that does not exist or plays two roles, and where features or labels are
        missing.
    """
    if labels_column is not None and label_columns is not None:
        raise UserError(
            "give labels_column (one column of names) or label_columns (one column per label), not both"
        )
    if item_column is not None and item_column not in columns:
        raise UserError(_missing(file, item_column, columns, "item_column (--item-column)"))
    if "" in columns[1:]:
        raise UserError(
            f"{file}: column {list(columns).index('', 1) + 1} has no name; name it in the first row"
        )
    by_word = {name.lower(): name for name in reversed(columns)}
    ids = [by_word[word] for word in _IDS if word in by_word]
    taken = dict.fromkeys([*ids, *([item_column] if item_column is not None else [])])

    flag = "label_columns (--label-columns)" if labels_column is None else "labels_column (--labels-column)"
    given = label_columns if labels_column is None else [labels_column]
    labels = None if given is None else _expand(given, columns, taken, file, flag)
    flag, given = "feature_columns (--feature-columns)", feature_columns
    features = None if given is None else _expand(given, columns, taken, file, flag)
    chosen, used = frozenset(labels or ()), frozenset(features or ())
    item = item_column
    if item is None:
        item = next((name for name in ids if name.lower() != "text" and name not in chosen), None)
    content = _content(by_word, chosen, kind, item_column, item_example)
    if content is None and kind in _CONTENTS:
        raise UserError(f"{file}: the model takes {kind}s, and there is no column {kind!r}; name it so")
    both = [name for name in labels or () if name in used]
    if both:
        raise UserError(f"{file}: {listed(map(repr, both))} named as label and as feature; choose one")
    free = [name for name in columns if name not in taken and name not in chosen]
    found: Literal["features", "image", "text"] = "features"
    if features is None and content is not None:
        found = "text" if content.lower() == "text" else "image"
        features = []
    elif features is None:
        features = [name for name in free if name in vectors or _FEATURE.search(name)]
        if not features and labels is not None:
            features = free
    if labels is None:
        used = frozenset(features)
        labels = [name for name in free if name not in used]

    shown = listed(map(repr, columns), 12)
    if found == "features" and not features:
        raise UserError(
            f"{file}: no feature columns among {shown}; name them with feature_columns (--feature-columns),"
            " or give an 'image' or a 'text' column"
        )
    if require_labels and not labels:
        raise UserError(
            f"{file}: no label columns among {shown}; name them with label_columns (--label-columns), or a"
            " column of label names with labels_column (--labels-column)"
        )
    return Roles(item, content if found != "features" else None, found, tuple(features), tuple(labels))


def _content(
    by_word: Mapping[str, str],
    labels: Container[str],
    kind: str | None,
    item_column: str | None,
    item_example: str | None,
) -> str | None:
    """Return the column of pictures or texts, the pictures first where ``kind`` does not say; never a label."""
    for word in _CONTENTS:
        if kind in (None, word) and word in by_word and by_word[word] not in labels:
            return by_word[word]
    names_pictures = item_example is not None and _IMAGE_FILE.search(item_example) is not None
    return item_column if names_pictures and kind in (None, "image") else None


def _missing(file: str, name: str, columns: Sequence[str], flag: str) -> str:
    return f"{file}: {flag} names {name!r}, which is no column; {near(name, columns)}"


def _expand(
    patterns: Sequence[str] | str, columns: Sequence[str], ids: Container[str], file: str, flag: str
) -> list[str]:
    """Return the columns that names and patterns stand for, in the order given; no pattern matches an id."""
    found: dict[str, None] = {}
    names = frozenset(columns)
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        hits = (
            [pattern]
            if pattern in names
            else [c for c in columns if c not in ids and fnmatchcase(c, pattern)]
        )
        if not hits:
            raise UserError(_missing(file, pattern, columns, flag))
        found.update(dict.fromkeys(hits))
    return list(found)
