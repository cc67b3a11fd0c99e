"""Ohsumed: folders of classes, texts with bits, or a bag of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import UNREADABLE, Tree, why_unreadable
from labelwise.data.datasets.formatted import has_bits, read_bits

_ROOTS = (".", "ohsumed-first-20000-docs")
_BAGS = ("ohsumed.npz", "classic/ohsumed.npz")


def read(tree: Tree) -> Dataset:
    """Read the layout that is there.

    Class folders come first, then texts with bits, then the bag of words.
    """
    if tree.has(*(f"{root}/training" for root in _ROOTS)):
        return _folders(tree)
    if has_bits(tree):
        return read_bits(tree)
    if tree.has(*_BAGS):
        return _bag(tree, tree.find(*_BAGS))
    raise tree.missing("training/C01, train.tsv or ohsumed.npz")


def _folders(tree: Tree) -> Dataset:
    """Read class folders, each of which holds the files of its abstracts.

    An abstract of several classes lies in each of their folders: its file's name is its id.
    """
    root = tree.find(*(f"{root}/training" for root in _ROOTS)).parent
    paths_of_part = {}
    for part, name in (("train", "training"), ("test", "test")):
        if not (root / name).is_dir():
            raise tree.missing(root / name)
        places: dict[str, list[Path]] = {}
        for folder in sorted(path for path in (root / name).iterdir() if path.is_dir()):
            for path in folder.iterdir():
                if path.is_file() and not path.name.startswith("."):
                    places.setdefault(path.name, []).append(path)
        if not places:
            raise tree.missing(root / name / "C01" / "0000001")
        paths_of_part[part] = places
    names = tuple(
        sorted({path.parent.name for paths in paths_of_part.values() for ps in paths.values() for path in ps})
    )
    column = {name: k for k, name in enumerate(names)}
    parts = {}
    for part, places in paths_of_part.items():
        items = tuple(sorted(places))
        labels = np.zeros((len(items), len(names)), dtype=np.int8)
        for row, item in enumerate(items):
            labels[row, [column[path.parent.name] for path in places[item]]] = 1
        texts = [_text(tree, places[item]) for item in items]
        parts[part] = Part(items, labels, texts)
    tree.check_disjoint(root, parts["train"].items, parts["test"].items)
    return Dataset("ohsumed", "text", names, parts)


def _text(tree: Tree, copies: list[Path]) -> str:
    """Return the text of an abstract.

    It must be the same in the folder of each of its classes.
    """
    texts = [tree.text(path).strip() for path in copies]
    for path, text in zip(copies, texts, strict=True):
        if text.split() != texts[0].split():
            raise tree.damaged(path, f"another text than {copies[0]}, whose name says that it is the same")
    return texts[0]


def _bag(tree: Tree, path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["Y"]
            X = csr_matrix(
                (arrays["X_data"].astype(np.float32), arrays["X_indices"], arrays["X_indptr"]),
                shape=(int(arrays["X_shape"][0]), int(arrays["X_shape"][1])),
            )
            X.check_format(full_check=True)
            names, n_train = tuple(map(str, arrays["label_names"])), int(arrays["n_train"])
    except (*UNREADABLE, IndexError, TypeError) as error:
        raise tree.damaged(path, f"not a bag of words ({why_unreadable(path, error)})") from None
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise tree.damaged(path, "Y is not (items, labels) of 0 and 1")
    if not np.isfinite(X.data).all():
        raise tree.damaged(path, "X holds numbers that are not finite")
    labels = labels.astype(np.int8)
    if X.shape[0] != len(labels) or labels.shape[1] != len(names) or not 0 < n_train < len(labels):
        raise tree.damaged(path, "X, Y, label_names and n_train do not fit each other")
    tree.labels(path, names)
    rows = {"train": slice(0, n_train), "test": slice(n_train, len(labels))}
    items = tuple(str(row) for row in range(len(labels)))
    parts = {part: Part(items[at], labels[at], features=X[at]) for part, at in rows.items()}
    return Dataset("ohsumed", "features", names, parts)
