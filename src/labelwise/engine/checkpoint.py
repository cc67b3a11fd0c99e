"""Checkpoint files: checksummed, renamed into place, read only when whole."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from labelwise._files import clear_drafts, file_digest, put_in_place, replacing_folder, set_aside, sync_file
from labelwise.errors import UserError

_FORMAT = 1
_ITEMS = re.compile(r"items-\d{12}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """All that training depends on at one step.

    Tensors by name, plain data, and the item state's arrays. ``items_sha256`` is the checksum of the item state's
    file, or None where a method keeps none.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    items: dict[str, np.ndarray]
    items_sha256: str | None = None


def save(
    directory: Path,
    position: tuple[int, int, int],
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any],
    items: Mapping[str, np.ndarray],
    items_sha256: str | None = None,
) -> str | None:
    """Write a checkpoint, and return the checksum of its item state.

    ``position`` is (stage, epoch, step). All but it and the one before are dropped. ``meta["items_version"]`` names
    the item state's version; ``items_sha256`` says that this version is on disk already, with this checksum, and is
    not written again. A failure (a full disk) leaves the earlier checkpoints as they were and raises ``UserError``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file as save_tensors

    stage, epoch, step = position
    final = directory / f"step-{stage:03d}-{epoch:06d}-{step:09d}"
    items_file = directory / f"items-{meta['items_version']:012d}.safetensors"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        clear_drafts(directory)
        copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        with replacing_folder(final) as draft:
            # The item state first: a checkpoint that stands then names a file that is whole.
            if items and (items_sha256 is None or not items_file.exists()):
                items_sha256 = _put_items(items_file, items, draft)
            save_tensors(copies, draft / "tensors.safetensors")
            record = {
                "format": _FORMAT,
                "meta": dict(meta),
                "items_file": items_file.name if items else None,
                "items_sha256": items_sha256,
                "tensors_sha256": file_digest(draft / "tensors.safetensors"),
            }
            text = json.dumps(record)
            checksum = hashlib.sha256(text.encode()).hexdigest()
            (draft / "checkpoint.json").write_text(f"{checksum}\n{text}\n", encoding="utf-8")
            # One of the same step that is there goes at one moment: killed half way, none would be whole.
            set_aside(final)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"the checkpoint of step {step} of epoch {epoch + 1} could not be written to {directory} ({reason}); "
            "the previous one is whole: free some space and run the same again (--resume on the command line)"
        ) from error
    # Only now that the new one stands; the one before it stays, for a new one that turns out to be damaged.
    _prune(directory, final)
    return items_sha256


def _put_items(path: Path, items: Mapping[str, np.ndarray], folder: Path) -> str:
    """Write the item state by way of a draft folder, and return its checksum."""
    from safetensors.numpy import save_file

    # Its writer may put files of its own beside the one that it writes: in a draft folder they go when it is killed.
    draft = folder / path.name
    save_file({name: np.ascontiguousarray(value) for name, value in items.items()}, draft)
    digest = file_digest(draft)
    sync_file(draft)
    put_in_place(draft, path)
    return digest


def latest(directory: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint, or None without any.

    Raises:
        UserError: When there are some and none is whole.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file as load_tensors

    folders = sorted(directory.glob("step-*"), reverse=True) if directory.exists() else []
    for folder in folders:
        try:
            record = _record(folder)
            if file_digest(folder / "tensors.safetensors") != record["tensors_sha256"]:
                continue
            items: dict[str, np.ndarray] = {}
            if record["items_file"]:
                if not _ITEMS.fullmatch(record["items_file"]):
                    continue
                path = directory / record["items_file"]
                if file_digest(path) != record["items_sha256"]:
                    continue
                items = load_arrays(path)
            tensors = load_tensors(folder / "tensors.safetensors")
            return Checkpoint(tensors, record["meta"], items, record["items_sha256"])
        except (OSError, LookupError, TypeError, ValueError, RecursionError, SafetensorError):
            continue
    if folders:
        raise UserError(f"no checkpoint in {directory} is whole: delete the folder and train again")
    return None


def _record(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's plain data.

    Raises:
        ValueError: When its file is not as it was written; ``OSError`` when it cannot be read.
    """
    checksum, _, text = (folder / "checkpoint.json").read_text(encoding="utf-8").partition("\n")
    if hashlib.sha256(text.rstrip("\n").encode()).hexdigest() != checksum:
        raise ValueError("checksum")
    record: dict[str, Any] = json.loads(text)
    if record["format"] != _FORMAT or not isinstance(record["meta"], dict):
        raise ValueError("format")
    return record


def _prune(directory: Path, newest: Path) -> None:
    """Keep the newest checkpoint and the one before, with their item files."""
    folders = sorted(directory.glob("step-*"))
    place = folders.index(newest)
    retained = folders[max(0, place - 1) : place + 1]
    for folder in set(folders) - set(retained):
        shutil.rmtree(folder, ignore_errors=True)
    named = set()
    for folder in retained:
        try:
            named.add(_record(folder)["items_file"])
        except (OSError, LookupError, TypeError, ValueError, RecursionError):
            continue
    for path in directory.glob("items-*.safetensors"):
        if path.name not in named:
            # What cannot be deleted now goes another time: the new checkpoint stands.
            with suppress(OSError):
                path.unlink(missing_ok=True)
