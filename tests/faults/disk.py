"""Every call that changes a file, killed or refused: what was there stays whole, and the same again ends it."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.faults.injection import COUNT, ERRORS, KILL, REFUSE, TEAR, Ended, in_a_child
from tests.faults.scenarios import Scenario, process_folder


@dataclass
class Tally:
    """How often something was tried, and what went wrong."""

    tries: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.tries + other.tries, [*self.failures, *other.failures], self.seconds + other.seconds
        )


HOWS: dict[str, tuple[int, int]] = {
    "killed before the call": (KILL, 0),
    "killed half way through a write": (TEAR, 0),
    **{name: (REFUSE, number) for name, number in ERRORS.items()},
}


class Bench:
    """A scenario, its whole course known, that faults can be tried on."""

    def __init__(self, scenario: Scenario, base: Path) -> None:
        self.scenario, self.place = scenario, base / "try"
        self._template = base / "template"
        self.folder = self.place / "case"
        self.folder.mkdir(parents=True)
        scenario.prepare(self.folder)
        shutil.copytree(self.place, self._template, symlinks=True)
        self.old = scenario.state(self.folder)
        # In this process, so that no child imports anything again.
        scenario.act(self.folder)
        self.new, self.names = scenario.state(self.folder), self._names()
        self.again()
        whole = in_a_child(lambda: scenario.act(self.folder), self.folder, how=COUNT)
        assert whole.how == "done", whole
        assert scenario.state(self.folder) == self.new
        self.calls = whole.calls

    def again(self) -> None:
        """Put the earlier state back."""
        shutil.rmtree(self.place)
        shutil.copytree(self._template, self.place, symlinks=True)

    def tried(self, at: int, how: int, error: int) -> str | None:
        """Let a call fail, and return what is wrong afterwards, None where nothing is."""
        self.again()

        def act() -> None:
            self.scenario.act(self.folder)

        ended = in_a_child(act, self.folder, at, how, error)
        if (wrong := self._wrong_end(ended, how)) is not None:
            return wrong
        try:
            found = self.scenario.state(self.folder)
        except Exception as lost:
            return f"after it, what was there cannot be read: {type(lost).__name__}: {lost!s:.300}"
        if found not in (self.old, self.new) and not self.scenario.between(self.old, found, self.new):
            return f"after it there is {found!r:.200}"
        if ended.how == "done" and found != self.new:
            return f"said to be done, and there is {found!r:.200}"
        return self._wrong_after(in_a_child(act, self.folder))

    def _wrong_end(self, ended: Ended, how: int) -> str | None:
        allowed = ("killed", "done") if how in (KILL, TEAR) else ("refused", "done")
        return None if ended.how in allowed else f"{ended.how}: {ended.told:.500}"

    def _wrong_after(self, ended: Ended) -> str | None:
        if ended.how != "done":
            return f"the same again was {ended.how}: {ended.told:.500}"
        if (found := self.scenario.state(self.folder)) != self.new:
            return f"the same again leaves {found!r:.200}"
        if extra := self._names() ^ self.names:
            return f"the same again leaves other files: {sorted(extra)}"
        return None

    def _names(self) -> set[str]:
        names = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        return {name for name in names if not re.fullmatch(self.scenario.litter, name)}


def everywhere(
    scenario: Scenario,
    hows: Iterable[str] = HOWS,
    most: int | None = None,
    seed: int = 0,
) -> Tally:
    """Let each call of a scenario fail in each way, or ``most`` of them, drawn evenly."""
    began, tally = time.monotonic(), Tally()
    random, bench = np.random.default_rng(seed), _bench(scenario)
    for name in hows:
        places = np.arange(1, bench.calls + 1)
        if most is not None and most < bench.calls:
            # One from each stretch of the course.
            edges = np.linspace(0, bench.calls, most + 1)
            places = np.unique([int(random.uniform(a, b)) + 1 for a, b in pairwise(edges)])
        for at in places.tolist():
            wrong = bench.tried(at, *HOWS[name])
            tally.tries += 1
            if wrong is not None:
                tally.failures.append(f"{name}, call {at} of {bench.calls}: {wrong}")
    tally.seconds = time.monotonic() - began
    return tally


@cache
def _bench(scenario: Scenario) -> Bench:
    return Bench(scenario, Path(tempfile.mkdtemp(dir=process_folder())))
