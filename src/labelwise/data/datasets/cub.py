"""CUB-200-2011: images, parts, and a line for each image and attribute."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree

_ROOTS = ("CUB_200_2011/CUB_200_2011", "CUB_200_2011", ".")
IMAGES = tuple(f"{root}/images" for root in _ROOTS)
ATTRIBUTES = tuple(
    f"{place}attributes.txt"
    for place in ("", *(f"{root}/" for root in _ROOTS), *(f"{root}/attributes/" for root in _ROOTS))
)


def read(tree: Tree) -> Dataset:
    """Read the owners' layout, in the order of ``images.txt``.

    Some lines of ``image_attribute_labels.txt`` have one or two columns too many, which stops a reader of
    tables; image, attribute and presence stand before them and are read all the same. The annotator's
    certainty is left aside, as in the papers: an attribute that could not be seen counts as absent.
    """
    split = "train_test_split.txt"
    root = tree.find(*(f"{root}/{split}" for root in _ROOTS), what=f"CUB_200_2011/{split}").parent
    files = dict(tree.pairs(root / "images.txt"))
    trains = dict(tree.pairs(root / split))
    if trains.keys() != files.keys() or not set(trains.values()) <= {"0", "1"}:
        raise tree.damaged(root / split, "not one 0 or 1 for each image of images.txt")
    names = attribute_names(tree)
    ids = list(files)
    path = root / "attributes" / "image_attribute_labels.txt"
    labels = _labels(tree, path, ids, len(names))
    images = tree.find(*IMAGES, what="CUB_200_2011/images/")
    tree.check_unique(root / "images.txt", files.values(), "images")
    parts = {}
    for part, mark, word in (("train", "1", "training"), ("test", "0", "test")):
        rows = [row for row, item in enumerate(ids) if trains[item] == mark]
        items = tuple(files[ids[row]] for row in rows)
        if not items:
            raise tree.damaged(root / split, f"no image is in the {word} part")
        parts[part] = Part(items, labels[rows], tree.pictures(root / "images.txt", items, images))
    return Dataset("cub200", "image", names, parts)


def attribute_names(tree: Tree) -> tuple[str, ...]:
    """Return the attributes, such as ``has_bill_shape::curved_(up_or_down)``, in the order of their ids."""
    return tree.numbered(tree.find(*ATTRIBUTES, what="attributes.txt"))


def _labels(tree: Tree, path: Path, ids: list[str], n_labels: int) -> NDArray[np.int8]:
    if not path.exists():
        raise tree.missing(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
            triples = np.loadtxt(
                path, dtype=np.int64, usecols=(0, 1, 2), comments=None, ndmin=2, encoding="utf-8-sig"
            ).reshape(-1, 3)
    except OSError as error:
        raise tree.damaged(path, f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise tree.damaged(path, f"not 'IMAGE ATTRIBUTE PRESENT ...' a line ({error})") from None
    row = np.full(max(map(int, ids)) + 1, -1)
    row[[int(item) for item in ids]] = np.arange(len(ids))
    image, attribute = triples[:, 0], triples[:, 1]
    inside = (image >= 0) & (image < len(row)) & (attribute >= 1) & (attribute <= n_labels)
    inside &= np.isin(triples[:, 2], (0, 1))
    inside[inside] &= row[image[inside]] >= 0
    if not inside.all():
        first = " ".join(map(str, triples[~inside][0]))
        raise tree.damaged(path, f"{first!r} is not a listed image, a listed attribute, and 0 or 1")
    labels = np.full((len(ids), n_labels), -1, dtype=np.int8)
    labels[row[image], attribute - 1] = triples[:, 2]
    if missing := int((labels == -1).sum()):
        at = np.argwhere(labels == -1)[0]
        raise tree.damaged(
            path,
            f"{missing} entries are absent or not readable, first image {ids[at[0]]}, attribute {at[1] + 1}",
        )
    contrary = labels[row[image], attribute - 1] != triples[:, 2]
    if contrary.any():
        first = triples[contrary][0]
        raise tree.damaged(path, f"image {first[0]}, attribute {first[1]} is both 0 and 1")
    return labels
