"""A table written again in its own form, with unknown label entries filled."""

from __future__ import annotations

import codecs
import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import replacing
from labelwise.annotations import code_of
from labelwise.data.tables.added_labels import with_added
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.lines import kind_of
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.table import Table, read_columns, read_table
from labelwise.errors import UserError, shown

_MARKS = (";", "|", ",")
Cells = dict[str, list[Any]]


def write_filled(
    table: Table,
    options: TableOptions,
    states: NDArray[np.int8],
    out: str | Path,
    *,
    read: Callable[[Path, Sequence[str]], Table] | None = None,
    added: Sequence[str] = (),
) -> tuple[str, ...]:
    """Write a table with its unknown entries filled; all else stays as the file has it.

    Rows, columns and their order are those of the file, and so is the way in which it writes labels: one column each,
    names in a cell, or a row for each pair of item and label. The draft is read back before it takes its place.

    Args:
        table: As it was read from its file.
        options: As it was read by.
        states: (n, K) in {1, 0, -1} for ``table.items`` and the labels of the table; entries that the table knows are
            not looked at.
        out: A file of the same format.
        read: Reads the draft, whose labels it is given, as the table was read; None: by ``options``.
        added: Labels of the table that the file does not have: they get a column, or stand among the names.

    Returns:
        Sentences on what the form of the table cannot hold.

    Raises:
        UserError: For another format, one that is not written (ARFF), and where the draft does not say what was asked.
    """
    target, (kind, packer) = Path(out), kind_of(table.path)
    if kind == "ARFF" or packer is not None:
        raise UserError(f"{table.path.name}: {packer or kind} is not written; save it as .csv, and fill that")
    if target.suffix.lower() != table.path.suffix.lower():
        raise UserError(f"--out {target}: the table is {table.path.suffix}: give a file with that ending")
    known = table.annotations.matrix
    if states.shape != known.shape:
        raise UserError(f"states has shape {states.shape}: the table's labels have {known.shape}")
    columns = read_columns(table.path, delimiter=options.delimiter, max_rows=options.max_rows)
    own = [name for name in table.annotations.label_names if name not in added]
    columns = columns.renamed([*options.named_columns(), *own])
    notes: list[str] = []
    if added:
        mark = options.separator
        if mark is None and options.labels_column in columns.data:
            mark = _mark(columns.data[str(options.labels_column)].to_pylist(), own)
        columns, table, states, notes = with_added(columns, table, options, states, added, mark)
        known = table.annotations.matrix
    wanted = np.where(known < 0, states, -1).astype(np.int8)
    cells: Cells = {name: column.to_pylist() for name, column in columns.data.items()}
    rows = _rows_of_items(columns, table)
    if options.label_value is not None:
        _fill_pairs(cells, table, options, wanted, rows)
    elif options.labels_column is not None and options.labels_column in columns.data:
        if (refused := (wanted == 0)).any():
            notes.append(f"{int(refused.sum()):,} entries known to be absent: a cell of names cannot say so")
            wanted[refused] = -1
        _fill_names(cells, table, options, wanted, rows)
    else:
        _fill_columns(cells, columns, table, options, wanted, rows)
    expected = np.where(known < 0, wanted, known)
    with replacing(target) as draft:
        _WRITERS[kind](draft, cells, columns)
        _check(draft, target, table, options, expected, read)
    return tuple(notes)


def _rows_of_items(columns: Columns, table: Table) -> list[list[int]]:
    """Return the rows of the file that belong to each item."""
    ids: Sequence[Any] = range(1, columns.rows + 1)
    if table.item_column is not None:
        from labelwise.data.tables.items import _ids

        ids = _ids(columns, table.item_column)
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(ids):
        rows.setdefault(str(item), []).append(row)
    return [rows[item] for item in table.items]


def _fill_columns(
    cells: Cells,
    columns: Columns,
    table: Table,
    options: TableOptions,
    wanted: NDArray[np.int8],
    rows: Sequence[Sequence[int]],
) -> None:
    names = table.annotations.label_names
    written = _codes_in_use([cells[name] for name in names if name in cells], options)
    for k in np.flatnonzero((wanted >= 0).any(axis=0)).tolist():
        name = names[k]
        if name not in cells:
            raise UserError(f"{table.path.name} has no column {shown(name)}: add an empty one, and fill that")
        convert = _converter(columns.data[name].type)
        for i in np.flatnonzero(wanted[:, k] >= 0).tolist():
            for row in rows[i]:
                cells[name][row] = convert(written[int(wanted[i, k])])


def _codes_in_use(columns: Sequence[Sequence[Any]], options: TableOptions) -> dict[int, str]:
    """Return how the file writes 1 and 0 ("yes", "true", "1.0"), most often."""
    counts = Counter(str(cell).strip() for column in columns for cell in column if cell is not None)
    codes = {1: ("1", "yes", "mark"), 0: ("-1",) if options.minus_one == "absent" else ("0", "no")}
    ranked = [text for text, _ in counts.most_common()]
    return {
        state: next((text for text in ranked if code_of(text) in words), words[0])
        for state, words in codes.items()
    }


def _converter(kind: Any) -> Callable[[str], Any]:
    import pyarrow.types as kinds

    if kinds.is_boolean(kind):
        return lambda text: code_of(text) in ("1", "yes", "mark")
    if kinds.is_integer(kind):
        return lambda text: int(float(text))
    return float if kinds.is_floating(kind) else str


