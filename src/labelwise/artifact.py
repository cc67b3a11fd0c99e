"""The model directory: ``model.json`` and ``weights.safetensors``, in and out. Nothing in it can execute."""

from __future__ import annotations

import hashlib
import json
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
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / _CONFIG).exists()):
        raise UserError(f"{target} exists and is not a model directory: give another path, or empty it")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        weights = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
        (draft / _WEIGHTS).write_bytes(weights)
        record = {"format": FORMAT, **config, "weights_sha256": hashlib.sha256(weights).hexdigest()}
        text = json.dumps(record, indent=2, sort_keys=True, allow_nan=False)
        (draft / _CONFIG).write_text(text + "\n", encoding="utf-8")
        draft.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            os.replace(target, old / "old")
            os.replace(draft, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(draft, target)
    except OSError as error:
        raise UserError(f"the model could not be written to {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the configuration and the tensors of a model directory.

    Anything but exactly the two files of a known format, with weights that match their checksum, is refused with
    ``UserError``.
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
        raise UserError(f"{target} holds links: a model directory holds its own files only")
    try:
        config = json.loads((target / _CONFIG).read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{target / _CONFIG} is not valid JSON ({error}): copy the model again") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else None
        raise UserError(
            f"{target} has format {found!r}, this version of labelwise reads {FORMAT}: use the version that wrote it"
        )
    weights = (target / _WEIGHTS).read_bytes()
    if hashlib.sha256(weights).hexdigest() != config.get("weights_sha256"):
        raise UserError(
            f"{target / _WEIGHTS} does not match its checksum: it was changed; copy the model again"
        )
    try:
        return config, load(weights)
    except SafetensorError as error:
        raise UserError(f"{target / _WEIGHTS} cannot be read ({error}): copy the model again") from None
