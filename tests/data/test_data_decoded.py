"""Decoded pictures kept on disk: equal bytes, one decoding, and nothing lost to kills, other processes or changes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_files import SMALL, folder_of, scene
from PIL import Image

from labelwise.data import ImageFiles
from labelwise.data import _files as files
from labelwise.data._decode import Unusable, decode
from labelwise.data._decoded import shortened
from labelwise.errors import UserError

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
    [folder] = (tmp_path / "cache").iterdir()
    assert (folder / "pixels.bin").stat().st_size == N * 256 * 358 * 3


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
    assert len(calls) == 2 * N


def test_a_damaged_cache_is_decoded_anew(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    cache = tmp_path / "cache"
    before = kept(ImageFiles(paths, SMALL, cache=cache))
    [folder] = cache.iterdir()
    with (folder / "pixels.bin").open("r+b") as file:
        file.seek(256 * 358 * 3 + 1000)
        file.write(b"\0" * 50)
    source = ImageFiles(paths, SMALL, cache=cache)
    for _ in range(2):
        for pixels, expected in zip(kept(source), before, strict=True):
            np.testing.assert_array_equal(pixels, expected)
        assert calls[N:] == [str(paths[1])]


@pytest.mark.parametrize("name", ["pixels.bin", "done.bin", "shapes.npy"])
@pytest.mark.parametrize("left", [None, 0, 30])
def test_a_cache_cut_short_is_made_anew(
    tmp_path: Path, paths: list[Path], name: str, left: int | None
) -> None:
    right = kept(ImageFiles(paths, SMALL, cache=tmp_path / "cache"))
    (folder,) = (tmp_path / "cache").iterdir()
    if left is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:left])
    again = kept(ImageFiles(paths, SMALL, cache=tmp_path / "cache"))
    assert all(np.array_equal(one, other) for one, other in zip(again, right, strict=True))


def test_a_header_that_lies_is_not_kept(tmp_path: Path, paths: list[Path], calls: list[str]) -> None:
    cache = tmp_path / "cache"
    Image.fromarray(scene(0)).save(paths[2])
    source = ImageFiles(paths, SMALL, cache=cache)
    Image.fromarray(scene(0, 60, 50)).save(paths[2])
    for _ in range(2):
        assert kept(source)[2].shape == (60, 50, 3)
    assert calls.count(str(paths[2])) == 2
    assert len(calls) == N + 1


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
        source._decoded._done[:] = 0  # type: ignore[union-attr]


def test_killed_and_shared(tmp_path: Path, paths: list[Path]) -> None:
    """Two processes that write over and over, killed somewhere, leave every picture whole or not there."""
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("fork")
    started = context.Barrier(3)
    processes = [context.Process(target=fill, args=(paths, cache, started)) for _ in range(2)]
    for process in processes:
        process.start()
    started.wait(60)
    truth = [np.asarray(shortened(decode(path), 256, "bilinear")) for path in paths]
    source = ImageFiles(paths, SMALL, cache=cache)
    assert source._decoded is not None
    seen, until = 0, time.monotonic() + 60
    while seen < 500 and time.monotonic() < until:
        for row, expected in enumerate(truth):
            image = source._decoded.get(row)
            if image is not None:
                np.testing.assert_array_equal(np.asarray(image), expected)
                seen += 1
    for process in processes:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    assert seen > 0
    assert len(list(cache.iterdir())) == 1
    for pixels, expected in zip(kept(ImageFiles(paths, SMALL, cache=cache)), truth, strict=True):
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("how", ["link", "hard link", "link to all"])
@pytest.mark.parametrize("name", ["pixels.bin", "done.bin", "shapes.npy"])
def test_nothing_is_written_through_links_in_a_cache(
    tmp_path: Path, paths: list[Path], how: str, name: str
) -> None:
    ImageFiles(paths, SMALL, cache=tmp_path / "cache", workers=0).scan()
    (folder,) = (tmp_path / "cache").iterdir()
    mine = tmp_path / "mine"
    folder.rename(mine)
    (mine / "done.bin").write_bytes(bytes(4 * len(paths)))
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    if how == "link to all":
        folder.symlink_to(mine)
    else:
        folder.mkdir()
        for path in mine.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(mine / name) if how == "link" else (folder / name).hardlink_to(mine / name)
    assert not ImageFiles(paths, SMALL, cache=tmp_path / "cache", workers=0).scan()
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_a_header_of_the_cache_that_lies_makes_no_room(tmp_path: Path, paths: list[Path]) -> None:
    cache = tmp_path / "cache"
    ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
    (folder,) = cache.iterdir()
    header = (folder / "shapes.npy").read_bytes().replace(b"(%d, 2)" % len(paths), b"(9999999999999, 2)")
    (folder / "shapes.npy").write_bytes(header)
    assert not ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
    np.save(folder / "shapes.npy", np.full((len(paths), 2), 2**31 - 1, np.int32))
    assert not ImageFiles(paths, SMALL, cache=cache, workers=0).scan()
