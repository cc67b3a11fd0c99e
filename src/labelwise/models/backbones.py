"""Backbones: from a batch of items to pooled features ``z`` (B, n_features), by name or any ``nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, near

__all__ = [
    "BACKBONES",
    "MLP",
    "Backbone",
    "Features",
    "Network",
    "Outputs",
    "SmallCNN",
    "Wrapped",
    "build_backbone",
]


class Backbone(Protocol):
    """A module whose output is (B, ``n_features``)."""

    n_features: int

    def __call__(self, batch: Tensor) -> Tensor:
        """Return features (B, n_features)."""
        ...


class Features(nn.Module):
    """The identity on feature vectors; arrays of more dimensions are flattened to (B, n_features)."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.n_features = prod(input_shape)

    def forward(self, batch: Tensor) -> Tensor:
        """Return the batch as (B, n_features)."""
        return batch.flatten(1)


class MLP(nn.Sequential):
    """Hidden layers Linear, [norm], GELU, [dropout]; ``norm`` is "layer", "batch" or "none".

    ``layer`` by default, so that a batch of one item works and no statistics are carried.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.0,
        norm: str = "layer",
    ) -> None:
        norms: dict[str, Callable[[int], nn.Module] | None] = {
            "layer": nn.LayerNorm,
            "batch": nn.BatchNorm1d,
            "none": None,
        }
        if norm not in norms:
            raise UserError(f"norm {norm!r} does not exist; {near(norm, norms)}")
        if not hidden:
            raise UserError("hidden is empty; give at least one layer size, or use backbone='features'")
        width, layers, make = prod(input_shape), list[nn.Module]([nn.Flatten()]), norms[norm]
        for size in hidden:
            layers += [nn.Linear(width, size), *([make(size)] if make else []), nn.GELU()]
            layers += [nn.Dropout(dropout)] if dropout else []
            width = size
        super().__init__(*layers)
        self.n_features = width


class SmallCNN(nn.Module):
    """A small convolutional net for arrays (B, C, H, W) of about 8 x 8 to 64 x 64.

    Blocks of two 3 x 3 convolutions with GroupNorm and GELU; the map is halved after each block while its
    shorter side is above ``smallest``. Features are the mean over the last map.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        widths: Sequence[int] = (32, 64, 128),
        smallest: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise UserError(f"smallcnn takes arrays (n, C, H, W); got items of shape {tuple(input_shape)}")
        channels, side = int(input_shape[0]), min(int(s) for s in input_shape[1:])
        layers: list[nn.Module] = []
        for width in widths:
            for before in (channels, width):
                layers += [
                    nn.Conv2d(before, width, 3, padding=1, bias=False),
                    nn.GroupNorm(_divisor(width), width),
                    nn.GELU(),
                ]
            if side > smallest:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                side = -(-side // 2)
            channels = width
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.n_features = channels

    def feature_map(self, batch: Tensor) -> Tensor:
        """Return the last map (B, n_features, h, w)."""
        return cast(Tensor, self.layers(batch))

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features)."""
        return cast(Tensor, self.dropout(self.feature_map(batch).mean(dim=(2, 3))))


class Wrapped(nn.Module):
    """Any module: its output is flattened to (B, n_features), a number found by one forward pass of zeros."""

    def __init__(self, module: nn.Module, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        training = module.training
        place = next(module.parameters(), torch.empty(0))
        try:
            with torch.no_grad():
                z = module.eval()(torch.zeros(1, *input_shape, device=place.device, dtype=place.dtype))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"backbone {type(module).__name__} fails on an item of shape {tuple(input_shape)}: {error};"
                " give a module that maps (B, *shape) to (B, features)"
            ) from error
        finally:
            module.train(training)
        if not isinstance(z, Tensor) or z.ndim < 2 or len(z) != 1:
            found = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise UserError(
                f"backbone {type(module).__name__} returned {found} for one item;"
                " give a module that maps (B, *shape) to (B, features)"
            )
        self.n_features = z.flatten(1).shape[1]

    def forward(self, batch: Tensor) -> Tensor:
        """Return features (B, n_features)."""
        return cast(Tensor, self.module(batch)).flatten(1)


BACKBONES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {"features": Features, "mlp": MLP, "smallcnn": SmallCNN}
)
"""Builders by name: ``builder(input_shape, **options)`` returns a module with ``n_features``."""


def build_backbone(name: str | nn.Module, input_shape: Sequence[int], **options: Any) -> nn.Module:
    """Return a module with ``n_features`` for items of ``input_shape`` (without the batch dimension).

    ``name``: a key of ``BACKBONES``, or a module: taken as it is where it has ``n_features``, else wrapped.
    Raise UserError for a name or an option that does not exist, or a shape that the backbone does not take.
    """
    if isinstance(name, nn.Module):
        if options:
            raise UserError(f"options {sorted(options)} go with a backbone's name; a module is already built")
        return name if isinstance(getattr(name, "n_features", None), int) else Wrapped(name, input_shape)
    if name not in BACKBONES:
        raise UserError(f"backbone {name!r} does not exist; {near(name, BACKBONES)}")
    try:
        return BACKBONES[name](tuple(input_shape), **options)
    except TypeError as error:
        raise UserError(f"backbone {name!r} does not take the options {options}: {error}") from error


class Outputs(NamedTuple):
    """What a network returns: ``features`` (B, D) and ``scores`` (B, K), logits or cosines by its head.

    ``parts`` is what a head gives beside its scores (the spread of a query, the outputs of two classifiers).
    """

    features: Tensor
    scores: Tensor
    parts: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """A backbone, then a head; between them a projection where one is given.

    A head returns scores, or (scores, parts). A head with ``read_maps`` gets the backbone's ``feature_map`` where
    there is one, (B, n_features, *places) or, for a sequence, (B, n_features, T), as places (B, T, n_features), and
    is told so by one call of ``read_maps()``; ``features`` is then the mean over the places.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, projection: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Identity() if projection is None else projection
        self.head = head
        can_read = hasattr(head, "read_maps") and hasattr(backbone, "feature_map")
        self.reads_maps = can_read and projection is None
        if self.reads_maps:
            cast(Any, head).read_maps()

    def forward(self, batch: Tensor) -> Outputs:
        """Return the features that the head sees and its scores."""
        if self.reads_maps:
            places = cast(Any, self.backbone).feature_map(batch).flatten(2).mT
            return self._outputs(places.mean(1), self.head(places))
        return self.read(self.projection(self.backbone(batch)))

    def read(self, features: Tensor) -> Outputs:
        """Return what the head says of features (B, D) that this network made; not where it reads maps."""
        return self._outputs(features, self.head(features))

    @staticmethod
    def _outputs(features: Tensor, said: Tensor | tuple[Tensor, tuple[Tensor, ...]]) -> Outputs:
        return Outputs(features, *said) if isinstance(said, tuple) else Outputs(features, said)


def _divisor(width: int, most: int = 8) -> int:
    """Return the largest number of groups up to ``most`` that divides ``width``."""
    return next(groups for groups in range(most, 0, -1) if width % groups == 0)
