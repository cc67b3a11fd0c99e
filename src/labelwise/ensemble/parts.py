"""Members and trees of an ensemble, fitted to a pool's known entries, and the stack refitted without a fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.growing import N_TREES
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.members import RidgeMember
from labelwise.ensemble.pool import FeatureMap, MemberSpec, NewRows, Pool
from labelwise.ensemble.stack import stack
from labelwise.ensemble.trees import Trees

Matrix: TypeAlias = npt.NDArray[np.float32]

MEMBERS = tuple(map(MemberSpec.parse, ("c", "d", "p", "c1", "d1", "p1", "p1.ntk", "p8", "w1", "w1.rbf3")))
"""The members, those of one representation after each other."""


@dataclass(frozen=True)
class FittedPart:
    """A member fitted to the rows with known entries of a pool."""

    spec: MemberSpec
    features: FeatureMap
    member: RidgeMember


def fit_members(pool: Pool, known: KnownEntries) -> Iterator[FittedPart]:
    """Fit the members to the rows with known entries, each with its own lambda."""
    for spec in MEMBERS:
        features = pool.feature_map(spec, known.rows)
        yield FittedPart(
            spec, features, RidgeMember.fit(features.of(pool, known.rows), known, overwrite=True)
        )


def fit_trees(features: Any, known: KnownEntries, seed: int, n_trees: int = N_TREES) -> Trees:
    """Grow trees on the rows with known entries, ``features`` (m, D).

    Of rows with the same features one is taken, with the mean of their known targets: a tree that drew its twin would
    know a row that is out of its bag.
    """
    if known.twins is None:
        return Trees.fit(features, known.targets, n_trees, seed, mask=known.mask)
    first = np.unique(known.twins, return_index=True)[1]
    counts = np.ones_like(known.targets) if known.mask is None else known.mask.astype(np.float32)
    total = _sums(known.twins, counts)
    targets = _sums(known.twins, known.targets * counts) / np.maximum(total, 1)
    mask = None if known.mask is None else total > 0
    trees = Trees.fit(features[first], targets, n_trees, seed, mask=mask)
    bag = trees.out_of_bag
    return trees if bag is None else replace(trees, out_of_bag=bag[known.twins])


def _sums(groups: npt.NDArray[np.int64], values: Matrix) -> Matrix:
    """Return the sums of rows (m, K) with the same number, float32."""
    out = np.zeros((int(groups.max(initial=-1)) + 1, values.shape[1]), np.float32)
    np.add.at(out, groups, values)
    return out


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
        left_out.append(member.loo)
        scores.append(member.scores(features.of(new)))
    return stack(left_out, known).of(scores)
