"""Each operation against its formula in NumPy, or against what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from labelwise.data import StrongView
from labelwise.data.images.strong_view import LEVELS, OPERATIONS
from tests.data.images.picture_files import scene

WITHOUT_MAGNITUDE = ("invert", "autocontrast", "equalize")


def picture(height: int = 40, width: int = 50) -> np.ndarray:
    smooth = scene(4, height, width).astype(int)
    noise = np.random.default_rng(0).integers(-15, 16, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def changed(name: str, pixels: np.ndarray, level: int, *, sign: int = 1) -> np.ndarray:
    image = Image.fromarray(pixels)
    made = OPERATIONS[name](image, level, Signed(sign))  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(image), pixels)
    assert (made.mode, made.size) == ("RGB", image.size)
    return np.asarray(made)


class Signed:
    """Stands in for a generator: the direction is the sign, a place the middle."""

    def __init__(self, sign: int) -> None:
        self.value = 0.25 if sign > 0 else 0.75

    def random(self, count: int | None = None) -> float | np.ndarray:
        return self.value if count is None else np.full(count, 0.5)


def test_the_fifteen_of_the_publication() -> None:
    pointwise = ["invert", "autocontrast", "posterize", "equalize", "solarize"]
    blends = ["sharpness", "contrast", "color", "brightness"]
    moves = ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"]
    assert sorted(OPERATIONS) == sorted([*pointwise, *blends, *moves, "cutout"])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in WITHOUT_MAGNITUDE])
def test_level_0_changes_nothing_and_level_9_something(name: str) -> None:
    pixels = picture()
    for sign in (1, -1):
        np.testing.assert_array_equal(changed(name, pixels, 0, sign=sign), pixels)
        assert (changed(name, pixels, LEVELS, sign=sign) != pixels).mean() > 0.01


@pytest.mark.parametrize("level", range(LEVELS + 1))
def test_pointwise_operations(level: int) -> None:
    pixels = picture()
    np.testing.assert_array_equal(changed("invert", pixels, level), 255 - pixels)
    kept = np.rint(np.linspace(8, 4, 10))[level].astype(int)
    np.testing.assert_array_equal(changed("posterize", pixels, level), pixels & (256 - 2 ** (8 - kept)))
    threshold = round(256 * (1 - level / 9))
    expected = np.where(pixels < threshold, pixels, 255 - pixels)
    np.testing.assert_array_equal(changed("solarize", pixels, level), expected)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [1, 5, 9])
def test_blends(level: int, sign: int) -> None:
    pixels = picture()
    factor = 1 + sign * 0.9 * level / 9
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L")).astype(float)
    middle = np.full_like(pixels, int(grey.mean() + 0.5))
    for name, other in (
        ("brightness", np.zeros_like(pixels)),
        ("contrast", middle),
        ("color", np.stack([grey] * 3, axis=-1)),
    ):
        expected = np.clip(other + factor * (pixels.astype(float) - other), 0, 255)
        assert np.abs(changed(name, pixels, level, sign=sign) - expected).max() <= 1
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = pixels.astype(float)
    smooth[1:-1, 1:-1] = sum(
        kernel[i, j] * pixels[i : i + pixels.shape[0] - 2, j : j + pixels.shape[1] - 2].astype(float)
        for i in range(3)
        for j in range(3)
    )
    expected = np.clip(smooth + factor * (pixels - smooth), 0, 255)
    assert np.abs(changed("sharpness", pixels, level, sign=sign) - expected).max() <= 2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [1, 4, 9])
def test_moves(level: int, sign: int) -> None:
    pixels = picture()
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        size = pixels.shape[axis]
        places = np.floor(np.arange(size) + 0.5 + sign * 150 / 331 * level / 9 * size).astype(int)
        taken = pixels.take(np.clip(places, 0, size - 1), axis=axis).astype(int)
        outside = (places < 0) | (places >= size)
        taken[outside if axis == 0 else (slice(None), outside)] = 128
        np.testing.assert_array_equal(changed(name, pixels, level, sign=sign), taken)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["shear_x", "shear_y"])
def test_shears_move_each_line_by_its_distance(name: str, sign: int) -> None:
    ramp = np.arange(50, dtype=np.uint8) * 4
    pixels = np.broadcast_to(ramp, (40, 50))
    pixels = np.stack([pixels] * 3, axis=-1)
    if name == "shear_y":
        pixels = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    made = changed(name, pixels, 6, sign=sign).astype(float)
    if name == "shear_y":
        made = made.transpose(1, 0, 2)
    lines, columns = np.mgrid[0:40, 0:50].astype(float)
    places = columns + sign * 0.2 * (lines + 0.5)
    inside = (places > 1) & (places < 48)
    assert inside.sum() > 1000
    assert np.abs(made[:, :, 0] - 4 * places)[inside].max() <= 1
    assert (made[(places < -1) | (places > 50.5)] == 128).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_rotation_turns_about_the_middle(sign: int) -> None:
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[20, 30] = 255
    made = changed("rotate", pixels, LEVELS, sign=sign)
    row, column = np.argwhere(made[:, :, 0] == 255)[0]
    assert abs(row - (20 - sign * 10 * np.sin(np.pi / 6))) <= 1
    assert abs(column - (20 + 10 * np.cos(np.pi / 6))) <= 1
    assert (made[0, 0] == 128).all()


def test_autocontrast_and_equalize() -> None:
    pixels = (picture() // 4 + 30).astype(np.uint8)
    low, high = pixels.min(axis=(0, 1)).astype(float), pixels.max(axis=(0, 1)).astype(float)
    stretched = (pixels - low) * 255 / (high - low)
    assert np.abs(changed("autocontrast", pixels, 5) - stretched).max() <= 1
    even = changed("equalize", pixels, 5)
    for channel in range(3):
        ranks = stats.rankdata(pixels[:, :, channel], method="max") / pixels[:, :, channel].size
        assert np.abs(even[:, :, channel] / 255 - ranks.reshape(40, 50)).max() < 0.15
        assert (np.diff(even[:, :, channel].ravel()[np.argsort(pixels[:, :, channel].ravel())]) >= 0).all()


@pytest.mark.parametrize("level", range(LEVELS + 1))
def test_a_cut_is_a_grey_square(level: int) -> None:
    pixels = np.zeros((40, 50, 3), np.uint8)
    side = round(0.2 * level / 9 * 50)
    assert (changed("cutout", pixels, level) == 128).sum() == 3 * side**2


def test_the_square_of_the_strong_view() -> None:
    view = StrongView(cutout=0.5, operations=0)
    sizes, colours = [], set()
    for seed in range(60):
        pixels = np.asarray(view(Image.new("RGB", (50, 40)), np.random.default_rng(seed)))
        rows, columns = np.nonzero(pixels.any(axis=2))
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert high <= 20
        assert wide <= 20
        assert len(rows) == high * wide
        sizes.append((high, wide))
        colours.add(tuple(pixels[rows[0], columns[0]]))
    assert (20, 20) in sizes
    assert min(high for high, _ in sizes) < 20
    assert len(colours) > 50


def test_operations_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, int]] = []

    def note(name: str) -> object:
        def operation(image: Image.Image, level: int, random: np.random.Generator) -> Image.Image:
            used.append((name, level))
            return image

        return operation

    for name in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, name, note(name))  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    image = Image.new("RGB", (8, 8))
    for _ in range(3000):
        StrongView(cutout=0)(image, random)
    assert abs(len(used) / 6000 - 0.5) < 4 * np.sqrt(0.25 / 6000)
    names = [sum(name == one for name, _ in used) for one in OPERATIONS]
    levels = np.bincount([level for _, level in used])
    assert stats.chisquare(names).pvalue > 1e-3
    assert levels[0] == 0
    assert len(levels) == LEVELS + 1
    assert stats.chisquare(levels[1:]).pvalue > 1e-3
