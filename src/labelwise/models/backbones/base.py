"""Interface of a backbone, its optional capabilities, and mean pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

LAYERS = "layers"
LAYERS_SUFFIX = f":{LAYERS}"
"""Ending of the name of a pretrained backbone that gives the states of several depths, side by side."""


class Backbone(Protocol):
    """A module whose output is (B, ``n_features``)."""

    n_features: int

    def __call__(self, batch: Tensor) -> Tensor:
        """Return features (B, n_features)."""
        ...


class GivesPlaces(Protocol):
    """A backbone that also returns an item's places, before pooling.

    They are the cells of a feature map, or the tokens of a text.
    """

    def places(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return places (B, T, n_features) and their mask.

        The mask (B, T) bool is False at padding, or None without padding.
        """
        ...


@dataclass(frozen=True)
class BackboneCapabilities:
    """Optional parts of a backbone, read from its attributes.

    The module may be ours or a user's.

    Attributes:
        n_features: Length of its feature vectors; None for a module that has to be wrapped.
        gives_places: Whether it has ``places``, as ``GivesPlaces``.
        preprocessing: Form of its pictures or texts; None for arrays.
        architecture: Record from which ``build_backbone`` builds it again without weights or a hub; None without.
    """

    n_features: int | None
    gives_places: bool
    preprocessing: Any
    architecture: Mapping[str, Any] | None

    @classmethod
    def of(cls, backbone: nn.Module) -> BackboneCapabilities:
        """Return the capabilities of a module."""
        # The only place that asks a module: wrappers, as of torch.compile, pass attributes on that no class declares.
        n_features = getattr(backbone, "n_features", None)
        return cls(
            n_features if isinstance(n_features, int) else None,
            hasattr(backbone, "places"),
            getattr(backbone, "preprocessing", None),
            getattr(backbone, "architecture", None) or None,
        )


def as_places(maps: Tensor) -> Tensor:
    """Return maps (B, C, h, w) or tokens as (B, T, C)."""
    return maps.flatten(2).mT if maps.ndim == 4 else maps


def masked_mean(places: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean (B, D) over the places that a mask keeps.

    ``sum_t m_bt x_bt / sum_t m_bt`` of ``places`` (B, T, D) and ``mask`` (B, T) bool. An item without a place gets
    zeros; what stands at a masked place, even NaN, has no influence. Half precision is summed and returned in float32.
    """
    wide = torch.promote_types(places.dtype, torch.float32)
    if mask is None:
        return places.mean(1, dtype=wide)
    # Filled, not multiplied by the mask: a NaN stays one when it is multiplied by 0.
    total = places.masked_fill(~mask[..., None], 0).sum(1, dtype=wide)
    return total / mask.sum(1, keepdim=True).clamp(min=1)
