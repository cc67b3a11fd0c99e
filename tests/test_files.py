"""Files that are written whole or not at all, and never through a link."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from labelwise import _files
from labelwise.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and signals of POSIX")

LEAVE = (
    "import os, sys; from pathlib import Path; from labelwise import _files\n"
    "with getattr(_files, sys.argv[2])(Path(sys.argv[1])):\n"
    "    print('begun', flush=True); sys.stdin.read()"
)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def begun(path, how="replacing"):
    """A process that has begun a draft and waits."""
    command = [sys.executable, "-c", LEAVE, str(path), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("data", ["ü\r\n", b"\x00\xff"])
def test_what_is_written_is_there_and_nothing_beside(tmp_path, data):
    for _ in range(2):
        _files.write(tmp_path / "a", data)
        assert (tmp_path / "a").read_bytes() == (data if isinstance(data, bytes) else data.encode())
        assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error", [RuntimeError, KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_failure_leaves_what_was_there(tmp_path, error):
    _files.write(tmp_path / "a", "old")
    wanted = UserError if isinstance(error, OSError) else error

    def fail():
        with _files.replacing(tmp_path / "a") as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(wanted) as caught:
        fail()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]
    if wanted is UserError:
        assert str(tmp_path / "a ") in str(caught.value)
        assert "free some space" in str(caught.value)


@pytest.mark.parametrize("how", ["write", "append"])
@pytest.mark.parametrize("link", ["symlink", "hard link", "dangling"])
def test_a_link_is_never_written_through(tmp_path, how, link):
    (tmp_path / "run").mkdir()
    path, victim = tmp_path / "run" / "a", tmp_path / "victim"
    if link == "dangling":
        path.symlink_to(tmp_path / "new")
    else:
        victim.write_text("mine")
        path.hardlink_to(victim) if link == "hard link" else path.symlink_to(victim)
    if how == "write":
        _files.write(path, "theirs")
        assert path.read_text() == "theirs"
        assert not path.is_symlink()
    else:
        with pytest.raises(_files.CannotWrite, match="remove it"):
            _files.append(path, "theirs")
    assert link == "dangling" or victim.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_lines_are_added_to_a_file_of_our_own(tmp_path):
    for line in ("a\n", "b\n"):
        _files.append(tmp_path / "log", line)
    assert (tmp_path / "log").read_text() == "a\nb\n"


@pytest.mark.parametrize("how", ["replacing", "replacing_folder"])
def test_drafts_of_the_living_stay_and_those_of_the_killed_go(tmp_path, how):
    process = begun(tmp_path / "a", how)
    with process:
        (draft,) = names(tmp_path)
        assert _files.is_draft(draft)
        _files.clear_drafts(tmp_path)
        assert names(tmp_path) == [draft]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names(tmp_path) == [draft]
    (tmp_path / ".b.draft.txt").write_text("mine")
    _files.write(tmp_path / "b", "")
    assert draft in names(tmp_path)
    _files.write(tmp_path / "a", "")
    assert names(tmp_path) == [".b.draft.txt", "a", "b"]


def test_a_draft_that_is_a_link_goes_and_what_it_names_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine")
    (tmp_path / ".a.123.draft").symlink_to(tmp_path / "mine")
    _files.clear_drafts(tmp_path)
    assert names(tmp_path) == ["mine"]
    assert (tmp_path / "mine" / "note").read_text() == "mine"


def test_a_folder_appears_whole_where_nothing_is(tmp_path):
    for place in (tmp_path / "deep" / "a", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with _files.replacing_folder(place) as draft:
            (draft / "one").write_text("1")
            assert place.name == "empty" or not place.exists()
        assert names(place) == ["one"]
        assert names(place.parent) == ["a"] or place.name == "empty"
    with pytest.raises(_files.CannotWrite), _files.replacing_folder(place) as draft:
        (draft / "two").write_text("2")
    assert names(place) == ["one"]


def test_a_folder_of_our_own_is_no_link(tmp_path):
    _files.make_folder(tmp_path / "a")
    _files.make_folder(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(_files.CannotWrite, match="link"):
        _files.make_folder(tmp_path / "b")
    (tmp_path / "a" / "deep").mkdir()
    (tmp_path / "a" / "deep" / "c").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"deep/c is a link: a run has"):
        _files.check_no_links(tmp_path / "a", "a run")


def test_text_takes_no_more_room_than_it_has(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("ü" * 700_000)
    assert _files.read_text(tmp_path / "a", 1 << 50) == ""
    assert _files.read_text(tmp_path / "b", 1 << 50) == "ü" * 700_000
    assert _files.read_text(tmp_path / "b", 1_400_000) == "ü" * 700_000
    with pytest.raises(OSError, match="more than 1,399,999 bytes"):
        _files.read_text(tmp_path / "b", 1_399_999)


def test_a_long_name_has_a_draft_too(tmp_path):
    name = "ü" * 120
    _files.write(tmp_path / name, "x")
    with _files.replacing(tmp_path / name) as draft:
        assert len(os.fsencode(draft.name)) < 255
    assert names(tmp_path) == [name]


def test_errors_of_other_files_keep_their_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), _files.replacing(tmp_path / "a"):
        (tmp_path / "elsewhere" / "b").read_text()


@pytest.mark.parametrize("place", ["missing/a", "file/a", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(_files.CannotWrite, match=place):
        _files.write(tmp_path / place, "x")


def test_a_folder_in_the_place_of_a_file_is_called_none(tmp_path):
    (tmp_path / "rows.bin").mkdir()
    with pytest.raises(OSError, match="it is no file: remove it"):
        _files.open_unshared(tmp_path / "rows.bin", os.O_RDONLY)
