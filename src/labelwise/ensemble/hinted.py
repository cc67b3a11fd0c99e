"""Hints as evidence: a ridge that learns another model's scores from the features.

At prediction nobody has hints. So what takes part is not a hint itself but what the features tell of it: a row's own
hints are left out of its score, as its labels are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.gate import Demand, Opening, open_gate
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.members import RidgeMember
from labelwise.ensemble.names import evidence_weights
from labelwise.ensemble.parts import FittedPart
from labelwise.ensemble.pool import MemberSpec, Pool
from labelwise.ensemble.stack import moments

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

_SPECS = tuple(map(MemberSpec.parse, ("c", "c1", "p1")))
_FLAT = 1e-6  # deviation of a learnt score below which it says nothing


@dataclass(frozen=True, eq=False)
class HintScores:
    """Learnt hints of a pool's rows.

    Attributes:
        part: The ridge that learnt them, on the features of the best leave-one-out R2.
        left_out: (n, K) float32, its scores of all rows, standardised: those with hints as if left out.
        centre: (K,) what was subtracted.
        inverse: (K,) what the rest was multiplied by; 0 of a label of which the hints say the same everywhere.
    """

    part: FittedPart
    left_out: Matrix
    centre: Double
    inverse: Double

    @classmethod
    def fit(cls, pool: Pool, hints: Matrix) -> Self | None:
        """Learn ``hints`` (n, K) in [0, 1] or NaN; None where they tell no item from another."""
        entries = KnownEntries.of_scores(hints, pool.twins(), pool.groups)
        if len(entries) < 2 or not (entries.both & (_spread(hints) > _FLAT)).any():
            return None
        part = max((_part(spec, pool, entries) for spec in _SPECS), key=lambda part: part.member.r2)
        scores = part.member.scores(part.features.of(pool))
        scores[entries.rows] = part.member.loo
        centre, spread = scores.mean(axis=0, dtype=np.float64), scores.std(axis=0, dtype=np.float64)
        inverse = np.divide(1.0, spread, out=np.zeros_like(spread), where=entries.both & (spread > _FLAT))
        return cls(part, ((scores - centre) * inverse).astype(np.float32), centre, inverse)


@dataclass(frozen=True, eq=False)
class HintEvidence:
    """Learnt hints beside other scores, as far as a gate opens.

    Attributes:
        scores: The learnt hints.
        opening: Of the gate.
        weight: (K,) what a standardised hint counts, in units of ridge outputs, its share included.
    """

    scores: HintScores
    opening: Opening
    weight: Double

    @classmethod
    def fit(
        cls, scores: HintScores, known: KnownEntries, raw: Matrix, honest: list[Matrix], demand: Demand
    ) -> Self:
        """Weigh the hints by ``raw``, left-out scores (m, K), and open the gate by ``honest`` ones.

        The weight of a label is that of ``t ~ a l + b z`` with a and b not negative, t the targets, l the left-out
        scores and z the learnt hints, of entries of labels of similar frequency (``names.evidence_weights``).
        """
        z = scores.left_out[known.rows]
        weight = evidence_weights(known, raw, z) * np.sqrt(known.means * (1 - known.means))
        with_hints = [(one + weight * z).astype(np.float32) for one in honest]
        opening = open_gate(honest, with_hints, known, demand)
        return cls(scores, opening, weight * np.where(known.both, opening.share, 0.0))

    @property
    def open(self) -> bool:
        """Whether any label takes them."""
        return bool(self.weight.any())

    def added(self, raw: Matrix, known: KnownEntries) -> Matrix:
        """Return scores (m, K) of the rows of ``known`` with the evidence of their learnt hints."""
        return (raw + self.weight * self.scores.left_out[known.rows]).astype(np.float32)

    def among(self, members: list[dict[str, Any]], known: KnownEntries, raw: Matrix) -> list[dict[str, Any]]:
        """Return an explanation's members with that of the hints, by its deviation beside that of ``raw`` (m, K)."""
        part, both = self.scores.part, known.both
        own = (self.weight * moments(self.scores.left_out[known.rows], known)[1])[both]
        share = float((own / (own + moments(raw, known)[1][both])).mean())
        rest = [{**member, "weight": member["weight"] * (1 - share)} for member in members]
        return [*rest, {"name": f"hints.{part.spec}", "weight": share, "value": part.member.r2}]

    @property
    def factor(self) -> Double:
        """What the ridge's own score is multiplied by, (K,)."""
        return np.asarray(self.weight * self.scores.inverse)

    @property
    def offset(self) -> Double:
        """What is added to the product, (K,)."""
        return np.asarray(-self.factor * self.scores.centre)


def _part(spec: MemberSpec, pool: Pool, entries: KnownEntries) -> FittedPart:
    features = pool.feature_map(spec, entries.rows)
    return FittedPart(
        spec, features, RidgeMember.fit(features.of(pool, entries.rows), entries, overwrite=True)
    )


def _spread(hints: Matrix) -> Double:
    """Return the deviation of each label's hints (K,), 0 where it has none."""
    there = ~np.isnan(hints)
    count = np.maximum(there.sum(axis=0), 1)
    filled = np.where(there, hints, 0).astype(np.float64)
    mean = filled.sum(axis=0) / count
    return np.asarray(np.sqrt((np.square(filled - mean) * there).sum(axis=0) / count))
