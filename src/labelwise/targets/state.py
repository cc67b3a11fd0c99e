"""Item state: arrays per entry or item that live between epochs.

They are in memory or in a memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch


@dataclass(frozen=True)
class Slot:
    """Declaration of one array of item state.

    Attributes:
        dtype: a NumPy dtype name.
        per: ``"entry"`` stores (n, K) values, ``"item"`` (n,).
        fill: the value that every place starts with.
    """

    dtype: str
    per: Literal["entry", "item"] = "entry"
    fill: float = 0


class ItemState:
    """The arrays of a method's slots for n items and K labels.

    Slots whose arrays together pass ``budget`` bytes live in memory-mapped files under ``directory`` (which is then
    required). ``version`` counts the changes, so that a checkpoint copies the arrays only when they moved.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        n_items: int,
        n_labels: int,
        *,
        budget: int = 4 << 30,
        directory: str | Path | None = None,
    ) -> None:
        self.slots = dict(slots)
        self.version = 0
        shapes = {k: (n_items, n_labels) if s.per == "entry" else (n_items,) for k, s in self.slots.items()}
        size = sum(int(np.prod(shapes[k])) * np.dtype(s.dtype).itemsize for k, s in self.slots.items())
        self.mapped = size > budget and directory is not None
        self._arrays: dict[str, np.ndarray] = {}
        for name, slot in self.slots.items():
            if self.mapped:
                path = Path(str(directory)) / f"state-{name}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                self._arrays[name] = np.lib.format.open_memmap(path, "w+", np.dtype(slot.dtype), shapes[name])
            else:
                self._arrays[name] = np.empty(shapes[name], slot.dtype)
            self._arrays[name][...] = slot.fill

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the array itself, to read; ``write`` alone may change it."""
        return self._arrays[name]

    def take(self, index: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the rows ``index`` (b,) of every slot as new CPU tensors."""
        return {name: torch.from_numpy(array[index]) for name, array in self._arrays.items()}

    def write(self, name: str, values: np.ndarray, index: np.ndarray | slice | None = None) -> None:
        """Set the rows ``index`` (all without one) of slot ``name``."""
        self._arrays[name][slice(None) if index is None else index] = values
        self.version += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every slot's array by name, as a checkpoint stores them."""
        return dict(self._arrays)

    def restore(self, arrays: Mapping[str, np.ndarray], version: int) -> None:
        """Set every slot from a checkpoint's arrays."""
        for name, array in self._arrays.items():
            array[...] = arrays[name]
        self.version = version
