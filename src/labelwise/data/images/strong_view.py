"""The strong view of a picture: a cut-out square, then RandAugment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelwise.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class StrongView:
    """Strong views of pictures: CAP's augmentation by default.

    They are made after the flip and the resize.

    First a square of side ``cutout`` times the shorter side, its centre anywhere in the picture and what
    stands out cut off, is painted with a random colour. Then ``operations`` operations are drawn out of the
    15 of ``OPERATIONS``, with replacement, and each is carried out with ``probability`` at a magnitude of 1
    to 9 of 9.

    Raises:
        UserError: For a number out of its range.
    """

    cutout: float = 0.5
    operations: int = 2
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.cutout < 1 or self.operations < 0 or not 0 <= self.probability <= 1:
            raise UserError(
                f"cutout={self.cutout}, operations={self.operations}, probability={self.probability}: cutout"
                " is in [0, 1), operations at least 0, probability in [0, 1]"
            )

    def __call__(self, image: Image, random: np.random.Generator) -> Image:
        """Return the strong view of an RGB image, of the same size.

        It is a function of ``random``'s start.
        """
        image = _cut_out(image, self.cutout, random)
        names = list(OPERATIONS)
        for _ in range(self.operations):
            name = names[random.integers(len(names))]
            level = int(random.integers(1, LEVELS + 1))
            if random.random() < self.probability:
                image = OPERATIONS[name](image, level, random)
        return image


def _cut_out(image: Image, share: float, random: np.random.Generator) -> Image:
    """Paint a square at a random place, in a random colour.

    Its side is ``share`` times the shorter side.
    """
    from PIL.ImageDraw import Draw

    width, height = image.size
    x, y = int(random.integers(width)), int(random.integers(height))
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    half = round(share * min(width, height)) // 2
    if half:
        image = image.copy()
        Draw(image).rectangle((x - half, y - half, x + half - 1, y + half - 1), (red, green, blue))
    return image


if TYPE_CHECKING:
    from PIL.Image import Image

    Operation = Callable[[Image, int, np.random.Generator], Image]

LEVELS = 9
_GREY = (128, 128, 128)


def invert(image: Image, level: int, random: np.random.Generator) -> Image:
    """Return 255 - x."""
    from PIL import ImageOps

    return ImageOps.invert(image)


def cutout(image: Image, level: int, random: np.random.Generator) -> Image:
    """Paint a grey square of side 0 to .2 widths.

    Its centre lies anywhere.
    """
    from PIL.ImageDraw import Draw

    width, height = image.size
    side = round(0.2 * level / LEVELS * width)
    left, top = (int(place - side / 2) for place in random.random(2) * (width, height))
    if not side:
        return image
    image = image.copy()
    Draw(image).rectangle((left, top, left + side - 1, top + side - 1), _GREY)
    return image


def sharpness(image: Image, level: int, random: np.random.Generator) -> Image:
    """Blend with the smoothed image by 1 -+ 0 to .9."""
    from PIL.ImageEnhance import Sharpness

    return Sharpness(image).enhance(_factor(level, random))


def autocontrast(image: Image, level: int, random: np.random.Generator) -> Image:
    """Stretch each channel to 0..255."""
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def posterize(image: Image, level: int, random: np.random.Generator) -> Image:
    """Keep the 8 to 4 highest bits of each channel."""
    from PIL import ImageOps

    return ImageOps.posterize(image, round(8 - 4 * level / LEVELS))


def shear_x(image: Image, level: int, random: np.random.Generator) -> Image:
    """Shear along the width by 0 to .3, either way.

    Bicubic; grey comes in.
    """
    return _affine(image, (1, _signed(0.3, level, random), 0, 0, 1, 0), smooth=True)


def shear_y(image: Image, level: int, random: np.random.Generator) -> Image:
    """Shear along the height by 0 to .3, either way.

    Bicubic; grey comes in.
    """
    return _affine(image, (1, 0, 0, _signed(0.3, level, random), 1, 0), smooth=True)


def translate_x(image: Image, level: int, random: np.random.Generator) -> Image:
    """Move by 0 to 150/331 of the width, either way.

    Grey comes in.
    """
    return _affine(image, (1, 0, _signed(150 / 331, level, random) * image.width, 0, 1, 0))


def translate_y(image: Image, level: int, random: np.random.Generator) -> Image:
    """Move by 0 to 150/331 of the height, either way.

    Grey comes in.
    """
    return _affine(image, (1, 0, 0, 0, 1, _signed(150 / 331, level, random) * image.height))


def rotate(image: Image, level: int, random: np.random.Generator) -> Image:
    """Turn by 0 to 30 degrees, either way.

    Nearest neighbour; grey comes in.
    """
    return image.rotate(_signed(30, level, random), fillcolor=_GREY)


def equalize(image: Image, level: int, random: np.random.Generator) -> Image:
    """Make each channel's histogram even."""
    from PIL import ImageOps

    return ImageOps.equalize(image)


def contrast(image: Image, level: int, random: np.random.Generator) -> Image:
    """Blend with the mean grey by 1 -+ 0 to .9."""
    from PIL.ImageEnhance import Contrast

    return Contrast(image).enhance(_factor(level, random))


def color(image: Image, level: int, random: np.random.Generator) -> Image:
    """Blend with the grey image by 1 -+ 0 to .9."""
    from PIL.ImageEnhance import Color

    return Color(image).enhance(_factor(level, random))


def solarize(image: Image, level: int, random: np.random.Generator) -> Image:
    """Invert the values from 256 to 0 on."""
    from PIL import ImageOps

    return ImageOps.solarize(image, round(256 * (1 - level / LEVELS)))


def brightness(image: Image, level: int, random: np.random.Generator) -> Image:
    """Scale the values by 1 -+ 0 to .9."""
    from PIL.ImageEnhance import Brightness

    return Brightness(image).enhance(_factor(level, random))


def _signed(most: float, level: int, random: np.random.Generator) -> float:
    return most * level / LEVELS * (1 if random.random() < 0.5 else -1)


def _factor(level: int, random: np.random.Generator) -> float:
    return 1 + _signed(0.9, level, random)


def _affine(image: Image, matrix: tuple[float, ...], *, smooth: bool = False) -> Image:
    from PIL.Image import Resampling, Transform

    kind = Resampling.BICUBIC if smooth else Resampling.NEAREST
    return image.transform(image.size, Transform.AFFINE, matrix, kind, fillcolor=_GREY)


OPERATIONS: dict[str, Operation] = {
    function.__name__: function
    for function in (
        invert,
        cutout,
        sharpness,
        autocontrast,
        posterize,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        rotate,
        equalize,
        contrast,
        color,
        solarize,
        brightness,
    )
}
"""By name, in the order of the publication's list."""
