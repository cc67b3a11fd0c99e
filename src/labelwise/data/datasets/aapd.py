"""AAPD: a file of abstracts and one of their subjects.

They belong together line by line.
"""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree
from labelwise.data.datasets.formatted import has_bits, read_bits
from labelwise.errors import listed

_PARTS = {"train": "train", "validation": "val", "test": "test"}


def read(tree: Tree) -> Dataset:
    """Read the two-file layout, or texts with bits.

    Labels are the subjects that occur in any part, by name: one that the training part lacks is a column
    of zeros there.
    """
    if not tree.has("text_train", "text_train.txt") and has_bits(tree):
        return read_bits(tree)
    texts, subjects = {}, {}
    for part, suffix in _PARTS.items():
        path = tree.find(f"text_{suffix}", f"text_{suffix}.txt")
        texts[part] = tree.lines(path)
        if blank := [row for row, text in enumerate(texts[part], 1) if not text.strip()]:
            raise tree.damaged(path, f"lines {listed(blank)} hold no text")
        path = tree.find(f"label_{suffix}", f"label_{suffix}.txt")
        subjects[part] = [line.split() for line in tree.lines(path)]
        if len(texts[part]) != len(subjects[part]):
            raise tree.damaged(path, f"{len(subjects[part])} lines for {len(texts[part])} texts")
    names = tuple(sorted({name for rows in subjects.values() for row in rows for name in row}))
    column = {name: k for k, name in enumerate(names)}
    parts = {}
    for part, rows in subjects.items():
        labels = np.zeros((len(rows), len(names)), dtype=np.int8)
        for row, subjects_of_row in enumerate(rows):
            labels[row, [column[name] for name in subjects_of_row]] = 1
        items = tuple(f"{part}-{number}" for number in range(1, len(rows) + 1))
        parts[part] = Part(items, labels, texts[part])
    return Dataset("aapd", "text", names, parts)
