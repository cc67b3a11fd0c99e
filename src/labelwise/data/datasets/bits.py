"""Texts with their labels as a string of bits: ``0101<tab>text``, one line an item."""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.files import Tree
from labelwise.data.datasets.types import Dataset, Part

_PARTS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def there(tree: Tree) -> bool:
    """Return whether the tree has this layout."""
    return tree.has("train.tsv", "test.tsv")


def read(tree: Tree) -> Dataset:
    """Read train.tsv, dev.tsv (which may be absent) and test.tsv.

    The bits' names come from a file labels.txt, one a line, where there is one; the layout itself does not
    say them, and they are numbered from 0 otherwise.
    """
    parts = {
        part: _part(tree, part, name)
        for part, name in _PARTS.items()
        if part != "validation" or tree.has(name)
    }
    n_labels = parts["train"].labels.shape[1]
    for part, held in parts.items():
        if held.labels.shape[1] != n_labels:
            path = tree.find(_PARTS[part])
            raise tree.damaged(path, f"{held.labels.shape[1]} bits a line, {n_labels} in train.tsv")
    names = tuple(f"label {k}" for k in range(n_labels))
    if tree.has("labels.txt"):
        path = tree.find("labels.txt")
        names = tree.labels(path, [line.strip() for line in tree.lines(path)])
        if len(names) != n_labels:
            raise tree.damaged(path, f"{len(names)} names for {n_labels} bits")
    return Dataset(tree.name, "text", names, parts)


def _part(tree: Tree, part: str, name: str) -> Part:
    path = tree.find(name)
    pairs = [line.partition("\t")[::2] for line in tree.lines(path)]
    n_labels = len(pairs[0][0])
    wanted = f"{n_labels} bits" if n_labels else "1 bits or more"
    for number, (bits, text) in enumerate(pairs, 1):
        if not bits or len(bits) != n_labels or not text.strip() or bits.strip("01"):
            raise tree.damaged(path, f"line {number} is not {wanted}, a tab and a text")
    labels = np.frombuffer("".join(bits for bits, _ in pairs).encode("ascii"), dtype=np.int8) - ord("0")
    items = tuple(f"{part}-{number}" for number in range(1, len(pairs) + 1))
    return Part(items, labels.reshape(len(pairs), n_labels).astype(np.int8), [text for _, text in pairs])
