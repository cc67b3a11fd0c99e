"""Merlin L48: windows of bird recordings, of which one species each was asked for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import UNREADABLE, Tree, why_unreadable

_STATES = (("present_species_codes", 1), ("absent_species_codes", 0), ("unknown_species_codes", -1))
_SPLITS = ("train", "test")


def read(tree: Tree) -> Dataset:
    """Read the owners' layout.

    Labels are the species in the order of ``taxa.csv``, rows the windows in that of ``clips.json``; a group is a
    recording (asset). The truth has a window's present species as relevant, its absent ones as irrelevant and all
    others as unknown; codes of species that ``taxa.csv`` has not are left out. Observed is the target species of the
    recording alone, where the window has it: no other entry was ever asked for.
    """
    path = tree.find("assets.json")
    root = path.parent
    names = _species(tree, root / "taxa.csv")
    column = {name: k for k, name in enumerate(names)}
    recordings = _recordings(tree, path, column, _validation(tree, root / "val_split.npy"))
    path = root / "clips.json"
    clips = _records(tree, path)
    labels = np.full((len(clips), len(names)), -1, dtype=np.int8)
    observed = np.full_like(labels, -1)
    parts: dict[str, list[int]] = {}
    files, assets = [], []
    for row, clip in enumerate(clips):
        _mark(tree, path, row, clip, column, labels[row])
        asset, file = clip.get("asset_id"), clip.get("file_path")
        if asset not in recordings or not isinstance(file, str):
            raise tree.damaged(path, f"clip {row + 1} names no recording of assets.json, or no file")
        part, target = recordings[asset]
        if labels[row, target] == 1:
            observed[row, target] = 1
        parts.setdefault(part, []).append(row)
        files.append(file)
        assets.append(str(asset))
    tree.check_unique(path, files, "files")
    contents = tree.pictures(path, files, _folder(root, files))
    for part in _SPLITS:
        if part not in parts:
            raise tree.damaged(path, f"no clip is of a recording in the {part} part")
    order = [part for part in ("train", "validation", "test") if part in parts]

    def part_of(rows: list[int]) -> Part:
        return Part(
            tuple(files[row] for row in rows),
            labels[rows],
            [contents[row] for row in rows],
            observed=observed[rows],
            groups=tuple(assets[row] for row in rows),
        )

    return Dataset("l48", "image", names, {part: part_of(parts[part]) for part in order})


def _species(tree: Tree, path: Path) -> tuple[str, ...]:
    rows = list(csv.DictReader(tree.lines(path)))
    if not rows or "species_code" not in rows[0]:
        raise tree.damaged(path, "has no column species_code, or no species")
    return tree.labels(path, [(row["species_code"] or "").strip() for row in rows])


def _validation(tree: Tree, path: Path) -> frozenset[int]:
    """Return the ids of recordings that validate, none without the file."""
    if not path.exists():
        return frozenset()
    try:
        ids = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise tree.damaged(path, why_unreadable(path, error)) from None
    if ids.dtype.kind not in "iu":
        raise tree.damaged(path, "holds no whole numbers, the ids of recordings")
    return frozenset(ids.ravel().tolist())


def _recordings(
    tree: Tree, path: Path, column: Mapping[str, int], validation: frozenset[int]
) -> dict[Any, tuple[str, int]]:
    """Return part and target column of each recording, by its id."""
    found: dict[Any, tuple[str, int]] = {}
    for row, record in enumerate(_records(tree, path), 1):
        number, split, target = (record.get(name) for name in ("id", "split", "target_species_code"))
        known = isinstance(target, str) and target in column
        if not isinstance(number, int) or split not in _SPLITS or not known:
            raise tree.damaged(
                path, f"recording {row} has no id, no split train or test, or a target that taxa.csv has not"
            )
        if number in found:
            raise tree.damaged(path, f"recordings {number} are listed more than once")
        part = "validation" if split == "train" and number in validation else str(split)
        found[number] = part, column[str(target)]
    return found


def _records(tree: Tree, path: Path) -> list[dict[str, Any]]:
    records = tree.json(path)
    if not isinstance(records, list) or not records or not all(isinstance(one, dict) for one in records):
        raise tree.damaged(path, "is no list of records")
    return records


def _mark(
    tree: Tree,
    path: Path,
    row: int,
    clip: Mapping[str, Any],
    column: Mapping[str, int],
    labels: NDArray[np.int8],
) -> None:
    """Set the states (K,) of one window."""
    seen: set[str] = set()
    for name, state in _STATES:
        codes = clip.get(name)
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise tree.damaged(path, f"clip {row + 1} has no list {name}")
        if both := seen.intersection(codes):
            raise tree.damaged(path, f"clip {row + 1} gives {min(both)} two states")
        seen.update(codes)
        labels[[column[code] for code in codes if code in column]] = state


def _folder(root: Path, files: list[str]) -> Path:
    """Return the folder that the files' paths begin at: the set's own, or its ``images``."""
    return root if files[0].startswith("images/") else root / "images"
