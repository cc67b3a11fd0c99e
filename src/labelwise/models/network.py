"""The trained network: a backbone, a head, and a neck between."""

from __future__ import annotations

from typing import NamedTuple, Self, cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labelwise.models.backbones.arrays import Features
from labelwise.models.backbones.base import BackboneCapabilities, GivesPlaces, masked_mean
from labelwise.models.heads import FeatureScaling, ReadsMaps, ReadsRows


class Outputs(NamedTuple):
    """Outputs of a network: features (B, D) and scores (B, K).

    Scores are logits or cosines, by its head. ``parts`` is what a head gives beside its scores (the spread of a query,
    the outputs of two classifiers).
    """

    features: Tensor
    scores: Tensor
    parts: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """A backbone, then a head, and between them a neck if any.

    A neck is a ``Projection`` or a ``FeatureScaling``. A head returns scores, or (scores, parts). A head with
    ``read_maps`` gets the backbone's ``places(batch)`` where there are any, (B, T, n_features), the cells of a map or
    the tokens of a text, and their mask (B, T) where some are padding; it is told so by one call of ``read_maps()``.
    ``features`` is then the mean over the places.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, neck: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Identity() if neck is None else neck
        self.head = head
        self.reads_maps = False
        if isinstance(head, ReadsMaps) and BackboneCapabilities.of(backbone).gives_places and neck is None:
            self.reads_maps = True
            head.read_maps()

    @property
    def reads_rows(self) -> bool:
        """Whether the head scores rows of features as they are given.

        Nothing then stands before it.
        """
        bare = isinstance(self.backbone, Features) and isinstance(self.neck, nn.Identity)
        return bare and isinstance(self.head, ReadsRows)

    @property
    def keeps_statistics(self) -> bool:
        """Whether batch norm in the backbone keeps its statistics.

        A ``FeatureScaling`` is fitted to the features that they make.
        """
        return isinstance(self.neck, FeatureScaling)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, without batch norms whose statistics are kept."""
        super().train(mode)
        if self.keeps_statistics:
            for module in self.backbone.modules():
                # Training would move the features away from those that the scaling and the head's start were fitted to.
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, batch: Tensor) -> Outputs:
        """Return the features that the head sees and its scores."""
        if self.reads_maps:
            places, mask = cast(GivesPlaces, self.backbone).places(batch)
            outputs = self.head(places) if mask is None else self.head(places, mask)
            return self._outputs(masked_mean(places, mask), outputs)
        return self.read(self.seen(batch))

    def seen(self, batch: Tensor) -> Tensor:
        """Return the features (B, D) that the head sees, where it reads no maps."""
        return cast(Tensor, self.neck(self.backbone(batch)))

    def read(self, features: Tensor) -> Outputs:
        """Return the outputs for features (B, D) that this network made.

        Not for a head that reads maps.
        """
        return self._outputs(features, self.head(features))

    @staticmethod
    def _outputs(features: Tensor, outputs: Tensor | tuple[Tensor, tuple[Tensor, ...]]) -> Outputs:
        return Outputs(features, *outputs) if isinstance(outputs, tuple) else Outputs(features, outputs)
