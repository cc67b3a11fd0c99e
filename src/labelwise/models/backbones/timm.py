"""Backbones ``timm/NAME``: pictures by models of the timm library."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, near
from labelwise.models.backbones.base import LAYERS, LAYERS_SUFFIX, as_places
from labelwise.models.backbones.images import ImageBackbone, no_depths
from labelwise.models.backbones.libraries import require_extra
from labelwise.models.backbones.preprocessing import ImagePreprocessing


class TimmImages(ImageBackbone):
    """A timm model, with its own pooling or the mean over places.

    Its own serves where that is as wide as its places.
    """

    version: ClassVar[int] = 1

    def read(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last features' places, and their pooling or None."""
        model: Any = self.model
        features = model.forward_features(pixels)
        places = self._places(features)
        if not hasattr(model, "forward_head"):
            return places, None
        pooled = model.forward_head(features, pre_logits=True)
        return places, pooled if pooled.ndim == 2 and pooled.shape[1] == places.shape[2] else None

    def depths(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map or tokens of the block or stage before the last, and the last features' places."""
        model: Any = self.model
        if not hasattr(model, "forward_intermediates"):
            raise no_depths(model)
        last, states = model.forward_intermediates(pixels, indices=2)
        return states[0], self._places(last)

    def _places(self, features: Tensor) -> Tensor:
        """Return maps, channels first or last, or tokens as (B, T, C)."""
        width: Any = self.model.num_features
        if features.ndim == 4 and features.shape[1] != width and features.shape[3] == width:
            return features.flatten(1, 2)
        return as_places(features)


def _create(name: str, pretrained: bool) -> Any:
    with require_extra("timm", f"timm/{name}"):
        import timm as library
    try:
        return library.create_model(name, pretrained=pretrained, num_classes=0)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        words = " ".join(str(error).split())
        names = list(library.list_models()) if hasattr(library, "list_models") else []
        if names and "Unknown model" in words:
            raise UserError(f"timm has no model {name!r}; {near(name, names)}") from error
        raise UserError(
            f"backbone 'timm/{name}' cannot be built: {words:.200}; give weights=FILE to load them without a hub"
        ) from error


def _settings(model: nn.Module, name: str) -> dict[str, Any]:
    config: Any = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    if not isinstance(config, dict) or "input_size" not in config:
        raise UserError(f"backbone 'timm/{name}' does not say the size of its pictures (pretrained_cfg)")
    return config


def _preprocessing(settings: dict[str, Any]) -> ImagePreprocessing:
    height, width = (int(side) for side in settings["input_size"][1:])
    interpolation = "bilinear" if settings.get("interpolation") == "bilinear" else "bicubic"
    if settings.get("crop_mode") == "squash" or height != width:
        return ImagePreprocessing((height, width), "squash", interpolation)
    share = float(settings.get("crop_pct") or 0.875)
    return ImagePreprocessing((height, width), "crop", interpolation, max(height, int(height / share)))


def timm_preprocessing(name: str, *, pooling: str = "auto") -> ImagePreprocessing:
    """Return the preprocessing of ``name``, the same for every ``pooling``; weights are not read."""
    return _preprocessing(_settings(_create(name, pretrained=False), name))


def timm(name: str, *, pretrained: bool = True, pooling: str = "auto") -> ImageBackbone:
    """Build timm's ``create_model(name, num_classes=0)`` as a backbone.

    Pictures are sized and normalised as its own configuration says. With ``pooling`` "layers" its features are the
    means of the last two blocks or stages.
    """
    model = _create(name, pretrained)
    settings = _settings(model, name)
    mean, std = ([255.0 * float(value) for value in settings[key]] for key in ("mean", "std"))
    preprocessing = _preprocessing(settings)
    width: Any = model.num_features
    training = model.training
    with torch.no_grad():
        features = model.eval().forward_features(torch.zeros(1, 3, *preprocessing.size))
    model.train(training)
    if features.ndim not in (3, 4) or width not in features.shape[1:]:
        raise UserError(
            f"backbone 'timm/{name}' gives features {tuple(features.shape)}, neither a map nor tokens of {width};"
            " build it yourself and give the module"
        )
    count, layers = int(width), pooling == LAYERS
    try:
        return TimmImages(model, preprocessing, mean=mean, std=std, n_features=count, layers=layers)
    except (AssertionError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        # What shows its layers shows maps alone in some models, and none in others.
        raise UserError(
            f"backbone 'timm/{name}{LAYERS_SUFFIX}' does not show its layers ({error!s:.120}): leave"
            f" '{LAYERS_SUFFIX}' out"
        ) from error
