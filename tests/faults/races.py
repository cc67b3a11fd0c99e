"""What happens around a run: a second process, a clock set back, a folder that goes, links that lead to themselves."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from labelwise.errors import UserError
from tests.faults import scenarios
from tests.faults.disk import Tally
from tests.faults.injection import Ended, in_a_child

TRAIN = scenarios.train("an")


@contextmanager
def _folders() -> Iterator[tuple[Path, Path]]:
    """Yield the folder of a whole run, and one that is prepared for the same."""
    with tempfile.TemporaryDirectory(prefix="faults-") as base:
        whole, folder = Path(base).resolve() / "whole" / "case", Path(base).resolve() / "try" / "case"
        for place in (whole, folder):
            place.mkdir(parents=True)
            TRAIN.prepare(place)
        TRAIN.act(whole)
        yield whole, folder


def two_processes(tries: int) -> Tally:
    """Begin the same run twice at once: one does it, the other is refused, and the result is that of one alone."""
    began, tally = time.monotonic(), Tally()
    with _folders() as (whole, folder):
        for _ in range(tries):
            shutil.rmtree(folder)
            folder.mkdir()
            first, second = _at_once(lambda: TRAIN.act(folder), folder)
            tally.tries += 1
            ends = sorted((first.how, second.how))
            if ends not in (["done", "refused"], ["done", "done"]):
                tally.failures.append(f"{first} and {second}")
            elif TRAIN.state(folder) != TRAIN.state(whole):
                tally.failures.append("the run is not that of one process")
    tally.seconds = time.monotonic() - began
    return tally


def _at_once(action: Callable[[], object], root: Path) -> tuple[Ended, Ended]:
    """Run an action in two children; the second is begun by a fork of this process that passes its end on."""
    told, tell = os.pipe()
    other = os.fork()
    if other == 0:
        ended = in_a_child(action, root)
        os.write(tell, f"{ended.how}\n{ended.told}".encode())
        os._exit(0)
    os.close(tell)
    first = in_a_child(action, root)
    with os.fdopen(told) as pipe:
        how, _, words = pipe.read().partition("\n")
    os.waitpid(other, 0)
    return first, Ended(how, words)


def _interrupted(folder: Path, step: int, act: Callable[[Path], object]) -> Ended:
    """Train in a child, and act once at a step."""
    from labelwise.engine.run import Run

    take, count = Run.take_step, [0]

    def take_step(self: Run, members: object) -> None:
        take(self, members)  # type: ignore[arg-type]
        count[0] += 1
        if count[0] == step:
            act(folder / "run")

    def action() -> None:
        with mock.patch.object(Run, "take_step", take_step):
            TRAIN.act(folder)

    return in_a_child(action, folder)


def _stop(_: Path) -> None:
    os.kill(os.getpid(), 9)


def clock_set_back(tries: int) -> Tally:
    """Set the clock back or forward between a kill and the resume: the same bits, and answers in their order."""
    began, tally = time.monotonic(), Tally()
    with _folders() as (whole, folder):
        for number in range(tries):
            shutil.rmtree(folder)
            folder.mkdir()
            assert _interrupted(folder, 2 + number % 6, _stop).how == "killed"
            seconds = (-86_400.0 * 365, 86_400.0 * 365)[number % 2]
            now = time.time() + seconds

            def action(now: float = now) -> None:
                with mock.patch("time.time", return_value=now):
                    TRAIN.act(folder)

            ended = in_a_child(action, folder)
            tally.tries += 1
            if ended.how != "done" or TRAIN.state(folder) != TRAIN.state(whole):
                tally.failures.append(f"{seconds:+.0f} s: {ended}")
    tally.tries += 1
    if (wrong := _answers_of_an_earlier_time()) is not None:
        tally.failures.append(wrong)
    tally.seconds = time.monotonic() - began
    return tally


def _answers_of_an_earlier_time() -> str | None:
    from labelwise.completion import Answer, AnswerStore, store

    days = iter((20, 10, 1, 5, 5, 5, 5))

    def now() -> str:
        return datetime(2026, 1, next(days), tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        mock.patch.object(store, "now", now),
        AnswerStore.open(Path(folder, "answers.sqlite")) as answers,
    ):
        answers.append([Answer("a", "x", 1, "Ann")], ["1"])
        answers.append([Answer("a", "x", 0, "Ann")], ["2"])
        (latest,) = answers.answers().latest().rows
    return None if latest.answer == 0 else f"the later answer is not the last: {latest}"


GONE = {
    "the run": shutil.rmtree,
    "its checkpoints": lambda run: shutil.rmtree(run / "checkpoints"),
    "its state": lambda run: (run / "state.json").unlink(),
    "its configuration": lambda run: (run / "run.toml").unlink(),
    "its table": lambda run: (run.parents[1] / "t.csv").unlink(),
    "its lock": lambda run: (run / ".lock").unlink(),
}


def removed_folder(tries: int) -> Tally:
    """Take away a run's folder, or a file in it, in the middle of training."""
    began, tally = time.monotonic(), Tally()
    with _folders() as (whole, folder):
        for number in range(tries):
            what = [*GONE][number % len(GONE)]
            shutil.rmtree(folder)
            folder.mkdir()
            TRAIN.prepare(folder)
            ended = _interrupted(folder, 2 + number // len(GONE) * 3 % 7, GONE[what])
            tally.tries += 1
            same = ended.how == "done" and TRAIN.state(folder) == TRAIN.state(whole)
            if ended.how != "refused" and not same:
                tally.failures.append(f"{what}: {ended}")
    tally.seconds = time.monotonic() - began
    return tally


def links_that_lead_to_themselves(_: int = 0) -> Tally:
    """Put links that never end in the place of everything that a command reads or writes."""
    began, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory(prefix="faults-") as base:
        folder = Path(base).resolve()
        place = scenarios.finished()
        (folder / "loop").symlink_to("loop")
        (folder / "pictures").mkdir()
        (folder / "pictures" / "deeper").symlink_to("..")
        loop, run, known = folder / "loop", place / "run", place / "t.csv"
        inside = shutil.copytree(run, folder / "inside")
        (inside / "model" / "weights.safetensors").unlink()
        (inside / "model" / "weights.safetensors").symlink_to("weights.safetensors")
        for words in (
            ("describe", loop),
            ("train", loop, "--out", folder / "new"),
            ("train", known, "--out", loop),
            ("train", loop, "--resume"),
            ("evaluate", loop, known),
            ("evaluate", inside, known),
            ("predict", run, loop, "--out", folder / "p.csv"),
            ("predict", run, known, "--out", loop / "p.csv"),
            ("predict", run, folder / "pictures", "--out", folder / "p.csv"),
            ("convert", loop, folder / "c.csv"),
            ("audit", run, "--answers", loop),
            ("complete", run, loop),
            ("card", loop),
            ("report", loop),
            ("train", known, "--config", loop, "--out", folder / "new"),
            ("train", known, "--warm-start", loop, "--out", folder / "new"),
            ("train", known, "--images", folder / "pictures", "--out", folder / "new"),
        ):
            tally.tries += 1
            try:
                scenarios.command(*words)
                tally.failures.append(f"{words[0]}: nothing was refused")
            except UserError as refusal:
                if "unexpected" in str(refusal):
                    tally.failures.append(f"{words}: {refusal}")
            except (Exception, AssertionError) as other:
                tally.failures.append(f"{words}: {type(other).__name__}: {other!s:.300}")
            if (folder / "new").exists():
                tally.failures.append(f"{words}: a run was begun")
                shutil.rmtree(folder / "new")
    tally.seconds = time.monotonic() - began
    return tally
