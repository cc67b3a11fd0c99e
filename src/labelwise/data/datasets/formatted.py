"""Layouts of released codes: ``formatted_*.npy``, and texts with bits.

``formatted_{train,val}_{images,labels,labels_obs}.npy`` is what the codes for pictures share. A line of
``{train,dev,test}.tsv`` is ``0101<tab>text``.

**The codes of ``labels_obs`` are not ours**: there 1 is an observed positive, 0 is *unknown* and -1 an
observed negative. They are translated here, and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.datasets import awa2 as _awa2
from labelwise.data.datasets import cub as _cub
from labelwise.data.datasets import nuswide as _nuswide
from labelwise.data.datasets import voc as _voc
from labelwise.data.datasets.catalogue import DATASETS, Dataset, Part
from labelwise.data.datasets.coco import COCO_LABELS
from labelwise.data.datasets.files import UNREADABLE, Tree, why_unreadable
from labelwise.data.datasets.voc import VOC_LABELS
from labelwise.errors import UserError

_IMAGES = {
    "voc2012": _voc.IMAGES,
    "coco2014": (".",),
    "nuswide": _nuswide.IMAGES,
    "cub200": _cub.IMAGES,
    "awa2": _awa2.IMAGES,
}
_VAL = "formatted_val_labels.npy"
_BITS_PARTS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def has_layout(tree: Tree) -> bool:
    """Return whether the tree has this layout."""
    return tree.has("formatted_train_labels.npy")


def read(tree: Tree) -> Dataset:
    """Read both parts of the ``formatted_*.npy`` files.

    ``val`` is the papers' test part, as in their code.

    The files fix the rows of the papers' runs: an image that they list twice is two rows here too.
    """
    root = tree.find("formatted_train_labels.npy").parent
    images = tree.find(*_IMAGES[tree.name], what=f"{_IMAGES[tree.name][0]}/ (images)")
    n_labels = DATASETS[tree.name].n_labels
    parts = {}
    # AwA2's script saves its test part as "test", and its users rename it.
    test = "test" if tree.has("formatted_test_labels.npy") and not tree.has(_VAL) else "val"
    for part, stem in (("train", "train"), ("test", test)):
        path = root / f"formatted_{stem}_labels.npy"
        labels = _matrix(tree, path, (0, 1))
        names = _load(tree, root / f"formatted_{stem}_images.npy")
        if names.dtype.kind not in "US" or names.ndim != 1 or labels.shape != (len(names), n_labels):
            raise UserError(
                f"{path}: labels {labels.shape} and images {names.shape} ({names.dtype}) are not"
                f" (n, {n_labels}) and n file names"
            )
        path = root / f"formatted_{stem}_images.npy"
        items = _words(path, names)
        contents = tree.pictures(path, [_relative_path(tree.name, item) for item in items], images)
        observed = _observed(tree, root, stem, labels)
        parts[part] = Part(items, labels, contents, observed=observed)
    return Dataset(tree.name, "image", _label_names(tree, n_labels), parts)


def states_of_observed(codes: NDArray[Any]) -> NDArray[np.int8]:
    """Translate ``labels_obs`` codes to label states.

    1 (positive), 0 (unknown) and -1 (negative) become 1, -1 and 0.
    """
    return np.select([codes == 1, codes == -1], [1, 0], -1).astype(np.int8)


def _observed(tree: Tree, root: Path, stem: str, labels: NDArray[np.int8]) -> NDArray[np.int8] | None:
    # Later versions of the released code name the way of observing; uniform is the papers'.
    for name in (f"formatted_{stem}_labels_obs.npy", f"formatted_{stem}_uniform_labels_obs.npy"):
        if (root / name).exists():
            observed = states_of_observed(_matrix(tree, root / name, (1, 0, -1)))
            if observed.shape != labels.shape:
                raise UserError(f"{root / name}: shape {observed.shape}, its labels are {labels.shape}")
            wrong = np.argwhere((observed != -1) & (observed != labels))
            if len(wrong):
                raise UserError(
                    f"{root / name}: row {wrong[0][0]}, label {wrong[0][1]} contradicts the labels ({len(wrong)}"
                    " entries do); in this layout 1 is an observed positive, 0 unknown, -1 an observed negative"
                )
            return observed
    return None


def _matrix(tree: Tree, path: Path, codes: tuple[int, ...]) -> NDArray[np.int8]:
    values = _load(tree, path)
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not np.isin(values, codes).all():
        raise UserError(
            f"{path}: {values.dtype} {values.shape} is not (items, labels) of {' and '.join(map(str, codes))}"
        )
    return values.astype(np.int8)


def _load(tree: Tree, path: Path) -> NDArray[Any]:
    if not path.exists():
        raise tree.missing(path)
    try:
        values = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        why = why_unreadable(path, error)
        if "Python objects" in why:
            raise UserError(
                f"{path}: {why}; whoever made it saves it again as numbers or strings:"
                " numpy.save(path, values.astype(str))"
            ) from None
        raise UserError(f"{path}: not a whole .npy file ({why}); write it again") from None
    if not isinstance(values, np.ndarray):
        raise UserError(f"{path}: not one array; write it with numpy.save")
    return values


def _words(path: Path, names: NDArray[Any]) -> tuple[str, ...]:
    try:
        return tuple(map(str, np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names))
    except UnicodeDecodeError:
        raise UserError(f"{path}: names are not UTF-8; write them as strings") from None


def _relative_path(name: str, item: str) -> str:
    """Return an image's place below the folder of images.

    AwA2's names leave the folder of their class out.
    """
    return f"{item.rpartition('_')[0]}/{item}" if name == "awa2" and "/" not in item else item


def _label_names(tree: Tree, n_labels: int) -> tuple[str, ...]:
    names = tuple(f"label {k}" for k in range(n_labels))
    files: tuple[str, ...] = ()
    if tree.name == "voc2012":
        names = VOC_LABELS
    elif tree.name == "coco2014":
        names = COCO_LABELS
    elif tree.name == "nuswide" and tree.has(*_nuswide.CONCEPTS):
        names, files = _nuswide.concept_names(tree), _nuswide.CONCEPTS
    elif tree.name == "cub200" and tree.has(*_cub.ATTRIBUTES):
        names, files = _cub.attribute_names(tree), _cub.ATTRIBUTES
    elif tree.name == "awa2" and tree.has(*_awa2.PREDICATES):
        names, files = _awa2.predicates(tree), _awa2.PREDICATES
    if len(names) != n_labels:
        raise tree.damaged(tree.find(*files), f"{len(names)} names for {n_labels} labels")
    return names


def has_bits(tree: Tree) -> bool:
    """Return whether the tree has this layout."""
    return tree.has("train.tsv", "test.tsv")


def read_bits(tree: Tree) -> Dataset:
    """Read train.tsv, dev.tsv (which may be absent) and test.tsv.

    The bits' names come from a file labels.txt, one a line, where there is one; the layout itself does not
    say them, and they are numbered from 0 otherwise.
    """
    parts = {
        part: _bits_part(tree, part, name)
        for part, name in _BITS_PARTS.items()
        if part != "validation" or tree.has(name)
    }
    n_labels = parts["train"].labels.shape[1]
    for part, texts in parts.items():
        if texts.labels.shape[1] != n_labels:
            path = tree.find(_BITS_PARTS[part])
            raise tree.damaged(path, f"{texts.labels.shape[1]} bits a line, {n_labels} in train.tsv")
    names = tuple(f"label {k}" for k in range(n_labels))
    if tree.has("labels.txt"):
        path = tree.find("labels.txt")
        names = tree.labels(path, [line.strip() for line in tree.lines(path)])
        if len(names) != n_labels:
            raise tree.damaged(path, f"{len(names)} names for {n_labels} bits")
    return Dataset(tree.name, "text", names, parts)


def _bits_part(tree: Tree, part: str, name: str) -> Part:
    path = tree.find(name)
    pairs = [line.partition("\t")[::2] for line in tree.lines(path)]
    n_labels = len(pairs[0][0])
    expected = f"{n_labels} bits" if n_labels else "1 bits or more"
    for number, (bits, text) in enumerate(pairs, 1):
        if not bits or len(bits) != n_labels or not text.strip() or bits.strip("01"):
            raise tree.damaged(path, f"line {number} is not {expected}, a tab and a text")
    labels = np.frombuffer("".join(bits for bits, _ in pairs).encode("ascii"), dtype=np.int8) - ord("0")
    items = tuple(f"{part}-{number}" for number in range(1, len(pairs) + 1))
    return Part(items, labels.reshape(len(pairs), n_labels).astype(np.int8), [text for _, text in pairs])
