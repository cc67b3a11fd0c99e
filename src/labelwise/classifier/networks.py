"""The modules of a classifier: its backbone, the frozen one that reads every item once, and what is trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from labelwise._random import seed_of, torch_seeded
from labelwise.methods import Method, Problem
from labelwise.models import FeatureScaling, Network, Projection, ReadsMaps, build_backbone

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


def backbone_for(model: MultiLabelClassifier, shape: Sequence[int], **rebuilt: Any) -> nn.Module:
    """Return a new backbone for items of ``shape``; ``rebuilt`` says what a model directory knows of it."""
    given, weights = model.backbone, model.backbone_weights
    if isinstance(given, nn.Module):
        return build_backbone(copy.deepcopy(given), shape, weights=weights)
    return build_backbone(given, shape, weights=weights, **rebuilt)


def embedder_for(
    model: MultiLabelClassifier, shape: Sequence[int], method: type[Method], n_labels: int
) -> nn.Module | None:
    """Return the frozen backbone that turns every item into features once; None where there is nothing to freeze.

    A head that reads maps trains behind its frozen backbone instead, since maps are too large to keep.
    """
    if model.tune_ == "all" or model.backbone == "features" or len(shape) == 1:
        return None
    probe = method(Problem(np.zeros((0, n_labels), np.int8)), model.hyperparameters)
    if isinstance(probe.head(8), ReadsMaps):
        return None
    with torch_seeded(seed_of(model.random_state)):
        return backbone_for(model, shape).requires_grad_(False).eval()


def has_fixed_features(model: MultiLabelClassifier) -> bool:
    """Return whether a head is trained on features that stay, on which a closed form chooses how to scale them."""
    return model.tune_ == "head" and (model.backbone == "features" or model.embedder_ is not None)


def network_for(
    model: MultiLabelClassifier, shape: Sequence[int], method: Method, *, seed: int, **rebuilt: Any
) -> Network:
    """Return a new network for inputs of ``shape``, which are features already where there is an embedder."""
    with torch_seeded(seed):
        if model.embedder_ is None:
            backbone = backbone_for(model, shape, **rebuilt)
        else:
            backbone = build_backbone("features", shape)
        width = int(backbone.n_features)  # type: ignore[arg-type]
        neck = _neck(width, method)
        head = method.head(width if neck is None else neck.n_features)
    if model.tune_ == "head":
        backbone.requires_grad_(False)
    return Network(backbone, head, neck)


def _neck(width: int, method: Method) -> FeatureScaling | Projection | None:
    """Return what stands between a backbone that trains and its head.

    The closed form reads the features themselves: a random projection of them would cost it what it knows.
    """
    if method.problem.tune == "head":
        return None
    if method.starts_from_ridge:
        return FeatureScaling(width)
    return Projection(width) if method.spec.projection else None
