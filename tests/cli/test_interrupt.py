"""Ctrl-C and a kill in the middle of training: nothing is lost, and the resumed run ends in the same model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EPOCHS = 80
RUN = [sys.executable, "-c", "from labelwise.cli import main; main()"]


def start(*args: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*RUN, *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for_epochs(process: subprocess.Popen[str], run: Path, count: int) -> None:
    """Return once the final model's training has recorded ``count`` epochs, while it is still going on."""
    history = run / "checkpoints" / "final" / "history.jsonl"
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if history.exists() and len(history.read_bytes().splitlines()) >= count:
            return
        time.sleep(0.002)
    raise AssertionError(
        (process.poll(), process.communicate(timeout=1) if process.poll() is not None else "late")
    )


def test_ctrl_c_then_a_kill_then_resume_ends_in_the_same_model_to_the_bit(lw, tables, tmp_path):
    options = ("--method", "bam", "--epochs", EPOCHS, "--batch-size", 16, "--device", "cpu", "--seed", 4)
    whole = lw("train", tables.semi, "--out", tmp_path / "whole", *options)
    assert whole.exit_code == 0, (whole.output, whole.exception)
    run = tmp_path / "stopped"

    first = start("train", tables.semi, "--out", run, *options)
    wait_for_epochs(first, run, 5)
    first.send_signal(signal.SIGINT)
    out, errors = first.communicate(timeout=60)
    assert first.returncode == 130, errors
    assert out == ""
    assert errors.count("\n") == 1
    assert f"labelwise train {run} --resume" in errors
    assert not (run / "model").exists()
    stopped_at = len((run / "checkpoints" / "final" / "history.jsonl").read_bytes().splitlines())
    assert stopped_at < EPOCHS

    second = start("train", run, "--resume")
    wait_for_epochs(second, run, stopped_at + 5)
    second.kill()
    second.communicate(timeout=60)
    assert second.returncode == -signal.SIGKILL
    assert not (run / "model").exists()

    third = lw("train", run, "--resume")
    assert third.exit_code == 0, (third.output, third.exception)
    for name in ("model/weights.safetensors", "evaluation.json"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (run / "checkpoints").exists()
    assert len((run / "history.jsonl").read_bytes().splitlines()) == EPOCHS
