"""VDFD over the epochs: how much the angles of a label's positives spread beyond those of its negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from labelwise._random import generator
from labelwise.annotations import both_signs_known
from labelwise.engine.pools import aligned
from labelwise.losses import balanced_angles
from labelwise.metrics import vdfd
from labelwise.models import Features, Network

if TYPE_CHECKING:
    from labelwise.engine.run import Run

_MOST, _LEAST, _SHARE = 2000, 50, 20


class AngleWatch:
    """Measures, after an epoch, mean_k |VDFD_k| of the angles arccos cos(z, W_k) on one fixed sample of items.

    The sample is drawn by the seed among the items with a known entry: at most 2,000 where the features are fixed,
    at most a twentieth of all items where the backbone has to run (and nothing where that is below 50). Where no
    label has two known entries of both signs, an unknown entry counts as irrelevant. It changes nothing of the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._inputs: list[Tensor] = []
        labels = run.labels
        known = np.flatnonzero((labels >= 0).any(1))
        self._fixed = isinstance(run.network.backbone, Features) and isinstance(run.network.neck, nn.Identity)
        most = _MOST if self._fixed else min(_MOST, len(labels) // _SHARE)
        wanted = run.method.spec.head == "cosine" and (self._fixed or most >= _LEAST)
        drawn = generator(run.settings.seed, "angles").permutation(known)[: most if wanted else 0]
        self._index = np.sort(drawn)
        self._labels = labels[self._index]
        if not both_signs_known(self._labels, least=2).any():
            self._labels = np.maximum(self._labels, 0)

    def measure(self) -> dict[str, float]:
        """Return ``vdfd``, and ``vdfd_balanced`` after the method's own balancing; empty without angles."""
        if not len(self._index):
            return {}
        theta = torch.arccos(self._cosines(self._run.evaluated).double().clamp(-1, 1))
        found = {"vdfd": self._mean(theta)}
        if (statistics := self._run.method.angles) is not None:
            moments = statistics.to("cpu", torch.float64)
            sides = (balanced_angles(theta, moments, side) for side in ("negative", "positive"))
            negative, positive = sides
            relevant = torch.from_numpy(self._labels == 1)
            found["vdfd_balanced"] = self._mean(torch.where(relevant, positive, negative))
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def _mean(self, angles: Tensor) -> float:
        sizes = np.abs(vdfd(angles.numpy(), self._labels))
        return float(np.nanmean(sizes)) if np.isfinite(sizes).any() else float("nan")

    def _cosines(self, network: Network) -> Tensor:
        """Return the cosines (m, K) of the sample's weak views, on the CPU; fixed inputs are read once."""
        network.eval()
        device = self._run.fabric.device
        parts = []
        with torch.inference_mode():
            for place, start in enumerate(range(0, len(self._index), 256)):
                if place < len(self._inputs):
                    inputs = self._inputs[place]
                else:
                    rows = self._index[start : start + 256]
                    inputs = aligned(self._run.source.batch(rows, "weak", seed=0, epoch=0)).to(device)
                    if self._fixed:
                        self._inputs.append(inputs)
                parts.append(network(inputs).scores.float().cpu())
        return torch.cat(parts)
