"""Reading and writing a model directory, ``model.json`` and ``weights.safetensors``.

Nothing in it can execute.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelwise._files import (
    CannotWrite,
    clear_drafts,
    is_draft,
    is_link,
    put_in_place,
    read_bytes,
    replacing,
    replacing_folder,
    sync_folder,
)
from labelwise._locks import hold_lock
from labelwise.errors import UserError, listed

FORMAT = 1
_CONFIG, _WEIGHTS = "model.json", "weights.safetensors"
_NEXT = "weights.next.safetensors"
"""Weights that are about to take their place: a save that was killed may leave them."""
_LONGEST, _DEEPEST, _ATTEMPTS = 1 << 28, 64, 4


def write(path: str | Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a model directory, whole or not at all, flushed to disk.

    An existing model directory there is replaced, and stays whole until the new one is, whenever this is stopped; any
    other non-empty folder is refused with ``UserError``, and a link too: to replace what it leads to, name that.
    """
    from safetensors.numpy import save

    target = Path(path)
    if is_link(target):
        raise UserError(f"{target} is a link: give {os.path.realpath(target)} to replace what it leads to")
    if target.is_file() or (target.is_dir() and not _replaceable(target)):
        raise UserError(f"{target} exists and is not a model directory: give another path, or empty it")
    weights = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    record = _plain({"format": FORMAT, **config, "weights_sha256": hashlib.sha256(weights).hexdigest()})
    text = json.dumps({**record, "sha256": _checksum(record)}, indent=2, sort_keys=True, allow_nan=False)
    try:
        if not _is_model(target):
            try:
                with replacing_folder(target) as draft:
                    (draft / _WEIGHTS).write_bytes(weights)
                    (draft / _CONFIG).write_text(text + "\n", encoding="utf-8")
                return
            except CannotWrite:
                # Another process may have been first.
                if not _is_model(target):
                    raise
        _write_over(target, weights, text + "\n")
    except OSError as error:
        raise UserError(f"the model could not be written to {target}: {error.strerror or error}") from error


def _is_model(target: Path) -> bool:
    return (target / _CONFIG).is_file()


def _replaceable(target: Path) -> bool:
    """Whether a folder is empty or holds a model and nothing else."""
    present = {entry.name for entry in target.iterdir() if not is_draft(entry.name)}
    return not present or (_CONFIG in present and present <= {_CONFIG, _WEIGHTS, _NEXT})


def _write_over(target: Path, weights: bytes, text: str) -> None:
    """Replace a model at one moment, when ``model.json`` is renamed.

    Until then the old weights are in their place and the new ones beside them; after it, the other way round.
    """
    with hold_lock(target):
        clear_drafts(target)
        _resolve_pending_weights(target)
        with replacing(target / _NEXT) as draft:
            draft.write_bytes(weights)
        try:
            with replacing(target / _CONFIG) as draft:
                draft.write_text(text, encoding="utf-8")
        finally:
            # Also where the record could not be written: then the new weights go, and the old model stays.
            _resolve_pending_weights(target)


def _resolve_pending_weights(target: Path) -> None:
    """Move pending weights into place if ``model.json`` names them, else delete them."""
    pending = target / _NEXT
    if is_link(pending):
        pending.unlink()
    if pending.is_file():
        if hashlib.sha256(pending.read_bytes()).hexdigest() == _named_weights(target):
            put_in_place(pending, target / _WEIGHTS)
        else:
            pending.unlink()
            sync_folder(target)


def _named_weights(target: Path) -> Any:
    try:
        config = json.loads((target / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return config.get("weights_sha256") if isinstance(config, dict) else None


def _checksum(record: Mapping[str, Any]) -> str:
    """Return the digest of the configuration itself, in one spelling."""
    entries = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return data as JSON reads it back, None for non-finite numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the configuration and the tensors of a model directory.

    Anything but exactly the two files of a known format, both as their checksums say, is refused with ``UserError``.
    What a save that was stopped left beside them does not count. The configuration is plain data: finite numbers,
    text, lists and records, no deeper than 64.
    """
    target = Path(path)
    _check_files(target)
    # Another process may save over the model meanwhile, twice even, so that the record is the same again.
    for _ in range(_ATTEMPTS):
        config = _read_config(target)
        weights = _read_weights(target, config.get("weights_sha256"))
        if weights is not None:
            return config, _tensors(target, weights)
    raise _changed(target / _WEIGHTS)


def _check_files(target: Path) -> None:
    try:
        present = {entry.name for entry in target.iterdir()} if target.is_dir() else None
    except OSError as error:
        raise UserError(f"{target} cannot be read: {error.strerror or error}") from None
    if present is None:
        raise UserError(f"{target} is not a model directory: give the folder that save() or 'train' wrote")
    missing = {_CONFIG, _WEIGHTS} - present
    extra = [name for name in present - {_CONFIG, _WEIGHTS, _NEXT} if not is_draft(name)]
    if missing:
        raise UserError(f"{target} is not a whole model directory: {listed(sorted(missing))} is missing")
    if extra:
        raise UserError(
            f"{target} holds files that no model has ({listed(sorted(extra))}): remove them if you trust the rest"
        )
    for name in (_CONFIG, _WEIGHTS):
        if is_link(target / name) or not (target / name).is_file():
            raise UserError(f"{target} holds links or folders: a model directory holds two files of its own")


def _bytes(path: Path, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_config(target: Path) -> dict[str, Any]:
    """Return ``model.json``, as its checksum says."""
    path = target / _CONFIG
    text = _bytes(path, _LONGEST)
    try:
        config = json.loads(text.decode("utf-8"))
        # Before the checksum: another format may have another one.
        version = config.get("format") if isinstance(config, dict) else None
        if not isinstance(config, dict) or version != FORMAT or isinstance(version, bool):
            raise UserError(
                f"{target} has format {version!r:.80}, this version of labelwise reads {FORMAT}: use the version"
                " that wrote it"
            )
        intact = _checksum(config) == config.get("sha256")
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error!s:.200}): copy the model again") from None
    if not intact:
        raise _changed(path)
    for name, value in config.items():
        _check_plain(f"{path}: entry {name!r}", value)
    return config


def _check_plain(entry: str, value: Any, depth: int = 1) -> None:
    if depth > _DEEPEST:
        raise UserError(f"{entry} is nested more than {_DEEPEST} deep: copy the model again")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{entry} holds {value}, which is no number: copy the model again")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_plain(entry, item, depth + 1)


def _read_weights(target: Path, digest: Any) -> bytes | None:
    """Return the weights of that checksum, from their place or beside it.

    A save that was stopped may have left them beside it.
    """
    # In this order: a save that ends meanwhile moves the first to the second, never back.
    for name in (_NEXT, _WEIGHTS):
        try:
            weights = read_bytes(target / name, sys.maxsize)
        except OSError as error:
            if name == _NEXT:
                continue
            raise UserError(f"{target / name} cannot be read: {error.strerror or error}") from None
        if hashlib.sha256(weights).hexdigest() == digest:
            return weights
    return None


def _changed(path: Path) -> UserError:
    return UserError(f"{path} does not match its checksum: it was changed; copy the model again")


def _tensors(target: Path, weights: bytes) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    try:
        return load(weights)
    except Exception as error:  # its reader raises many kinds for a header that lies
        raise UserError(
            f"{target / _WEIGHTS} cannot be read ({error!s:.200}): copy the model again"
        ) from None
