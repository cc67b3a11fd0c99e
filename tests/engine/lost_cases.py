"""Runs of several processes, one of which is killed at a moment: ``lost_cases.py FOLDER``.

All processes are forks of this one, which has imported everything already: a case costs no start of Python.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import labelwise as lw
from labelwise.engine import Run, checkpoint, processes, settings
from tests.engine.forks import Fork, fork_others
from tests.timing import wait_until

MOMENTS = ("start", "step", "checkpoint", "evaluation")
CASES = [(moment, rank) for moment in MOMENTS for rank in (0, 1)]
AGAIN = ("checkpoint", 0)
"""The case that three processes go on with, in the folder ``three``."""


def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype(np.float32)
    Y = (X[:, :3] + rng.normal(size=(90, 3)) > 0.5).astype(np.int8)
    return X, lw.simulate.single_positive(Y, seed=0)


def fitted(folder, devices, on_epoch=None):
    """Train with a checkpoint after every step, at a batch that two processes cannot share evenly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_if_due", lambda run, force=False: run.save())
        model = lw.MultiLabelClassifier(
            "em",
            device="cpu",
            devices=devices,
            validation=None,
            epochs=6,
            batch_size=17,
            learning_rate=0.01,
            directory=folder / "checkpoints",
        )
        return model.fit(*problem(), on_epoch=on_epoch)


_patch = pytest.MonkeyPatch()


def die_at(moment, folder):
    """Have this process killed: before it meets the others, in its first step, in a write, behind its last step."""

    def kill(*_):
        (folder / "died").write_text(str(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "start":
        started = settings.start_processes
        _patch.setattr(settings, "start_processes", lambda *given: (started(*given), kill()))
    elif moment == "step":
        _patch.setattr(Run, "take_step", kill)
    elif moment == "checkpoint":
        # The first process alone writes: its third checkpoint is half there, and the other has come as far.
        place, name = (checkpoint, "set_aside") if os.environ.get("LOCAL_RANK", "0") == "0" else (Run, "save")
        calls, original = itertools.count(1), getattr(place, name)
        _patch.setattr(place, name, lambda *given: kill() if next(calls) == 3 else original(*given))
    else:
        _patch.setattr(Run, "finish", kill)


def process(folder, devices, moment, dies):
    """Be a process of a run, the first or another."""
    rank = os.environ.get("LOCAL_RANK", "0")
    if int(rank) == dies:
        die_at(moment, folder)
    model = fitted(folder, devices)
    if rank == "0":
        if moment == "evaluation":
            # Long enough for whoever would end this process, which needs the other no more.
            wait_until((folder / "died").exists)
            time.sleep(3)
        np.save(folder / "scores.npy", model.decision_scores(problem()[0]))


def run_of(folder, devices, moment=None, dies=None):
    """Run processes until the last has ended; note the first one's exit code, and seconds since the death."""
    folder.mkdir(exist_ok=True)

    def first():
        os.close(read)
        os.dup2(os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)

        def other():
            _patch.undo()
            process(folder, devices, moment, dies)

        fork_others(other)
        process(folder, devices, moment, dies)

    read, write = os.pipe()
    one = Fork(first)
    os.close(write)
    # The end of the file comes once no process holds the other end.
    os.read(read, 1)
    os.close(read)
    (folder / "code").write_text(str(one.wait()))
    if (folder / "died").exists():
        (folder / "seconds").write_text(str(time.time() - float((folder / "died").read_text())))


if __name__ == "__main__":
    processes._GRACE_SECONDS = 1.0
    # What a fit imports on its way is there for the forks too.
    fitted(Path(sys.argv[1]) / "whole", 1)
    for case in CASES:
        run_of(Path(sys.argv[1]) / "{}-{}".format(*case), 2, *case)
    shutil.copytree(Path(sys.argv[1]) / "{}-{}".format(*AGAIN), Path(sys.argv[1]) / "three")
    run_of(Path(sys.argv[1]) / "three", 3)
