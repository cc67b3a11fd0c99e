"""The run directory: made whole or not at all, and never over somebody's files."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from labelwise.errors import UserError
from labelwise.runs import RunConfig, RunDirectory
from labelwise.runs.directory import check_output, write_json
from labelwise.runs.training import is_first_process

CONFIG = RunConfig.build({"table": "t.csv", "method": "bam"})


def test_create_writes_both_files_and_nothing_beside(tmp_path: Path):
    run = RunDirectory(tmp_path / "deep" / "run")
    run.create(CONFIG, {"status": "training"})
    assert sorted(entry.name for entry in run.path.iterdir()) == ["run.toml", "state.json"]
    assert list(run.path.parent.iterdir()) == [run.path]
    assert run.config() == CONFIG
    run.update(status="finished")
    assert run.finished()["status"] == "finished"


def test_a_failure_while_creating_leaves_nothing(tmp_path: Path):
    with pytest.raises(TypeError):
        RunDirectory(tmp_path / "run").create(CONFIG, {"status": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_update_keeps_the_old_state(tmp_path: Path):
    run = RunDirectory(tmp_path / "run")
    run.create(CONFIG, {"status": "training"})
    with pytest.raises(ValueError, match="JSON"):
        run.update(status=float("nan"))
    assert run.state()["status"] == "training"
    assert sorted(entry.name for entry in run.path.iterdir()) == ["run.toml", "state.json"]


def test_an_unfinished_run_cannot_be_used(tmp_path: Path):
    run = RunDirectory(tmp_path / "run")
    run.create(CONFIG, {"status": "training"})
    with pytest.raises(UserError, match="--resume"):
        run.finished()
    with pytest.raises(UserError, match="another run"):
        run.create(CONFIG, {})


def test_output_is_checked_before_anything_is_computed(tmp_path: Path):
    table = tmp_path / "t.csv"
    table.write_text("")
    assert check_output(tmp_path / "new.CSV", [table], (".csv",)) == tmp_path / "new.CSV"
    for path in (table, tmp_path / "x.txt", tmp_path / "no" / "x.csv"):
        with pytest.raises(UserError):
            check_output(path, [table], (".csv",))
    (tmp_path / "link.csv").symlink_to(table)
    with pytest.raises(UserError, match="itself"):
        check_output(tmp_path / "link.csv", [table], (".csv",))


@pytest.mark.parametrize("what", ["loop", "pipe", "socket"])
def test_output_is_no_loop_and_takes_the_place_of_files_alone(tmp_path: Path, what: str):
    out = tmp_path / "out.csv"
    if what == "loop":
        out.symlink_to(out.name)
        assert check_output(out, [tmp_path / "t.csv"], (".csv",)) == out
        return
    if what == "pipe":
        os.mkfifo(out)
    else:
        with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX) as held:
            patch.chdir(tmp_path)
            held.bind(out.name)
    with pytest.raises(UserError, match="no file"):
        check_output(out, [tmp_path / "t.csv"], (".csv",))
    assert not out.is_file()


def test_json_is_written_whole(tmp_path: Path):
    write_json(tmp_path / "a.json", {"x": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("name", "value", "first"), [("RANK", "0", True), ("RANK", "1", False), ("LOCAL_RANK", "2", False)]
)
def test_only_the_first_process_writes(monkeypatch, name, value, first):
    monkeypatch.setenv(name, value)
    assert is_first_process() is first
