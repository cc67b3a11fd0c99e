"""Pictures for the tests: smooth enough that a JPEG keeps them, and different from each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from labelwise.models import ImagePreprocessing

SMALL = ImagePreprocessing((24, 32))


def scene(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a picture (height, width, 3) uint8: gradients, and one bright square towards the upper left."""
    draw = np.random.default_rng(number)
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slopes = draw.uniform(40, 110, (3, 2))
    pixels = np.stack([low * down + high * right for low, high in slopes], axis=-1)
    pixels[height // 8 : height // 3, width // 8 : width // 3] += draw.uniform(60, 130, 3)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def folder_of(directory: Path, n: int, *, height: int = 48, width: int = 64) -> list[Path]:
    """Write ``n`` JPEGs and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{number:03}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        Image.fromarray(scene(number, height, width)).save(path, quality=95)
    return paths
