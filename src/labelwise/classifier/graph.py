"""The graph of a fitted classifier: from an item's numbers to its label set in one module.

It holds the backbone, the scaling, the head, the calibration, the hierarchy and the decision rule. What turns a picture
or a text into numbers stands in its facts.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labelwise import metrics
from labelwise._version import __version__
from labelwise.annotations import Hierarchy
from labelwise.classifier.decision import Decision
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.reader import ItemReader
from labelwise.data import ImageSource
from labelwise.errors import shown
from labelwise.metrics import PerLabelThreshold, Threshold, TopK
from labelwise.models import BlockScaling, InputScaling, Scaling, TextPreprocessing, build_tokenizer

OUTPUTS = ("probabilities", "logits", "labels")
"""The graph's outputs: float32 (B, K) in [0, 1], their logits float32 (B, K), and label sets int8 (B, K)."""


def example(reader: ItemReader, fitted: FittedModel) -> tuple[str, Tensor, dict[int, Any]]:
    """Return the input's name, two items, and the sides of the input that may be of any length."""
    batch = {0: torch.export.Dim("batch")}
    preprocessing = reader.preprocessing
    if preprocessing is None:
        shape = _array_shape(reader, fitted)
        return "features" if len(shape) == 1 else "pixels", torch.zeros(2, *shape), batch
    if preprocessing.kind == "image":
        return "pixels", torch.zeros(2, 3, *preprocessing.size, dtype=torch.uint8), batch  # type: ignore[union-attr]
    ids = torch.full((2, 7), 1 if preprocessing.pad_id != 1 else 2)  # type: ignore[union-attr]
    most = preprocessing.max_length  # type: ignore[union-attr]
    return "ids", ids, {**batch, 1: torch.export.Dim("tokens", min=2, max=most)}


def _array_shape(reader: ItemReader, fitted: FittedModel) -> tuple[int, ...]:
    """Return the shape (D,) or (C, H, W) of an item that is an array of numbers."""
    if reader.embedder is None:
        return tuple(fitted.input_shape)
    shape = tuple(reader.item_shape)
    return shape if len(shape) < 2 else ImageSource(np.zeros((1, *shape), np.uint8)).shape


def facts(reader: ItemReader, fitted: FittedModel, decision: Decision) -> dict[str, str]:
    """Return all that a user of the file must know, as JSON."""
    preprocessing = reader.preprocessing
    columns = reader.columns
    values: dict[str, Any] = {
        "labelwise": __version__,
        "method": fitted.method.spec.id,
        "label_names": list(fitted.labels.label_names),
        "rule": decision.rule.to_dict(),
        "rule_source": decision.source,
        "calibrated": decision.calibration is not None,
        "preprocessing": None if preprocessing is None else preprocessing.to_dict(),
        "feature_names": None if columns is None else [str(name) for name in columns],
    }
    if isinstance(preprocessing, TextPreprocessing):
        # Whole, also where a package has it: the file is used without that package.
        values["tokenizer"] = build_tokenizer(preprocessing, reader.tokenizer).definition()
    return {f"labelwise.{key}": json.dumps(value, ensure_ascii=False) for key, value in values.items()}


class Graph(nn.Module):
    """From items' numbers to probabilities, logits and label sets."""

    def __init__(self, reader: ItemReader, fitted: FittedModel, decision: Decision) -> None:
        super().__init__()
        pictures = reader.preprocessing is None and len(_array_shape(reader, fitted)) == 3
        self.pixels = _Pixels() if pictures else nn.Identity()
        self.embedder = nn.Identity() if reader.embedder is None else reader.embedder
        self.scaling = nn.Identity() if fitted.scaling is None else _scaling(fitted.scaling)
        self.network, self.method = fitted.network, fitted.method
        self.calibration = nn.Identity() if decision.calibration is None else _Line(decision.calibration)
        self.coherent = nn.Identity() if decision.hierarchy is None else _Coherent(decision.hierarchy)
        self.rule = _rule(decision.rule)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities, logits and label sets, each (B, K)."""
        outputs = self.network(self.scaling(self.embedder(self.pixels(batch))))
        logits = self.coherent(self.calibration(self.method.logits(outputs).double()))
        sets = self.coherent(self.rule(logits).to(torch.int32)).to(torch.int8)
        return torch.sigmoid(logits).float(), logits.float(), sets


class _Pixels(nn.Module):
    """Pictures in arrays, floats in 0..1, as ``ImageSource`` scales them."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return ``(x - mean) / std``."""
        source = ImageSource(np.zeros((1, 1, 1), np.uint8))
        return pixels * (1 / source.std) - source.mean / source.std


