"""Weights from a local file: safetensors, or PyTorch's own format read without unpickling objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, listed

_TORCH = (".pt", ".pth", ".bin")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# counters and constants that files of other versions have or lack
_IDLE = ("num_batches_tracked", "position_ids")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU.

    ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` read with ``weights_only=True``; of a checkpoint the entry
    ``state_dict``, ``model_state_dict`` or ``model``. Raise UserError for a file that is missing, damaged or of
    another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"weights file {path} does not exist; give the path of a .safetensors, .pt or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if path.suffix not in _TORCH:
            raise UserError(f"weights file {path} is neither .safetensors nor {', '.join(_TORCH)}")
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except UnpicklingError as error:  # whose own words tell how to run what the file holds
        raise UserError(
            f"weights file {path} cannot be read as tensors only: it is damaged or holds other objects; save the"
            " model's state_dict()"
        ) from error
    except Exception as error:  # both readers raise many kinds for damaged files
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"weights file {path} cannot be read as tensors only: {reason:.200}") from error
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = {str(name): value for name, value in found.items()} if isinstance(found, Mapping) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"weights file {path} holds no table of tensors; save the model's state_dict()")
    return tensors


def load_weights(module: nn.Module, path: str | Path, *, optional: Sequence[str] = ()) -> list[str]:
    """Load a weights file into ``module`` and return the names it lacks among the ``optional`` (by their start).

    A common prefix of the file's names (``module.``, ``bert.``) is taken off. Names of parts that the module does
    not have at all, as a classifier's, are passed over; any other difference of names or shapes raises UserError.
    """
    own, stored = module.state_dict(), read_weights(path)
    if not own:
        raise UserError(f"weights file {path} cannot be used: this backbone has no weights")
    prefix = _prefix(own, stored)
    given = {name[len(prefix) :]: value for name, value in stored.items() if name.startswith(prefix)}
    parts = {name.split(".")[0] for name in own}
    missing = [name for name in own if name not in given and not name.endswith(_IDLE)]
    absent = [name for name in missing if name.startswith(tuple(optional))]
    missing = [name for name in missing if name not in absent]
    extra = [name for name in given if name not in own and name.split(".")[0] in parts]
    extra = [name for name in extra if not name.endswith(_IDLE)]
    shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    faults = [
        f"{words} {listed(names, 3)}"
        for words, names in (("lacks", missing), ("has beside", extra), ("has the shapes", shapes))
        if names
    ]
    if faults:
        raise UserError(f"weights file {path} is of another model: it {'; it '.join(faults)}")
    module.load_state_dict({name: given[name] for name in own if name in given}, strict=False)
    return absent


def _prefix(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> str:
    """Return the prefix of the stored names under which most of the module's own are found."""
    names = [name for name in own if not name.endswith(_IDLE)]
    # a few names are enough to see the prefix, even where the file lacks some of them
    some = names[:: max(1, len(names) // 8)]
    candidates = {key[: -len(name)] for name in some for key in stored if key.endswith(f".{name}")}
    return max(["", *sorted(candidates)], key=lambda prefix: sum(prefix + name in stored for name in own))
