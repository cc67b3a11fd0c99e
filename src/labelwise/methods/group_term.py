"""Consistency of the items of a group, beside any loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from labelwise._random import generator

RATE = 0.001
"""Share of a group's memory that an item's scores take, epsilon."""


class GroupConsistency(nn.Module):
    """Running scores of every group, and the loss of items that differ from them.

    With r (G, K) the memory, x an item's logits and g its group, the term is the mean over the batch of

        BCE(sigmoid(x_k), r_gk),      and then   r_gk <- (1 - e) r_gk + e sigmoid(x_k),   e = .001,

    without a gradient through r. It is the asset regulariser of the L48 benchmark (Sun, Maji and Van Horn, NeurIPS
    2025), with two differences: several items of a group in one batch all count, and an entry that is known to be
    relevant in some item of the group stays 1. All others start at random in (.4, .6).

    Args:
        groups: (n,) the number of each item's group, from 0.
        labels: (n, K) in {1, 0, -1}.
        seed: of the first memory.
    """

    share: Tensor
    shown: Tensor

    def __init__(self, groups: np.ndarray, labels: np.ndarray, seed: int) -> None:
        super().__init__()
        self.groups = groups
        count, n_labels = int(groups.max(initial=-1)) + 1, labels.shape[1]
        rows, columns = np.nonzero(labels == 1)
        shown = np.zeros((count, n_labels), dtype=bool)
        shown[groups[rows], columns] = True
        share = generator(seed, "group consistency").uniform(0.4, 0.6, (count, n_labels)).astype(np.float32)
        share[shown] = 1.0
        # In checkpoints; models leave it out, since prediction knows no groups.
        self.register_buffer("share", torch.from_numpy(share))
        self.register_buffer("shown", torch.from_numpy(shown), persistent=False)

    def forward(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return the term (a scalar) of logits (B, K) of the items ``index`` (B,), and update the memory."""
        group = torch.from_numpy(self.groups[index.cpu().numpy()]).to(logits.device)
        x = logits if logits.dtype == torch.float64 else logits.float()
        loss = nn.functional.binary_cross_entropy_with_logits(x, self.share[group].to(x.dtype))
        with torch.no_grad():
            self._update(torch.sigmoid(x).to(self.share.dtype), group)
        return loss

    def _update(self, scores: Tensor, group: Tensor) -> None:
        met, place = torch.unique(group, return_inverse=True)
        total = scores.new_zeros((len(met), scores.shape[1])).index_add_(0, place, scores)
        count = scores.new_zeros(len(met)).index_add_(0, place, torch.ones_like(scores[:, 0]))[:, None]
        kept = (1 - RATE) ** count
        new = kept * self.share[met] + (1 - kept) * total / count
        self.share[met] = torch.where(self.shown[met], 1.0, new)
