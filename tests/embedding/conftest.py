"""The stand-ins, seeded, and an empty cache."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import embedding_stand_ins as parts
import pytest
import torch

from labelwise.embedding import FeatureCache


@pytest.fixture
def stand_ins() -> SimpleNamespace:
    torch.manual_seed(0)
    return SimpleNamespace(
        Squares=parts.Squares,
        Words=parts.Words,
        Counted=parts.Counted,
        Convolution=parts.Convolution,
        convolution=parts.Convolution(),
        bag=parts.Bag(),
    )


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")