def _fill_names(
    cells: Cells,
    table: Table,
    options: TableOptions,
    wanted: NDArray[np.int8],
    rows: Sequence[Sequence[int]],
) -> None:
    column, names = cells[str(options.labels_column)], table.annotations.label_names
    mark = options.separator or _mark(column, names)
    for i in np.flatnonzero((wanted == 1).any(axis=1)).tolist():
        new = [names[k] for k in np.flatnonzero(wanted[i] == 1)]
        row = rows[i][0]
        column[row] = _with_names(column[row], new, mark)


def _mark(column: Sequence[Any], names: Sequence[str]) -> str:
    """Return the mark that splits most cells into known names."""
    known = set(names)
    texts = [cell for cell in column if isinstance(cell, str)]

    def splits(mark: str) -> int:
        return sum(mark in text and all(part.strip() in known for part in text.split(mark)) for text in texts)

    best = max((*_MARKS, " "), key=splits)
    return best if splits(best) else next(one for one in _MARKS if not any(one in name for name in names))


def _with_names(cell: Any, new: Sequence[str], mark: str) -> Any:
    if cell is None or isinstance(cell, list):
        return [*(cell or ()), *new] if isinstance(cell, list) else mark.join(new)
    if isinstance(cell, dict):
        return {**cell, **dict.fromkeys(new, 1)}
    text = str(cell).strip()
    if text[:1] == "[":
        return json.dumps([*json.loads(text), *new], ensure_ascii=False)
    if text[:1] == "{":
        return json.dumps({**json.loads(text), **dict.fromkeys(new, 1)}, ensure_ascii=False)
    if text[:1] == "<":
        return text + "".join(f"<{name}>" for name in new)
    if text[:1] == "#":
        return " ".join([text, *(f"#{name}" for name in new)])
    return mark.join([text, *new] if text else new)


def _fill_pairs(
    cells: Cells,
    table: Table,
    options: TableOptions,
    wanted: NDArray[np.int8],
    rows: Sequence[Sequence[int]],
) -> None:
    names, values = cells[str(options.labels_column)], cells[str(options.label_value)]
    written = _codes_in_use([values], options)
    labels = table.annotations.label_names
    for i, k in np.argwhere(wanted >= 0).tolist():
        value: Any = written[int(wanted[i, k])]
        if any(isinstance(one, int | float) for one in values if one is not None):
            value = int(wanted[i, k])
        there = [row for row in rows[i] if str(names[row]).strip() == labels[k]]
        for row in there:
            values[row] = value
        if not there:
            for column in cells.values():
                column.append(column[rows[i][0]])
            names[-1], values[-1] = labels[k], value


def _check(
    draft: Path,
    target: Path,
    table: Table,
    options: TableOptions,
    expected: NDArray[np.int8],
    read: Callable[[Path, Sequence[str]], Table] | None,
) -> None:
    """Refuse a draft that does not read back as what was to be written."""
    # The ending says how to read, and a draft's is another.
    copy = draft.with_name(f"{draft.name}{target.suffix}")
    copy.hardlink_to(draft)
    try:
        if read is None:
            named = None if options.labels_column is None else table.annotations.label_names
            form = replace(options, item_column=options.item_column or table.item_column)
            if form.label_columns is not None:
                form = replace(form, label_columns=list(table.annotations.label_names))
            again = read_table(copy, form, label_names=named, require_items=False, kind=table.kind)
        else:
            again = read(copy, table.annotations.label_names)
    finally:
        copy.unlink()
    place = {name: k for k, name in enumerate(again.annotations.label_names)}
    order = [place[name] for name in table.annotations.label_names if name in place]
    same = list(again.items) == list(table.items) and len(order) == expected.shape[1]
    if not same or not np.array_equal(again.annotations.matrix[:, order], expected):
        raise UserError(
            f"{table.path.name} writes its labels in a form that cannot be filled safely: give a table with one column"
            " a label, or one column of names"
        )


def _write_delimited(mark: str) -> Callable[[Path, Mapping[str, Any], Columns], None]:
    def write(draft: Path, cells: Mapping[str, Any], columns: Columns) -> None:
        # Without its mark and its line ends, the program that wrote the file may read another text.
        with columns.path.open("rb") as given:
            first = given.readline()
        encoding = "utf-8-sig" if first.startswith(codecs.BOM_UTF8) else "utf-8"
        end = "\r\n" if first.endswith(b"\r\n") else "\n"
        with draft.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=columns.delimiter or mark, lineterminator=end)
            writer.writerow(cells)
            writer.writerows(zip(*cells.values(), strict=True))

    return write


def _write_json(draft: Path, cells: Mapping[str, Any], columns: Columns, *, lines: bool) -> None:
    records = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    with draft.open("w", encoding="utf-8") as file:
        if lines:
            file.writelines(json.dumps(record, ensure_ascii=False, default=str) + "\n" for record in records)
        else:
            json.dump(records, file, ensure_ascii=False, indent=1, default=str)


def _write_parquet(draft: Path, cells: Mapping[str, Any], columns: Columns) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    arrays = [pa.array(values, columns.data[name].type) for name, values in cells.items()]
    parquet.write_table(pa.table(arrays, names=list(cells)), draft)


_WRITERS: dict[str, Callable[[Path, Mapping[str, Any], Columns], None]] = {
    "CSV": _write_delimited(","),
    "TSV": _write_delimited("\t"),
    "JSONL": lambda *given: _write_json(*given, lines=True),
    "JSON": lambda *given: _write_json(*given, lines=False),
    "Parquet": _write_parquet,
}
