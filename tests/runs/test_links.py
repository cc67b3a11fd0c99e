"""A run directory from elsewhere: nothing is written through its links."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from labelwise import runs
from labelwise._files import is_draft
from labelwise.errors import UserError
from labelwise.runs import report

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")

NAMES = (
    ".lock",
    "run.toml",
    "state.json",
    "history.jsonl",
    "evaluation.json",
    "held_out.npz",
    "report.html",
    "report.html.partial",
    ".state.json.draft",
    ".history.jsonl.0.draft",
    "checkpoints",
    "checkpoints/history.jsonl",
    "checkpoints/left_out.json",
    "model",
    "model/model.json",
    "model/weights.safetensors",
    "model/weights.next.safetensors",
)


@pytest.fixture(scope="module")
def given(given) -> tuple[Path, Path]:
    runs.RunDirectory(given[1]).update(status="training")
    return given


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def victims(tmp_path: Path) -> Path:
    mine = tmp_path / "mine"
    (mine / "folder").mkdir(parents=True)
    (mine / "file").write_text("mine")
    (mine / "folder" / "step-000-000001-000000009").mkdir()
    (mine / "folder" / "step-000-000001-000000009" / "note").write_text("mine")
    return mine


@pytest.mark.parametrize("target", ["file", "folder", "nothing", "a model"])
@pytest.mark.parametrize("name", NAMES)
def test_going_on_writes_through_no_link(run, tmp_path, name, target):
    if target in ("folder", "a model") and "." in name:
        pytest.skip("a folder stands for a folder")
    mine = victims(tmp_path)
    if target == "a model":
        shutil.copytree(run / "model", mine / "a model")
    place, before = run / name, contents(mine)
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(mine / target)
    with pytest.raises(UserError, match=r"is a link|not a run directory|not TOML|not the state"):
        runs.resume(run)
    assert contents(mine) == before
    assert not (mine / "nothing").exists()


@pytest.mark.parametrize(
    "name", [name for name in NAMES if "." in name and name not in ("run.toml", "state.json")]
)
def test_going_on_writes_to_no_file_of_another_name(run, tmp_path, name):
    mine = victims(tmp_path)
    place, before = run / name, contents(mine)
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.link(mine / "file", place)
    outcome = runs.resume(run)
    assert outcome is not None
    assert contents(mine) == before
    assert not any(is_draft(path.name) for path in run.rglob("*"))


@pytest.mark.parametrize("name", ["report.html", "report.html.partial", ".report.html.0.draft"])
def test_a_report_anew_is_written_through_no_link(run, tmp_path, name):
    runs.RunDirectory(run).update(status="finished")
    mine = victims(tmp_path)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine / "file")
    report(run)
    assert contents(mine)["file"] == b"mine"
    assert not (run / "report.html").is_symlink()
    assert (run / "report.html").stat().st_size > 1000


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_predictions_replace_a_link_and_its_file_stays(run, given, tmp_path, ending):
    runs.RunDirectory(run).update(status="finished")
    mine, out = victims(tmp_path), tmp_path / f"out{ending}"
    out.symlink_to(mine / "file")
    (tmp_path / f".out{ending}.draft").symlink_to(mine / "file")
    runs.predict(run, given[0], out)
    assert contents(mine)["file"] == b"mine"
    assert not out.is_symlink()


def test_a_new_run_is_not_made_through_a_link(given, tmp_path):
    mine = victims(tmp_path)
    (mine / "empty").mkdir()
    (tmp_path / "out").symlink_to(mine / "empty")
    config = runs.RunConfig.build({"table": str(given[0]), "method": "ridge", "device": "cpu"})
    with pytest.raises(UserError, match="out is a link"):
        runs.train(config, tmp_path / "out")
    assert not any((mine / "empty").iterdir())
