"""Splits that keep each label's known positives in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.annotations.codes import check_seed
from labelwise.annotations.groups import as_groups, deal_groups
from labelwise.annotations.matrix import as_matrix
from labelwise.errors import UserError

Indices = npt.NDArray[np.int64]
_WIDE = 1_000_000_000
"""Rows x labels x labels beyond which the library, which scans all rows for each label, takes seconds."""


def split(Y: Any, fractions: Sequence[float], seed: int = 0, *, groups: Any = None) -> list[Indices]:
    """Split the rows of ``Y`` (n, K) into parts, stratified over labels.

    The part sizes are n x fractions, rounded by largest remainder, and so, nested in them, are the shares of three
    kinds of rows: rows with a known positive, rows with known negatives only, and wholly unknown rows. The first are
    dealt by iterative stratification (Sechidis et al., ECML 2011), rarest label first, so that each part gets its
    share of each label's known positives as far as whole rows allow; then the rows that disturb least move to make
    the sizes exact. The others are dealt at random.

    Args:
        Y: labels that ``labelwise.annotations.as_matrix`` reads.
        fractions: a share in (0, 1] for each part, summing to 1.
        seed: from 0 to 2**32 - 1.
        groups: n names or numbers; rows of one group (frames of a video, pictures of a patient) stay in one part. None,
            NaN or an empty text belongs to no group. The parts' sizes are then near their shares, and each label's
            known positives in proportion as far as whole groups allow.

    Returns:
        One sorted int64 array of row indices a part; they are disjoint and cover all rows.

    Raises:
        UserError: ``fractions`` are no shares of 1, a part would be empty (it says how many rows it takes), or there
            are fewer groups than parts.
    """
    matrix = as_matrix(Y)
    shares = _shares(fractions)
    if groups is not None:
        part = deal_groups(matrix, shares, check_seed(seed), as_groups(groups, len(matrix)))
        return [np.flatnonzero(part == index) for index in range(len(shares))]
    sizes = _apportion(shares * len(matrix), len(matrix))
    if (sizes == 0).any():
        enough = math.ceil(1 / shares.min() - 1e-9)
        raise UserError(
            f"Y has {len(matrix)} rows, too few for fractions={list(fractions)!r}: "
            f"give {enough} or more, so that no part is empty"
        )
    random = generator(check_seed(seed), "split")
    part = np.empty(len(matrix), dtype=np.int64)
    positive = (matrix == 1).any(axis=1)
    unknown = (matrix == -1).all(axis=1)
    remaining, capacity = len(matrix), sizes
    for kind in (positive, ~positive & ~unknown, unknown):
        rows = random.permutation(np.flatnonzero(kind))
        if not len(rows):
            continue
        # Shares are nested: what rounding gave to one kind is taken from the next.
        share = _apportion(capacity * len(rows) / remaining, len(rows))
        if kind is positive:
            part[rows] = _stratify(matrix[rows] == 1, share, int(random.integers(2**32)))
        else:
            part[rows] = np.repeat(np.arange(len(sizes)), share)
        remaining, capacity = remaining - len(rows), capacity - share
    return [np.flatnonzero(part == index) for index in range(len(sizes))]


def _shares(fractions: Sequence[float]) -> npt.NDArray[np.float64]:
    try:
        shares = np.asarray(fractions, dtype=np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if (
        shares.ndim != 1
        or not shares.size
        or not (shares > 0).all()
        or not math.isclose(shares.sum(), 1, abs_tol=1e-6)
    ):
        raise UserError(
            f"fractions must be shares above 0 that sum to 1, such as [0.8, 0.2], not {fractions!r}"
        )
    normal: npt.NDArray[np.float64] = shares / shares.sum()
    return normal


def _apportion(quotas: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.int64]:
    """Return whole numbers near ``quotas`` that sum to ``total``.

    They go by the largest remainder, ties to the first.
    """
    whole = np.floor(quotas).astype(np.int64)
    # Rounded, so that remainders that differ by rounding errors are ties.
    order = np.argsort(-np.round(quotas - whole, 9), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


def _stratify(
    positives: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """Return the part of each row, (n,).

    ``positives`` (n, K) has one in every row.
    """
    positives = positives[:, positives.any(axis=0)]
    n_items, n_labels = positives.shape
    shares = sizes / n_items
    random = np.random.RandomState(seed)
    if n_items * n_labels**2 <= _WIDE:
        from iterstrat.ml_stratifiers import IterativeStratification

        part = IterativeStratification(labels=positives, r=shares, random_state=random)
    else:
        part = _sparse_stratification(positives, shares, random)
    return _exact_sizes(np.asarray(part, dtype=np.int64), positives, sizes)


def _sparse_stratification(
    positives: npt.NDArray[np.bool_], shares: npt.NDArray[np.float64], random: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Return iterstrat's IterativeStratification, in time linear in positives.

    The result is the same to the bit.
    """
    n_items = len(positives)
    columns = np.flatnonzero(positives.ravel()) % positives.shape[1]
    labels_of = np.split(columns, np.cumsum(positives.sum(axis=1))[:-1])
    remaining = positives.sum(axis=0)
    room, desired = shares * n_items, np.outer(shares, remaining)
    part = np.full(n_items, -1, dtype=np.int64)
    while remaining.any():
        rarest = np.flatnonzero(remaining == remaining[remaining > 0].min())
        # Drawn among ties alone, as iterstrat draws: its generator moves only then.
        label = rarest[random.choice(len(rarest))] if len(rarest) > 1 else rarest[0]
        for item in np.flatnonzero(positives[:, label] & (part < 0)):
            best = np.flatnonzero(desired[:, label] == desired[:, label].max())
            if len(best) > 1:
                best = best[room[best] == room[best].max()]
            chosen = best[random.choice(len(best))] if len(best) > 1 else best[0]
            part[item] = chosen
            room[chosen] -= 1
            desired[chosen, labels_of[item]] -= 1
            remaining[labels_of[item]] -= 1
    return part


def _exact_sizes(
    part: npt.NDArray[np.int64], positives: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Move rows between parts until their sizes are exact.

    They go from parts that are too large to parts that are too small, those first that disturb least.

    The disturbance of a move is its change of the sum over parts and labels of (count - share)^2 / total.
    """
    excess = np.bincount(part, minlength=len(sizes)) - sizes
    if not excess.any():
        return part
    from scipy.sparse import csr_array

    rows = csr_array(positives, dtype=np.float64)
    totals = positives.sum(axis=0)
    ideal = np.outer(sizes / len(part), totals)
    gap = np.stack([positives[part == index].sum(axis=0) for index in range(len(sizes))]) - ideal
    while excess.any():
        source, target = int(excess.argmax()), int(excess.argmin())
        # A share of the moves at a time, since each move changes what the next one disturbs.
        count = -(-min(excess[source], -excess[target]) // 8)
        items = np.flatnonzero(part == source)
        cost = rows[items] @ ((gap[target] - gap[source] + 1) / totals)
        moved = items[np.argsort(cost, kind="stable")[:count]]
        part[moved] = target
        change = positives[moved].sum(axis=0)
        gap[source] -= change
        gap[target] += change
        excess[source] -= count
        excess[target] += count
    return part
