"""What keeps an accelerator from waiting: data kept there, losses read together.

On the CPU nothing changes: rows are drawn as before, and every loss is read at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.annotations import ListedStates, States, dense_states
from labelwise.data import Capabilities, Source
from labelwise.targets import ItemState

_READ_EVERY = 64
_SHARE = 0.5
_BYTES = 1 << 30


def to_device(tensor: Tensor, device: torch.device, layout: torch.memory_format | None = None) -> Tensor:
    """Return the tensor on the device, without waiting for its work.

    A copy from memory that can be swapped out would wait; one from pinned memory does not. ``layout`` is that of
    pictures (B, C, H, W), and nothing to other tensors.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    moved = tensor.to(device, non_blocking=device.type == "cuda")
    return moved.contiguous(memory_format=layout) if layout is not None and moved.ndim == 4 else moved


def memory_format(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Return how pictures lie in memory: channels last where CUDA's convolutions are fastest so."""
    convolves = any(isinstance(module, nn.Conv2d) for module in network.modules())
    return torch.channels_last if device.type == "cuda" and convolves else torch.contiguous_format


def _fits(device: torch.device, size: int) -> bool:
    """Whether ``size`` bytes leave the device at least half of its free memory."""
    if device.type == "cuda":
        return size <= _SHARE * torch.cuda.mem_get_info(device)[0]
    return size <= _BYTES


class DeviceRows:
    """Rows of labels, features and item state, kept on an accelerator where they fit.

    Features are kept where the source has them as a matrix, so that its weak and plain views are rows of it. Item
    state is kept from the second step on in which it did not change: methods write it once an epoch, or every step.

    Attributes:
        views: The views that ``inputs`` gives; empty where features are drawn by the source.
    """

    def __init__(self, labels: States, source: Source, state: ItemState, device: torch.device) -> None:
        self._device, self._given, self._state = device, labels, state
        self._labels = self._features = None
        self._slots: dict[str, Tensor] = {}
        self._version, self._slots_version = state.version, -1
        if device.type == "cpu":
            self.views: tuple[str, ...] = ()
            return
        matrix = Capabilities(source).matrix
        if not isinstance(labels, ListedStates) and _fits(device, labels.nbytes):
            self._labels = torch.from_numpy(labels).to(device)
        if matrix is not None and _fits(device, matrix.nbytes):
            self._features = torch.from_numpy(np.ascontiguousarray(matrix)).to(device)
        self.views = () if self._features is None else ("weak", "plain")

    def labels(self, index: Tensor, rows: np.ndarray) -> Tensor:
        """Return the labels (b, K) of rows, whose numbers stand in ``index`` on the device too."""
        if self._labels is not None:
            return self._labels[index]
        return to_device(torch.from_numpy(dense_states(self._given[rows])), self._device)

    def inputs(self, index: Tensor) -> Tensor:
        """Return the features (b, D) of rows; only where ``views`` has the view."""
        assert self._features is not None
        return self._features[index]

    def state(self, index: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the rows of every slot of the item state."""
        still = self._state.version == self._version
        self._version = self._state.version
        if self._device.type == "cpu" or not still or not self._keep_slots():
            return {name: to_device(value, self._device) for name, value in self._state.take(rows).items()}
        return {name: value[index] for name, value in self._slots.items()}

    def _keep_slots(self) -> bool:
        if self._slots_version != self._version:
            arrays = self._state.arrays()
            self._slots = {}
            if not _fits(self._device, sum(array.nbytes for array in arrays.values())):
                return False
            # Copies: some devices would else share what the method writes.
            copies = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
            self._slots = {name: to_device(copy, self._device) for name, copy in copies.items()}
            self._slots_version = self._version
        return True


class StepLoss(NamedTuple):
    """A step's loss: its number in the epoch, its items, and the value."""

    step: int
    items: int
    value: float


class PendingLosses:
    """Losses of steps that the device may still be computing.

    Reading one waits for everything before it, so that a step after which it is read leaves the device idle while the
    next is prepared. On the CPU there is nothing to wait for: they are due at once.
    """

    def __init__(self, device: torch.device) -> None:
        self._every = 1 if device.type == "cpu" else _READ_EVERY
        self._steps: list[tuple[int, int]] = []
        self._values: list[Tensor] = []

    @property
    def due(self) -> bool:
        """Whether enough have come together."""
        return len(self._values) >= self._every

    def add(self, step: int, items: int, value: Tensor) -> None:
        """Add the loss of a step, a scalar on the device."""
        self._steps.append((step, items))
        self._values.append(value.detach())

    def read(self) -> Iterator[StepLoss]:
        """Yield those not yet read, in order."""
        steps, values = self._steps, self._values
        self._steps, self._values = [], []
        if values:
            numbers = [float(values[0])] if len(values) == 1 else torch.stack(values).tolist()
            for (step, items), value in zip(steps, numbers, strict=True):
                yield StepLoss(step, items, value)
