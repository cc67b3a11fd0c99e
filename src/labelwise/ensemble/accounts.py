"""What a fit says of its parts, fit for JSON: members' weights, gains by left-out scores, and what gates decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.gate import Opening
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.stack import moments
from labelwise.metrics import average_precision

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]


def member_weights(
    values: dict[str, float | None], weight: Double, scores: Sequence[Matrix], known: KnownEntries
) -> list[dict[str, Any]]:
    """Return each part's mean share of the combination.

    Args:
        values: Leave-one-out R2 of each part by its name; None where it has none.
        weight: (V, K) of the V parts in the combination.
        scores: Their left-out scores (m, K).
        known: The known entries; a label counts if it has known positives and negatives.
    """
    spread = np.stack([moments(score, known)[1] for score in scores])
    share = np.abs(weight * spread)[:, known.both].mean(axis=1)
    share = share / max(float(share.sum()), 1e-12)
    return [
        {"name": name, "weight": float(w), "value": value}
        for (name, value), w in zip(values.items(), share, strict=True)
    ]


def gain(rich: Matrix, simple: Matrix, known: KnownEntries) -> dict[str, float | None]:
    """Return the mean gain in average precision of scores (m, K) over others, and its standard error over labels."""
    labels, both = known.labels, np.flatnonzero(known.both)
    a, b = (average_precision(labels[:, both], one[:, both]) for one in (rich, simple))
    each = a - b
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else None
    return {"gain": float(each.mean()), "error": error}


def gate(name: str, opening: Opening, share: Double, known: KnownEntries) -> dict[str, Any]:
    """Return what a gate saw and the mean ``share`` (K,) that it gave."""
    return {
        "name": name,
        "t": opening.t,
        "gain": opening.mean_gain,
        "error": opening.mean_error if np.isfinite(opening.mean_error) else None,
        "share": float(share[known.both].mean()),
    }
