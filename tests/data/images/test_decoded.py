"""Decoded pictures kept on disk: equal bytes, one decoding, and nothing lost to kills, other processes or changes."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labelwise.data import ImageFiles
from labelwise.data.images import decode as decoding
from labelwise.data.images import files
from labelwise.data.images.decode import Unusable, decode, shortened
from labelwise.errors import Notice, UserError
from tests.data.images.picture_files import SMALL, folder_of, scene

N = 10
HIGH, WIDE = 300, 420


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return folder_of(tmp_path / "pictures", N, height=HIGH, width=WIDE)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def counted(path: str, **keywords: Any) -> Image.Image:
        made.append(path)
        return decode(path, **keywords)

    monkeypatch.setattr(files, "decode", counted)
    return made


def kept(source: ImageFiles) -> list[np.ndarray]:
    return [np.asarray(source._pixels(row)) for row in range(len(source))]


def files_in(cache: Path) -> list[Path]:
    (folder,) = cache.iterdir()
    return sorted(folder.iterdir())


def test_written_once_and_read_back_equal(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    source = ImageFiles(paths, SMALL, cache=tmp_path / "cache")
    assert calls == []
    first = source.batch(np.arange(N), "weak", seed=0, epoch=0)
    assert len(calls) == N
    for other in (
        source,
        source[:],
        copy.deepcopy(source),
        ImageFiles(paths, SMALL, cache=tmp_path / "cache"),
    ):
        assert torch.equal(other.batch(np.arange(N), "weak", seed=0, epoch=0), first)
        assert len(calls) == N
    for path, pixels in zip(paths, kept(source), strict=True):
        image = decode(path)
        assert pixels.shape == (256, 358, 3)
        np.testing.assert_array_equal(pixels, np.asarray(image.resize((358, 256), Image.Resampling.BILINEAR)))
    assert [file.stat().st_size - 16 for file in files_in(tmp_path / "cache")] == [256 * 358 * 3] * N


def test_small_pictures_are_kept_as_they_are(tmp_path: Path) -> None:
    paths = folder_of(tmp_path / "pictures", 3)
    plain, cached = ImageFiles(paths, SMALL), ImageFiles(paths, SMALL, cache=tmp_path / "cache")
    for _ in range(2):
        for view in ("plain", "weak", "strong"):
            both = (source.batch(np.arange(3), view, seed=0, epoch=0) for source in (plain, cached))
            assert torch.equal(*both)


def test_a_changed_file_is_decoded_anew(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    cache = tmp_path / "cache"
    before = kept(ImageFiles(paths, SMALL, cache=cache))
    Image.fromarray(scene(77, HIGH, WIDE)).save(paths[4])
    after = kept(ImageFiles(paths, SMALL, cache=cache))
    assert not np.array_equal(before[4], after[4])
    assert calls[N:] == [str(paths[4])]


def test_another_picture_of_the_same_name_size_and_date_is_decoded_anew(tmp_path: Path) -> None:
    (path,) = folder_of(tmp_path / "pictures", 1, height=HIGH, width=WIDE)
    Image.new("RGB", (40, 40), "red").save(path, "BMP")
    before, status = kept(ImageFiles([path], SMALL, cache=tmp_path / "cache")), path.stat()
    Image.new("RGB", (40, 40), "blue").save(path, "BMP")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert not np.array_equal(before[0], kept(ImageFiles([path], SMALL, cache=tmp_path / "cache"))[0])


def test_a_picture_is_known_in_any_list(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    before = kept(ImageFiles(paths[1:], SMALL, cache=tmp_path / "cache"))
    again = [paths[0], *reversed(paths), paths[3]]
    after = kept(ImageFiles(again, SMALL, cache=tmp_path / "cache"))
    assert calls[N - 1 :] == [str(paths[0])]
    assert all(np.array_equal(one, other) for one, other in zip(after[1:N], reversed(before), strict=True))


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_ends_the_keeping_and_not_the_run(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    truth = [np.asarray(shortened(decode(path), 256, "bilinear")) for path in paths]
    left, begin = [3], decoding.open_unshared

    def refusing(path: Path, flags: int) -> int:
        if not left[0]:
            raise OSError(reason, os.strerror(reason), str(path))
        left[0] -= 1
        return begin(path, flags)

    monkeypatch.setattr(decoding, "open_unshared", refusing)
    source = ImageFiles(paths, SMALL, cache=tmp_path / "cache", workers=0)
    with pytest.warns(Notice, match=f"cannot be written .{os.strerror(reason)}.: this run goes on") as told:
        found = kept(source)
    assert len(told) == 1
    assert all(np.array_equal(one, other) for one, other in zip(found, truth, strict=True))
    assert len(files_in(tmp_path / "cache")) == 3


def test_a_file_cut_short_by_a_full_disk_is_not_left(tmp_path: Path, paths: list[Path]) -> None:
    code = (
        "import resource, signal, sys, warnings; from labelwise.data.images.decode import DecodedPictures;"
        "from PIL import Image; from pathlib import Path; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "kept = DecodedPictures(Path(sys.argv[1]), side=64, interpolation='bilinear', most_pixels=9999);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000));"
        "warnings.simplefilter('error');"
        "kept.put('k', Image.new('RGB', (60, 60)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "cache"], check=False, capture_output=True, text=True
    )
    assert "labelwise.errors.Notice: the cache of pictures" in ended.stderr
    assert files_in(tmp_path / "cache") == []


def test_a_damaged_cache_is_decoded_anew(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    cache = tmp_path / "cache"
    before = kept(ImageFiles(paths, SMALL, cache=cache))
    for at, file in zip((0, 4, 8, 12, 1000, None), files_in(cache), strict=False):
        content = bytearray(file.read_bytes())
        content[at or -1] ^= 1
        file.write_bytes(content)
    first, second, *_ = files_in(cache)[6:]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content[:-1])
    source = ImageFiles(paths, SMALL, cache=cache)
    for _ in range(2):
        assert all(np.array_equal(one, other) for one, other in zip(kept(source), before, strict=True))
        assert len(calls) == N + 8


@pytest.mark.parametrize("left", [0, 15, 16, 30])
def test_a_cache_cut_short_is_made_anew(tmp_path: Path, paths: list[Path], left: int) -> None:
    right = kept(ImageFiles(paths, SMALL, cache=tmp_path / "cache"))
    for file in files_in(tmp_path / "cache"):
        file.write_bytes(file.read_bytes()[:left])
    again = kept(ImageFiles(paths, SMALL, cache=tmp_path / "cache"))
    assert all(np.array_equal(one, other) for one, other in zip(again, right, strict=True))


def test_a_file_that_changes_under_way_is_kept_as_what_it_is(
    tmp_path: Path, paths: list[Path], calls: list[str]
) -> None:
    source = ImageFiles(paths, SMALL, cache=tmp_path / "cache")
    kept(source)
    Image.fromarray(scene(0, 60, 50)).save(paths[2])
    for _ in range(2):
        assert kept(source)[2].shape == (60, 50, 3)
    assert calls.count(str(paths[2])) == 2


def test_what_cannot_be_used_is_found_every_time(tmp_path: Path, paths: list[Path]) -> None:
    paths[3].write_text("no picture")
    for _ in range(2):
        source = ImageFiles(paths, SMALL, cache=tmp_path / "cache")
        assert [(bad.row, bad.item) for bad in source.scan()] == [(3, str(paths[3]))]
        with pytest.raises(Unusable):
            source._pixels(3)


def test_no_items_and_a_folder_that_cannot_be(tmp_path: Path, paths: list[Path]) -> None:
    empty = ImageFiles([], SMALL, cache=tmp_path / "cache")
    assert empty.batch(np.arange(0), "weak", seed=0, epoch=0).shape == (0, 3, 24, 32)
    assert empty.scan() == []
    with pytest.raises(UserError, match=r"cache: .*cannot be written .*another folder"):
        ImageFiles(paths, SMALL, cache=paths[0] / "cache")


def fill(paths: list[Path], cache: Path, started: Any) -> None:
    source = ImageFiles(paths, SMALL, cache=cache, workers=1)
    started.wait()
    while True:
        source.scan()
        for file in files_in(cache):
            with file.open("r+b") as handle:
                handle.write(b"\0\0")


def test_killed_and_shared(tmp_path: Path, paths: list[Path]) -> None:
    """Two processes that write over and over, killed somewhere, leave every picture whole or not there."""
    cache = tmp_path / "cache"
    # Not forked from this process, whose threads may hold a lock for ever in the fork.
    context = multiprocessing.get_context("forkserver")
    started = context.Barrier(3)
    processes = [context.Process(target=fill, args=(paths, cache, started)) for _ in range(2)]
    for process in processes:
        process.start()
    truth = [np.asarray(shortened(decode(path), 256, "bilinear")) for path in paths]
    source = ImageFiles(paths, SMALL, cache=cache)
    assert source._decoded is not None
    try:
        started.wait(60)
        seen, until = 0, time.monotonic() + 60
        while seen < 500 and time.monotonic() < until:
            for row, expected in enumerate(truth):
                image = source._decoded.get(source._decoded.key(str(paths[row])))
                if image is not None:
                    np.testing.assert_array_equal(np.asarray(image), expected)
                    seen += 1
    finally:
        for process in processes:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
    assert seen > 0
    assert len(list(cache.iterdir())) == 1
    for pixels, expected in zip(kept(ImageFiles(paths, SMALL, cache=cache)), truth, strict=True):
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("how", ["link", "hard link", "dangling", "pipe", "link to all"])
def test_nothing_is_written_through_links_in_a_cache(tmp_path: Path, paths: list[Path], how: str) -> None:
    cache = tmp_path / "cache"
    right = kept(ImageFiles(paths, SMALL, cache=cache, workers=0))
    (folder,) = cache.iterdir()
    mine = tmp_path / "mine"
    folder.rename(mine)
    for file in mine.iterdir():
        file.write_bytes(b"mine")
    if how == "link to all":
        folder.symlink_to(mine)
    else:
        folder.mkdir()
        for file in mine.iterdir():
            place = folder / file.name
            if how == "pipe":
                os.mkfifo(place)
            elif how == "hard link":
                place.hardlink_to(file)
            else:
                place.symlink_to(file if how == "link" else tmp_path / "nothing")
    for _ in range(2):
        again = kept(ImageFiles(paths, SMALL, cache=cache, workers=0))
        assert all(np.array_equal(one, other) for one, other in zip(again, right, strict=True))
    assert {file.read_bytes() for file in mine.iterdir()} == {b"mine"}
    assert not (tmp_path / "nothing").exists()
    assert all(file.is_file() and not file.is_symlink() for file in files_in(cache))


def test_a_header_of_the_cache_that_lies_makes_no_room(tmp_path: Path, paths: list[Path]) -> None:
    cache = tmp_path / "cache"
    ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
    for file in files_in(cache):
        content = file.read_bytes()
        file.write_bytes(content[:4] + b"\xff" * 8 + content[12:])
    assert not ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
    with files_in(cache)[0].open("r+b") as huge:
        huge.truncate(1 << 40)
    assert not ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
