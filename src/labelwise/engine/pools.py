"""Passes over all items, and features stored in memory or mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.data import Capabilities, Source, token_spans
from labelwise.engine.batches import Prefetcher
from labelwise.models import Features, Network, Outputs, ReadsRows, RidgeSolution, solve_ridge
from labelwise.targets import ItemState

_CHUNK, _TOKENS = 4096, 1 << 14
_VALUES = {"cpu": 1 << 20, "other": 1 << 24}


def outputs_in_chunks(
    network: Network, source: Source, device: torch.device, rows: int = 256
) -> Iterator[tuple[slice, Outputs]]:
    """Yield (rows, outputs) of every item's plain view.

    In evaluation mode, without gradients. Large items come in smaller chunks, smallest on the CPU: its caches hold the
    maps of few pictures. Texts come in chunks of so many padded tokens.
    """
    network.eval()
    if network.reads_rows and (given := Capabilities(source).rows) is not None:
        yield from _outputs_of_rows(network, given)
        return
    values = _VALUES["cpu" if device.type == "cpu" else "other"]
    rows = max(8, min(rows, values // max(prod(source.shape), 1)))
    chunks = [np.arange(start, min(start + rows, len(source))) for start in range(0, len(source), rows)]
    if (lengths := Capabilities(source).lengths) is not None:
        spans = token_spans(np.asarray(lengths), _TOKENS, rows)
        chunks = [np.arange(span.start, span.stop) for span in spans]
    prefetcher = Prefetcher(source, seed=0)
    try:
        for i, index in enumerate(chunks):
            inputs = prefetcher.take(i, {"plain": index}, 0)["plain"]
            if i + 1 < len(chunks):
                prefetcher.begin(i + 1, {"plain": chunks[i + 1]}, 0)
            with torch.inference_mode():
                outputs = network(aligned(inputs).to(device))
            yield slice(int(index[0]), int(index[-1]) + 1), outputs
    finally:
        prefetcher.close()


def _outputs_of_rows(network: Network, given: Any) -> Iterator[tuple[slice, Outputs]]:
    """Yield (rows, outputs) of rows (n, D) that the head reads as they were given.

    The features of sparse rows, and of blocks, have no columns: they would have to be made dense.
    """
    head = cast(ReadsRows, network.head)
    for start in range(0, given.shape[0], _CHUNK):
        rows = slice(start, min(start + _CHUNK, given.shape[0]))
        part = given[rows]
        seen = part if isinstance(part, np.ndarray) else np.empty((part.shape[0], 0), np.float32)
        # A copy: arrays from outside may be read-only, of which torch warns.
        yield rows, Outputs(torch.tensor(seen), torch.from_numpy(head.score_rows(part)))


def aligned(tensor: Tensor) -> Tensor:
    """Return the tensor in memory aligned as torch's own.

    Sums over rows depend on it in their last bit.
    """
    return tensor.clone() if tensor.data_ptr() % 64 else tensor


def embed(
    network: Network,
    source: Source,
    device: torch.device,
    *,
    budget: int,
    directory: Path | None,
    name: str = "raw",
) -> np.ndarray:
    """Return the backbone's features (n, D) float32 of every item.

    Features that are already stored are returned as they are; past ``budget`` bytes they go to a memory-mapped
    file under ``directory``, one for each ``name``.
    """
    stored = Capabilities(source).matrix
    if (
        stored is not None
        and isinstance(network.backbone, Features)
        and isinstance(network.neck, nn.Identity)
    ):
        return stored
    features: np.ndarray | None = None
    for rows, (z, *_) in outputs_in_chunks(network, source, device):
        if features is None:
            features = _store((len(source), z.shape[1]), budget, directory, name)
        features[rows] = z.float().cpu().numpy()
    assert features is not None
    return features


def _store(shape: tuple[int, int], budget: int, directory: Path | None, name: str) -> np.ndarray:
    if directory is None or shape[0] * shape[1] * 4 <= budget:
        return np.empty(shape, np.float32)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"features-{name}.npy"
    path.unlink(missing_ok=True)  # an older pool may still read the file of that name
    return np.lib.format.open_memmap(path, "w+", np.float32, shape)


class StoredPool:
    """The engine's ``Pool``, with features taken when first asked for."""

    def __init__(
        self,
        network: Network,
        source: Source,
        labels: Callable[[], np.ndarray],
        state: ItemState,
        epoch: int,
        device: torch.device,
        *,
        name: str = "raw",
        budget: int = 4 << 30,
        directory: Path | None = None,
        solution: RidgeSolution | None = None,
        groups: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.network, self.labels = network, labels
        self.state, self.epoch, self.device = state, epoch, device
        self._source, self._name, self._budget, self._directory = source, name, budget, directory
        self._solution, self._groups, self._weights = solution, groups, weights

    @cached_property
    def features(self) -> np.ndarray:
        """The backbone's features (n, D) float32 of every item."""
        return embed(
            self.network,
            self._source,
            self.device,
            budget=self._budget,
            directory=self._directory,
            name=self._name,
        )

    @cached_property
    def backbone_features(self) -> np.ndarray:
        """The features (n, D) float32 as the backbone gives them, before a neck changes them."""
        if isinstance(self.network.neck, nn.Identity):
            return self.features
        return embed(
            Network(self.network.backbone, nn.Identity()),
            self._source,
            self.device,
            budget=self._budget,
            directory=self._directory,
            name=f"{self._name}-backbone",
        )

    @property
    def inputs(self) -> Any:
        """The rows (n, D) that a head reads: as they were given, else the features."""
        given = Capabilities(self._source).rows if self.network.reads_rows else None
        return self.features if given is None else given

    def outputs(self) -> Iterator[tuple[slice, Outputs]]:
        """Yield (rows, the head's outputs) in chunks over all items.

        A head that reads maps is asked through the network, since maps are too large to store, and so is one that
        reads rows as they were given.
        """
        if self.network.reads_maps or self.network.reads_rows:
            yield from outputs_in_chunks(self.network, self._source, self.device)
            return
        self.network.eval()
        for start in range(0, len(self.features), _CHUNK):
            rows = slice(start, min(start + _CHUNK, len(self.features)))
            with torch.inference_mode():
                z = aligned(torch.from_numpy(np.asarray(self.features[rows]))).to(self.device)
                yield rows, self.network.read(z)

    def scores(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (rows, scores (b, K) float32 on the CPU) in chunks."""
        for rows, out in self.outputs():
            yield rows, out.scores.float().cpu()

    def ridge(self) -> RidgeSolution:
        """Return the closed-form solution on these features and ``labels()``, solved once."""
        if self._solution is None:
            self._solution = solve_ridge(
                self.features,
                self.labels(),
                scalings=("none",),
                groups=self._groups,
                weights=self._weights,
            )
        return self._solution
