"""Small networks in an ensemble's place: they learn its scores, of rows and of mixtures of rows, and need no pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional as F

from labelwise._random import generator, torch_seeded
from labelwise.models import Scaling, is_blocks, one_thread

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

EPOCHS, BATCH, RATE, DECAY = 10, 64, 1e-3, 0.1
"""Passes, rows a step, peak learning rate and weight decay of the training."""
FEWEST_STEPS = 1_000
"""Steps that it takes at least, by more passes where rows are few."""

_LAMBDA = 0.1  # of the start, in units of the mean squared norm of the centred rows
_MIXTURES, _MOST_ROWS = 8, 60_000
_WIDEST_START = 4096  # columns beyond which there is no closed form to start from
_CHUNK = 4096


class SmallNetwork(nn.Module):
    """Scores (B, K) ``W z + V gelu(U z)`` of scaled rows x (B, D), ``z = gain (x - centre)``.

    With ``hidden=0`` it is the linear part alone.

    Args:
        features: D.
        labels: K.
        hidden: Units of the hidden layer.
    """

    centre: Tensor
    gain: Tensor

    def __init__(self, features: int, labels: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("gain", torch.ones(()))
        self.linear = nn.Linear(features, labels)
        self.inner = nn.Linear(features, hidden) if hidden else None
        self.outer = nn.Linear(hidden, labels, bias=False) if hidden else None

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, K) of scaled rows (B, D)."""
        z = (features - self.centre) * self.gain
        scores: Tensor = self.linear(z)
        if self.inner is None or self.outer is None:
            return scores
        scores = scores + self.outer(F.gelu(self.inner(z)))
        return scores


def fit_small(
    network: SmallNetwork,
    rows: Any,
    scores: Callable[[Any], npt.NDArray[Any]],
    scaling: Scaling | None,
    seed: int = 0,
) -> SmallNetwork:
    """Train a small network on an ensemble's scores, and return it.

    The scores are of the rows and, where these are few, of up to eight mixtures ``l x_i + (1 - l) x_j`` for each, l
    uniform in (0, 1). The linear part starts as the ridge regression of the logits, the hidden part at 0; all of it
    then minimises the mean cross-entropy against the scores' probabilities, by AdamW and one cycle.

    Args:
        network: New; its weights are overwritten.
        rows: (n, D) as the ensemble reads them: dense, CSR or blocks.
        scores: Gives the logits (m, K) of such rows.
        scaling: Of rows, before the network.
        seed: Of mixtures, weights and batches.
    """
    n = int(rows.shape[0])
    copies = int(np.clip(_MOST_ROWS // max(n, 1) - 1, 0, _MIXTURES)) if n > 1 else 0
    parts = [rows, *(mixed(rows, seed, number) for number in range(copies))]
    logits = np.concatenate([np.asarray(scores(part), np.float64) for part in parts])

    def scaled(index: npt.NDArray[np.int64]) -> Matrix:
        """Return the scaled rows of these numbers, counted over all parts."""
        which = [np.flatnonzero(index // n == number) for number in range(len(parts))]
        width = network.centre.shape[0]
        out = np.empty((len(index), width), np.float32)
        for part, places in zip(parts, which, strict=True):
            if len(places):
                chosen = part[index[places] % n]
                out[places] = dense(chosen) if scaling is None else scaling.transform(chosen)
        return out

    with torch_seeded(seed), one_thread():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
        _start(network, scaled, logits)
        _train(network, scaled, torch.from_numpy(expit(logits)).float(), seed)
    return network.eval()


def mixed(rows: Any, seed: int, number: int) -> Any:
    """Return as many mixtures of two rows each, in the form of the rows."""
    n = int(rows.shape[0])
    random = generator(seed, "mixtures", number)
    other, share = random.permutation(n), random.random(n).astype(np.float32)

    def mix(part: Any) -> Any:
        if hasattr(part, "tocsr"):
            a, b = sparse.diags_array(share), sparse.diags_array(1 - share)
            return (a @ part + b @ part[other]).tocsr().astype(np.float32)
        return share[:, None] * part + (1 - share[:, None]) * part[other]

    return rows.map(mix) if is_blocks(rows) else mix(rows)


def dense(rows: Any) -> Matrix:
    """Return rows (n, D) as one dense array."""
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, np.float32)


@torch.no_grad()
def _start(network: SmallNetwork, scaled: Callable[[npt.NDArray[np.int64]], Matrix], logits: Double) -> None:
    """Bring rows to unit variance on average, and start at the ridge regression of the logits."""
    N, width = len(logits), network.centre.shape[0]
    chunks = [np.arange(start, min(start + _CHUNK, N)) for start in range(0, N, _CHUNK)]
    total, square = np.zeros(width), 0.0
    for index in chunks:
        part = scaled(index).astype(np.float64)
        total += part.sum(axis=0)
        square += float(np.square(part).sum())
    centre = total / N
    variance = square / (N * width) - float(np.square(centre).mean())
    gain = 1 / np.sqrt(max(variance, 1e-12))
    network.centre.copy_(torch.from_numpy(centre))
    network.gain.fill_(gain)
    middle = logits.mean(axis=0)
    network.linear.weight.zero_()
    network.linear.bias.copy_(torch.from_numpy(middle))
    if network.outer is not None:
        network.outer.weight.zero_()
    if width > _WIDEST_START:
        return
    gram, moment = np.zeros((width, width)), np.zeros((width, logits.shape[1]))
    for index in chunks:
        z = (scaled(index).astype(np.float64) - centre) * gain
        gram += z.T @ z
        moment += z.T @ (logits[index] - middle)
    gram[np.diag_indices(width)] += _LAMBDA * np.trace(gram) / width + 1e-9
    network.linear.weight.copy_(torch.from_numpy(np.linalg.solve(gram, moment).T))


def _train(
    network: SmallNetwork,
    scaled: Callable[[npt.NDArray[np.int64]], Matrix],
    targets: Tensor,
    seed: int,
) -> None:
    N = len(targets)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    a_pass = -(-N // BATCH)
    passes = max(EPOCHS, -(-FEWEST_STEPS // a_pass))
    steps = passes * a_pass
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.2)
    for epoch in range(passes):
        order = generator(seed, "small network", epoch).permutation(N)
        for start in range(0, N, BATCH):
            index = np.asarray(order[start : start + BATCH], np.int64)
            outputs = network(torch.from_numpy(scaled(index)))
            loss = F.binary_cross_entropy_with_logits(outputs, targets[index])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
