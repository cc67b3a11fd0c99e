"""Pictures from files: every format gives the same RGB, and views depend on (seed, epoch, item) only."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from labelwise.data import ArraySource, ImageFiles, StrongView, views_of
from labelwise.data.images import files
from labelwise.data.images.decode import decode
from labelwise.errors import UserError
from labelwise.models import ImagePreprocessing
from tests.data.images.picture_files import SMALL, folder_of, scene

N = 12


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return folder_of(tmp_path_factory.mktemp("pictures"), N)


def decoded(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = decode(path)
        assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize(
    ("name", "keywords", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.bmp", {}, 0),
        ("a.tiff", {}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.webp", {"quality": 95}, 12),
        ("a.jpg", {"quality": 95}, 12),
        ("a.jpg", {"quality": 95, "progressive": True}, 12),
        ("wrong_ending.jpg", {"format": "PNG"}, 0),
        ("no_ending", {"format": "WEBP", "lossless": True}, 0),
    ],
)
def test_colour_in_every_format(tmp_path: Path, name: str, keywords: dict[str, Any], tolerance: int) -> None:
    truth = scene(0)
    Image.fromarray(truth).save(tmp_path / name, **keywords)
    assert np.abs(decoded(tmp_path / name).astype(int) - truth).max() <= tolerance


def test_grey_palette_and_one_bit(tmp_path: Path) -> None:
    grey = scene(0)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).save(tmp_path / "grey.jpg", quality=95)
    np.testing.assert_array_equal(decoded(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    assert np.abs(decoded(tmp_path / "grey.jpg").astype(int) - grey[:, :, None]).max() <= 6
    palette = Image.fromarray(scene(0)).quantize(32)
    for name in ("palette.png", "palette.gif", "palette.bmp"):
        palette.save(tmp_path / name)
        np.testing.assert_array_equal(decoded(tmp_path / name), np.asarray(palette.convert("RGB")))
    Image.fromarray(grey > 60).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(decoded(tmp_path / "bit.png")[:, :, 1], 255 * (grey > 60))


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "la", "palette bytes", "colour key"])
def test_transparent_pixels_lie_on_white(tmp_path: Path, kind: str) -> None:
    truth = np.full((8, 8, 3), 40, np.uint8)
    truth[:, 4:] = 90
    clear = np.zeros((8, 8), dtype=bool)
    clear[:4, 4:] = True
    colour = Image.fromarray(truth)
    alpha = Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))
    path = tmp_path / ("a." + (kind if kind in ("webp", "gif") else "png"))
    if kind in ("palette bytes", "colour key"):
        clear[:, 4:] = True
    if kind == "palette bytes":
        indexed = colour.quantize(2)
        bright = int(np.asarray(indexed)[0, 7])
        indexed.save(path, transparency=bytes(0 if i == bright else 255 for i in range(2)))
    elif kind == "colour key":
        colour.save(path, transparency=(90, 90, 90))
    else:
        colour.putalpha(alpha)
        (colour.convert("LA") if kind == "la" else colour).save(
            path, **({"lossless": True} if kind == "webp" else {})
        )
    expected = np.where(clear[:, :, None], 255, truth)
    np.testing.assert_array_equal(decoded(path), expected)


def test_cmyk_as_pillow_has_it(tmp_path: Path) -> None:
    image = Image.fromarray(scene(0)).convert("CMYK")
    image.save(tmp_path / "a.jpg", quality=95)
    assert np.abs(decoded(tmp_path / "a.jpg").astype(int) - scene(0)).max() <= 14
    image.save(tmp_path / "a.tiff")
    np.testing.assert_array_equal(decoded(tmp_path / "a.tiff"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.linspace(0, 65535, 12 * 16).astype(np.uint16).reshape(12, 16)
    Image.fromarray(values).save(tmp_path / name)
    np.testing.assert_array_equal(decoded(tmp_path / name)[:, :, 0], np.rint(values / 257))


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(tmp_path: Path, kind: str, orientation: int) -> None:
    image = Image.fromarray(scene(1, 16, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    image.save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert expected.shape == ((16, 24, 3) if orientation < 5 else (24, 16, 3))
    np.testing.assert_array_equal(decoded(path), expected)


def test_broken_exif_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(scene(1)).save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense", quality=95)
    assert np.asarray(decode(tmp_path / "a.jpg")).shape == (48, 64, 3)


@pytest.mark.parametrize(
    "preprocessing",
    [
        SMALL,
        ImagePreprocessing((20, 20), "crop", "bicubic"),
        ImagePreprocessing((20, 30), "crop", short_side=40),
        ImagePreprocessing((96, 96), "crop"),
    ],
)
def test_the_plain_view_is_pillows_resize(paths: list[Path], preprocessing: ImagePreprocessing) -> None:
    source = ImageFiles(paths, preprocessing)
    batch = source.batch(np.array([3, 0]), "plain", seed=0, epoch=0)
    height, width = preprocessing.size
    assert (batch.dtype, tuple(batch.shape)) == (torch.uint8, (2, 3, height, width))
    assert source.shape == (3, height, width)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for place, row in enumerate((3, 0)):
        with Image.open(paths[row]) as image:
            rows, columns = preprocessing.resized(image.height, image.width)
            kind = Image.Resampling[preprocessing.interpolation.upper()]
            pixels = np.asarray(image.resize((columns, rows), kind))
        top, left = (rows - height) // 2, (columns - width) // 2
        cut = pixels[top : top + height, left : left + width]
        np.testing.assert_array_equal(batch[place].permute(1, 2, 0).numpy(), cut)


def test_the_weak_view_is_the_plain_one_or_its_mirror(paths: list[Path]) -> None:
    source = ImageFiles(paths, SMALL)
    index = np.arange(N)
    plain = source.batch(index, "plain", seed=0, epoch=0)
    mirrored = []
    for epoch in range(40):
        weak = source.batch(index, "weak", seed=0, epoch=epoch)
        is_mirror = [torch.equal(a, b.flip(-1)) for a, b in zip(weak, plain, strict=True)]
        assert all(m or torch.equal(a, b) for m, a, b in zip(is_mirror, weak, plain, strict=True))
        mirrored.append(is_mirror)
    share = np.mean(mirrored)
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / (40 * N))
    assert np.ptp(np.mean(mirrored, axis=0)) < 1


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_depend_on_seed_epoch_and_item_only(paths: list[Path], view: str) -> None:
    index = np.arange(N)
    first = ImageFiles(paths, SMALL, workers=0).batch(index, view, seed=1, epoch=2)
    for workers in (1, 2, 5):
        source = ImageFiles(paths, SMALL, workers=workers)
        assert torch.equal(source.batch(index, view, seed=1, epoch=2), first)
    some = np.array([7, 2, 7, 11])
    assert torch.equal(source.batch(some, view, seed=1, epoch=2), first[some])
    assert torch.equal(source[some].batch(np.arange(4), view, seed=1, epoch=2), first[some])
    assert torch.equal(source[4:].batch(np.array([3]), view, seed=1, epoch=2), first[[7]])
    assert torch.equal(copy.deepcopy(source).batch(index, view, seed=1, epoch=2), first)
    assert not torch.equal(source.batch(index, view, seed=1, epoch=3), first)
    assert not torch.equal(source.batch(index, view, seed=2, epoch=2), first)


def test_several_views_decode_an_item_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source = ImageFiles(paths, SMALL)
    wanted = {"plain": np.array([1, 2]), "weak": np.array([0, 1, 2, 3]), "strong": np.array([3, 3, 1])}
    apart = {view: source.batch(index, view, seed=0, epoch=1) for view, index in wanted.items()}
    calls: list[str] = []

    def counted(path: str, **keywords: Any) -> Image.Image:
        calls.append(path)
        return decode(path, **keywords)

    monkeypatch.setattr(files, "decode", counted)
    together = views_of(source, wanted, seed=0, epoch=1)
    assert sorted(calls) == sorted(map(str, paths[:4]))
    assert together.keys() == apart.keys()
    assert all(torch.equal(together[view], apart[view]) for view in wanted)


def test_views_of_a_source_without_any() -> None:
    source = ArraySource(np.eye(5))
    wanted = {"weak": np.array([1, 2]), "strong": np.array([4])}
    made = views_of(source, wanted, seed=3, epoch=4)
    assert all(torch.equal(made[v], source.batch(i, v, seed=3, epoch=4)) for v, i in wanted.items())


def test_the_strong_view_by_its_options(paths: list[Path]) -> None:
    index = np.arange(N)
    off = ImageFiles(paths, SMALL, strong={"cutout": 0, "operations": 0})
    plain = off.batch(index, "plain", seed=0, epoch=0)
    strong = off.batch(index, "strong", seed=0, epoch=0)
    mirror = [torch.equal(a, b.flip(-1)) for a, b in zip(strong, plain, strict=True)]
    assert all(m or torch.equal(a, b) for m, a, b in zip(mirror, strong, plain, strict=True))
    weak = off.batch(index, "weak", seed=0, epoch=0)
    assert not torch.equal(weak, strong)
    for bad in ({"cutout": 1.0}, {"operations": -1}, {"probability": 1.5}):
        with pytest.raises(UserError, match=next(iter(bad))):
            StrongView(**bad)


def test_items_scan_and_digests(paths: list[Path]) -> None:
    source = ImageFiles(paths, SMALL, items=[f"item {i}" for i in range(N)])
    assert (len(source), source.kind) == (N, "image")
    seen: list[tuple[int, int]] = []
    assert source.scan(lambda done, total: seen.append((done, total))) == []
    assert seen == [(done, N) for done in range(1, N + 1)]
    digests = source.digests()
    assert len(set(digests)) == N
    part = source[np.array([5, 1])]
    assert (part.items, part.paths) == (["item 5", "item 1"], [str(paths[5]), str(paths[1])])
    assert part.digests() == [digests[5], digests[1]]
    assert part[np.array([False, True])].items == ["item 1"]


def test_relative_paths_start_at_root(paths: list[Path]) -> None:
    source = ImageFiles([path.name for path in paths], SMALL, root=paths[0].parent)
    assert source.paths == [str(path.resolve()) for path in paths]
    assert source.items == [path.name for path in paths]


def test_bad_arguments(paths: list[Path]) -> None:
    for keywords, message in (
        ({"workers": -1}, "workers is -1"),
        ({"items": ["one"]}, "12 paths and 1 items"),
        ({"root": paths[0]}, "is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            ImageFiles(paths, SMALL, **keywords)
    with pytest.raises(UserError, match="did you mean 'strong'"):
        ImageFiles(paths, SMALL).batch(np.arange(2), "strongg", seed=0, epoch=0)
