"""Loggers by the names that ``labelwise train --log`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from labelwise.errors import UserError, near, repeated, shown
from labelwise.tracking.base import MetricLog
from labelwise.tracking.csv_log import CsvLog
from labelwise.tracking.mlflow_log import MlflowLog
from labelwise.tracking.tensorboard_log import TensorBoardLog
from labelwise.tracking.wandb_log import WandbLog

LOGS: dict[str, Callable[[Path], MetricLog]] = {
    "csv": lambda folder: CsvLog(folder / "log.csv"),
    "tensorboard": lambda folder: TensorBoardLog(folder / "tensorboard"),
    "mlflow": lambda folder: MlflowLog(folder / "mlflow"),
    "wandb": lambda folder: WandbLog(folder / "wandb"),
}
"""What makes a logger under a folder."""


def open_logs(names: Iterable[str], folder: str | Path) -> list[MetricLog]:
    """Return the loggers of these names, each under ``folder``.

    Raises:
        UserError: For a name that is none, and for one that stands there twice.
    """
    names = list(names)
    for name in names:
        if name not in LOGS:
            raise UserError(f"log (--log) {shown(name)} does not exist; {near(str(name), LOGS)}")
    if twice := repeated(names):
        raise UserError(f"log (--log) {shown(twice[0])} is named twice: name it once")
    return [LOGS[name](Path(folder)) for name in names]
