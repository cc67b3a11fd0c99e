"""What a column's name says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from labelwise.data.tables import looks
from labelwise.data.tables.columns import Columns
from labelwise.errors import ranges

NUMBERED = re.compile(r"^(feature|feat|f|x|dim|emb|v)[ _:.\-]?\d+$", re.IGNORECASE)
WORDED = re.compile(r"^(feature|x)_", re.IGNORECASE)
STEM = re.compile(r"[ _:.\-]?\d+$")
TEXTS = re.compile(
    "abstract|body|caption|comment|comment_text|content|description|document|headline|message|post|question|review"
    "|sentence|snippet|summary|title|tweet|utterance",
    re.IGNORECASE,
)
_UNNAMED = re.compile(r"^unnamed: \d+(_level_\d+)?$", re.IGNORECASE)
_INDEX = frozenset(("index", "level_0", "row", "row_id", "row_index", "row_number", "rownames", "rowid"))
IDENTIFIER = re.compile(r"(^|[ _.\-])(id|ids|uid|uuid|guid)$|[a-z](ID|Id)$", re.IGNORECASE)


def numbers_rows(columns: Columns, name: str, place: int) -> bool:
    """Return whether a column, ``place``-th of its file, numbers the rows by its name and its cells."""
    if name in ("", "__index_level_0__"):
        return True
    if _UNNAMED.match(name):
        return looks.are_whole(columns, name) and (place == 0 or looks.are_ids(columns, name))
    if name.lower() not in _INDEX:
        return False
    # In a part of a larger table they count no more, and are whole numbers, no two alike.
    part = columns.rows > 2 and looks.are_whole(columns, name) and looks.are_ids(columns, name)
    return part or looks.counts_rows(columns, name)


_ORDER = (
    "item ids",
    "item ids and pictures",
    "pictures",
    "texts",
    "features",
    "labels",
    "names of labels",
    "states of the names",
    "not used",
)


def reasons(names: Sequence[str], why: Mapping[str, tuple[str, str]], item: str | None) -> tuple[str, ...]:
    """Return a sentence for each role and reason, the columns in the file's order."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        groups.setdefault(why.get(name, ("not used", "")), []).append(name)
    lines = [] if item is not None else ["item ids: the row numbers, from 1"]
    for (role, reason), columns in sorted(groups.items(), key=lambda pair: _ORDER.index(pair[0][0])):
        count = f" ({len(columns):,})" if len(columns) > 1 else ""
        lines.append(f"{role}: {ranges(columns)}{count}" + (f", {reason}" if reason else ""))
    return tuple(lines)


def no_items(columns: Columns, shown: str) -> str:
    """Return why a table has nothing to learn from, and what to do."""
    for name in columns.data:
        if looks.names_addresses(columns, name):
            return (
                f"the cells of {name!r} are addresses, and nothing is fetched: download the pictures, write the names"
                " of their files, and give their folder by images (--images)"
            )
    return (
        f"no feature columns among {shown}; name them with feature_columns (--feature-columns), or a column of texts"
        " with text_column (--text-column), or give an 'image' or a 'text' column"
    )
