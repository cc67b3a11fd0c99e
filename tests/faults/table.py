"""The faults, what is promised under each, and how it is tried: a short form for every day and a long one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from tests.faults import cuts, disk, fuzz, races, scenarios
from tests.faults.disk import Tally


@dataclass(frozen=True)
class Fault:
    """A fault and a promise.

    Attributes:
        group: The file of tests that shows it.
        promise: What holds under it.
        short: Tries it within seconds.
        long: Tries it everywhere.
    """

    group: str
    promise: str
    short: Callable[[], Tally]
    long: Callable[[], Tally]


FUZZED = f"the result or one line, within {fuzz.SECONDS} s of processor time and {fuzz.ROOM >> 30} GiB"
"""The promise of every reader of what others wrote."""


def _all(those: Mapping[str, scenarios.Scenario], hows: Iterable[str], most: int | None) -> Tally:
    total = Tally()
    for name, scenario in those.items():
        found = disk.everywhere(scenario, hows, most)
        found.failures = [f"{name}: {failure}" for failure in found.failures]
        total += found
    return total


def _methods(most: int, names: Iterable[str] | None = None) -> Tally:
    runs = scenarios.every_method()
    chosen = {name: runs[name] for name in names or runs}
    total = Tally()
    for seed, (name, run) in enumerate(chosen.items()):
        found = disk.everywhere(run, ["killed half way through a write"], most, seed)
        found.failures = [f"{name}: {failure}" for failure in found.failures]
        total += found
    return total


_WHOLE = "the earlier file or the new one, whole; the same command again ends it and leaves nothing beside it"
_REFUSED = "one line and exit code 2; the earlier file stays; the same command again ends it"
_PROMISES = {
    "killed before the call": _WHOLE,
    "killed half way through a write": _WHOLE,
    **dict.fromkeys(disk.ERRORS, _REFUSED),
}
_FILES = {**scenarios.SMALL, **scenarios.COMMANDS}
_FEW = {name: _FILES[name] for name in ("a file", "a checkpoint", "a model over another", "answers", "audit")}


def _of_calls() -> dict[str, Fault]:
    files = {
        f"files, {how}": Fault(
            "test_disk", promise, partial(_all, _FEW, [how], 2), partial(_all, _FILES, [how], None)
        )
        for how, promise in _PROMISES.items()
    }
    killed = ("killed half way through a write", "killed before the call")
    return files | {
        "runs, killed at a call": Fault(
            "test_disk",
            "resumed, it ends in the same bits, with nothing left behind",
            partial(_all, {"an": scenarios.RUNS["a run of an"]}, killed[:1], 2),
            partial(_all, scenarios.RUNS, killed, 20),
        ),
        "runs, refused: disk full, read-only or broken, folder locked": Fault(
            "test_disk",
            "one line and exit code 2; its checkpoints stay, and resumed it ends in the same bits",
            partial(_all, {"an": scenarios.RUNS["a run of an"]}, ["full disk"], 2),
            partial(_all, scenarios.RUNS, disk.ERRORS, 8),
        ),
    }


def _of_cuts() -> dict[str, Fault]:
    words = {
        "a model": "refused in one line",
        "a checkpoint": "refused in one line, or the one before it is taken",
        "features": "computed anew, the same bits",
        "answers": "refused in one line, or all of them are there",
        "the log of answers": "the answers before the damage, in their order",
    }
    return {
        f"{name} cut at every 4 KiB" + (", a byte changed in each" if stored.flips else ""): Fault(
            "test_cuts", words[name], partial(cuts.everywhere, stored, 7), partial(cuts.everywhere, stored)
        )
        for name, stored in cuts.STORED.items()
    }


FAULTS: dict[str, Fault] = {
    **_of_calls(),
    "every method, killed at a random write": Fault(
        "test_disk",
        "resumed, it ends in the same bits",
        partial(_methods, 1, ("em_apl",)),
        partial(_methods, 1),
    ),
    **_of_cuts(),
    "two processes on one run directory": Fault(
        "test_races",
        "one trains, the other stops in one line; the same bits",
        partial(races.two_processes, 1),
        partial(races.two_processes, 20),
    ),
    "clock set back or forward by a year": Fault(
        "test_races",
        "resumed, the same bits; answers keep their order",
        partial(races.clock_set_back, 1),
        partial(races.clock_set_back, 20),
    ),
    "folder or file removed in mid run": Fault(
        "test_races",
        "one line, or the same bits",
        partial(races.removed_folder, 3),
        partial(races.removed_folder, 24),
    ),
    "links that lead to themselves": Fault(
        "test_races",
        "one line, for every command; nothing is begun",
        races.links_that_lead_to_themselves,
        races.links_that_lead_to_themselves,
    ),
}
