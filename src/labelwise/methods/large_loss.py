"""The family that mistrusts the assumed negatives with the largest losses (Kim et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.methods.assumption import NegativeByAssumption
from labelwise.methods.spec import SETTINGS, Hyperparameter

__all__ = ["LARGE_LOSS", "PAPER", "RATE", "LargeLoss"]

PAPER = "Kim et al., Large Loss Matters in Weakly Supervised Multi-Label Classification, CVPR 2022"
LARGE_LOSS = frozenset(SETTINGS) - {"full", "semi_supervised"}
RATE = Hyperparameter(
    0.002,
    "share of a batch's unknown entries that is added in every epoch after the first",
    low=0.0,
    high=0.5,
    source="released code: .1 to .5 per cent, searched",
)


class LargeLoss(NegativeByAssumption):
    """A network learns clean labels first, so that an assumed negative whose loss stays large is likely relevant.

    The share is of the batch's *unknown* entries, rounded down, so that the smallest batch loses nothing; the
    released code takes it of all entries, rounded up, and the published descriptions leave it open. Over several
    processes each ranks its own part of a batch.
    """

    def share(self, epoch: int) -> float:
        """Return the share of unknown entries mistrusted in an epoch (from 1): 0 in the first, then rate more each."""
        return min(1.0, float(self.hp.rate) * (epoch - 1))

    @staticmethod
    def largest(values: Tensor, among: Tensor, share: float) -> Tensor:
        """Return a mask (B, K) of the ``share`` of the entries ``among`` whose values are the largest."""
        chosen = torch.zeros_like(among)
        count = int(share * int(among.sum()) + 1e-9)
        if count:
            ranked = values.detach().masked_fill(~among, -torch.inf).flatten()
            chosen.view(-1)[ranked.topk(count).indices] = True
        return chosen
