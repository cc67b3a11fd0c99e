"""A fixed feature map of the digit canvases: something for feature mode to learn from without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.data.images.digits import digits_canvases
from labelwise.errors import UserError

_CHUNK = 8


def digits_features(
    images: NDArray[np.uint8], *, filters: int = 512, patch: int = 5, seed: int = 0
) -> NDArray[np.float32]:
    """Return how well each of ``filters`` learnt patches fits somewhere on each canvas.

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
    if images.ndim != 3 or images.dtype != np.uint8 or min(images.shape[1:]) < patch:
        raise UserError(
            f"images are {images.dtype} of shape {images.shape}: give uint8 (n, size, size), size >= {patch}"
        )
    weights = _dictionary(filters, patch, seed, max(16, *images.shape[1:]))
    features = np.empty((len(images), filters), dtype=np.float32)
    # Every chunk has the same shape: a product of another shape may round otherwise.
    chunk = torch.zeros(_CHUNK, *images.shape[1:])
    with _one_thread(), torch.inference_mode():
        for start in range(0, len(images), _CHUNK):
            part = torch.from_numpy(images[start : start + _CHUNK])
            chunk[: len(part)] = part / 255
            fits = _normalised_patches(chunk, patch) @ weights
            features[start : start + len(part)] = fits.amax(dim=1)[: len(part)].numpy()
    return features


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: products this small lose by more, and the rounding is the same everywhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _normalised_patches(images: torch.Tensor, patch: int) -> torch.Tensor:
    """Return (b, positions, patch^2): every patch of (b, H, W) images without its mean and contrast."""
    patches = images.unfold(1, patch, 1).unfold(2, patch, 1).flatten(3).flatten(1, 2)
    patches = patches - patches.mean(dim=2, keepdim=True)
    variance = patches.square().mean(dim=2, keepdim=True)
    return patches / (patch * torch.sqrt(variance + 0.01))


@lru_cache(maxsize=4)
def _dictionary(filters: int, patch: int, seed: int, size: int) -> torch.Tensor:
    """Return the (patch^2, filters) unit patches learnt on train canvases of this size."""
    from sklearn.cluster import MiniBatchKMeans

    images, _, _ = digits_canvases(500, seed=seed, part="train", size=size)
    patches = _normalised_patches(torch.from_numpy(images) / 255, patch).flatten(0, 1)
    patches = patches[patches.norm(dim=1) > 0.75]
    chosen = generator(seed, "digits_features").permutation(len(patches))[:20_000]
    means = MiniBatchKMeans(filters, random_state=seed, n_init=1, batch_size=2048, max_iter=30)
    centres = torch.from_numpy(means.fit(patches[chosen].numpy()).cluster_centers_).float()
    return torch.nn.functional.normalize(centres, dim=1).T.contiguous()
