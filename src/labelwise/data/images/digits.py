"""Digit canvases of scikit-learn's scans, and a fixed feature map of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch

DIGIT_NAMES: tuple[str, ...] = tuple("0123456789")
_SIDES = range(8, 13)
_TRAIN_SCANS = 1198


@lru_cache(maxsize=1)
def _scans() -> tuple[dict[int, NDArray[np.float32]], NDArray[np.int64]]:
    """Return the 1,797 scans at each side, and their digits.

    Their values are 0 to 1.
    """
    from sklearn.datasets import load_digits

    scans, digits = load_digits(return_X_y=True)
    images = scans.reshape(-1, 8, 8).astype(np.float32) / 16
    sizes = {}
    for side in _SIDES:
        resize = _interpolation(side)
        sizes[side] = np.clip(resize @ images @ resize.T, 0, 1)
    return sizes, digits.astype(np.int64)


def _interpolation(side: int) -> NDArray[np.float32]:
    """Return the (side, 8) matrix of linear interpolation from 8 pixels.

    Centres are aligned.
    """
    centres = np.clip((np.arange(side) + 0.5) * 8 / side - 0.5, 0, 7)
    weights: NDArray[np.float32] = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(8))).astype(
        np.float32
    )
    return weights


def scan_numbers(part: str) -> NDArray[np.int64]:
    """Return the numbers of the scans of a part's canvases."""
    _, digits = _scans()
    return np.arange(_TRAIN_SCANS) if part == "train" else np.arange(_TRAIN_SCANS, len(digits))


def digits_canvases(
    n: int = 2000,
    *,
    seed: int = 0,
    part: Literal["train", "test"] = "train",
    size: int = 32,
    most: int = 4,
) -> tuple[NDArray[np.uint8], NDArray[np.int8], tuple[str, ...]]:
    """Compose canvases from scikit-learn's scans of handwritten digits.

    There are 1,797 of 8 x 8 pixels.

    Each canvas carries one to ``most`` different digits, each scaled to 8..12 pixels, with its own contrast
    (.6 to 1), at a random place; bounding boxes overlap by two pixels at most where there is room. Train
    canvases are made of the first 1,198 scans, test canvases of the other 599, which are mostly other
    writers'. Canvas ``i`` depends on ``(seed, part, i, size, most)`` only.

    Args:
        n: Number of canvases, at least 1.
        size: Side of a canvas in pixels, at least 16.
        most: Largest number of digits on a canvas, 1 to 10.

    Returns:
        Images (n, size, size) uint8 0..255; the full truth Y (n, 10) int8 in {0, 1}; the label names "0".."9".

    Raises:
        UserError: For an argument out of range.
    """
    if part not in ("train", "test"):
        raise UserError(f"part is {part!r}: give 'train' or 'test'")
    if n < 1 or size < 16 or not 1 <= most <= 10:
        raise UserError(f"n={n}, size={size}, most={most}: n is at least 1, size at least 16, most 1 to 10")
    sizes, digits = _scans()
    numbers = scan_numbers(part)
    by_digit = [numbers[digits[numbers] == digit] for digit in range(10)]
    images = np.zeros((n, size, size), dtype=np.float32)
    truth = np.zeros((n, 10), dtype=np.int8)
    for i in range(n):
        # A generator a canvas: the first n canvases are the same however many are made.
        draw = generator(seed, "digits_canvases", part, i)
        chosen = draw.permutation(10)[: draw.integers(1, most + 1)]
        truth[i, chosen] = 1
        boxes: list[tuple[int, int, int]] = []
        for digit in chosen:
            scans = by_digit[digit]
            side = int(draw.integers(_SIDES.start, _SIDES.stop))
            scan = sizes[side][scans[draw.integers(len(scans))]]
            top, left = _least_overlapping_corner(draw, side, size, boxes)
            boxes.append((top, left, side))
            spot = images[i, top : top + side, left : left + side]
            np.maximum(spot, scan * np.float32(draw.uniform(0.6, 1.0)), out=spot)
    return np.rint(images * 255).astype(np.uint8), truth, DIGIT_NAMES


