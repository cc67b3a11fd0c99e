"""Heads, from features (B, D) to logits or cosines, and projections."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from labelwise.errors import UserError
from labelwise.models.backbones.base import masked_mean
from labelwise.models.ridge import RidgeSolution
from labelwise.models.scaling import InputScaling

# First steps of a search for intercepts: of a logit; of a cosine's intercept, in lengths of its weights.
_LOGITS, _LENGTH = 3.0, 0.75


@runtime_checkable
class ReadsMaps(Protocol):
    """A head that reads an item's places where a backbone gives them.

    Places are the cells of a feature map or the tokens of a text.
    """

    def read_maps(self) -> None:
        """Expect places (B, T, D) and their mask (B, T), no features.

        There is a mask where some places are padding.
        """


@runtime_checkable
class ReadsRows(Protocol):
    """A head that scores rows of features as they were given.

    Sparse rows and blocks of features stay what they are: nothing makes them dense.
    """

    def score_rows(self, rows: Any) -> NDArray[np.float32]:
        """Return raw outputs (b, K) of rows (b, D), dense, CSR or blocks."""
        ...


@runtime_checkable
class StartsFromRidge(Protocol):
    """A head that can start as the ridge solution.

    A ``slope`` is a number or (K,), a ``middle`` a number or (K,): the raw output of logit or cosine 0.
    """

    def start_from_ridge(
        self, solution: RidgeSolution, *, slope: float | Tensor | None = None, middle: float | Tensor = 0.5
    ) -> None:
        """Set the weights; see the function ``start_from_ridge``."""

    def scores_of_start(
        self, solution: RidgeSolution, raw: Tensor, *, slope: float | Tensor, middle: Tensor
    ) -> Tensor:
        """Return scores (n, K) of raw outputs (n, K); see ``scores_of_start``."""
        ...

    def search_of_middle(
        self, solution: RidgeSolution, *, slope: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the beginning and first step of a search for ``middle``.

        Both are (K,), in raw outputs.
        """
        ...


