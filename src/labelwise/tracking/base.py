"""Logger of numbers, whatever they are written to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from labelwise.classifier import Callback, EpochView, FitEnd, FitStart
from labelwise.errors import UserError


class MetricLog(Callback):
    """Logger that turns what a fit says into parameters, numbers by step, and final figures.

    The numbers of an epoch are those of ``history_``: ``loss``, ``learning_rate``, ``items_per_second``, ``seconds``,
    and ``validation`` where rows are held out. Those of runs on fewer rows, which choose, are named ``selection/loss``.
    """

    def begin(self, parameters: Mapping[str, str]) -> None:
        """Open the log, and write the parameters."""

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers of an epoch."""
        raise NotImplementedError

    def end(self, figures: Mapping[str, float]) -> None:
        """Write the final figures, and close the log."""

    def fail(self, reason: str) -> None:
        """Close the log of a fit that was refused or stopped."""

    def on_fit_start(self, fit: FitStart) -> None:
        """Open the log with method, data and options as parameters."""
        facts: dict[str, Any] = {
            "method": fit.method,
            "items": fit.n_items,
            "labels": len(fit.label_names),
            "setting": fit.setting,
        }
        hyperparameters = {f"hyperparameters.{name}": value for name, value in fit.hyperparameters.items()}
        given = {name: value for name, value in fit.options.items() if name != "hyperparameters"}
        self.begin({name: _short(value) for name, value in {**given, **hyperparameters, **facts}.items()})

    def on_epoch(self, epoch: EpochView) -> None:
        """Write the epoch's numbers."""
        at = "" if epoch.part == "final" else f"{epoch.part}/"
        numbers = {
            at + name: float(value)
            for name, value in epoch.record.items()
            if isinstance(value, int | float) and name != "epoch"
        }
        self.write(numbers, epoch.epoch)

    def on_fit_end(self, fit: FitEnd) -> None:
        """Write the validation figures and the time, and close the log."""
        figures = {f"figures/{name}": float(value) for name, value in (fit.figures or {}).items()}
        # One that is undefined is NaN, which not every log can hold.
        kept = {name: value for name, value in figures.items() if not math.isnan(value)}
        self.end({**kept, "seconds_of_fit": fit.seconds})

    def on_fit_error(self, error: BaseException) -> None:
        """Close the log with the reason."""
        self.fail(f"{type(error).__name__}: {error}")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 250 else text[:247] + "..."


def library(name: str, log: str, package: str) -> Any:
    """Return an imported library of the extra ``tracking``, or say in one line how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"log {log!r} needs {package}: pip install {package}, or take another ({' '.join(str(error).split()):.120})"
        ) from error
