"""How a run is carried out: device, precision, seed, checkpoints; nothing that a method decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labelwise.errors import UserError

_PRECISIONS = ("32", "bf16", "16")


@dataclass(frozen=True)
class Settings:
    """The engine's settings.

    ``device`` is ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; ``precision`` ``"32"``, ``"bf16"`` or ``"16"``
    (autocast); ``accumulate`` the number of batches whose gradients make one update; ``patience`` the number of
    epochs without a better validation score after which training stops, or None; ``keep_best`` returns the network of
    the epoch with the best validation score, as patience does; ``directory`` where checkpoints, history and large
    item state go, or None to keep everything in memory; ``checkpoint_seconds`` the longest time between two
    checkpoints inside an epoch; ``memory`` the bytes past which stored features and item state are memory-mapped.
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
