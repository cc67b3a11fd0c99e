"""The extreme classification repository's libsvm: a header ``n d K``, then ``labels index:value ...`` a line.

Labels are numbers from 0; their names, the ids of the items and what a line does not list stand beside the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import MOST_ENTRIES, Entry, to_items
from labelwise.exchange.silence import Beside, count_open, read_beside, write_beside
from labelwise.exchange.source import Source

TITLE = "extreme classification libsvm"
_HEADER = re.compile(r"\s*(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s*", re.ASCII)
_MOST_FEATURES = 1 << 30


def recognises(source: Source) -> bool:
    """Return whether a file of no other kind begins with three numbers."""
    return source.ending in FORMAT.endings and _HEADER.fullmatch(source.head.split("\n", 1)[0]) is not None


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read labels and sparse features."""
    lines = source.text.split("\n")
    header = _HEADER.fullmatch(lines[0])
    if header is None:
        raise UserError(
            f"{source.name}: line 1 is {shown(lines[0])}, not three numbers: items, features and labels"
        )
    n, d, k = map(int, header.groups())
    while lines and not lines[-1].strip():
        lines.pop()
    # Counted before anything is made: a header of a few digits may promise terabytes.
    if len(lines) - 1 != n:
        raise UserError(
            f"{source.name}: the header promises {n:,} items, {len(lines) - 1:,} lines follow; mend it"
        )
    if n * k > MOST_ENTRIES or d > _MOST_FEATURES:
        raise UserError(f"{source.name} promises {k:,} labels and {d:,} features of {n:,} items; split it")
    beside = read_beside(source.path) or Beside()
    names = _names(source, beside, k)
    entries, columns, values, ends = [], [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [0]
    for number, line in enumerate(lines[1:], 1):
        place = f"{source.name}: line {number + 1}"
        labels, features = _parts(line, place)
        indices, numbers = _pairs(features, d, place)
        columns.append(indices)
        values.append(numbers)
        ends.append(ends[-1] + len(indices))
        entries.append(Entry(str(number), relevant=[names[one] for one in _labels(labels, k, place)]))
    data = (np.concatenate(values), np.concatenate(columns), np.array(ends))
    return to_items(
        source.name,
        TITLE,
        entries,
        kind="features",
        labels=names,
        beside=beside,
        unlisted=options.unlisted,
        features=csr_matrix(data, shape=(n, d), dtype=np.float32) if d else None,
        notes=[] if beside.labels else [f"the {k:,} labels are numbers, called 0 to {k - 1:,}"],
    )


def _names(source: Source, beside: Beside, k: int) -> tuple[str, ...]:
    if not k:
        raise UserError(f"{source.name}: the header promises no label; give a file with at least one")
    if beside.labels and len(beside.labels) != k:
        raise UserError(
            f"{source.name} has {k:,} labels, the file beside it names {len(beside.labels):,}; remove that"
        )
    return beside.labels or tuple(map(str, range(k)))


def _parts(line: str, place: str) -> tuple[str, list[str]]:
    """Return the text of the labels, and the pairs of features; a line that begins with a blank has no label."""
    if not line or line[0].isspace():
        return "", line.split()
    labels, *features = line.split()
    return (labels, features) if ":" not in labels else ("", [labels, *features])


def _labels(text: str, k: int, place: str) -> Iterator[int]:
    for word in text.split(",") if text else ():
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 12 else k
        if number >= k:
            raise UserError(
                f"{place}: label {shown(word)} is no number below {k:,}, the labels of the header"
            )
        yield number


def _pairs(pairs: Sequence[str], d: int, place: str) -> tuple[np.ndarray, np.ndarray]:
    indices, numbers = [], []
    for pair in pairs:
        index, _, value = pair.partition(":")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        place_of = int(index) if index.isascii() and index.isdigit() and len(index) < 12 else d
        if place_of >= d or not np.isfinite(number):
            raise UserError(f"{place}: {shown(pair)} is no 'index:value' with an index below {d:,}; mend it")
        indices.append(place_of)
        numbers.append(number)
    if len(set(indices)) < len(indices):
        raise UserError(f"{place}: a feature comes twice; keep one of them")
    with np.errstate(over="ignore"):
        values = np.array(numbers, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{place}: a value is beyond the range of float32; scale the features")
    return np.array(indices, dtype=np.int64), values


def write(path: Path, items: LabelledItems) -> Written:
    """Write relevant labels and features; all else stands beside the file."""
    features = None if items.features is None else csr_matrix(items.features)
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        width = 0 if features is None else features.shape[1]
        file.write(f"{len(items)} {width} {len(items.label_names)}\n")
        for row in range(len(items)):
            labels = ",".join(map(str, np.flatnonzero(items.matrix[row] == 1)))
            pairs = "" if features is None else _line(features, row)
            file.write(f"{labels} {pairs}".rstrip() + "\n" if labels else f" {pairs}\n")
    place = write_beside(path, Beside.of(items, ids=False), ids=False)
    assert place is not None
    names = "" if not items.feature_names else ", the names of the features"
    return Written(
        second=f"{place.name}: the labels' names, the items' ids, {count_open(items, (1,))}",
        left_out=(*left_out(items, "features"), *([names[2:]] if names else [])),
    )


def _line(features: csr_matrix[np.float32], row: int) -> str:
    start, end = features.indptr[row : row + 2]
    pairs = zip(features.indices[start:end].tolist(), features.data[start:end].tolist(), strict=True)
    return " ".join(f"{index}:{np.float32(value)!s}" for index, value in sorted(pairs))


FORMAT = Format(
    name="libsvm",
    title=TITLE,
    endings=(".libsvm", ".svm", ".txt"),
    says=(1,),
    silence="lists numbers of labels; names, ids, irrelevant and unknown labels go to FILE.states.csv",
    recognises=recognises,
    read=read,
    write=write,
    owns_ending=True,
)
