"""Members of an ensemble, fitted to a pool's known entries, and the stack refitted without a fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.members import RidgeMember
from labelwise.ensemble.pool import FeatureMap, MemberSpec, NewRows, Pool
from labelwise.ensemble.stack import stack
from labelwise.models import give_back_memory

Matrix: TypeAlias = npt.NDArray[np.float32]

MEMBERS = tuple(map(MemberSpec.parse, ("c", "d", "p", "c1", "d1", "p1", "p1.ntk", "p8", "w1", "w1.rbf3")))
"""The members, those of one representation after each other."""


_MANY = 10_000  # rows whose scores are large enough that what is freed between two members counts


@dataclass(frozen=True)
class FittedPart:
    """A member fitted to the rows with known entries of a pool."""

    spec: MemberSpec
    features: FeatureMap
    member: RidgeMember


def fit_members(
    pool: Pool, known: KnownEntries, members: Sequence[MemberSpec] = MEMBERS
) -> Iterator[FittedPart]:
    """Fit the members to the rows with known entries, each with its own lambda."""
    for spec in members:
        features = pool.feature_map(spec, known.rows)
        yield FittedPart(
            spec, features, RidgeMember.fit(features.of(pool, known.rows), known, overwrite=True)
        )


def refitted_stack(
    parts: Sequence[FittedPart], rest: Pool, new: NewRows, known: KnownEntries, *, tuned: bool = False
) -> Matrix:
    """Return the stack's scores (b, K) of ``new`` rows, refitted to the pool that is left.

    Features, fits and weights are made anew; the members keep their lambdas, unless they are ``tuned`` again.
    """
    left_out, scores = [], []
    for part in parts:
        features = rest.feature_map(part.spec, known.rows)
        member = RidgeMember.fit(
            features.of(rest, known.rows),
            known,
            lambda_index=None if tuned else part.member.lambda_index,
            overwrite=True,
        )
        if len(known) > _MANY:
            give_back_memory()
        left_out.append(member.loo)
        scores.append(member.scores(features.of(new)))
    return stack(left_out, known).of(scores)
