"""Distributions of the angles between items and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import as_matrix, both_signs_known
from labelwise.errors import UserError
from labelwise.losses import balanced_angles
from labelwise.metrics import vdfd
from labelwise.summaries import AngleStatistics

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AngleDistributions:
    """Angles of items to label weights, by the sign of the entry.

    Over all labels, in B bins of equal width.
    """

    edges: Floats
    """(B + 1,) in degrees."""
    positives: Floats
    """(B,) density of the positives' angles, per degree; sums to 1 over the width of the bins."""
    negatives: Floats
    """(B,) likewise of the negatives'."""
    vdfd: Floats
    """(K,) variance of the positives' less that of the negatives', in degrees squared; NaN where undefined."""
    n_positives: int
    n_negatives: int
    assumed: bool
    """True: unknown entries were counted as negatives, since too few are known."""
    balanced_positives: Floats | None = None
    """(B,) after the method's balancing transform; None where it has none."""
    balanced_negatives: Floats | None = None
    balanced_vdfd: Floats | None = None


def angle_distributions(
    cosines: ArrayLike, Y: ArrayLike, statistics: AngleStatistics | None = None, *, bins: int = 60
) -> AngleDistributions | None:
    """Return the distributions of the angles of known positives and negatives.

    An angle is arccos cos(z, W_k).

    With ``statistics`` also the angles psi that training compares with its margin: each side's
    psi = mu + sqrt(v / v_side) (theta - mu), ``losses.balanced_angles``. Where no label has two known entries of both
    signs, unknown entries count as negatives. Labels without a positive are left out. None where there are no
    positives or no negatives even so.

    Args:
        cosines: (n, K) in [-1, 1].
        Y: (n, K) of 1, 0 and -1.
        statistics: of the angles, for the transform.
        bins: of the histograms, over the range of all angles.
    """
    values, labels = np.asarray(cosines, dtype=np.float64), as_matrix(Y)
    if values.shape != labels.shape:
        raise UserError(f"cosines has shape {values.shape}, Y {labels.shape}: give one cosine an entry")
    # A spread takes two values a sign: with fewer no label shows what the figure is about.
    assumed = not both_signs_known(labels, least=2).any()
    if assumed:
        labels = np.maximum(labels, 0)
    # The weights of a label without positives were never trained: they lie wherever they began.
    labels = np.where((labels == 1).any(axis=0), labels, np.int8(-1))
    positive, negative = labels == 1, labels == 0
    if not positive.any() or not negative.any():
        return None
    # Rounding leaves a cosine a little outside [-1, 1], where arccos is undefined.
    theta = np.arccos(np.clip(values, -1, 1))
    psi = None if statistics is None or _identity(statistics) else _balanced(theta, positive, statistics)
    shown = [np.degrees(angles)[positive | negative] for angles in (theta, psi) if angles is not None]
    low, high = min(part.min() for part in shown), max(part.max() for part in shown)
    # Equal angles would give bins of no width, whose densities are infinite.
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)

    def density(angles: Floats, mask: NDArray[np.bool_]) -> Floats:
        return np.histogram(np.degrees(angles[mask]), edges, density=True)[0]

    return AngleDistributions(
        edges,
        density(theta, positive),
        density(theta, negative),
        vdfd(np.degrees(theta), labels),
        int(positive.sum()),
        int(negative.sum()),
        assumed,
        *(
            ()
            if psi is None
            else (density(psi, positive), density(psi, negative), vdfd(np.degrees(psi), labels))
        ),
    )


def _identity(statistics: AngleStatistics) -> bool:
    # Equal variances make psi = theta: a second panel would only repeat the first.
    return bool(torch.equal(statistics.variance_negative, statistics.variance_positive))


def _balanced(theta: Floats, positive: NDArray[np.bool_], statistics: AngleStatistics) -> Floats:
    """Return each entry's psi, by the moments of its side."""
    moments, angles = statistics.to("cpu", torch.float64), torch.from_numpy(theta)
    sides = [balanced_angles(angles, moments, side).numpy() for side in ("negative", "positive")]
    return np.where(positive, sides[1], sides[0])
