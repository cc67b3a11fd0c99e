"""A head of two classifiers, and a network over the relations between what they say."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DualRelation(nn.Module):
    """A projector, two classifiers f1 and f2 on it, and a relation network on their outer product vec(f1 f2^T).

    From features (B, D): ``projector`` is two layers of ``width`` with leaky ReLU (slope .1); ``first`` and ``second``
    each have one hidden layer of ``hidden`` with ReLU; f = sigmoid of their outputs. ``relation`` has one hidden layer
    of ``relation_hidden`` with leaky ReLU on the K x K products, of which above ``most`` labels both sides keep
    ``most`` learnt mixtures of the labels (``mixture``): its input never has more than most^2 numbers.
    Returned are the relation network's logits (B, K), and as parts f1 and f2 (B, K), float32.
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        width: int = 1024,
        hidden: int = 800,
        relation_hidden: int = 1000,
        most: int = 100,
    ) -> None:
        super().__init__()
        slope = nn.LeakyReLU(0.1)
        self.projector = nn.Sequential(nn.Linear(features, width), slope, nn.Linear(width, width), slope)
        self.first, self.second = (
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, labels)) for _ in range(2)
        )
        side = min(labels, most)
        mixture: nn.Module = nn.Identity() if labels <= most else nn.Linear(labels, side, bias=False)
        self.relation = nn.ModuleDict(
            {
                "mixture": mixture,
                "layers": nn.Sequential(
                    nn.Linear(side * side, relation_hidden), slope, nn.Linear(relation_hidden, labels)
                ),
            }
        )

    def forward(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the relation network's logits, and both classifiers' probabilities."""
        z = self.projector(features)
        first, second = (torch.sigmoid(c(z).float()) for c in (self.first, self.second))
        mix = self.relation["mixture"]
        products = mix(first).unsqueeze(2) * mix(second).unsqueeze(1)
        return self.relation["layers"](products.flatten(1)), (first, second)