def _scaling(scaling: Scaling) -> nn.Module:
    return _Blocks(scaling) if isinstance(scaling, BlockScaling) else _Scaled(scaling)


class _Scaled(nn.Module):
    """``InputScaling.transform``, in float64 as there."""

    mean: Tensor
    inverse: Tensor

    def __init__(self, scaling: InputScaling) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.array(scaling.mean, np.float64)))
        self.register_buffer("inverse", torch.from_numpy(np.array(scaling.inverse_scale, np.float64)))
        self.normed = scaling.normed
        # As there, a row that is the mean but for rounding has no direction.
        self.least = float(1e-12 * np.linalg.norm(scaling.mean * scaling.inverse_scale))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scaled rows (B, D), float32."""
        z = (features.flatten(1).double() - self.mean) * self.inverse
        if self.normed:
            norm = z.square().sum(1, keepdim=True).sqrt()
            reliable = norm > self.least
            z = z * torch.where(reliable, 1 / torch.where(reliable, norm, 1.0), 0.0)
        return z.float()


class _Blocks(nn.Module):
    """``BlockScaling.transform`` of blocks side by side."""

    def __init__(self, scaling: BlockScaling) -> None:
        super().__init__()
        self.parts = nn.ModuleList(map(_Scaled, scaling.parts))
        self.weights, self.slices = scaling.weights, scaling.slices

    def forward(self, features: Tensor) -> Tensor:
        """Return the scaled rows (B, D), float32."""
        parts = zip(self.parts, self.weights, self.slices, strict=True)
        return torch.cat([part(features[:, columns]) * weight for part, weight, columns in parts], dim=1)


class _Line(nn.Module):
    """Platt calibration of logits."""

    slope: Tensor
    offset: Tensor

    def __init__(self, calibration: metrics.PlattCalibration) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(calibration.slope, dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(calibration.offset, dtype=torch.float64))

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated logits."""
        return logits * self.slope + self.offset


class _Coherent(nn.Module):
    """``Hierarchy.coherent``: each label at least as high as those below it."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        super().__init__()
        edges = [(children.tolist(), parents.tolist()) for children, parents in hierarchy.levels]
        self.edges = [pair for level in edges for pair in zip(*level, strict=True)]

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, raised."""
        columns = list(values.unbind(1))
        for child, parent in self.edges:
            columns[parent] = torch.maximum(columns[parent], columns[child])
        return torch.stack(columns, dim=1)


class _AtLeast(nn.Module):
    """Thresholds for logits, or for the float32 probabilities of them."""

    cutoffs: Tensor

    def __init__(self, cutoffs: Any, *, of_logits: bool) -> None:
        super().__init__()
        self.register_buffer("cutoffs", torch.tensor(cutoffs, dtype=torch.float64))
        self.of_logits = of_logits

    def forward(self, logits: Tensor) -> Tensor:
        """Return which labels are predicted."""
        return (logits if self.of_logits else torch.sigmoid(logits).float().double()) >= self.cutoffs


class _Highest(nn.Module):
    """The k highest logits of each item."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, logits: Tensor) -> Tensor:
        """Return which labels are predicted."""
        places = logits.topk(min(self.k, logits.shape[1]), dim=1).indices
        return torch.zeros_like(logits).scatter(1, places, 1.0)


def _rule(rule: metrics.Rule) -> nn.Module:
    if isinstance(rule, TopK):
        return _Highest(rule.k)
    if isinstance(rule, PerLabelThreshold):
        at_logits = rule.logits is not None
        return _AtLeast(rule.logits if at_logits else rule.values, of_logits=at_logits)
    assert isinstance(rule, Threshold), shown(rule)
    return _AtLeast([rule.value], of_logits=False)
