"""How many threads a training step is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_SMALL = 2e7


@contextmanager
def step_threads(network: nn.Module, batch_size: int) -> Iterator[None]:
    """Use one thread while the steps are small: waking a second core costs more than it saves.

    On a busy machine it costs most of the time: each tiny product waits for a thread that does not run. Small is a
    network on the CPU without convolutions, of less than 2e7 multiplications in a batch. The caller's number of
    threads comes back afterwards.
    """
    parameters = list(network.parameters())
    work = batch_size * sum(p.numel() for p in parameters)
    small = work < _SMALL and all(p.ndim <= 2 and p.device.type == "cpu" for p in parameters)
    before = torch.get_num_threads()
    if not small or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
