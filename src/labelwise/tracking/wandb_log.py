"""Log for Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.tracking.base import MetricLog, library


class WandbLog(MetricLog):
    """Run of Weights & Biases, offline unless asked otherwise: ``wandb sync`` sends it.

    Args:
        folder: Where the run is written.
        project: Name of the project.
        mode: ``"offline"``, ``"online"`` or ``"disabled"``.
    """

    def __init__(self, folder: str | Path, project: str = "labelwise", mode: str = "offline") -> None:
        self.folder, self.project, self.mode = Path(folder), project, mode
        self._library = library("wandb", "wandb", "wandb")
        self._run: Any = None

    def begin(self, parameters: Mapping[str, str]) -> None:
        """Start a run with the parameters as its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run = self._library.init(
            project=self.project,
            dir=str(self.folder),
            mode=self.mode,
            config=dict(parameters),
            settings=self._library.Settings(silent=True, symlink=False),
        )
        self._drop_links()

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers of an epoch.

        The epoch is one of the numbers, since its own step may only rise, and every part of a fit begins at 1.
        """
        self._run.log({**numbers, "epoch": step})

    def end(self, figures: Mapping[str, float]) -> None:
        """Write the final figures, and end the run."""
        self._run.summary.update(dict(figures))
        self._run.finish()
        self._drop_links()

    def fail(self, reason: str) -> None:
        """End the run as failed, with the reason in its summary."""
        if self._run is not None:
            self._run.summary.update({"reason": reason[:500]})
            self._run.finish(exit_code=1)
            self._drop_links()

    def _drop_links(self) -> None:
        """Remove the library's links to its own log in a cache: a run directory with a link is not resumed."""
        for path in self.folder.glob("wandb/*/logs/*"):
            if path.is_symlink():
                path.unlink()
