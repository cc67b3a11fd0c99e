"""History of a run, one record an epoch, and progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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
        self._items, self._since = 0, time.perf_counter()
        title = f"{self._title} · {name}" if self._title else name
        self._task = self._bars.add_task(title, total=steps, completed=done, rate="", note="")

    def step(self, items: int, loss: float) -> None:
        """Advance the bar."""
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


class Pace:
    """Tells when a line of progress is due: some seconds after the last one, none sooner.

    One is shared by all that a process does, so that many short trainings write no more lines than one long one.
    """

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._last: float | None = None

    def due(self) -> bool:
        """Return whether a line is due; if so, the next is due as many seconds later."""
        now = self._clock()
        if self._last is None:
            self._last = now
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


PACE = Pace()
"""The pace of this process."""


def write_line(text: str) -> None:
    """Write a line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)


class LineProgress:
    """Progress as lines where no terminal is: one every ten seconds, none sooner.

    A line says the step, the rate and the time left.
    """

    def __init__(
        self,
        title: str = "",
        pace: Pace | None = None,
        write: Callable[[str], None] = write_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._pace, self._write, self._clock = title, pace or PACE, write, clock
        self._name, self._steps, self._done, self._here, self._items, self._since = "", 0, 0, 0, 0, 0.0

    def __enter__(self) -> Self:
        self._pace.due()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End without a word: what comes of it is said elsewhere."""

    def stage(self, name: str, steps: int, done: int) -> None:
        """Begin a stage."""
        self._name, self._steps, self._done = name, steps, done
        self._here, self._items, self._since = 0, 0, self._clock()

    def step(self, items: int, loss: float) -> None:
        """Count a step, and write a line where one is due."""
        self._done, self._here, self._items = self._done + 1, self._here + 1, self._items + items
        if self._pace.due():
            self._write(self._line(loss))

    def epoch(self, record: dict[str, float | int | str]) -> None:
        """Ignore an epoch: its record is kept in the history."""

    def _line(self, loss: float) -> str:
        spent = max(self._clock() - self._since, 1e-9)
        left = (self._steps - self._done) * spent / self._here
        title = f"{self._title} · {self._name}" if self._title else self._name
        note = "" if math.isnan(loss) else f", loss {loss:.4g}"
        return (
            f"{title}: step {self._done:,} of {self._steps:,}, {self._items / spent:,.0f} items/s,"
            f" {duration(left)} left{note}"
        )


def duration(seconds: float) -> str:
    """Return seconds as people write them: ``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def shown_progress(title: str = "") -> AbstractContextManager[Progress]:
    """Return progress for who watches: a bar on a terminal, lines elsewhere."""
    progress: RichProgress | LineProgress
    progress = RichProgress(title) if sys.stderr.isatty() else LineProgress(title)
    return progress


@contextmanager
def counted(
    title: str, pace: Pace | None = None, write: Callable[[str], None] = write_line
) -> Iterator[Callable[[int, int, str], None]]:
    """Yield ``show(finished, of, what)``: a bar with the time left on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        pace = pace or PACE
        pace.due()

        def say(finished: int, of: int, what: str = "") -> None:
            if pace.due():
                write(f"{title}: {finished:,} of {of:,}" + (f", {what}" if what else ""))

        yield say
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)

        def draw(finished: int, of: int, what: str = "") -> None:
            bars.update(task, completed=finished, total=of, description=what or title)

        yield draw
