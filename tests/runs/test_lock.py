"""One process at a time in a run directory: the second stops at once, the first goes on undisturbed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise import runs
from labelwise._locks import claim_lock
from labelwise.engine.run import Run
from labelwise.errors import UserError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(60, 4)), columns=[f"f{k}" for k in range(4)])
    frame[["a", "b"]] = (frame.iloc[:, :2] > 0).astype(int)
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def config(table: Path) -> runs.RunConfig:
    return runs.RunConfig.build({"table": str(table), "method": "bam", "epochs": 2, "device": "cpu"})


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def weights(run: Path) -> bytes:
    return (run / "model" / "weights.safetensors").read_bytes()


def test_a_second_process_stops_at_once_and_changes_nothing(table, tmp_path, monkeypatch):
    runs.train(config(table), tmp_path / "alone")
    refusals, step = [], Run.take_step

    def take_step(self, members):
        step(self, members)
        if refusals:
            return
        before = files(tmp_path / "run")
        for again in (
            lambda: runs.resume(tmp_path / "run"),
            lambda: runs.train(config(table), tmp_path / "run", resume=True),
        ):
            with pytest.raises(UserError) as caught:
                again()
            refusals.append(str(caught.value))
        assert files(tmp_path / "run") == before

    monkeypatch.setattr(Run, "take_step", take_step)
    runs.train(config(table), tmp_path / "run")
    assert len(refusals) == 2
    for line in refusals:
        assert f"process {os.getpid()} on " in line
        assert str(tmp_path / "run") in line
        assert "wait" in line
    assert weights(tmp_path / "run") == weights(tmp_path / "alone")
    assert sorted(files(tmp_path / "run")) == sorted(files(tmp_path / "alone"))


def test_what_a_killed_process_left_is_no_obstacle(table, tmp_path):
    run = runs.RunDirectory(tmp_path / "run")
    runs.train(config(table), run.path)
    run.update(status="training")
    (run.path / ".lock").write_text("process 1 on a machine that is off")
    assert not runs.resume(run.path).already_finished
    assert not (run.path / ".lock").exists()


def test_what_was_left_of_a_run_that_was_killed_after_its_end_is_cleared(table, tmp_path):
    run = runs.RunDirectory(tmp_path / "run")
    runs.train(config(table), run.path)
    run.keep_left_out({})
    assert run.checkpoints.is_dir()
    assert runs.resume(run.path).already_finished
    assert not run.checkpoints.exists()


def test_a_run_that_is_finished_meanwhile_is_left_as_it_is(table, tmp_path, monkeypatch):
    run = runs.RunDirectory(tmp_path / "run")
    runs.train(config(table), run.path)
    run.update(status="training")
    alone = runs.RunDirectory.alone

    def finished_before_it_is_held(self):
        self.update(status="finished")
        return alone(self)

    monkeypatch.setattr(runs.RunDirectory, "alone", finished_before_it_is_held)
    assert runs.resume(run.path).already_finished


def test_only_the_first_process_of_a_distributed_run_holds_it(table, tmp_path, monkeypatch):
    run = runs.RunDirectory(tmp_path / "run")
    runs.train(config(table), run.path)
    run.update(status="training")
    monkeypatch.setenv("RANK", "1")
    with claim_lock(run.path / ".lock") as holder:
        assert holder is None
        assert runs.resume(run.path) is None


def test_a_run_that_loses_the_race_for_a_folder_is_told_so(table, tmp_path, monkeypatch):
    run, calls = runs.RunDirectory(tmp_path / "run"), []
    free = runs.RunDirectory.check_free

    def free_until_then(self):
        free(self)
        calls.append(self)
        if len(calls) == 1:
            runs.RunDirectory(tmp_path / "run").create(config(table), {"status": "training"})

    monkeypatch.setattr(runs.RunDirectory, "check_free", free_until_then)
    with pytest.raises(UserError, match="holds another run"):
        run.create(config(table), {"status": "training"})
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
