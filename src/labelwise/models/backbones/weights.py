"""Weights from untrusted files, and a bound on what they may allocate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labelwise.errors import UserError, listed

_TORCH = (".pt", ".pth", ".bin")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# counters and constants that files of other versions have or lack
_IDLE = ("num_batches_tracked", "position_ids")
_SMALL, _PARTS = 1 << 14, 64


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU.

    ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` read with ``weights_only=True``; of a checkpoint the entry
    ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        UserError: For a file that is missing, damaged or of another kind.
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
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
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
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {str(name): value for name, value in content.items()} if isinstance(content, Mapping) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"weights file {path} holds no table of tensors; save the model's state_dict()")
    return tensors


def load_weights(module: nn.Module, path: str | Path, *, optional: Sequence[str] = ()) -> list[str]:
    """Load a weights file into a module; return ``optional`` names it lacks.

    ``optional`` are beginnings of names. A common prefix of the file's names (``module.``, ``bert.``) is taken off.
    Names of parts that the module does not have at all, as a classifier's, are passed over.

    Raises:
        UserError: For any other difference of names or shapes.
    """
    expected, stored = module.state_dict(), read_weights(path)
    if not expected:
        raise UserError(f"weights file {path} cannot be used: this backbone has no weights")
    prefix = _prefix(expected, stored)
    state = {name[len(prefix) :]: value for name, value in stored.items() if name.startswith(prefix)}
    parts = {name.split(".")[0] for name in expected}
    missing = [name for name in expected if name not in state and not name.endswith(_IDLE)]
    absent = [name for name in missing if name.startswith(tuple(optional))]
    missing = [name for name in missing if name not in absent]
    extra = [name for name in state if name not in expected and name.split(".")[0] in parts]
    extra = [name for name in extra if not name.endswith(_IDLE)]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    faults = [
        f"{words} {listed(names, 3)}"
        for words, names in (("lacks", missing), ("has beside", extra), ("has the shapes", shapes))
        if names
    ]
    if faults:
        raise UserError(f"weights file {path} is of another model: it {'; it '.join(faults)}")
    module.load_state_dict({name: state[name] for name in expected if name in state}, strict=False)
    return absent


def _prefix(expected: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> str:
    """Return the prefix of stored names that fits most expected ones."""
    names = [name for name in expected if not name.endswith(_IDLE)]
    # a few names are enough to see the prefix, even where the file lacks some of them
    some = names[:: max(1, len(names) // 8)]
    candidates = {key[: -len(name)] for name in some for key in stored if key.endswith(f".{name}")}
    return max(
        ["", *sorted(candidates)], key=lambda prefix: sum(prefix + name in stored for name in expected)
    )


class Allowance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse new tensors inside that exceed the sizes of the stored weights.

    No tensor may be larger than the largest of ``sizes``. So a record that declares more than its weights hold is
    refused before room is made for it, and one that declares more layers than there are weights before all of them are
    made. Numbers that are no weights may take as much as 4 times the weights.

    Raises:
        UserError: Inside, at the first tensor that is too large or too many.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        sizes = list(sizes)
        self._largest = max([_SMALL, *sizes])
        self._left = 4 * (sum(sizes) + self._largest)
        self._count = _PARTS * (len(sizes) + _PARTS)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # No network is compiled in here, and to shield what compiles costs a second of imports.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Measure each new tensor on the meta device before it is made."""
        kwargs = dict(kwargs or {})
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs))):
            planned = (
                func(*args, **{**kwargs, "device": torch.device("meta")}) if "device" in kwargs else None
            )
            if isinstance(planned, Tensor):
                self._take(planned, torch.device(kwargs["device"] or "cpu"))
        return func(*args, **kwargs)

    def _take(self, planned: Tensor, device: torch.device) -> None:
        numbers = 0 if device.type == "meta" else planned.numel()
        self._left, self._count = self._left - numbers, self._count - 1
        if numbers > self._largest or self._left < 0 or self._count < 0:
            raise UserError(
                f"it declares an array of shape {tuple(planned.shape)}, which its weights do not hold"
                if numbers > self._largest
                else "it declares more arrays than its weights hold"
            )
