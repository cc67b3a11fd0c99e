"""History of a run, one record an epoch, and progress bars."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from labelwise._files import append, write
from labelwise.errors import UserError


class History:
    """A list of records; with a directory, also its ``history.jsonl``."""

    def __init__(self, directory: Path | None) -> None:
        self.records: list[dict[str, Any]] = []
        self._noted: dict[str, Any] = {}
        self._path = directory / "history.jsonl" if directory is not None else None

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts for the epoch under way; they join its record."""
        self._noted |= facts

    def add(self, record: dict[str, Any]) -> None:
        """Append a record, with what was noted for it."""
        record |= self._noted
        self._noted = {}
        self.records.append(record)
        self._write([record], append)

    def replace(self, records: list[dict[str, Any]]) -> None:
        """Set all records, as after a resume, and rewrite the file."""
        self.records = list(records)
        self._write(self.records, write)

    def _write(self, records: list[dict[str, Any]], put: Callable[[Path, str], None]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(record) + "\n" for record in records)
            put(self._path, text)
        except OSError as error:
            raise UserError(
                f"{self._path} could not be written ({error.strerror or error}): mend that and run the same again"
                " (--resume on the command line)"
            ) from error


class Progress(Protocol):
    """Receives the course of a run."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """Begin a stage of ``steps`` steps, of which ``done`` are behind us."""

    def step(self, items: int, loss: float) -> None:
        """Count a step; ``loss`` is NaN for a pass without training."""

    def epoch(self, record: dict[str, float | int | str]) -> None:
        """Show an epoch's record."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """Ignore a stage."""

    def step(self, items: int, loss: float) -> None:
        """Ignore a step."""

    def epoch(self, record: dict[str, float | int | str]) -> None:
        """Ignore an epoch."""


class RichProgress:
    """A Rich progress bar on standard error, one task a stage.

    It shows items a second and the time left.
    """

    def __init__(self, title: str = "") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._title = title
        self._items = 0
        self._since = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, steps: int, done: int) -> None:
        """Begin a stage's bar."""
        import time

        self._items, self._since = 0, time.perf_counter()
        title = f"{self._title} · {name}" if self._title else name
        self._task = self._bars.add_task(title, total=steps, completed=done, rate="", note="")

    def step(self, items: int, loss: float) -> None:
        """Advance the bar."""
        import time

        self._items += items
        rate = self._items / max(time.perf_counter() - self._since, 1e-9)
        note = "" if math.isnan(loss) else f"loss {loss:.4g}"
        self._bars.update(self._task, advance=1, rate=f"{rate:,.0f} items/s", note=note)

    def epoch(self, record: dict[str, float | int | str]) -> None:
        """Show the validation score, where there is one."""
        if "validation" in record:
            self._bars.update(
                self._task, note=f"loss {record['loss']:.4g}  validation {record['validation']:.4f}"
            )
