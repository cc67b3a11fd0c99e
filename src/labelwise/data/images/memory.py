"""Small images kept in memory, and their views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.arrays import check_finite
from labelwise.data.views import NormalTable, bits, check_view, streams, uniform
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch

_SLACK = 1e-3  # rounding, as of floats that were resized


class ImageSource:
    """Images in an array as a source of items.

    The array is (n, H, W), (n, C, H, W) or (n, H, W, C) with C of 1, 3 or 4; uint8, or floats in 0..1.

    An item is ``(x - mean) / std`` with x in 0..1, float32 (C, H, W). The plain and the weak view are
    the item. The strong view is shifted by up to ``shift`` pixels each way (the border repeats), loses a
    square of side ``cutout`` times the shorter side at a random place (set to 0, the mean), and gets Gaussian
    noise.

    Args:
        mean: The scaling, one for all channels.
        std: As ``mean``.
        shift: Largest shift in pixels, >= 0.
        cutout: Side of the square as a share of the shorter side, in [0, 1).
        noise: Standard deviation of the noise in scaled units, >= 0.

    Raises:
        UserError: For an array of another shape or dtype, with NaN or infinity, or an argument out of range.
    """

    def __init__(
        self,
        X: Any,
        *,
        mean: float = 0.5,
        std: float = 0.5,
        shift: int = 2,
        cutout: float = 0.3,
        noise: float = 0.1,
    ) -> None:
        if shift < 0 or not 0 <= cutout < 1 or not noise >= 0 or not std > 0:
            raise UserError(
                f"shift={shift}, cutout={cutout}, noise={noise}, std={std}: shift and noise are at least 0,"
                " cutout is in [0, 1), std above 0"
            )
        self.mean, self.std, self.shift, self.cutout, self.noise = mean, std, shift, cutout, noise
        self._images = _channels_first(np.asarray(X))
        self._normal = NormalTable()

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)``."""
        return tuple(self._images.shape[1:])

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the images' views (b, C, H, W) float32.

        See ``Source`` and the class.
        """
        import torch

        check_view(view)
        index = np.asarray(index, dtype=np.int64)
        channels, height, width = self._images.shape[1:]
        if view != "strong":
            return torch.from_numpy(self._scaled(self._images[index]))
        pixels = channels * height * width
        # Four numbers place the shift and the square, whatever the noise: it does not move them.
        numbers = bits(streams(index, seed=seed, epoch=epoch), 4 + pixels)
        places = uniform(numbers[:, :4])
        down, right = (places[:, :2] * (2 * self.shift + 1)).astype(np.int64).T - self.shift
        rows = np.clip(np.arange(height) + down[:, None], 0, height - 1)
        columns = np.clip(np.arange(width) + right[:, None], 0, width - 1)
        items, planes = index[:, None, None, None], np.arange(channels)[:, None, None]
        images = self._scaled(self._images[items, planes, rows[:, None, :, None], columns[:, None, None, :]])
        side = round(self.cutout * min(height, width))
        top = (places[:, 2] * (height - side + 1)).astype(np.int64)[:, None]
        left = (places[:, 3] * (width - side + 1)).astype(np.int64)[:, None]
        high = (np.arange(height) >= top) & (np.arange(height) < top + side)
        wide = (np.arange(width) >= left) & (np.arange(width) < left + side)
        images *= ~(high[:, None, :, None] & wide[:, None, None, :])
        if self.noise:
            images += np.float32(self.noise) * self._normal(numbers[:, 4:]).reshape(images.shape)
        return torch.from_numpy(images)

    def _scaled(self, images: NDArray[Any]) -> NDArray[np.float32]:
        unit = 255.0 if images.dtype == np.uint8 else 1.0
        scaled = images.astype(np.float32)
        # One product and one difference in place, in float32: the order of rounding is part of saved scores.
        scaled *= np.float32(1 / (unit * self.std))
        scaled -= np.float32(self.mean / self.std)
        return scaled


def _check_range(images: NDArray[np.float32]) -> None:
    """Refuse floats outside 0..1.

    Taken for a picture they are another one, and nothing else would tell.
    """
    if not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if low >= -_SLACK and high <= 1 + _SLACK:
        return
    # A picture of bytes has a value far above 2; what is scaled otherwise is not mended by 255.
    of_bytes = low >= 0 and 2 < high <= 255
    mend = "divide them by 255, or give uint8" if of_bytes else "give them as they were before that"
    raise UserError(
        f"images hold floats from {low:.4g} to {high:.4g}, and 0..1 is what is read: {mend} (mean and deviation are"
        " taken off later)"
    )


def _channels_first(images: NDArray[Any]) -> NDArray[Any]:
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise UserError(f"images hold {images.dtype.name} values: give uint8 (0..255) or floats (0..1)")
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise UserError(f"images have shape {images.shape}: give (n, H, W), (n, C, H, W) or (n, H, W, C)")
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3, 4) and images.shape[3] in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8:
        images = images.astype(np.float32, copy=False)
        check_finite(images)
        _check_range(images)
    return np.ascontiguousarray(images)
