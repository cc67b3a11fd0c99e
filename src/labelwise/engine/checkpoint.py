"""Checkpoints: written beside the previous one, checksummed, renamed into place, read back only when whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from labelwise.errors import UserError

__all__ = ["Checkpoint", "latest", "save"]

_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """All that training depends on at one step: tensors by name, plain data, and the item state's arrays."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    items: dict[str, np.ndarray]


def save(
    directory: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    items: Mapping[str, Any],
) -> None:
    """Write the checkpoint of ``step`` and then drop all but the newest two.

    ``meta["items_version"]`` names the item state's version: arrays that an earlier checkpoint already wrote are
    not written again. A failure (a full disk) leaves the earlier checkpoints as they were and raises ``UserError``.
    """
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file as save_tensors

    directory.mkdir(parents=True, exist_ok=True)
    draft, final = directory / f".draft-{os.getpid()}", directory / f"step-{step:09d}"
    items_file = directory / f"items-{meta['items_version']:09d}.safetensors"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        if items and not items_file.exists():
            save_arrays({k: np.ascontiguousarray(v) for k, v in items.items()}, draft / "items")
            _sync(draft / "items")
            os.replace(draft / "items", items_file)
        whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        save_tensors(whole, draft / "tensors.safetensors")
        record = {
            "format": _FORMAT,
            "step": step,
            "meta": dict(meta),
            "items_file": items_file.name if items else None,
            "tensors_sha256": _digest(draft / "tensors.safetensors"),
            "items_sha256": _digest(items_file) if items else None,
        }
        (draft / "checkpoint.json").write_text(json.dumps(record))
        _sync(draft / "tensors.safetensors")
        _sync(draft / "checkpoint.json")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(draft, final)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise UserError(
            f"the checkpoint of step {step} could not be written to {directory} ({error.strerror or error}); "
            "the previous one is whole: free some space and run the same command with --resume"
        ) from error
    _prune(directory)


def latest(directory: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint, None without any, or raise when there are some and none is whole."""
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file as load_tensors

    found = sorted(directory.glob("step-*"), reverse=True) if directory.exists() else []
    for folder in found:
        try:
            record = json.loads((folder / "checkpoint.json").read_text())
            if (
                record["format"] != _FORMAT
                or _digest(folder / "tensors.safetensors") != record["tensors_sha256"]
            ):
                continue
            items: dict[str, np.ndarray] = {}
            if record["items_file"]:
                path = directory / record["items_file"]
                if _digest(path) != record["items_sha256"]:
                    continue
                items = load_arrays(path)
            return Checkpoint(load_tensors(folder / "tensors.safetensors"), record["meta"], items)
        except (OSError, KeyError, ValueError):
            continue
    if found:
        raise UserError(f"no checkpoint in {directory} is whole: delete the folder and train again")
    return None


def _prune(directory: Path) -> None:
    """Keep the newest two checkpoints and the item files that they name."""
    kept = sorted(directory.glob("step-*"))[-2:]
    for folder in set(directory.glob("step-*")) - set(kept):
        shutil.rmtree(folder, ignore_errors=True)
    named = {json.loads((folder / "checkpoint.json").read_text())["items_file"] for folder in kept}
    for path in directory.glob("items-*.safetensors"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
