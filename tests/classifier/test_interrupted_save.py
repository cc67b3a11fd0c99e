"""Saving over a model, stopped at every point: a whole model, old or new, is there and is loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter

import numpy as np
import pytest

from labelwise._files import is_draft
from labelwise.classifier import artifact
from labelwise.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals of POSIX")

OLD = ({"method": "old"}, {"w": np.zeros(3, np.float32)})
NEW = ({"method": "new"}, {"w": np.ones(5, np.float32)})
EVENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.scandir",
    "os.listdir",
    "shutil.rmtree",
)


# Forked from a process of one thread: in a fork of the test process, whose libraries have threads, a lock may be held
# for ever.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["labelwise.classifier.artifact"])


def write_and_stop(stop_at, kind, path):
    """Write the new model, and get the signal at the ``stop_at``-th event; exit with 3 for Ctrl-C."""
    seen, status = 0, 0

    def hook(event, _):
        nonlocal seen
        seen += event in EVENTS
        if seen == stop_at and event in EVENTS:
            os.kill(os.getpid(), kind)

    try:
        sys.addaudithook(hook)
        artifact.write(path, *NEW)
    except KeyboardInterrupt:
        status = 3
    except BaseException:
        status = 4
    os._exit(status)


def write_often(path, models, times):
    """Write these models in turn."""
    for _ in range(times):
        for model in models:
            artifact.write(path, *model)


def begun(function, *arguments):
    """Return a child that runs a function of this file."""
    child = CHILDREN.Process(target=function, args=arguments)
    child.start()
    return child


def in_a_child(stop_at, kind, path):
    """Return how a child ended: its exit status, or minus the signal that killed it."""
    child = begun(write_and_stop, stop_at, kind, path)
    child.join(60)
    assert child.exitcode is not None
    return child.exitcode


def whole(path):
    config, tensors = artifact.read(path)
    kind = config["method"]
    np.testing.assert_array_equal(tensors["w"], {"old": OLD, "new": NEW}[kind][1]["w"])
    return kind


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_model_is_whole_whenever_saving_over_it_is_stopped(tmp_path, kind):
    found, path = Counter(), tmp_path / "model"
    for stop_at in range(1, 200):
        artifact.write(path, *OLD)
        assert sorted(entry.name for entry in path.iterdir()) == ["model.json", "weights.safetensors"]
        status = in_a_child(stop_at, kind, path)
        assert status in (-kind, 0, 3)
        found[whole(path)] += 1
        if status == 0:
            break
        artifact.write(path, *NEW)
        assert whole(path) == "new"
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    assert found["old"] > 3
    assert found["new"] > 2


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
def test_a_first_model_is_there_whole_or_not_at_all(tmp_path, kind, there):
    path = tmp_path / "model"
    for stop_at in range(1, 200):
        if there == "an empty folder":
            path.mkdir(exist_ok=True)
        status = in_a_child(stop_at, kind, path)
        if path.exists() and any(path.iterdir()):
            assert whole(path) == "new"
        artifact.write(path, *OLD)
        assert whole(path) == "old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
        assert not any(is_draft(entry.name) for entry in path.iterdir())
        if status == 0:
            break
        for entry in path.iterdir():
            entry.unlink()
        path.rmdir()
    assert stop_at > 5


def test_a_link_in_the_place_of_a_model_is_refused(tmp_path):
    artifact.write(tmp_path / "mine", *OLD)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=r"link is a link: give .*mine"):
        artifact.write(tmp_path / "link", *NEW)
    assert whole(tmp_path / "mine") == "old"
    assert whole(tmp_path / "link") == "old"


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "model.json", "weights.next.safetensors", ".model.json.00.draft"]
)
@pytest.mark.parametrize("how", ["symlink_to", "hardlink_to"])
def test_links_inside_a_model_are_replaced_and_not_followed(tmp_path, name, how):
    path, victim = tmp_path / "model", tmp_path / "victim"
    artifact.write(path, *OLD)
    victim.write_text("mine")
    (path / name).unlink(missing_ok=True)
    getattr(path / name, how)(victim)
    artifact.write(path, *NEW)
    assert victim.read_text() == "mine"
    assert whole(path) == "new"
    assert sorted(entry.name for entry in path.iterdir()) == ["model.json", "weights.safetensors"]


def test_a_process_that_reads_while_another_saves_gets_a_whole_model(tmp_path):
    path = tmp_path / "model"
    artifact.write(path, *OLD)
    child = begun(write_often, path, (NEW, OLD), 20)
    found = Counter()
    while child.exitcode is None:
        found[whole(path)] += 1
    assert child.exitcode == 0
    assert found.total() > 5


def test_two_processes_that_save_at_once_leave_one_whole_model(tmp_path):
    path = tmp_path / "model"
    artifact.write(path, *OLD)
    children = [begun(write_often, path, (model,), 12) for model in (OLD, NEW)]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert whole(path) in ("old", "new")
    assert sorted(entry.name for entry in path.iterdir()) == ["model.json", "weights.safetensors"]
