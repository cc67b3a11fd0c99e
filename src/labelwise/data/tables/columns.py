"""Columns of a file, and readings of their cells.

Cells are read as strings, label names, states or numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Codes, code_of, hint_of
from labelwise.data.tables import numerals
from labelwise.errors import UserError, listed, repeated, shown

_LIKE = r"^[^0-9A-Za-z]*[0-9.]*,[0-9]+([eE][+-]?[0-9]+)?[^0-9A-Za-z]*$"
_DECIMAL_STATE = re.compile(r"([+-]?[01]),(0+)", re.ASCII)


@dataclass(frozen=True)
class Columns:
    """A file's columns as Arrow arrays.

    Rows count from 0 here, from 1 in messages.

    Attributes:
        notes: Sentences on what was guessed of the file.
        line_of: Gives the line of the file on which a row begins; None where the format has no lines.
        delimiter: What separates the fields of a text table.
        declared: The names of all classes that a column may hold, of columns whose file declares them.
    """

    path: Path
    data: dict[str, Any]
    rows: int
    notes: list[str] = field(default_factory=list)
    line_of: Callable[[int], int | None] | None = None
    delimiter: str | None = None
    declared: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def where(self, row: int, name: str | None = None) -> str:
        """Return a place such as "file: row 3 (line 4), column 'x'".

        The line is left out where the format has none.
        """
        line = None if self.line_of is None else self.line_of(row)
        place = f"{self.path.name}: row {row + 1}" + (f" (line {line})" if line else "")
        return place + (f", column {shown(name)}" if name is not None else "")

    def renamed(self, names: Iterable[str | None]) -> Columns:
        """Return the columns under those of ``names`` that are theirs.

        Such a name differs in its form of Unicode alone (NFC, NFD).
        """
        formed = Counter(unicodedata.normalize("NFC", name) for name in self.data)
        name_of_form = {
            unicodedata.normalize("NFC", name): name
            for name in names
            if name is not None and name not in self.data
        }
        # Two columns of one form cannot both be meant.
        name_of_form = {form: name for form, name in name_of_form.items() if formed[form] == 1}
        if not name_of_form:
            return self

        def renamed(columns: dict[str, Any]) -> dict[str, Any]:
            return {
                name_of_form.get(unicodedata.normalize("NFC", name), name): column
                for name, column in columns.items()
            }

        return replace(self, data=renamed(self.data), declared=renamed(self.declared))

    def strings(self, name: str) -> list[str | None]:
        """Return a column as stripped strings.

        Null and nothing but blanks are None.
        """
        import pyarrow.types as kinds

        column = self.data[name]
        if kinds.is_nested(column.type):
            raise UserError(f"{self.path.name}: column {shown(name)} holds {str(column.type)[:60]}, not text")
        texts = (None if value is None else str(value).strip() for value in self._values(name))
        return [text or None for text in texts]

    def _values(self, name: str) -> list[Any]:
        """Return a column as Python objects.

        Bytes become the text that they hold.
        """
        import pyarrow as pa

        column = self.data[name]
        try:
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                column = column.cast(pa.large_string())
            values = column.to_pylist()
        except Exception:  # times beyond Python's, bytes that are no text
            raise UserError(
                f"{self.path.name}: column {shown(name)} holds {str(column.type)[:60]} that cannot be read as text"
            ) from None
        return (
            [dict(value) if value else value for value in values] if pa.types.is_map(column.type) else values
        )

    def is_vector(self, name: str) -> bool:
        """Return whether each row of a column holds a list of numbers.

        Such a column is an embedding.
        """
        import pyarrow.types as kinds

        kind = self.data[name].type
        if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)):
            return False
        return bool(kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type))

    def names(self, name: str) -> list[Any]:
        """Return a column of label names.

        A cell is a string, a list, a dict, None, or a number that is no name.
        """
        names: list[Any] = []
        for value in self._values(name):
            # NaN is the one value that differs from itself. A number with decimals is no name, which its reader says.
            if value is None or value != value:  # noqa: PLR0124
                names.append(None)
            elif isinstance(value, list | dict | str) or (
                isinstance(value, float) and not value.is_integer()
            ):
                names.append(value)
            else:
                names.append(str(value))
        return names

    def states(self, name: str, codes: Codes | None = None) -> NDArray[np.int8]:
        """Return a label column as states (n,) int8 in {1, 0, -1}.

        Args:
            codes: What -1 and an empty cell (empty, null, NaN) mean, unknown by default; it notes the codes seen.

        Raises:
            UserError: For a cell that is no state, or a column that cannot hold any.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        codes = codes or Codes()
        column = self.data[name]
        try:
            if pa.types.is_float16(column.type):
                column = column.cast(pa.float32())
            texts = column.cast(pa.string())
        except (pa.ArrowException, OSError):
            raise UserError(
                f"{self.path.name}: column {shown(name)} holds {str(column.type)[:60]}, not label states; where it says"
                f" which labels apply, give --labels-column {shown(name)}"
            ) from None
        # A column of a million cells has a handful of different words: each is understood once.
        encoded = pc.dictionary_encode(texts.fill_null("")).combine_chunks()
        words = [self.code_of(word) for word in encoded.dictionary.to_pylist()]
        if codes.seen is not None:
            codes.seen.update(word for word in words if word is not None)
        places = encoded.indices.to_numpy(zero_copy_only=False)
        table = [-2 if word is None else codes.state(word) for word in words]
        states: NDArray[np.int8] = np.array(table, dtype=np.int8)[places]
        wrong = np.flatnonzero(states == -2)
        if len(wrong):
            row, more = int(wrong[0]), len(wrong) - 1
            raise UserError(
                f"{self.where(row, name)}: {shown(texts[row].as_py().strip())} is no label state"
                + (f" ({more} more)" if more else "")
                + self._advice(name, encoded.dictionary.to_pylist(), len(wrong) / self.rows)
            )
        return states

    def code_of(self, text: str) -> str | None:
        """Return the code that a cell of a label spells; ``1,0`` is "1" where no comma separates the fields."""
        decimal = _DECIMAL_STATE.fullmatch(text.strip())
        if decimal is not None and self.delimiter not in (None, ","):
            return code_of(f"{decimal[1]}.{decimal[2]}")
        return code_of(text)

    def has_decimal_commas(self, name: str) -> bool:
        """Return whether a comma is the decimal point of a column's numbers."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.data[name]
        # Most columns hold no such number at all, which Arrow sees quickly, of long texts too.
        if not pa.types.is_string(column.type) or not pc.any(pc.match_substring_regex(column, _LIKE)).as_py():
            return False
        texts = [text for text in self.strings(name) if text is not None and code_of(text) != "empty"]
        return numerals.has_decimal_commas(texts, sure=self.delimiter == ";")

    def number_texts(self, name: str) -> list[str | None]:
        """Return a column as stripped strings, a decimal comma of its numbers as a point."""
        texts = self.strings(name)
        if not self.has_decimal_commas(name):
            return texts
        return [None if text is None else numerals.with_point(text) for text in texts]

    def _advice(self, name: str, values: Sequence[str], wrong: float) -> str:
        """Return what to do about a column whose share ``wrong`` of cells is no state."""
        write = "; write 1 (relevant), 0 (irrelevant) or nothing (unknown)"
        if wrong < 0.5:
            return f"{write}, or name the label columns without it (--label-columns){hint_of(values)}"
        if all(code_of(text) is not None or numerals.is_number(text.replace(",", ".")) for text in values):
            return (
                f"{write}, or, since the column holds numbers, name the label columns without it (--label-columns) or"
                f" the feature columns (--feature-columns){hint_of(values)}"
            )
        return (
            f"{write}, name the label columns without it (--label-columns), or, if its cells name labels, give"
            f" --labels-column {shown(name)}"
        )

    def numbers(self, name: str) -> NDArray[np.float32]:
        """Return a feature column (n,) float32, every value finite.

        A column of lists gives (n, d).
        """
        values = self._vectors(name) if self.is_vector(name) else self._scalars(name)
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float32)
        finite = np.isfinite(numbers) if numbers.ndim == 1 else np.isfinite(numbers).all(axis=1)
        wrong = np.flatnonzero(~finite)
        if len(wrong):
            row = int(wrong[0])
            rows = listed(wrong + 1)
            more = f"; rows {rows}" if len(wrong) > 1 else ""
            what, how = "NaN", "fill or drop these rows, or give --impute mean (or median) when training"
            if not np.isnan(values[row]).any():
                what, how = "infinite or beyond float32", "mend or drop these rows"
            raise UserError(f"{self.where(row, name)}: a feature is {what}{more}; {how}")
        return numbers

    def _scalars(self, name: str) -> NDArray[np.float64]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.data[name]
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        try:
            texts = pc.utf8_trim_whitespace(column) if is_text else column
            numbers = texts.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            numbers = None
        if numbers is not None and not numbers.null_count:
            return np.asarray(numbers.to_numpy(), dtype=np.float64)
        result = np.empty(self.rows)
        values = self.number_texts(name) if is_text else self._values(name)
        for row, value in enumerate(values):
            try:
                result[row] = numerals.as_number(value)
            except (TypeError, ValueError, OverflowError):
                empty = value is None or not str(value).strip()
                reason = "empty" if empty else f"{shown(value)}, not a number"
                how = (
                    "give --impute mean (or median) to fill such cells" if empty else self._how(value, values)
                )
                raise UserError(
                    f"{self.where(row, name)}: the feature is {reason}; {how}, or name the feature columns"
                    " (--feature-columns)"
                ) from None
        return result

    def _how(self, value: Any, values: Sequence[Any]) -> str:
        """Return what to do about a cell that is no number, by the cells around it."""
        text = str(value).strip()
        if text.startswith("["):
            return "give lists of numbers in JSONL or Parquet"
        if numerals.has_thousands(text):
            return (
                "a comma may part thousands or decimals: write such numbers with a point and without commas"
            )
        cells = [str(cell).strip() for cell in values if cell is not None]
        if 2 * sum(map(numerals.is_number, cells)) >= len(cells):
            return (
                "write a number, as in the other cells, or leave it empty and give --impute mean (or median)"
            )
        if numerals.begins_as_number(text):
            return (
                "write the number without its unit or sign, give --encode onehot if such cells are categories"
            )
        return "give --encode onehot for words"

    def _vectors(self, name: str) -> NDArray[np.float64]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.data[name].combine_chunks()
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        width = Counter(lengths.tolist()).most_common(1)[0][0]
        wrong = np.flatnonzero((lengths != width) | (lengths == 0))
        if len(wrong):
            row = int(wrong[0])
            usual = f"other rows hold {width}" if width else "a feature column needs some"
            raise UserError(f"{self.where(row, name)}: {lengths[row]} numbers where {usual}")
        values = pc.list_flatten(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(values, dtype=np.float64).reshape(self.rows, width)


def different_names(columns: Columns, names: Sequence[str]) -> tuple[str, ...]:
    """Return the features' names, and refuse doubles.

    A model finds its features by name.
    """
    if doubles := repeated(names):
        raise UserError(
            f"{columns.path.name}: its columns give two features of one name: {listed(map(shown, doubles))}; rename one"
            " of the columns"
        )
    return tuple(names)