class LinearHead(nn.Linear):
    """Logits ``z W^T + b``, from features (B, D) to (B, K).

    Weights start as ``nn.Linear``'s.
    """

    by_label: tuple[str, ...] = ("weight", "bias")
    """Parameters of one row a label, and all that its scores depend on: blocks of labels can be scored alone."""

    def __init__(self, features: int, labels: int) -> None:
        super().__init__(features, labels)

    @torch.no_grad()
    def start_from_ridge(
        self, solution: RidgeSolution, *, slope: float | Tensor | None = None, middle: float | Tensor = 0.5
    ) -> None:
        """Start at logits ``slope (raw - middle)``; the default slope is 4."""
        weight, bias = _solved(solution, tuple(self.weight.shape), middle)
        steep = _column(4.0 if slope is None else slope)
        self.weight.copy_(steep * weight)
        self.bias.copy_(steep[:, 0] * bias)

    def scores_of_start(
        self, solution: RidgeSolution, raw: Tensor, *, slope: float | Tensor, middle: Tensor
    ) -> Tensor:
        """Return ``slope (raw - middle)``."""
        return slope * (raw - middle)

    def search_of_middle(
        self, solution: RidgeSolution, *, slope: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Begin at ``middle``, with steps of a logit's size."""
        return middle, _LOGITS / slope


class BoostedHead(LinearHead):
    """Logits at each place of a map, boosted where positive, then their mean.

    From places (B, T, D) to logits (B, K): the mean over t of z where z <= 0 and ``boost`` z where z > 0, with z = W
    f_t + b, in training and at prediction alike. With a boost of 1 it is a ``LinearHead`` on the mean of the places.
    (BoostLU: Kim et al., Bridging the Gap between Model Explanations in Partially Annotated Multi-label Classification,
    CVPR 2023, boost 5.)

    Places where ``mask`` (B, T) is False are left out.
    """

    by_label = ()

    def __init__(self, features: int, labels: int, boost: float = 5.0) -> None:
        super().__init__(features, labels)
        if not boost >= 1:
            raise UserError(f"boost is {boost}: give a number of at least 1")
        self.boost = float(boost)

    def read_maps(self) -> None:
        """Expect places (B, T, D): what stands in a mean of features cannot be boosted."""

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return logits (B, K) of places (B, T, D)."""
        z = super().forward(features)
        # In place of a product with a mask, which would make NaN of infinity at 0.
        return masked_mean(torch.where(z > 0, self.boost * z, z), mask)

    def extra_repr(self) -> str:
        """Return the sizes shown when the module is printed."""
        return f"{super().extra_repr()}, boost={self.boost:g}"


class CosineHead(nn.Module):
    """Cosines of the angles between features and label weights, no bias.

    ``c_k = z.W_k / (|z| |W_k|)``. ``constant=True`` appends a coordinate 1 to z: a departure for fixed features, by
    which the head can carry an intercept. With inputs of norm 1 the length of (z, 1) is the same for all, so that each
    label ranks the items exactly as the linear model (w, b) does. Computed in float32 whatever the autocast; a zero
    vector has cosine 0 and gradient 0. ``weight`` (K, D) or (K, D + 1), drawn from U(-1/16, 1/16).
    """

    by_label: tuple[str, ...] = ("weight",)

    def __init__(self, features: int, labels: int, *, constant: bool = False) -> None:
        super().__init__()
        self.constant = constant
        self.weight = nn.Parameter(torch.empty(labels, features + constant).uniform_(-1 / 16, 1 / 16))

    def forward(self, features: Tensor) -> Tensor:
        """Return cosines (B, K) in [-1, 1] of features (B, D).

        They are float32, and float64 for float64 features.
        """
        with torch.autocast(features.device.type, enabled=False):
            z = features if features.dtype == torch.float64 else features.float()
            if self.constant:
                z = pad(z, (0, 1), value=1.0)
            # Rounding can lead past 1, and the angle of such a cosine is NaN.
            return (_unit(z) @ _unit(self.weight.to(z.dtype)).T).clamp(-1.0, 1.0)

    @torch.no_grad()
    def start_from_ridge(
        self, solution: RidgeSolution, *, slope: float | Tensor | None = None, middle: float | Tensor = 0.5
    ) -> None:
        """Turn each label's weights to ``(w_k, b_k - middle)``.

        Without a constant to ``w_k``; a label whose direction is 0 keeps its weights.
        """
        labels, width = self.weight.shape
        weight, bias = _solved(solution, (labels, width - self.constant), middle)
        start = torch.cat([weight, bias[:, None]], dim=1) if self.constant else weight
        # Cosines ignore the length of the weights, learning rates do not.
        start = _column(slope) * start if slope is not None else (width / 3) ** 0.5 / 16 * _unit(start)
        start = start.to(self.weight)
        self.weight.copy_(torch.where(start.any(dim=1, keepdim=True), start, self.weight))

    def scores_of_start(
        self, solution: RidgeSolution, raw: Tensor, *, slope: float | Tensor, middle: Tensor
    ) -> Tensor:
        """Return ``(raw - middle) / (sqrt(2) |(w_k, b_k - middle)|)``: ``|z|`` is 1."""
        weight, bias = (torch.from_numpy(part).to(raw) for part in (solution.weight, solution.bias))
        length = (weight.square().sum(1) + (bias - middle).square()).sqrt().clamp(min=1e-12)
        return (raw - middle) / (2**0.5 * length)

    def search_of_middle(
        self, solution: RidgeSolution, *, slope: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Begin at intercept 0, with steps in lengths of the weights."""
        return torch.from_numpy(solution.bias), _LENGTH * torch.from_numpy(solution.weight).norm(dim=1)

    def extra_repr(self) -> str:
        """Return the sizes shown when the module is printed."""
        labels, width = self.weight.shape
        return f"features={width - self.constant}, labels={labels}, constant={self.constant}"


class Projection(nn.Sequential):
    """The papers' projection between backbone and head: Linear(in, hidden), GELU, Linear(hidden, out)."""

    def __init__(self, features: int, hidden: int = 512, out: int = 256) -> None:
        super().__init__(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, out))
        self.n_features = out