def _least_overlapping_corner(
    draw: np.random.Generator, side: int, size: int, boxes: list[tuple[int, int, int]]
) -> tuple[int, int]:
    """Return the random corner that overlaps the taken boxes least.

    It is the top left one, out of 30.
    """
    corners = draw.integers(0, size - side + 1, size=(30, 2))
    worst = np.zeros(len(corners), dtype=np.int64)
    for top, left, other in boxes:
        height = np.minimum(corners[:, 0] + side, top + other) - np.maximum(corners[:, 0], top)
        width = np.minimum(corners[:, 1] + side, left + other) - np.maximum(corners[:, 1], left)
        worst = np.maximum(worst, np.minimum(height, width))
    best = int(np.argmax(worst <= 2)) if (worst <= 2).any() else int(worst.argmin())
    return int(corners[best, 0]), int(corners[best, 1])


_CHUNK = 8


def digits_features(
    images: NDArray[np.uint8], *, filters: int = 512, patch: int = 5, seed: int = 0
) -> NDArray[np.float32]:
    """Return the fit of learnt patches to each canvas.

    A feature says how well one of ``filters`` patches fits somewhere on the canvas.

    The dictionary W is k-means (Coates and Ng, 2012) over contrast-normalised patches of 500 train canvases
    of the same size, without labels; a feature is ``max over positions of <p, w_j>`` with ``p = (x -
    mean(x)) / (patch * sqrt(var(x) + .01))`` and ``|w_j| = 1``. The features of a canvas depend on it and on
    the keywords only, not on the other canvases.

    Args:
        images: (n, size, size) uint8.

    Returns:
        (n, filters) float32 in [-1, 1].

    Raises:
        UserError: For images of another shape or dtype.
    """
    import torch

    from labelwise.models import one_thread

    if images.ndim != 3 or images.dtype != np.uint8 or min(images.shape[1:]) < patch:
        raise UserError(
            f"images are {images.dtype} of shape {images.shape}: give uint8 (n, size, size), size >= {patch}"
        )
    weights = _dictionary(filters, patch, seed, max(16, *images.shape[1:]))
    features = np.empty((len(images), filters), dtype=np.float32)
    # Every chunk has the same shape, on one thread: other shapes or shares of the work may round otherwise.
    chunk = torch.zeros(_CHUNK, *images.shape[1:])
    with one_thread(), torch.inference_mode():
        for start in range(0, len(images), _CHUNK):
            part = torch.from_numpy(images[start : start + _CHUNK])
            chunk[: len(part)] = part / 255
            fits = _normalised_patches(chunk, patch) @ weights
            features[start : start + len(part)] = fits.amax(dim=1)[: len(part)].numpy()
    return features


def _normalised_patches(images: torch.Tensor, patch: int) -> torch.Tensor:
    """Return every patch without its mean and contrast.

    Images are (b, H, W), patches (b, positions, patch^2).
    """
    patches = images.unfold(1, patch, 1).unfold(2, patch, 1).flatten(3).flatten(1, 2)
    patches = patches - patches.mean(dim=2, keepdim=True)
    variance = patches.square().mean(dim=2, keepdim=True)
    return patches / (patch * (variance + 0.01).sqrt())


@lru_cache(maxsize=4)
def _dictionary(filters: int, patch: int, seed: int, size: int) -> torch.Tensor:
    """Return the (patch^2, filters) unit patches learnt on train canvases.

    The canvases are of this size.
    """
    import torch
    from sklearn.cluster import MiniBatchKMeans

    images, _, _ = digits_canvases(500, seed=seed, part="train", size=size)
    patches = _normalised_patches(torch.from_numpy(images) / 255, patch).flatten(0, 1)
    patches = patches[patches.norm(dim=1) > 0.75]
    chosen = generator(seed, "digits_features").permutation(len(patches))[:20_000]
    means = MiniBatchKMeans(filters, random_state=seed, n_init=1, batch_size=2048, max_iter=30)
    centres = torch.from_numpy(means.fit(patches[chosen].numpy()).cluster_centers_).float()
    return torch.nn.functional.normalize(centres, dim=1).T.contiguous()
