"""Reader of all sets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from labelwise.data.datasets import aapd as _aapd
from labelwise.data.datasets import awa2 as _awa2
from labelwise.data.datasets import coco as _coco
from labelwise.data.datasets import cub as _cub
from labelwise.data.datasets import formatted as _formatted
from labelwise.data.datasets import l48 as _l48
from labelwise.data.datasets import nuswide as _nuswide
from labelwise.data.datasets import ohsumed as _ohsumed
from labelwise.data.datasets import voc as _voc
from labelwise.data.datasets.catalogue import DATASETS, Dataset
from labelwise.data.datasets.files import Tree
from labelwise.errors import UserError, near

_OWNERS = {
    "coco2014": _coco.read,
    "nuswide": _nuswide.read,
    "cub200": _cub.read,
    "awa2": _awa2.read,
    "ohsumed": _ohsumed.read,
    "aapd": _aapd.read,
}


def read_dataset(
    name: str,
    directory: str | Path,
    *,
    layout: Literal["owners", "formatted"] | None = None,
    difficult: Literal["irrelevant", "unknown", "relevant"] = "irrelevant",
) -> Dataset:
    """Read the set ``name`` from ``directory``.

    It may lie in the directory's folder of that name.

    ``layout``: "owners", or "formatted" for the ``formatted_*.npy`` files that the released codes share
    (image sets only); by default the formatted files where they are there, since they fix order and labels.
    ``difficult``: what VOC's objects that are marked difficult count as. The papers' code takes them for
    irrelevant, the default; VOC's own evaluation leaves them out, which is "unknown".

    Items come in the order of the papers' released code, so that a simulation of observed labels with
    their seed gives their labels. Image files are named, not opened.

    Raises:
        UserError: For an unknown name and for a missing or damaged tree: what was looked for, where, and where its
            owners publish it.
    """
    if name not in DATASETS:
        raise UserError(f"there is no set {name!r}; {near(name, DATASETS)}")
    if layout not in (None, "owners", "formatted"):
        raise UserError(f"layout={layout!r}: choose 'owners' or 'formatted'")
    if difficult not in ("irrelevant", "unknown", "relevant"):
        raise UserError(f"difficult={difficult!r}: choose 'irrelevant', 'unknown' or 'relevant'")
    tree, images = Tree(name, directory), DATASETS[name].kind == "image"
    if layout == "formatted" and not images:
        raise UserError(f"{name}: the formatted layout is one of images; leave layout out")
    chosen = difficult != "irrelevant"
    if name == "l48":
        if layout == "formatted":
            raise UserError("l48: no released code shares formatted files of it; leave layout out")
        return _l48.read(tree)
    if layout == "formatted" or (layout is None and images and not chosen and _formatted.has_layout(tree)):
        if chosen:
            raise UserError("difficult: the formatted files no longer say which are; use layout='owners'")
        return _formatted.read(tree)
    return _voc.read(tree, difficult) if name == "voc2012" else _OWNERS[name](tree)
