"""A text network's forward pass as one program, which starts fast and leaves Python to other threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelwise.models import one_thread

Forward = Callable[[Tensor], Tensor]


def traced(module: nn.Module, text: Tensor, pad_id: int, *, half: bool) -> Forward | None:
    """Return the module's forward pass as a program without Python.

    Half of the time of a few short texts is Python's, which keeps every other thread of a server waiting. None where
    torch cannot trace the module, or its program does not give the same to the bit for texts of other shapes.

    Args:
        module: Takes token ids (B, T); in evaluation mode, on the CPU. Its parameters lose their gradients.
        text: (1, T) ids of a text.
        half: Whether autocast casts operations to bfloat16, as the program then does by itself.
    """
    padded = functional.pad(text, (0, 3), value=pad_id).repeat(3, 1)
    padded[1, 1 + text.shape[1] // 2 :] = pad_id
    shorter = text[:, : 1 + text.shape[1] // 2].repeat(2, 1)
    try:
        program = _program(module, padded, half)
        return program if _same(module, program, (padded, text, shorter), half) else None
    except Exception:  # whatever torch cannot trace stays as it is
        return None


def _program(module: nn.Module, example: Tensor, half: bool) -> Forward:
    trace: Any = torch.jit.trace
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without autocast's memory, casts of weights are part of the program, and freezing does them once.
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=False):
            found = trace(module.requires_grad_(False), (example,), check_trace=False, strict=False)
        # Outside of autocast, under which a program casts more than the module does.
        frozen = torch.jit.freeze(found, optimize_numerics=False)

    def program(batch: Tensor) -> Tensor:
        with one_thread(), torch.no_grad(), torch.autocast("cpu", enabled=False):
            return cast(Tensor, frozen(batch))

    return program


def _same(module: nn.Module, program: Forward, batches: Sequence[Tensor], half: bool) -> bool:
    with one_thread(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return all(torch.equal(module(batch), program(batch)) for batch in batches)
