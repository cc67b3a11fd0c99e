"""Settings of a run (device, precision, seed, checkpoints), and its Fabric."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import torch

from labelwise.engine.processes import lost_processes, start_processes
from labelwise.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


@dataclass(frozen=True)
class Settings:
    """The engine's settings.

    Attributes:
        seed: Seed of every choice of the engine.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        devices: Number of processes of a node, one a device.
        nodes: Number of machines.
        precision: ``"32"``, ``"bf16"`` or ``"16"`` (autocast).
        accumulate: Number of batches whose gradients make one update.
        patience: Number of epochs without a better validation score after which training stops, or None.
        keep_best: Return the network of the epoch with the best validation score, as patience does.
        directory: Folder of checkpoints, history and large item state, or None to keep everything in memory.
        checkpoint_seconds: The longest time between two checkpoints inside an epoch.
        memory: Bytes past which stored features and item state are memory-mapped.
        compile: Compile the forward pass of the steps by ``torch.compile``; results are equal to rounding.
    """

    seed: int = 0
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32"
    accumulate: int = 1
    patience: int | None = None
    keep_best: bool = False
    directory: Path | None = None
    checkpoint_seconds: float = 60.0
    memory: int = 4 << 30
    compile: bool = False

    @property
    def chooses_epoch(self) -> bool:
        """Whether the best epoch's network is returned instead of the last."""
        return self.keep_best or self.patience is not None

    def __post_init__(self) -> None:
        if self.precision not in _PRECISIONS:
            raise UserError(f"precision={self.precision!r}: it is one of {', '.join(_PRECISIONS)}")
        if self.accumulate < 1:
            raise UserError(f"accumulate={self.accumulate}: it is a whole number from 1")
        if self.patience is not None and self.patience < 1:
            raise UserError(f"patience={self.patience}: it is a whole number from 1, or None")


def make_fabric(settings: Settings) -> Fabric:
    """Return Fabric for the settings' devices and precision.

    It is launched where there are several processes.

    Raises:
        UserError: For a device or a precision that this machine does not have.
    """
    with _version_alone("torchmetrics"):
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    if settings.precision == "16" and (settings.device == "cpu" or not torch.cuda.is_available()):
        raise UserError("precision='16' needs a GPU: take 'bf16' or '32' on the CPU")
    log = logging.getLogger("lightning_fabric.utilities.rank_zero")
    level = log.level
    try:
        log.setLevel(logging.WARNING)
        fabric = Fabric(
            accelerator=settings.device,
            devices=settings.devices,
            num_nodes=settings.nodes,
            precision=_PRECISIONS[settings.precision],
            # One process asks no cluster: to look for one imports mpi4py where it is installed, which takes seconds.
            plugins=LightningEnvironment() if settings.devices == settings.nodes == 1 else None,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"device={settings.device!r}, devices={settings.devices}: {error}") from None
    finally:
        log.setLevel(level)
    if (count := settings.devices * settings.nodes) > 1:
        start_processes(fabric, settings.devices, count)
        with lost_processes(count):
            fabric.launch()
    return fabric


@cache
def _stand_in(package: str) -> ModuleType | None:
    """Return a module with an installed package's version and nothing else; to read it takes as long as a small fit."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    module = ModuleType(package)
    module.__spec__ = spec
    try:
        module.__version__ = importlib.metadata.version(package)  # type: ignore[attr-defined]
    except importlib.metadata.PackageNotFoundError:
        return None
    return module


@contextmanager
def _version_alone(package: str) -> Iterator[None]:
    """Let imports see an installed package's version without importing it.

    Fabric imports torchmetrics, where it is installed, to compare its version: with transformers behind it that takes
    5 s of a first fit.
    """
    stand_in = None if package in sys.modules else _stand_in(package)
    if stand_in is None:
        yield
        return
    sys.modules[package] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(package) is stand_in:
            del sys.modules[package]
