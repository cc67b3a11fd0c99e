"""VDFD over the epochs: angles' spread of positives less negatives."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from labelwise._random import generator
from labelwise.annotations import States, both_signs_known, dense_states, known_rows
from labelwise.data import Source
from labelwise.engine.pools import aligned
from labelwise.losses import balanced_angles
from labelwise.methods import Method
from labelwise.metrics import vdfd
from labelwise.models import Features, Network, device_of

_MOST, _LEAST, _SHARE = 2000, 50, 20
_CHUNK = 256
_ENTRIES = 1 << 24  # of the sample


class AngleMonitor:
    """Mean |VDFD| over labels after each epoch, on a fixed sample.

    Angles are arccos cos(z, W_k), and VDFD_k the variance of those of label k's positives less that of its negatives'.
    The sample is drawn by the seed among the items with a known entry: at most 2,000 where the features are fixed,
    at most a twentieth of all items where the backbone has to run (and nothing where that is below 50). Where no
    label has two known entries of both signs, an unknown entry counts as irrelevant. It changes nothing of the run.
    """

    def __init__(self, network: Network, method: Method, source: Source, labels: States, seed: int) -> None:
        self._method, self._source = method, source
        self._inputs: list[Tensor] = []
        known = np.flatnonzero(known_rows(labels))
        self._fixed = isinstance(network.backbone, Features) and isinstance(network.neck, nn.Identity)
        most = _MOST if self._fixed else min(_MOST, len(labels) // _SHARE)
        most = min(most, max(_LEAST, _ENTRIES // max(1, labels.shape[1])))
        measures = method.spec.head == "cosine" and (self._fixed or most >= _LEAST)
        sample = generator(seed, "angles").permutation(known)[: most if measures else 0]
        self._index = np.sort(sample)
        self._labels = dense_states(labels[self._index])
        if not both_signs_known(self._labels, least=2).any():
            self._labels = np.maximum(self._labels, 0)

    def measure(self, network: Network) -> dict[str, float]:
        """Return ``vdfd``, and ``vdfd_balanced`` after the method's own balancing; empty without angles."""
        if not len(self._index):
            return {}
        theta = torch.arccos(self._cosines(network).double().clamp(-1, 1))
        values = {"vdfd": self._mean(theta)}
        if (statistics := self._method.angles) is not None:
            moments = statistics.to("cpu", torch.float64)
            negative, positive = (balanced_angles(theta, moments, side) for side in ("negative", "positive"))
            relevant = torch.from_numpy(self._labels == 1)
            values["vdfd_balanced"] = self._mean(torch.where(relevant, positive, negative))
        return {name: value for name, value in values.items() if np.isfinite(value)}

    def _mean(self, angles: Tensor) -> float:
        sizes = np.abs(vdfd(angles.numpy(), self._labels))
        return float(np.nanmean(sizes)) if np.isfinite(sizes).any() else float("nan")

    def _cosines(self, network: Network) -> Tensor:
        """Return the sample's cosines (m, K), of weak views, on the CPU."""
        network.eval()
        device = device_of(network)
        parts = []
        with torch.inference_mode():
            for place, start in enumerate(range(0, len(self._index), _CHUNK)):
                if place < len(self._inputs):
                    inputs = self._inputs[place]
                else:
                    rows = self._index[start : start + _CHUNK]
                    inputs = aligned(self._source.batch(rows, "weak", seed=0, epoch=0)).to(device)
                    # Features that stay are read once; a backbone that trains would need its pictures in memory.
                    if self._fixed:
                        self._inputs.append(inputs)
                parts.append(network(inputs).scores.float().cpu())
        return torch.cat(parts)