class FeatureScaling(nn.Module):
    """A fixed ``InputScaling`` between a backbone that trains and its head.

    ``norm((z - mean) / scale)`` of (B, D). It stays as it was fitted to the features before training, so that a whole
    network starts where the head on its frozen features does. It scales nothing until ``take`` is called or its state
    is loaded. Buffers: ``mean`` and ``inverse_scale`` (D,), and ``power``, 1 where rows are divided by their norm,
    else 0. Computed in float32 whatever the autocast; a zero row stays 0.
    """

    mean: Tensor
    inverse_scale: Tensor
    power: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.n_features = features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("inverse_scale", torch.ones(features))
        self.register_buffer("power", torch.zeros(()))

    @torch.no_grad()
    def take(self, scaling: InputScaling) -> None:
        """Scale as ``scaling`` does, from now on."""
        self.mean.copy_(torch.from_numpy(scaling.mean))
        self.inverse_scale.copy_(torch.from_numpy(scaling.inverse_scale))
        self.power.fill_(float(scaling.normed))

    @property
    def scaling(self) -> InputScaling:
        """The scaling that it was given."""
        mean, inverse = (values.double().cpu().numpy() for values in (self.mean, self.inverse_scale))
        kind = "standardise_l2" if bool(self.power) else "standardise"
        return InputScaling(kind, self.n_features, mean, inverse)

    def forward(self, features: Tensor) -> Tensor:
        """Return scaled rows (B, D), float32 (float64 for float64 features)."""
        with torch.autocast(features.device.type, enabled=False):
            z = features if features.dtype == torch.float64 else features.float()
            z = (z - self.mean) * self.inverse_scale
            return torch.lerp(z, _unit(z), self.power.to(z.dtype))


class LabelQueries(nn.Module):
    """A transformer decoder with one learnt query a label.

    A query attends to an item's places; each label has a Gaussian and its own linear output. Features: places (B, T,
    C), as of a feature map or a text; places where ``mask`` (B, T) is False (padding) get no attention, unless all
    are. Or vectors (B, D), which a learnt linear map splits into ``places`` places of ``width`` numbers. Where the
    network gives maps, ``read_maps`` drops that split for a linear map of C to ``width``.

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
        """Return mean outputs, and their standard deviation and divergence.

        All are (B, K).
        """
        empty: Tensor | None = None
        if self.split is not None:
            memory = self.split(features).unflatten(1, (self.places, self.width))
        else:
            if mask is not None:
                # Attention over no place at all is undefined: an item of padding alone keeps its places.
                empty = ~mask & mask.any(1, keepdim=True)
                features = features.masked_fill(~mask[..., None], 0)
            memory = cast(nn.Linear, self.embed)(features)
        queries = self.queries.expand(features.shape[0], -1, -1).to(memory.dtype)
        h = self.decoder(queries, memory, memory_key_padding_mask=empty)
        mu = self.mean(h).float()
        log_variance = self.log_deviation(h).float().clamp(-12.0, 12.0)  # log sigma in [-6, 6]
        variance = log_variance.exp()
        output = (mu * self.weight).sum(2) + self.bias
        # Above 0, where the square root would have an infinite gradient.
        spread = (variance * self.weight**2).sum(2).clamp(min=1e-12).sqrt()
        divergence = -0.5 * (1 + log_variance - mu**2 - variance).mean(2)
        return output, (spread, divergence)


class DualRelation(nn.Module):
    """Two classifiers on a projector, and a relation network over both.

    It reads the outer product vec(f1 f2^T). From features (B, D): ``projector`` is two layers of ``width`` with leaky
    ReLU (slope .1); ``first`` and ``second`` each have one hidden layer of ``hidden`` with ReLU; f = sigmoid of their
    outputs. ``relation`` has one hidden layer of ``relation_hidden`` with leaky ReLU on the K x K products, of which
    above ``most`` labels both sides keep ``most`` learnt mixtures of the labels (``mixture``): its input never has
    more than most^2 numbers. Returned are the relation network's logits (B, K), and as parts f1 and f2 (B, K),
    float32.
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


