"""Lock files: one holder at a time, who says so, and none once its process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from labelwise._locks import claim_lock, hold_lock

HOLD = (
    "import sys; from pathlib import Path; from labelwise._locks import claim_lock\n"
    "with claim_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_a_lock_on_a_deleted_file_is_none(tmp_path):
    path = tmp_path / "lock"
    with hold_lock(path) as got:
        assert got
        with hold_lock(path, wait=False) as other:
            assert not other
        path.unlink()
        with hold_lock(path, wait=False) as new:
            assert new
    waits = []
    with hold_lock(path, on_wait=lambda: waits.append(1)) as again:
        assert again
    assert waits == []


def test_a_claim_tells_its_holder_and_leaves_no_file(tmp_path):
    path = tmp_path / "lock"
    with claim_lock(path) as first:
        assert first is None
        with claim_lock(path) as second:
            assert second is not None
            assert second.startswith(f"process {os.getpid()} on ")
        assert path.exists()
    assert not path.exists()


def test_the_claim_of_another_file_in_its_place_is_left_alone(tmp_path):
    path = tmp_path / "lock"
    with claim_lock(path):
        path.unlink()
        path.write_text("theirs")
    assert path.read_text() == "theirs"


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with claim_lock(path) as holder:
            assert f"process {process.pid} on " in holder
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.exists()
    with claim_lock(path) as holder:
        assert holder is None


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_no_lock_is_taken_through_a_link_nor_writes_to_a_file_of_other_names(tmp_path):
    victim, folder = tmp_path / "victim", tmp_path / "run"
    victim.write_text("mine")
    folder.mkdir()
    (folder / "lock").symlink_to(victim)
    for hold in (claim_lock, hold_lock):
        with pytest.raises(OSError, match="link"), hold(folder / "lock"):
            pass
    (folder / "lock").unlink()
    (folder / "lock").hardlink_to(victim)
    with claim_lock(folder / "lock") as holder:
        assert holder is None
    assert victim.read_text() == "mine"
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="no file"), claim_lock(folder / "pipe"):
        pass


def test_a_folder_is_locked_by_itself(tmp_path):
    with hold_lock(tmp_path) as first, hold_lock(tmp_path, wait=False) as second:
        assert first
        assert not second
    assert list(tmp_path.iterdir()) == []
