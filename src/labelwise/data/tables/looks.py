"""Looks at a column's cells, whatever its name.

They tell states, row numbers, texts, names of pictures and pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labelwise.data.images.decode import begins_as_picture
from labelwise.data.images.paths import is_picture_name
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.numerals import is_number, with_point

_YES_OR_NO = frozenset(("1", "0", "yes", "no"))
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.\-]+:", re.IGNORECASE)
_TIME = r"([T ,]+\d{1,2}:\d{2}.*)?"
_DATE = re.compile(
    rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}{_TIME}|\d{{1,2}}([-/.])\d{{1,2}}\3\d{{2,4}}{_TIME}", re.ASCII
)
_SAMPLE = 500
_MOST = 0.9
_FEW_WORDS, _FEW_LETTERS = 3, 12


def is_whole(value: str) -> bool:
    """Return whether a text is a whole number of few digits.

    It has up to 18 of them, and may be written as ``3.0``.
    """
    return re.fullmatch(r"[+-]?\d{1,18}(\.0*)?", value) is not None


def is_nested(columns: Columns, name: str) -> bool:
    """Return whether a column holds lists or objects."""
    import pyarrow.types as kinds

    return bool(kinds.is_nested(columns.data[name].type))


def are_whole(columns: Columns, name: str) -> bool:
    """Return whether all cells of a column are whole numbers."""
    values = [] if is_nested(columns, name) else columns.strings(name)
    return bool(values) and all(value is not None and is_whole(value) for value in values)


def are_ids(columns: Columns, name: str) -> bool:
    """Return whether a column's cells are all there and all different."""
    values = [None] if is_nested(columns, name) else columns.strings(name)
    return None not in values and len(set(values)) == len(values)


def paths_are_ids(columns: Columns, name: str) -> bool:
    """Return whether a column's pictures carry paths that can be ids."""
    if not holds_paths(columns, name):
        return False
    paths = columns.data[name].combine_chunks().field("path").to_pylist()
    return None not in paths and len(set(paths)) == len(paths)


def holds_states(columns: Columns, name: str) -> bool:
    """Return whether every cell of a column is a label state.

    One at least must say yes or no.
    """
    import pyarrow.types as kinds

    kind = columns.data[name].type
    if (
        kinds.is_nested(kind)
        or kinds.is_binary(kind)
        or any(columns.code_of(c) is None for c in sample(columns, name))
    ):
        return False
    known: dict[str, str | None] = {}
    for value in _each(columns, name):
        text = "" if value is None else str(value)
        # Most columns repeat a few words: each is looked up once.
        if text not in known:
            known[text] = columns.code_of(text)
            # One letter may be an id or a category as well.
            if known[text] is None or (len(text.strip()) == 1 and text.strip().isalpha()):
                return False
    return not _YES_OR_NO.isdisjoint(known.values())


def holds_words(columns: Columns, name: str) -> bool:
    """Return whether a column of text holds words.

    Its cells are no numbers, as far as a sample tells.
    """
    words = _is_text(columns, name) and any(not is_number(cell) for cell in sample(columns, name))
    return words and not columns.has_decimal_commas(name)


def holds_numbers(columns: Columns, name: str) -> bool:
    """Return whether most cells of a column are numbers, as far as a sample tells."""
    import pyarrow.types as kinds

    kind = columns.data[name].type
    if not _is_text(columns, name):
        return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))
    cells = sample(columns, name)
    if any("," in cell for cell in cells) and columns.has_decimal_commas(name):
        cells = [with_point(cell) for cell in cells]
    return _share(map(is_number, cells)) >= 0.5


def seldom_states(columns: Columns, name: str) -> bool:
    """Return whether less than half of a column's cells are label states, as far as a sample tells."""
    cells = sample(columns, name)
    return bool(cells) and _share(columns.code_of(cell) is not None for cell in cells) < 0.5


