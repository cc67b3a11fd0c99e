"""Backbones for arrays: identity, MLP, small CNN, any ``nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from labelwise.errors import UserError, near
from labelwise.models.compute import device_of, dtype_of


class Features(nn.Module):
    """Identity on feature vectors; larger arrays are flattened to (B, n_features)."""

    version: ClassVar[int] = 1

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

    version: ClassVar[int] = 1

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
    """Small convolutional net for arrays (B, C, H, W).

    It is meant for about 8 x 8 to 64 x 64 pixels. Blocks of two 3 x 3 convolutions with GroupNorm and GELU; the map is
    halved after each block while its shorter side is above ``smallest``. Features are the mean over the last map.
    """

    version: ClassVar[int] = 1

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

    def places(self, batch: Tensor) -> tuple[Tensor, None]:
        """Return the last map's cells (B, h w, n_features), and no mask."""
        return cast(Tensor, self.layers(batch)).flatten(2).mT, None

    def forward(self, batch: Tensor) -> Tensor:
        """Return the pooled features (B, n_features)."""
        return cast(Tensor, self.dropout(cast(Tensor, self.layers(batch)).mean(dim=(2, 3))))


class Wrapped(nn.Module):
    """Any module, with its output flattened to (B, n_features).

    The number of features comes from one forward pass of zeros.
    """

    version: ClassVar[int] = 1

    def __init__(self, module: nn.Module, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.module = module
        training = module.training
        item = torch.zeros(1, *input_shape, device=device_of(module), dtype=dtype_of(module))
        try:
            with torch.no_grad():
                z = module.eval()(item)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"backbone {type(module).__name__} fails on an item of shape {tuple(input_shape)}: {error};"
                " give a module that maps (B, *shape) to (B, features)"
            ) from error
        finally:
            module.train(training)
        if not isinstance(z, Tensor) or z.ndim < 2 or len(z) != 1:
            shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise UserError(
                f"backbone {type(module).__name__} returned {shape} for one item;"
                " give a module that maps (B, *shape) to (B, features)"
            )
        self.n_features = z.flatten(1).shape[1]

    def forward(self, batch: Tensor) -> Tensor:
        """Return features (B, n_features)."""
        return cast(Tensor, self.module(batch)).flatten(1)


def _divisor(width: int, most: int = 8) -> int:
    """Return the largest number of groups up to ``most`` that divides ``width``."""
    return next(groups for groups in range(most, 0, -1) if width % groups == 0)
