"""One device a worker, by the variable that says which devices a process sees."""

from __future__ import annotations

import os
import re

from labelwise.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_devices(device: str) -> str:
    """Return what ``CUDA_VISIBLE_DEVICES`` is for a process that has one device: "cpu", "cuda" (the first) or "cuda:N".

    N counts, from 0, the devices that this process sees.

    Raises:
        UserError: For another word, and a device that is not there.
    """
    if device == "cpu":
        return ""
    told = re.fullmatch(r"cuda(?::([0-9]{1,4}))?", str(device))
    if told is None:
        raise UserError(f"device {device!r} does not exist: give 'cpu', 'cuda' or 'cuda:N'")
    import torch

    number, count = int(told[1] or 0), torch.cuda.device_count()
    if number >= count:
        found = f"there are {count}, counted from 0" if count else "there is none here"
        raise UserError(f"device {device!r} is not there: of CUDA's devices {found}")
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return names[number] if number < len(names) else str(number)
