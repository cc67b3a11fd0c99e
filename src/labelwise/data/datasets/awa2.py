"""Animals with Attributes 2: attributes of classes, split by class."""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree
from labelwise.errors import listed

_ROOTS = (".", "Animals_with_Attributes2")
PREDICATES = tuple(f"{root}/predicates.txt" for root in _ROOTS)
IMAGES = tuple(f"{root}/JPEGImages" for root in _ROOTS)


def read(tree: Tree) -> Dataset:
    """Read the owners' layout.

    Classes come in the order of their lists, the files of a class by name.

    No class is in both parts. The released code takes files in the order in which the file system lists
    them, which no one can repeat; theirs and this order differ.
    """
    name = "predicate-matrix-binary.txt"
    root = tree.find(*(f"{root}/{name}" for root in _ROOTS), what=name).parent
    names, classes = predicates(tree), _numbered(tree, "classes.txt")
    path = root / name
    rows = [line.split() for line in tree.lines(path)]
    if len(rows) != len(classes) or any(len(row) != len(names) for row in rows):
        raise tree.damaged(path, f"not {len(classes)} classes by {len(names)} attributes")
    matrix = tree.states(path, [value for row in rows for value in row]).reshape(len(classes), len(names))
    images = tree.find(*IMAGES, what="JPEGImages/")
    seen: set[str] = set()
    parts = {}
    for part in ("train", "test"):
        listing = root / f"{part}classes.txt"
        class_names = tree.text(listing).split()
        if not class_names:
            raise tree.damaged(listing, "names no class")
        tree.check_unique(listing, class_names, "classes")
        if wrong := [name for name in class_names if name not in classes or name in seen]:
            raise tree.damaged(listing, f"classes {listed(wrong)} are unknown or in both parts")
        seen.update(class_names)
        items: list[str] = []
        class_numbers: list[int] = []
        for name in class_names:
            if not (images / name).is_dir():
                raise tree.missing(images / name)
            files = sorted(path.name for path in (images / name).iterdir() if path.suffix.lower() == ".jpg")
            if not files:
                raise tree.missing(images / name / "*.jpg")
            items += [f"{name}/{file}" for file in files]
            class_numbers += [classes.index(name)] * len(files)
        labels = matrix[np.array(class_numbers, dtype=np.int64)]
        parts[part] = Part(tuple(items), labels, tree.pictures(listing, items, images))
    return Dataset("awa2", "image", names, parts)


def predicates(tree: Tree) -> tuple[str, ...]:
    """Return the attributes in the order of the matrix's columns."""
    return _numbered(tree, "predicates.txt")


def _numbered(tree: Tree, name: str) -> tuple[str, ...]:
    return tree.numbered(tree.find(*(f"{root}/{name}" for root in _ROOTS), what=name))
