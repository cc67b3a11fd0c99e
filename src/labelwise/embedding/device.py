"""Where and in which precision features are computed: decided by what the machine can do, never by a stopwatch.

The precision is part of the key under which features are kept, so the same machine must always choose the same.
"""

from __future__ import annotations

import torch

from labelwise.errors import UserError, near

_PRECISIONS = ("auto", "32", "bf16")


def choose_device(device: str | torch.device) -> torch.device:
    """Return the device; "auto" is CUDA, else Apple's MPS, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError:
            raise UserError(
                f"device {device!r} does not exist: give 'auto', 'cpu', 'cuda' or 'mps'"
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device, kind: str | None) -> str:
    """Return "32" or "bf16".

    "auto" is bf16 for pictures and texts (``kind``) where the device multiplies bfloat16 in hardware: CUDA from
    Ampere on, and processors with AVX512-BF16 or AMX. Elsewhere bfloat16 is emulated, and slower than float32.
    """
    if precision not in _PRECISIONS:
        raise UserError(f"precision={precision!r} does not exist; {near(precision, _PRECISIONS)}")
    if precision != "auto":
        return precision
    return "bf16" if kind in ("image", "text") and _multiplies_bfloat16(device) else "32"


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, flag, bool)()) for flag in flags)
