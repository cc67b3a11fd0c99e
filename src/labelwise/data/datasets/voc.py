"""Pascal VOC 2012: one list a class and part, ``ID 1|0|-1``."""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree

_VOC = """
aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep
sofa train tvmonitor
"""
VOC_LABELS = tuple(_VOC.split())
"""Labels of the columns, which the formatted layout does not name."""
_ROOTS = ("VOCdevkit/VOC2012", "VOC2012", ".")
IMAGES = tuple(f"{root}/JPEGImages" for root in _ROOTS)


def read(tree: Tree, difficult: str) -> Dataset:
    """Read the owners' layout, rows in the order of image ids.

    That is the released code's order.
    """
    lists = tree.find(*(f"{root}/ImageSets/Main" for root in _ROOTS))
    images = tree.find(*IMAGES)
    of_zero = {"irrelevant": 0, "unknown": -1, "relevant": 1}[difficult]
    parts = {}
    for part, suffix in (("train", "train"), ("test", "val")):
        ids: list[str] = []
        columns = []
        for name in VOC_LABELS:
            path = lists / f"{name}_{suffix}.txt"
            words = tree.text(path).split()
            if len(words) % 2 or not words:
                raise tree.damaged(path, "not one 'ID LABEL' a line")
            if ids and words[::2] != ids:
                raise tree.damaged(path, f"lists other images than {VOC_LABELS[0]}_{suffix}.txt")
            if not ids:
                tree.check_unique(path, words[::2], "images")
            ids = words[::2]
            columns.append(tree.states(path, words[1::2], (1, 0, -1)))
        marks = np.stack(columns, axis=1)
        order = np.argsort(np.array(ids), kind="stable")
        labels = np.select([marks == 1, marks == 0], [1, of_zero], 0).astype(np.int8)[order]
        items = tuple(ids[row] for row in order)
        contents = tree.pictures(lists, [f"{item}.jpg" for item in items], images)
        parts[part] = Part(items, labels, contents)
    tree.check_disjoint(lists, parts["train"].items, parts["test"].items)
    return Dataset("voc2012", "image", VOC_LABELS, parts)