def holds_dates(columns: Columns, name: str) -> bool:
    """Return whether a column holds days or times."""
    import pyarrow.types as kinds

    if kinds.is_temporal(columns.data[name].type):
        return True
    cells = sample(columns, name) if _is_text(columns, name) else []
    return bool(cells) and _share(_DATE.fullmatch(cell) is not None for cell in cells) >= _MOST


def counts_rows(columns: Columns, name: str) -> bool:
    """Return whether a column counts its rows, from 0 or from 1."""
    first = None
    for row, value in enumerate(_each(columns, name)):
        text = "" if value is None else str(value).strip()
        if not is_whole(text):
            return False
        number = int(float(text))
        first = number if first is None else first
        if first not in (0, 1) or number != first + row:
            return False
    return first is not None


def holds_texts(columns: Columns, name: str) -> bool:
    """Return whether a column's cells are texts to be read.

    They are sentences, mostly different ones.
    """
    if not _is_text(columns, name):
        return False
    cells = sample(columns, name)
    if not cells or _share(map(is_picture_name, cells)) > 1 - _MOST:
        return False
    letters = _share(sum(map(str.isalpha, cell)) >= 0.5 * len(cell.replace(" ", "")) for cell in cells)
    # Languages that write without blanks have long words of letters that are not Latin.
    wordy = [
        len(cell.split()) >= _FEW_WORDS or (len(cell) >= _FEW_LETTERS and not cell.isascii())
        for cell in cells
    ]
    different = len(set(cells)) >= 0.5 * len(cells)
    return letters >= _MOST and _share(wordy) >= 0.5 and different


def names_pictures(columns: Columns, name: str) -> bool:
    """Return whether a column's cells end as pictures' files do."""
    cells = sample(columns, name) if _is_text(columns, name) else []
    return bool(cells) and _share(map(is_picture_name, cells)) >= _MOST and not _ADDRESS.match(cells[0])


def names_addresses(columns: Columns, name: str) -> bool:
    """Return whether a column's cells are addresses on the net."""
    cells = sample(columns, name) if _is_text(columns, name) else []
    return (
        bool(cells) and _share("://" in cell and _ADDRESS.match(cell) is not None for cell in cells) >= _MOST
    )


def holds_pictures(columns: Columns, name: str) -> bool:
    """Return whether a column holds pictures' bytes.

    They stand alone or as ``{"bytes": ..., "path": ...}``.

    Bytes alone may be text, as some programs write it: what they begin with tells.
    """
    import pyarrow.types as kinds

    kind = columns.data[name].type
    if kinds.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return "bytes" in fields and _is_binary(fields["bytes"])
    if not _is_binary(kind):
        return False
    column, step = columns.data[name], max(1, columns.rows // 20)
    cells = [column[row].as_py() for row in range(0, columns.rows, step)]
    return any(begins_as_picture(cell) for cell in cells if cell)


def holds_paths(columns: Columns, name: str) -> bool:
    """Return whether a column of pictures names a path with each."""
    import pyarrow.types as kinds

    kind = columns.data[name].type
    return kinds.is_struct(kind) and "path" in [kind.field(i).name for i in range(kind.num_fields)]


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))


def _is_text(columns: Columns, name: str) -> bool:
    import pyarrow.types as kinds

    kind = columns.data[name].type
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _each(columns: Columns, name: str, step: int = 4096) -> Iterable[Any]:
    """Yield a column's cells, a part at a time.

    Most columns say in their first cells what they are not.
    """
    column = columns.data[name]
    for start in range(0, columns.rows, step):
        yield from column.slice(start, step).to_pylist()


def sample(columns: Columns, name: str) -> Sequence[str]:
    """Return some hundred cells that are not empty, as stripped text.

    They come from all over the column.
    """
    rows = np.arange(0, columns.rows, max(1, columns.rows // _SAMPLE))
    values = columns.data[name].take(rows).to_pylist()
    texts = (str(value).strip() for value in values if value is not None)
    return [text for text in texts if text]


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values) if values else 0.0