def start_from_ridge(
    head: StartsFromRidge,
    solution: RidgeSolution,
    *,
    slope: float | Tensor | None = None,
    middle: float | Tensor = 0.5,
) -> None:
    """Start a head as the ridge solution over its scaled features.

    ``LinearHead``: logits ``slope (raw - middle)``. ``CosineHead(constant=True)``: ``W_k`` in the direction of
    ``(w_k, b_k - middle)``, so that the cosine is 0 at raw output ``middle``. ``CosineHead()`` without a constant takes
    the direction of ``w_k`` alone and drops the intercept; a label whose ``w_k`` is 0 keeps its weights.

    Args:
        slope: A number or (K,). None: 4 for logits, so that at 1/2 the probability changes as fast as the raw
            output. Cosines ignore the length of ``W_k`` but learning rates do not: with a slope it is that of a
            linear head's weights, with None that of freshly drawn ones.
        middle: A number or (K,), the raw output of logit or cosine 0. With few or single positives raw outputs stay
            far below 1/2, and a head that starts there is first pulled away from its solution:
            ``solution.thresholds`` match the count of positives.

    Raises:
        UserError: When the sizes differ.
    """
    head.start_from_ridge(solution, slope=slope, middle=middle)


def scores_of_start(
    head: StartsFromRidge,
    solution: RidgeSolution,
    raw: Tensor,
    *,
    slope: float | Tensor,
    middle: Tensor,
) -> Tensor:
    """Return the scores of a started head for unseen items.

    ``raw`` (n, K) are the items' raw outputs. Logits ``slope (raw - middle)``, or cosines ``(raw - middle) / (|(z, 1)|
    |(w_k, b_k - middle)|)`` with ``|z| = 1``: cosines take features of unit length. Computed in the dtype and on the
    device of ``raw``, where ``slope`` and ``middle`` are too.
    """
    return head.scores_of_start(solution, raw, slope=slope, middle=middle)


def label_weights(head: nn.Module) -> Tensor | None:
    """Return a head's weights (K, D), one row a label, or None.

    A constant's coordinate is left out. None for a head without one weight a label, ours or a user's.
    """
    weight = getattr(head, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        return None
    return weight.detach()[:, : weight.shape[1] - bool(getattr(head, "constant", False))]


def _solved(solution: RidgeSolution, shape: tuple[int, ...], middle: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (K, D), and biases (K,) less ``middle``.

    Raises:
        UserError: Where the head has another shape.
    """
    weight, bias = torch.from_numpy(solution.weight), torch.from_numpy(solution.bias) - middle
    if tuple(weight.shape) != shape:
        raise UserError(
            f"the ridge solution has {weight.shape[0]} labels and {weight.shape[1]} features, the head"
            f" {shape[0]} and {shape[1]}; fit both to the same matrix"
        )
    return weight, bias


def _column(slope: float | Tensor) -> Tensor:
    return torch.as_tensor(slope, dtype=torch.float32).reshape(-1, 1)


def _unit(x: Tensor) -> Tensor:
    """Divide rows by their norms; a zero row passes no gradient."""
    square = (x * x).sum(dim=-1, keepdim=True)
    safe = square > 1e-24
    return x * torch.where(safe, square, 1.0).rsqrt() * safe
