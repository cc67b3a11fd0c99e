"""The stand-ins, seeded, and an empty cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from labelwise.embedding import FeatureCache
from tests.embedding import stand_ins as parts


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


@pytest.fixture
def read_only() -> Any:
    """Take the right to write from a folder and all in it, for a while; as root that takes an immutable view of it."""

    @contextmanager
    def taken(folder: Path) -> Iterator[None]:
        paths = [folder, *folder.rglob("*")]
        modes = {path: path.stat().st_mode for path in paths}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        refused = os.open

        def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(folder)):
                raise PermissionError(13, "Permission denied", str(path))
            return refused(path, flags, *rest, **options)

        with pytest.MonkeyPatch.context() as patch:
            # Root may write anywhere, so that rights alone would not do here.
            patch.setattr(os, "open", opened)
            yield
        for path, mode in modes.items():
            path.chmod(mode)

    return taken
