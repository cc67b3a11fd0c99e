"""MEKA's ARFF: dense, the first ``-C K`` attributes of the relation are the labels, ``?`` is unknown.

A negative number in ``-C`` counts from the end, as MULAN's files do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labelwise._files import replacing
from labelwise.annotations import Annotations
from labelwise.data import TableOptions
from labelwise.data.tables import read_columns
from labelwise.errors import UserError, listed, repeated, shown
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import Kind, LabelledItems
from labelwise.exchange.silence import Beside, Silence, read_beside, write_beside
from labelwise.exchange.source import Source

TITLE = "MEKA ARFF"
_RELATION = re.compile(r"^@relation\s+.*?-C\s*(-?\d{1,9})\b", re.IGNORECASE | re.MULTILINE)
_NOTHING = Silence()


def recognises(source: Source) -> bool:
    """Return whether an ARFF's relation says how many labels it has."""
    return source.ending == ".arff" and _RELATION.search(source.head) is not None


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read labels and features, and texts where it has one attribute of strings."""
    found = _RELATION.search(source.head)
    if found is None:
        raise UserError(
            f"{source.name}: its @relation has no -C and number of labels; give --from csv for a table"
        )
    beside = read_beside(source.path) or Beside()
    count = int(found[1])
    columns = read_columns(source.path, max_rows=options.max_rows)
    names = list(columns.data)
    if not 0 < abs(count) < len(names):
        raise UserError(
            f"{source.name}: -C is {count}, and there are {len(names):,} attributes; it counts those that are labels"
        )
    labels = names[:count] if count > 0 else names[count:]
    others = [name for name in names if name not in labels]
    single = next((kind for kind, name in _content_names(labels).items() if others == [name]), None)
    return LabelledItems(
        items=tuple(
            beside.items.get(str(row), _NOTHING).item or str(row) for row in range(1, columns.rows + 1)
        ),
        kind="features" if single is None else single,
        annotations=Annotations(np.column_stack([columns.states(name) for name in labels]), tuple(labels)),
        contents=None if single is None else columns.strings(others[0]),
        features=np.column_stack([columns.numbers(name) for name in others]) if single is None else None,
        feature_names=tuple(others) if single is None else (),
        notes=tuple(columns.notes),
    )


def _content_names(labels: Sequence[str]) -> dict[Kind, str]:
    """Return the attributes of pictures' names and of texts, in files that are written here."""
    kinds: tuple[Kind, ...] = ("image", "text")
    return {kind: kind if kind not in labels else f"{kind} of the item" for kind in kinds}


def write(path: Path, items: LabelledItems) -> Written:
    """Write labels first, then features, or the text or picture's name as one string."""
    features = [] if items.features is None else list(items.feature_names)
    if items.features is not None and not features:
        features = [f"f{j}" for j in range(items.features.shape[1])]
    content = _content_names(items.label_names).get(items.kind, "text")
    if doubles := repeated([*items.label_names, *features]):
        raise UserError(
            f"labels and features have the same names: {listed(map(shown, doubles))}; rename them first"
        )
    contents = items.items if items.contents is None else items.contents
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"@relation 'labels: -C {len(items.label_names)}'\n\n")
        file.writelines(f"@attribute {quoted(name)} {{0,1}}\n" for name in items.label_names)
        file.writelines(f"@attribute {quoted(name)} numeric\n" for name in features)
        if not features:
            file.write(f"@attribute {quoted(content)} string\n")
        file.write("\n@data\n")
        for row in range(len(items)):
            file.write(",".join([*_states(items, row), *_values(items, row, contents)]) + "\n")
    ids = {
        str(row + 1): Silence(None, {}, item) for row, item in enumerate(items.items) if item != str(row + 1)
    }
    place = write_beside(path, Beside((), None, ids) if ids else None, ids=False)
    return Written(
        second="" if place is None else f"{place.name}: the items' ids",
        left_out=left_out(items, "text", "image", "features"),
    )


def _states(items: LabelledItems, row: int) -> list[str]:
    return ["?" if state < 0 else str(state) for state in items.matrix[row].tolist()]


def _values(items: LabelledItems, row: int, contents: Sequence[object]) -> list[str]:
    if items.features is None:
        content = contents[row]
        if isinstance(content, bytes):
            raise UserError(f"item {shown(items.items[row])} is a picture's bytes, which {TITLE} cannot hold")
        return [quoted(str(content))]
    values = items.features[row]
    dense = values.toarray()[0] if hasattr(values, "toarray") else values
    return [str(value) for value in dense]


def quoted(text: str) -> str:
    """Return a name or text as ARFF quotes it."""
    marks = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(marks.get(mark, mark) for mark in text) + "'"


FORMAT = Format(
    name="meka",
    title=TITLE,
    endings=(".arff",),
    says=(1, 0, -1),
    silence="says all three states; ids of items go to FILE.states.csv",
    recognises=recognises,
    read=read,
    write=write,
    options=("max_rows",),
    owns_ending=True,
)
