"""Small stand-ins: a source of coloured squares that can hold bad items, texts of numbers, and backbones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from labelwise.errors import UserError


class Squares:
    """n pictures (3, 8, 8) uint8 made of their numbers; ``bad`` rows cannot be decoded."""

    kind = "image"
    shape = (3, 8, 8)

    def __init__(self, numbers: Sequence[int], bad: Sequence[int] = ()) -> None:
        self.numbers, self.bad = np.asarray(numbers), frozenset(bad)
        self.items = [f"item-{number}" for number in self.numbers]
        self.fetched: list[int] = []

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, index: Any, view: str, *, seed: int, epoch: int) -> torch.Tensor:
        assert view == "plain"
        rows = index.tolist()
        for row in rows:
            if row in self.bad:
                raise UserError(f"item {self.items[row]!r} (row {row}, counted from 0): no picture; mend it")
        self.fetched += rows
        pictures = [np.random.default_rng(self.numbers[row]).integers(0, 256, self.shape) for row in rows]
        return torch.from_numpy(np.stack(pictures).astype(np.uint8))

    def digests(self) -> list[bytes]:
        return [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in self.numbers]


class Words:
    """n texts of token ids 1..99, of unlike lengths, padded with 0."""

    kind = "text"
    shape = ()

    def __init__(self, n: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.ids = [random.integers(1, 100, random.integers(1, 40)) for _ in range(n)]
        self.lengths = np.array([len(ids) for ids in self.ids])
        self.padded: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, index: Any, view: str, *, seed: int, epoch: int) -> torch.Tensor:
        rows = [self.ids[row] for row in index]
        batch = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for place, ids in zip(batch, rows, strict=True):
            place[: len(ids)] = ids
        self.padded.append(batch.shape)
        return torch.from_numpy(batch)

    def digests(self) -> list[bytes]:
        return [ids.tobytes() for ids in self.ids]


class Convolution(nn.Module):
    """A convolution with batch statistics and dropout, so that a wrong mode shows."""

    def __init__(self) -> None:
        super().__init__()
        self.n_features = 5
        self.net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.net(batch.float() / 255).mean((2, 3))


class Bag(nn.Module):
    """The mean of token vectors, without the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.n_features = 4
        self.table = nn.Embedding(100, 4)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        mask = (batch != 0)[..., None]
        return (self.table(batch) * mask).sum(1) / mask.sum(1)


class Counted:
    """An engine's ``Progress`` that keeps what it was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []
        self.items = 0

    def stage(self, name: str, steps: int, done: int) -> None:
        self.stages.append((name, steps, done))

    def step(self, items: int, loss: float) -> None:
        self.items += items

    def epoch(self, record: dict[str, float | int | str]) -> None:
        raise AssertionError("an embedding has no epochs")
