"""What each loss does to an entry: value and gradient against its probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from labelwise import losses
from labelwise.analysis.columns import Columns
from labelwise.errors import UserError, near

Regime = Callable[[Tensor, Tensor], Tensor]
"""From logits (P, 1) and codes (P, 1) to the losses of these entries, (P,) or (P, 1)."""
ENTRIES = {"relevant": 1, "unknown": -1, "irrelevant": 0}
_LABELS, _SCALE = 20, 20.0


def _among_many(x: Tensor, y: Tensor) -> Tensor:
    """Return the weak loss of an entry of a row of 20."""
    return losses.weak_assume_negative(x.expand(-1, _LABELS), y.expand(-1, _LABELS))[:, :1]


def _beside_a_half(x: Tensor, y: Tensor, tp: float, tn: float, zero: bool = False) -> Tensor:
    """Return the loss of a row of the entry and one of the other sign at score 1/2."""
    y = y.clamp(min=0)
    return losses.pairwise(
        torch.cat([x, torch.zeros_like(x)], 1),
        torch.cat([y, 1 - y], 1),
        temperature_positive=tp,
        temperature_negative=tn,
        zero=zero,
    )


def _in_a_batch_of_two(x: Tensor, y: Tensor) -> Tensor:
    """Return the loss of a label with the entry and an unknown one at score 1/2."""
    logits = torch.cat([x.T, torch.zeros_like(x.T)])
    codes = torch.cat([y.T, torch.full_like(y.T, -1)])
    # A scale of 1, whatever the spread of two logits.
    return losses.variational_pu(logits, codes, least_scale=1.0)


def _of_cosines(loss: Callable[..., Tensor], margin: float) -> Regime:
    """Return a loss of cosines that 20 times make the logit."""
    return lambda x, y: loss(x / _SCALE, y, scale=_SCALE, margin=margin)


REGIMES: dict[str, Regime] = {
    "assume negative": losses.assume_negative,
    "weak assume negative, K = 20": _among_many,
    "ignore unknown": losses.ignore_unknown,
    "label smoothing": losses.label_smoothing,
    "entropy maximization": losses.entropy_maximization,
    "entropy minimization": losses.entropy_minimization,
    "focal": losses.focal,
    "asymmetric": losses.asymmetric,
    "partial asymmetric": losses.partial_asymmetric,
    "Hill": losses.hill,
    "SPLC, first epoch": partial(losses.self_paced_correction, correct=False),
    "SPLC, later": losses.self_paced_correction,
    "GR, first epoch": losses.generalized_robust,
    "GR, last epoch": partial(losses.generalized_robust, slope=10.0, offset=-8.0, center=0.8, width=0.5),
    "two-way, beside 1/2": partial(_beside_a_half, tp=4.0, tn=1.0),
    "LSEP, beside 1/2": partial(_beside_a_half, tp=1.0, tn=1.0),
    "ZLPR": partial(_beside_a_half, tp=1.0, tn=1.0, zero=True),
    "variational PU, beside 1/2": _in_a_batch_of_two,
    "hyperspherical": _of_cosines(losses.hyperspherical, 0.3),
    "binary angular margin": _of_cosines(losses.binary_angular_margin, 0.4),
}
"""Every loss of ``labelwise.losses`` that a single entry has, at its defaults (GR's last epoch as for COCO)."""


def gradient_regimes(names: Sequence[str] | None = None, *, points: int = 199) -> Columns:
    """Return each loss's value and gradient against an entry's probability.

    The gradient is that in the logit x of p = sigmoid(x), of losses of cosines in 20 times the cosine. It is positive
    where descent lowers the score. Losses of whole rows or batches stand beside one other entry with p = 1/2, of the
    other sign, or for VPU an unknown one; unknown entries count as irrelevant there. The regularisers
    ``expected_positives`` and ``gradient_balance`` are of no single entry.

    Args:
        names: Some of the losses, by the names of ``REGIMES``; all of them by default.
        points: Number of probabilities, evenly between 0 and 1 without these.

    Returns:
        Columns ``loss``, ``entry`` ("relevant", "unknown" or "irrelevant"), ``p``, ``value`` and ``gradient``.

    Raises:
        UserError: A name that is none, or fewer than one point.
    """
    for name in names or ():
        if name not in REGIMES:
            raise UserError(f"there is no loss {name!r} here: {near(name, REGIMES)}")
    if points < 1:
        raise UserError(f"points is {points}: give at least 1")
    p = torch.arange(1, points + 1, dtype=torch.float64) / (points + 1)
    rows: list[tuple[str, str, Tensor, Tensor]] = []
    for name in names or REGIMES:
        for entry, code in ENTRIES.items():
            x = torch.logit(p)[:, None].requires_grad_()
            values = REGIMES[name](x, torch.full(x.shape, code, dtype=torch.int8)).flatten()
            (gradient,) = torch.autograd.grad(values.sum(), x)
            rows.append((name, entry, values.detach(), gradient.flatten()))
    return {
        "loss": np.repeat([row[0] for row in rows], points),
        "entry": np.repeat([row[1] for row in rows], points),
        "p": np.tile(p.numpy(), len(rows)),
        "value": torch.cat([row[2] for row in rows]).numpy(),
        "gradient": torch.cat([row[3] for row in rows]).numpy(),
    }
