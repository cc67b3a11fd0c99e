"""Hugging Face's ``datasets`` with a number a label: 1, 0, and null where it is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from labelwise.annotations import Annotations
from labelwise.data import TableOptions
from labelwise.data.tables import read_columns
from labelwise.errors import UserError, near, shown
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.hugging_face import LABELS, contents_of, ids_of, metadata_of, write_rows
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import MOST_ENTRIES
from labelwise.exchange.silence import FIELD
from labelwise.exchange.source import Source

TITLE = "Hugging Face Parquet (multi-hot)"
_STATES = {1: 1, 0: 0, -1: -1, None: -1}


def recognises(source: Source) -> bool:
    """Return whether a Parquet file of ``datasets`` has numbers for labels."""
    metadata = metadata_of(source)
    return (
        b"huggingface" in metadata
        and b'"ClassLabel"' not in metadata[b"huggingface"]
        and (f'"{LABELS}"'.encode() in metadata[b"huggingface"])
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read a number a label: 1, 0, null or -1."""
    columns = read_columns(source.path, max_rows=options.max_rows)
    name = options.labels_column or LABELS
    if name not in columns.data or not columns.is_vector(name):
        vectors = [other for other in columns.data if columns.is_vector(other)]
        raise UserError(
            f"{source.name}: no column {name!r} of lists of numbers; {near(name, vectors)} (--labels-column)"
        )
    cells = columns.data[name].to_pylist()
    width = next((len(cell) for cell in cells if cell is not None), 0)
    if not width or width * columns.rows > MOST_ENTRIES:
        raise UserError(
            f"{source.name}: {columns.rows:,} rows of {width:,} labels in {shown(name)}; give from 1 label"
        )
    matrix = np.full((columns.rows, width), -1, dtype=np.int8)
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        if len(cell) != width:
            raise UserError(
                f"{columns.where(row, name)}: {len(cell):,} numbers, the rows before have {width:,}"
            )
        if wrong := [value for value in cell if value not in _STATES]:
            raise UserError(f"{columns.where(row, name)}: {shown(wrong[0])} is no state; write 1, 0, or null")
        matrix[row] = [_STATES[value] for value in cell]
    names, notes = _names(source, width)
    kind, contents, features = contents_of(columns, options, name)
    return LabelledItems(
        items=tuple(ids_of(columns, options)),
        kind=kind,
        annotations=Annotations(matrix, names),
        contents=contents,
        features=features,
        notes=notes,
    )


def _names(source: Source, width: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels' names, and a note where the file has none."""
    try:
        names = json.loads(metadata_of(source)[FIELD.encode()])["labels"]
        if isinstance(names, list) and len(names) == width and all(isinstance(name, str) for name in names):
            return tuple(names), ()
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    names = tuple(f"label_{place}" for place in range(width))
    return names, (f"the file has no names for its {width:,} labels: called label_0, label_1, ...",)


def write(path: Path, items: LabelledItems) -> Written:
    """Write 1, 0 and null; the labels' names stand in the schema's metadata."""
    rows = [[None if state < 0 else float(state) for state in row] for row in items.matrix.tolist()]
    columns = {LABELS: pa.array(rows, pa.list_(pa.float32()))}
    declared = {LABELS: {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}}
    write_rows(path, items, columns, declared, {FIELD: {"labels": list(items.label_names)}})
    return Written(
        second=f"the schema's metadata, {FIELD}: the names of the labels",
        left_out=left_out(items, "text", "image", "bytes", "features"),
    )


FORMAT = Format(
    name="huggingface-multihot",
    title=TITLE,
    endings=(".parquet",),
    says=(1, 0, -1),
    silence="says all three states; the labels' names go to the schema's metadata",
    recognises=recognises,
    read=read,
    write=write,
    holds_bytes=True,
    options=("labels_column", "item_column", "text_column", "max_rows"),
)
