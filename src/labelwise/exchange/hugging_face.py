"""Hugging Face's ``datasets``: Parquet with a list of classes a row, their names in the file's metadata.

Pictures are ``{bytes, path}``, as the feature ``Image`` has them. ``hugging_face_multihot.py`` is the other form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.data.tables import Columns, read_columns
from labelwise.errors import UserError, listed, near, shown
from labelwise.exchange.fields import content_key, text_of, texts_of
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import Kind, LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import FIELD, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "Hugging Face Parquet (lists of classes)"
LABELS = "labels"
_ROWS = 1 << 10
"""Rows of a group: few, since a reader of pictures decodes a whole one."""


def metadata_of(source: Source) -> Mapping[bytes, bytes]:
    """Return the metadata of a Parquet file's schema, none of what is no Parquet."""
    if source.ending not in (".parquet", ".pq"):
        return {}
    try:
        return parquet.read_schema(source.path).metadata or {}
    except (pa.ArrowException, OSError, ValueError):
        return {}


def recognises(source: Source) -> bool:
    """Return whether a Parquet file declares classes, and a list of them a row."""
    text = metadata_of(source).get(b"huggingface", b"")
    return b'"ClassLabel"' in text and any(
        mark in text for mark in (b'"Sequence"', b'"List"', b'"LargeList"', b"[{")
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read the classes of each row; what is not listed is as its second place or ``unlisted`` says."""
    columns = read_columns(source.path, max_rows=options.max_rows)
    name = _labels_column(columns, options.labels_column)
    kind, contents, features = contents_of(columns, options, name)
    cells, own = columns.data[name].to_pylist(), _own(columns)
    labels = list(columns.declared[name])
    entries = []
    for row, (item, cell) in enumerate(zip(ids_of(columns, options), cells, strict=True)):
        record = own[row]
        labels += [] if record is None else texts_of(record.get("labels", []), columns.where(row, FIELD))
        entries.append(
            Entry(
                item=item,
                relevant=[]
                if cell is None
                else list(dict.fromkeys(texts_of(cell, columns.where(row, name)))),
                annotated=cell is not None,
                content=None if contents is None else contents[row],
                silence=None if record is None else Silence.from_dict(record, columns.where(row, FIELD)),
            )
        )
    return to_items(
        source.name, TITLE, entries, kind=kind, labels=labels, unlisted=options.unlisted, features=features
    )


def _labels_column(columns: Columns, asked: str | None) -> str:
    lists = [name for name in columns.declared if pa.types.is_list(columns.data[name].type)]
    if asked is not None:
        if asked not in lists:
            raise UserError(
                f"{columns.path.name}: --labels-column names {asked!r}, no list of classes; {near(asked, lists)}"
            )
        return asked
    if len(lists) != 1:
        which = "no column holds" if not lists else f"{listed(map(shown, lists))} hold"
        raise UserError(f"{columns.path.name}: {which} lists of classes; name the column by --labels-column")
    return lists[0]


def ids_of(columns: Columns, options: TableOptions) -> list[str]:
    """Return the items' ids: of ``item_column`` or a column ``id``, else pictures' paths, else the rows' numbers."""
    name = options.item_column or "id"
    if name not in columns.data:
        if options.item_column is None and (paths := _paths(columns)):
            return paths
        if options.item_column is not None:
            raise UserError(f"{columns.path.name}: there is no column {name!r}; {near(name, columns.data)}")
        return [str(row) for row in range(1, columns.rows + 1)]
    return [
        text_of(value, columns.where(row, name)) for row, value in enumerate(columns.data[name].to_pylist())
    ]


def _paths(columns: Columns) -> list[str]:
    """Return the paths of pictures, none where one lacks its own."""
    cells = columns.data["image"].to_pylist() if "image" in columns.data else []
    paths = [cell.get("path") if isinstance(cell, dict) else None for cell in cells]
    named = [path for path in paths if isinstance(path, str) and path]
    return named if len(set(named)) == len(cells) else []


def contents_of(columns: Columns, options: TableOptions, labels: str) -> tuple[Kind, list[Any] | None, Any]:
    """Return the kind of the items, their texts or pictures, and their features."""
    others = [name for name in columns.data if name not in (labels, FIELD, "id", options.item_column)]
    kind, name = content_key(columns.path.name, [dict.fromkeys(others)], options)
    if name is None:
        vectors = [other for other in others if columns.is_vector(other)]
        features = columns.numbers(vectors[0]) if len(vectors) == 1 else None
        return kind, None, features
    cells = columns.data[name].to_pylist()
    if kind == "image":
        cells = [
            (cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell for cell in cells
        ]
    return kind, cells, None


def _own(columns: Columns) -> list[dict[str, Any] | None]:
    """Return each row's second place."""
    if FIELD not in columns.data:
        return [None] * columns.rows
    records: list[dict[str, Any] | None] = []
    for row, text in enumerate(columns.data[FIELD].to_pylist()):
        try:
            record = None if text is None else json.loads(text)
        except (TypeError, ValueError, RecursionError):
            record = text
        if not isinstance(record, dict | None):
            raise UserError(
                f"{columns.where(row, FIELD)}: {shown(text)} is no object as JSON; take the column out"
            )
        records.append(record)
    return records


def write(path: Path, items: LabelledItems) -> Written:
    """Write a list of classes a row; what it cannot say stands in a column of text."""
    lists = [np.flatnonzero(row == 1).tolist() if (row >= 0).any() else None for row in items.matrix]
    own = [
        Silence.of(items, row).to_dict() | ({"labels": list(items.label_names)} if row == 0 else {})
        for row in range(len(items))
    ]
    columns = {
        LABELS: pa.array(lists, pa.list_(pa.int64())),
        FIELD: pa.array([json.dumps(record, ensure_ascii=False) for record in own], pa.string()),
    }
    declared: dict[str, Any] = {
        LABELS: {"feature": {"names": list(items.label_names), "_type": "ClassLabel"}, "_type": "Sequence"},
        FIELD: {"dtype": "string", "_type": "Value"},
    }
    write_rows(path, items, columns, declared, {})
    return Written(
        second=f"the column {FIELD}: {count_open(items, (1,))}",
        left_out=left_out(items, "text", "image", "bytes", "features"),
    )


def write_rows(
    path: Path,
    items: LabelledItems,
    columns: Mapping[str, Any],
    declared: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> None:
    """Write ids, contents and further columns, with what they are in the metadata of ``datasets``."""
    leading: dict[str, Any] = {"id": pa.array(items.items, pa.string())}
    types: dict[str, Any] = {"id": {"dtype": "string", "_type": "Value"}}
    if items.kind == "image":
        contents = items.items if items.contents is None else items.contents
        pictures = [_picture(content, path.parent) for content in contents]
        leading["image"] = pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        types["image"] = {"_type": "Image"}
    elif items.contents is not None:
        leading["text"] = pa.array(items.contents, pa.string())
        types["text"] = {"dtype": "string", "_type": "Value"}
    if items.features is not None:
        dense: Any = items.features.toarray() if hasattr(items.features, "toarray") else items.features
        leading["features"] = pa.array(list(dense), pa.list_(pa.float32()))
        types["features"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    info = {"info": {"features": types | dict(declared)}}
    table = pa.table(leading | dict(columns)).replace_schema_metadata(
        {"huggingface": json.dumps(info)} | {key: json.dumps(value) for key, value in metadata.items()}
    )
    with replacing(path) as draft:
        parquet.write_table(table, draft, row_group_size=_ROWS)


def _picture(content: Any, folder: Path) -> dict[str, Any]:
    """Return a picture as ``{bytes, path}``: with its bytes where its file is there."""
    if isinstance(content, bytes):
        return {"bytes": content, "path": None}
    file = folder / str(content)
    try:
        data = file.read_bytes() if file.is_file() else None
    except (OSError, ValueError):
        data = None
    return {"bytes": data, "path": str(content)}


FORMAT = Format(
    name="huggingface",
    title=TITLE,
    endings=(".parquet",),
    says=(1,),
    silence="lists classes; irrelevant and unknown ones go to a column labelwise",
    recognises=recognises,
    read=read,
    write=write,
    holds_bytes=True,
    options=("unlisted", "labels_column", "item_column", "text_column", "max_rows"),
)
