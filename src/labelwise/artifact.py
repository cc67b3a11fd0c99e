"""The model directory: ``model.json`` and ``weights.safetensors``, in and out. Nothing in it can execute."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.errors import UserError, listed

__all__ = ["FORMAT", "read", "write"]

FORMAT = 1
_CONFIG, _WEIGHTS = "model.json", "weights.safetensors"


def write(path: str | Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a model directory at ``path``, whole or not at all.

    An existing model directory there is replaced; any other non-empty folder is refused with ``UserError``.
    """
    from safetensors.numpy import save

    target = Path(path)
    if target.is_file() or (target.is_dir() and not _replaceable(target)):
        raise UserError(f"{target} exists and is not a model directory: give another path, or empty it")
    weights = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    record = _plain({"format": FORMAT, **config, "weights_sha256": hashlib.sha256(weights).hexdigest()})
    text = json.dumps({**record, "sha256": _checksum(record)}, indent=2, sort_keys=True, allow_nan=False)
    drafts: list[Path] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        drafts.append(Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)))
        draft = drafts[0] / "new"
        draft.mkdir()
        (draft / _WEIGHTS).write_bytes(weights)
        (draft / _CONFIG).write_text(text + "\n", encoding="utf-8")
        _swap(draft, target, drafts[0] / "old")
    except OSError as error:
        raise UserError(f"the model could not be written to {target}: {error.strerror or error}") from error
    finally:
        for folder in drafts:
            shutil.rmtree(folder, ignore_errors=True)


def _replaceable(target: Path) -> bool:
    """Whether a folder is empty or holds a model and nothing else."""
    present = {entry.name for entry in target.iterdir()}
    return not present or (_CONFIG in present and present <= {_CONFIG, _WEIGHTS})


def _swap(draft: Path, target: Path, aside: Path) -> None:
    """Put ``draft`` in the place of ``target``, which comes back if that fails."""
    had = target.exists()
    if had:
        os.replace(target, aside)
    try:
        os.replace(draft, target)
    except OSError:
        if had:
            os.replace(aside, target)
        raise


def _checksum(record: Mapping[str, Any]) -> str:
    """Return the digest of the configuration itself, in one spelling."""
    told = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return plain data as JSON reads it back; a number that is not finite is undefined, None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the configuration and the tensors of a model directory.

    Anything but exactly the two files of a known format, both as their checksums say, is refused with ``UserError``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    target = Path(path)
    if not target.is_dir():
        raise UserError(f"{target} is not a model directory: give the folder that save() or 'train' wrote")
    present = {entry.name for entry in target.iterdir()}
    missing, extra = {_CONFIG, _WEIGHTS} - present, present - {_CONFIG, _WEIGHTS}
    if missing:
        raise UserError(f"{target} is not a whole model directory: {listed(sorted(missing))} is missing")
    if extra:
        raise UserError(
            f"{target} holds files that no model has ({listed(sorted(extra))}): remove them if you trust the rest"
        )
    if any((target / name).is_symlink() or not (target / name).is_file() for name in present):
        raise UserError(f"{target} holds links or folders: a model directory holds two files of its own")
    try:
        config = json.loads((target / _CONFIG).read_text(encoding="utf-8"))
        weights = (target / _WEIGHTS).read_bytes()
    except OSError as error:
        raise UserError(f"{target} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{target / _CONFIG} is not valid JSON ({error}): copy the model again") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else None
        raise UserError(
            f"{target} has format {found!r}, this version of labelwise reads {FORMAT}: use the version that wrote it"
        )
    sums = {
        _CONFIG: (_checksum(config), config.get("sha256")),
        _WEIGHTS: (hashlib.sha256(weights).hexdigest(), config.get("weights_sha256")),
    }
    for name, (is_now, was) in sums.items():
        if is_now != was:
            raise UserError(
                f"{target / name} does not match its checksum: it was changed; copy the model again"
            )
    try:
        return config, load(weights)
    except SafetensorError as error:
        raise UserError(f"{target / _WEIGHTS} cannot be read ({error}): copy the model again") from None
