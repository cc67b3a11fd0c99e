"""The house's own tables: one column a label, 1, 0 or empty.

They say all three states. CSV, TSV, Parquet and JSONL are written; whatever ``labelwise.data`` reads is read.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labelwise._files import replacing
from labelwise.annotations import row_blocks
from labelwise.data import Table, TableOptions, read_table
from labelwise.errors import UserError, listed, repeated, shown
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.source import Source

_ENDINGS = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson"),
}
_READ_ONLY = (".json", ".arff")
_ITEM = ("id", "item", "item_id", "labelwise_item")
_MOST_COLUMNS = 50_000


def recognises(endings: Sequence[str], source: Source) -> bool:
    """Return whether a file has one of the endings: any other format was asked before."""
    return source.ending in endings


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read a table as every command of labelwise does."""
    table = read_table(source.path, options, require_items=False)
    has_features = table.features is not None and table.features.shape[1] > 0
    return LabelledItems(
        items=tuple(table.items),
        kind=table.kind,
        annotations=table.annotations,
        contents=_contents(table),
        features=table.features if has_features else None,
        feature_names=table.feature_names if has_features else (),
        notes=(*table.roles, *table.notes),
    )


def _contents(table: Table) -> list[Any] | None:
    """Return texts, or pictures with their paths as from the table's folder."""
    if table.contents is None or table.kind != "image":
        return table.contents
    folder = table.path.parent.resolve()
    return [
        os.path.relpath(content, folder) if isinstance(content, str) else content
        for content in table.contents
    ]


def write(kind: str, path: Path, items: LabelledItems) -> Written:
    """Write one row an item: its id, its text, picture or features, and a column a label."""
    leading, features = _leading(items), _feature_names(items)
    _check_columns([*leading, *features, *items.label_names])
    if kind != "parquet":
        _check_no_bytes(items)
    if kind in ("csv", "tsv"):
        _check_no_quotes([*features, *items.label_names])
    with replacing(path) as draft:
        {"csv": _csv, "tsv": _csv, "jsonl": _json, "parquet": _parquet}[kind](
            draft, path, items, leading, features
        )
    return Written(
        left_out=left_out(items, "text", "image", "bytes", "features"),
        notes=_how_to_read(items, next(iter(leading))),
    )


def _leading(items: LabelledItems) -> dict[str, Sequence[Any]]:
    """Return the columns of ids and contents; a column of pictures' names may be both."""
    taken = {*items.label_names, *items.feature_names}
    item = next(name for name in _ITEM if name not in taken)
    if items.kind == "features":
        return {item: items.items}
    content = items.kind if items.kind not in taken else f"{items.kind}_of_item"
    if items.kind == "image" and (items.contents is None or list(items.contents) == list(items.items)):
        return {content: items.items}
    return {item: items.items} | ({} if items.contents is None else {content: items.contents})


def _feature_names(items: LabelledItems) -> list[str]:
    if items.features is None:
        return []
    return list(items.feature_names) or [f"f{j}" for j in range(items.features.shape[1])]


def _check_columns(names: Sequence[str]) -> None:
    if len(names) > _MOST_COLUMNS:
        raise UserError(
            f"a table has a column for each label and feature, here {len(names):,}, more than {_MOST_COLUMNS:,};"
            " convert to another format"
        )
    if doubles := repeated(names):
        raise UserError(
            f"labels and features have the same names: {listed(map(shown, doubles))}; rename them first"
        )


def _check_no_bytes(items: LabelledItems) -> None:
    if any(isinstance(content, bytes) for content in items.contents or ()):
        raise UserError("only Parquet can hold pictures: give a name that ends in .parquet")


def _check_no_quotes(names: Sequence[str]) -> None:
    """Refuse names that begin with a quote, by which readers of CSV go astray."""
    if quoted := [name for name in names if name.strip().startswith('"')]:
        raise UserError(
            f"{listed(map(shown, quoted))} begins with a quote, which no column of CSV should: give a name that ends in"
            " .parquet or .jsonl"
        )


def _how_to_read(items: LabelledItems, item: str) -> tuple[str, ...]:
    """Return how to read the table again where its names could be taken for others."""
    special = {*_ITEM, "image", "text", "index", "Unnamed: 0", ""} & set(items.label_names)
    if not special:
        return ()
    return (f"read it with --item-column {item}: labels are called {listed(sorted(map(repr, special)))}",)


def _rows(items: LabelledItems, leading: Mapping[str, Sequence[Any]], empty: Any) -> Iterator[list[Any]]:
    """Yield the cells of each row, ``empty`` where a state is unknown."""
    words = {1: 1, 0: 0, -1: empty}
    for block in row_blocks(len(items), len(items.label_names)):
        features = None if items.features is None else _dense(items.features[block])
        for place, states in enumerate(items.matrix[block].tolist()):
            cells = [column[block.start + place] for column in leading.values()]
            # By their own digits: as float64 a float32 has eight more, which nobody wrote.
            numbers = [] if features is None else [float(text) for text in features[place].astype(str)]
            yield [*cells, *numbers, *(words[state] for state in states)]


def _dense(features: Any) -> Any:
    return features.toarray() if hasattr(features, "toarray") else features


_Leading = Mapping[str, Sequence[Any]]


def _csv(draft: Path, path: Path, items: LabelledItems, leading: _Leading, features: Sequence[str]) -> None:
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    with draft.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        rows.writerow([*leading, *features, *items.label_names])
        rows.writerows(_rows(items, leading, ""))


def _json(draft: Path, _: Path, items: LabelledItems, leading: _Leading, features: Sequence[str]) -> None:
    names = [*leading, *features, *items.label_names]
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in _rows(items, leading, None):
            record = dict(zip(names, row, strict=True))
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _parquet(draft: Path, _: Path, items: LabelledItems, leading: _Leading, features: Sequence[str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {name: _texts(cells) for name, cells in leading.items()}
    if items.features is not None:
        columns |= dict(zip(features, _dense(items.features).T, strict=True))
    for column, name in enumerate(items.label_names):
        states = items.matrix[:, column]
        columns[name] = pa.array(states, pa.int8(), mask=np.asarray(states == -1))
    parquet.write_table(pa.table(columns), draft, row_group_size=1 << 12)


def _texts(cells: Sequence[Any]) -> Any:
    import pyarrow as pa

    pictures = any(isinstance(cell, bytes) for cell in cells)
    return pa.array(cells, pa.large_binary() if pictures else pa.large_string())


def _format(kind: str) -> Format:
    endings = _ENDINGS[kind]
    return Format(
        name=kind,
        title=f"labelwise table ({kind.upper() if kind != 'parquet' else 'Parquet'})",
        endings=endings,
        says=(1, 0, -1),
        silence="says all three states",
        recognises=partial(recognises, (*endings, *(_READ_ONLY if kind == "jsonl" else ()))),
        read=read,
        write=partial(write, kind),
        options=TableOptions.names(),
        owns_ending=True,
        holds_bytes=kind == "parquet",
    )


FORMATS = tuple(map(_format, _ENDINGS))
