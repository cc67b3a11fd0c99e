"""Heads: from features ``z`` (B, D) to logits, or to cosines of angles between z and the label weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from labelwise.errors import UserError
from labelwise.models.ridge import RidgeSolution

__all__ = ["CosineHead", "LinearHead", "Projection", "start_from_ridge"]


class LinearHead(nn.Linear):
    """Logits ``z W^T + b``: features (B, D) to (B, K). Weights start as ``nn.Linear``'s."""

    def __init__(self, features: int, labels: int) -> None:
        super().__init__(features, labels)


class CosineHead(nn.Module):
    """Cosines ``c_k = z.W_k / (|z| |W_k|)`` of the angles between features and label weights, no bias.

    ``constant=True`` appends a coordinate 1 to z: a departure for fixed features, by which the head can carry
    an intercept. With inputs of norm 1 the length of (z, 1) is the same for all, so that each label ranks the
    items exactly as the linear model (w, b) does. Computed in float32 whatever the autocast; a zero vector
    has cosine 0 and gradient 0. ``weight`` (K, D) or (K, D + 1), drawn from U(-1/16, 1/16).
    """

    def __init__(self, features: int, labels: int, *, constant: bool = False) -> None:
        super().__init__()
        self.constant = constant
        self.weight = nn.Parameter(torch.empty(labels, features + constant).uniform_(-1 / 16, 1 / 16))

    def forward(self, features: Tensor) -> Tensor:
        """Return cosines (B, K) in [-1, 1], float32 (float64 for float64 features) of ``features`` (B, D)."""
        with torch.autocast(features.device.type, enabled=False):
            z = features if features.dtype == torch.float64 else features.float()
            if self.constant:
                z = pad(z, (0, 1), value=1.0)
            return (_unit(z) @ _unit(self.weight.to(z.dtype)).T).clamp(-1.0, 1.0)

    def extra_repr(self) -> str:
        """Return the sizes shown when the module is printed."""
        labels, width = self.weight.shape
        return f"features={width - self.constant}, labels={labels}, constant={self.constant}"


class Projection(nn.Sequential):
    """The papers' projection between backbone and head: Linear(in, hidden), GELU, Linear(hidden, out)."""

    def __init__(self, features: int, hidden: int = 512, out: int = 256) -> None:
        super().__init__(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, out))
        self.n_features = out


@torch.no_grad()
def start_from_ridge(
    head: LinearHead | CosineHead, solution: RidgeSolution, *, slope: float = 4.0, matched: bool = False
) -> None:
    """Set the weights of ``head`` so that it starts as the ridge solution, over the scaled features.

    ``LinearHead``: logits ``slope (raw - 1/2)``, so that probability 1/2 is at raw output 1/2; at slope 4 the
    probability changes there as fast as the raw output. ``CosineHead(constant=True)``: ``W_k`` in the direction
    of ``(w_k, b_k - 1/2)``, so that the cosine is 0 at raw output 1/2. ``CosineHead()`` without a constant takes
    the direction of ``w_k`` alone and drops the intercept; a label whose ``w_k`` is 0 keeps its weights. The
    ``matched=True`` puts ``solution.thresholds`` in the place of 1/2: with few or single positives raw outputs
    stay far below 1/2, and a head that starts there is first pulled away from its solution. The
    length of each ``W_k``, which cosines ignore but learning rates do not, is that of freshly drawn weights.
    Raise UserError when the sizes differ.
    """
    middle = torch.from_numpy(solution.thresholds) if matched else 0.5
    weight, bias = torch.from_numpy(solution.weight), torch.from_numpy(solution.bias) - middle
    constant = isinstance(head, CosineHead) and head.constant
    want = (head.weight.shape[0], head.weight.shape[1] - constant)
    if tuple(weight.shape) != want:
        raise UserError(
            f"the ridge solution has {weight.shape[0]} labels and {weight.shape[1]} features, the head"
            f" {want[0]} and {want[1]}; fit both to the same matrix"
        )
    if isinstance(head, LinearHead):
        head.weight.copy_(slope * weight)
        head.bias.copy_(slope * bias)
    else:
        direction = torch.cat([weight, bias[:, None]], dim=1) if constant else weight
        length = (direction.shape[1] / 3) ** 0.5 / 16
        start = length * _unit(direction).to(head.weight)
        head.weight.copy_(torch.where(start.any(dim=1, keepdim=True), start, head.weight))


def _unit(x: Tensor) -> Tensor:
    """Return the rows of ``x`` divided by their norms; a zero row stays 0 and passes no gradient."""
    square = (x * x).sum(dim=-1, keepdim=True)
    safe = square > 1e-24
    return x * torch.where(safe, square, 1.0).rsqrt() * safe
