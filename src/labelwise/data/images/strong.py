"""The strong view of a picture: a cut-out square, then RandAugment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelwise.data.images.randaugment import LEVELS, OPERATIONS
from labelwise.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class StrongView:
    """How a picture's strong view is made, after the flip and the resize: CAP's augmentation by default.

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
        """Return the strong view of an RGB image, of the same size; a function of ``random``'s start."""
        image = _cut_out(image, self.cutout, random)
        names = list(OPERATIONS)
        for _ in range(self.operations):
            name = names[random.integers(len(names))]
            level = int(random.integers(1, LEVELS + 1))
            if random.random() < self.probability:
                image = OPERATIONS[name](image, level, random)
        return image


def _cut_out(image: Image, share: float, random: np.random.Generator) -> Image:
    """Paint a square of side ``share`` times the shorter side, at a random place, with a random colour."""
    from PIL.ImageDraw import Draw

    width, height = image.size
    x, y = int(random.integers(width)), int(random.integers(height))
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    half = round(share * min(width, height)) // 2
    if half:
        image = image.copy()
        Draw(image).rectangle((x - half, y - half, x + half - 1, y + half - 1), (red, green, blue))
    return image
