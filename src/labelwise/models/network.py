"""The network that is trained: a backbone, then a head, and what may stand between them."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labelwise.models.heads import FeatureScaling


class Outputs(NamedTuple):
    """What a network returns: ``features`` (B, D) and ``scores`` (B, K), logits or cosines by its head.

    ``parts`` is what a head gives beside its scores (the spread of a query, the outputs of two classifiers).
    """

    features: Tensor
    scores: Tensor
    parts: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """A backbone, then a head; between them a neck where one is given: a ``Projection`` or a ``FeatureScaling``.

    A head returns scores, or (scores, parts). A head with ``read_maps`` gets the backbone's ``places(batch)`` where
    there are any, (B, T, n_features), the cells of a map or the tokens of a text, and their mask (B, T) where some
    are padding; it is told so by one call of ``read_maps()``. ``features`` is then the mean over the places.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, neck: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Identity() if neck is None else neck
        self.head = head
        can_read = hasattr(head, "read_maps") and hasattr(backbone, "places")
        self.reads_maps = can_read and neck is None
        if self.reads_maps:
            cast(Any, head).read_maps()

    @property
    def keeps_statistics(self) -> bool:
        """Whether batch norm in the backbone keeps its statistics: a ``FeatureScaling`` rests on what they make."""
        return isinstance(self.neck, FeatureScaling)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, in which batch norm goes on with the statistics that it has where they are kept."""
        super().train(mode)
        if self.keeps_statistics:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, batch: Tensor) -> Outputs:
        """Return the features that the head sees and its scores."""
        if self.reads_maps:
            places, mask = cast(Any, self.backbone).places(batch)
            said = self.head(places) if mask is None else self.head(places, mask)
            return self._outputs(masked_mean(places, mask), said)
        return self.read(self.neck(self.backbone(batch)))

    def read(self, features: Tensor) -> Outputs:
        """Return what the head says of features (B, D) that this network made; not where it reads maps."""
        return self._outputs(features, self.head(features))

    @staticmethod
    def _outputs(features: Tensor, said: Tensor | tuple[Tensor, tuple[Tensor, ...]]) -> Outputs:
        return Outputs(features, *said) if isinstance(said, tuple) else Outputs(features, said)


def masked_mean(places: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``sum_t m_bt x_bt / sum_t m_bt`` (B, D) of ``places`` (B, T, D) and ``mask`` (B, T) bool.

    An item without a place gets zeros; what stands at a masked place, even NaN, has no influence. Half precision is
    summed and returned in float32.
    """
    wide = torch.promote_types(places.dtype, torch.float32)
    if mask is None:
        return places.mean(1, dtype=wide)
    total = places.masked_fill(~mask[..., None], 0).sum(1, dtype=wide)
    return total / mask.sum(1, keepdim=True).clamp(min=1)
