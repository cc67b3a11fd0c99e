"""Ohsumed: folders of classes, texts with bits, or a bag of words."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from labelwise.data.datasets import _bits
from labelwise.data.datasets._files import Tree
from labelwise.data.datasets._types import Dataset, Part

__all__ = ["read"]

_ROOTS = (".", "ohsumed-first-20000-docs")
_BAGS = ("ohsumed.npz", "classic/ohsumed.npz")


def read(tree: Tree) -> Dataset:
    """Read the layout that is there: class folders first, then texts with bits, then the bag of words."""
    if tree.has(*(f"{root}/training" for root in _ROOTS)):
        return _folders(tree)
    if _bits.there(tree):
        return _bits.read(tree)
    if tree.has(*_BAGS):
        return _bag(tree, tree.find(*_BAGS))
    raise tree.missing("training/C01, train.tsv or ohsumed.npz")


def _folders(tree: Tree) -> Dataset:
    """An abstract with several classes lies in several folders, once in each: its file's name is its id."""
    root = tree.find(*(f"{root}/training" for root in _ROOTS)).parent
    found = {}
    for part, theirs in (("train", "training"), ("test", "test")):
        if not (root / theirs).is_dir():
            raise tree.missing(root / theirs)
        places: dict[str, list[Path]] = {}
        for folder in sorted(path for path in (root / theirs).iterdir() if path.is_dir()):
            for path in folder.iterdir():
                if path.is_file() and not path.name.startswith("."):
                    places.setdefault(path.name, []).append(path)
        if not places:
            raise tree.missing(root / theirs / "C01" / "0000001")
        found[part] = places
    names = tuple(
        sorted({path.parent.name for held in found.values() for ps in held.values() for path in ps})
    )
    column = {name: k for k, name in enumerate(names)}
    parts = {}
    for part, places in found.items():
        items = tuple(sorted(places))
        labels = np.zeros((len(items), len(names)), dtype=np.int8)
        for row, item in enumerate(items):
            labels[row, [column[path.parent.name] for path in places[item]]] = 1
        texts = [places[item][0].read_bytes().decode("utf-8", errors="replace").strip() for item in items]
        parts[part] = Part(items, labels, texts)
    return Dataset("ohsumed", "text", names, parts)


def _bag(tree: Tree, path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as held:
            labels = held["Y"].astype(np.int8)
            X = csr_matrix(
                (held["X_data"].astype(np.float32), held["X_indices"], held["X_indptr"]),
                shape=(int(held["X_shape"][0]), int(held["X_shape"][1])),
            )
            names, n_train = tuple(map(str, held["label_names"])), int(held["n_train"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise tree.damaged(path, f"not a bag of words ({' '.join(str(error).split())})") from None
    if X.shape[0] != len(labels) or labels.shape[1] != len(names) or not 0 < n_train < len(labels):
        raise tree.damaged(path, "X, Y, label_names and n_train do not fit each other")
    rows = {"train": slice(0, n_train), "test": slice(n_train, len(labels))}
    items = tuple(str(row) for row in range(len(labels)))
    parts = {part: Part(items[at], labels[at], features=X[at]) for part, at in rows.items()}
    return Dataset("ohsumed", "features", names, parts)
