"""Log for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.tracking.base import MetricLog, library


class TensorBoardLog(MetricLog):
    """Scalars by epoch, parameters as a text: ``tensorboard --logdir FOLDER`` shows them.

    Args:
        folder: The folder of event files.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._library = library("torch.utils.tensorboard", "tensorboard", "tensorboard")
        self._writer: Any = None
        self._step = 0

    def begin(self, parameters: Mapping[str, str]) -> None:
        """Open an event file, and write the parameters."""
        self._writer, self._step = self._library.SummaryWriter(str(self.folder)), 0
        rows = [f"| {name} | {value.replace('|', '/')} |" for name, value in sorted(parameters.items())]
        self._writer.add_text("parameters", "\n".join(["| | |", "|---|---|", *rows]))

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers of an epoch."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._step = step
        self._writer.flush()

    def end(self, figures: Mapping[str, float]) -> None:
        """Write the final figures, and close the file."""
        self.write(figures, self._step)
        self._writer.close()

    def fail(self, reason: str) -> None:
        """Write the reason, and close the file."""
        if self._writer is not None:
            self._writer.add_text("stopped", reason, self._step)
            self._writer.close()
