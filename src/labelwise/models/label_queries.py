"""A head whose labels each ask the places of an item for what concerns them: a transformer decoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class LabelQueries(nn.Module):
    """One learnt query a label attends to an item's places; each label has a Gaussian and its own linear output.

    Features: places (B, T, C), as of a feature map or a text; places where ``mask`` (B, T) is False (padding) get no
    attention, unless all are. Or vectors (B, D), which a learnt linear map splits into ``places`` places of
    ``width`` numbers. Where the network gives maps, ``read_maps`` drops that split for a linear map of C to
    ``width``.

    A transformer decoder makes h (B, K, width) of the queries; linear maps give the mean mu and log-variance l
    (sigma = exp(clamp(l / 2, -6, 6))) of ``latent`` numbers z ~ N(mu, sigma^2); label k's output is
    ``w_k . z + b_k``. Returned are its mean ``w_k . mu + b_k`` (B, K), and as parts its standard deviation
    ``sqrt(sum_j w_kj^2 sigma_j^2)`` (B, K), and the divergence ``-1/2 mean_j(1 + 2 log sigma - mu^2 - sigma^2)`` of
    each label's z from a standard normal (B, K), in float32.
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        width: int = 256,
        latent: int = 256,
        layers: int = 1,
        places: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.places = width, places
        self.split: nn.Linear | None = nn.Linear(features, places * width)
        self.embed: nn.Linear | None = None
        self.n_features = features
        self.queries = nn.Parameter(torch.empty(labels, width).normal_(std=width**-0.5))
        layer = nn.TransformerDecoderLayer(
            width, max(1, width // 32), 2 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))
        self.mean, self.log_deviation = nn.Linear(width, latent), nn.Linear(width, latent)
        self.weight = nn.Parameter(torch.empty(labels, latent).uniform_(-(latent**-0.5), latent**-0.5))
        self.bias = nn.Parameter(torch.zeros(labels))

    def read_maps(self) -> None:
        """Expect places (B, T, C) from now on."""
        if self.split is not None:
            self.split, self.embed = None, nn.Linear(self.n_features, self.width).to(self.queries.device)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the outputs' mean (B, K), and (their standard deviation (B, K), the divergence (B, K))."""
        empty: Tensor | None = None
        if self.split is not None:
            memory = self.split(features).unflatten(1, (self.places, self.width))
        else:
            if mask is not None:
                empty = ~mask & mask.any(1, keepdim=True)
                features = features.masked_fill(~mask[..., None], 0)
            memory = cast(nn.Linear, self.embed)(features)
        queries = self.queries.expand(len(features), -1, -1).to(memory.dtype)
        h = self.decoder(queries, memory, memory_key_padding_mask=empty)
        mu = self.mean(h).float()
        log_variance = self.log_deviation(h).float().clamp(-12.0, 12.0)  # log sigma in [-6, 6]
        variance = log_variance.exp()
        output = (mu * self.weight).sum(2) + self.bias
        spread = (variance * self.weight**2).sum(2).clamp(min=1e-12).sqrt()
        divergence = -0.5 * (1 + log_variance - mu**2 - variance).mean(2)
        return output, (spread, divergence)
