"""Choice of ridge's scaling and lambda, over patterns of known entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.annotations import row_blocks
from labelwise.errors import UserError
from labelwise.models.ridge.criterion import are_few, criterion_values
from labelwise.models.ridge.decomposition import Decomposition, decompose
from labelwise.models.ridge.direct import ByCholesky, mean_of
from labelwise.models.ridge.masked import solve_masked
from labelwise.models.ridge.rows import Rows, rows_of
from labelwise.models.scaling import FeatureMatrix, Scaling

Array: TypeAlias = npt.NDArray[Any]

LAMBDA_GRID: tuple[float, ...] = tuple(float(10.0**power) for power in np.linspace(-2, 2, 13))
"""The default lambdas, in units of the mean squared norm of the centred, scaled rows."""

LeaveOut: TypeAlias = "Callable[[Rows, Entries, Sequence[float] | Array | None], LeftOut]"

_FOLDS = 5
_BLOCK = 1 << 19  # scores that are ranked at once


@dataclass(frozen=True)
class Entries:
    """Training entries: rows used, 0/1 targets, weights by groups of labels.

    Attributes:
        rows: (m,) indices into X.
        targets: (m, K) float64.
        patterns: (G, m) distinct columns of weights.
        group: (K,) the pattern of each label.
        twin: (m,) a number for each row, the same for equal ones; None where all differ.
        fold: (m,) a number for each row, the same for rows left out together; None where each is alone.
    """

    rows: Array
    targets: Array
    patterns: Array
    group: Array
    twin: Array | None = None
    fold: Array | None = None

    def weights(self, labels: Array) -> Array:
        """Return the entry weights (m, len(labels))."""
        return np.asarray(self.patterns[self.group[labels]].T)


def entries_of(Y: Array, weights: Array | None, unknown_weight: float) -> Entries:
    """Return the entries of ``Y`` (n, K) in {1, 0, -1}.

    Rows that are wholly unknown teach nothing. Where no entry at all is a known negative, an unknown entry of
    the other rows counts as absent with weight ``unknown_weight``; otherwise it is left out (weight 0).
    """
    Y = np.asarray(Y)
    rows = np.flatnonzero((Y != -1).any(axis=1))
    if weights is not None:
        rows = rows[weights[rows] > 0]
    known = Y[rows]
    if not (known == 1).any():
        raise UserError("Y has no known positive entry; give at least one entry that is 1")
    s = np.ones(len(rows)) if weights is None else weights[rows]
    fill = unknown_weight if not (known == 0).any() else 0.0
    unknown = known == -1
    # Labels whose known rows are the same share a decomposition, by far the dearest part.
    masks, group = np.unique(np.packbits(unknown, axis=0), axis=1, return_inverse=True)
    if fill == 1.0:
        masks, group = masks[:, :1], np.zeros_like(group)
        patterns = s[None, :]
    else:
        hidden = np.unpackbits(masks, axis=0, count=len(rows)).T.astype(bool)
        patterns = np.where(hidden, fill, 1.0) * s
    return Entries(rows, (known == 1).astype(np.float64), patterns, np.asarray(group).ravel())


def count_thresholds(scores: Array, entries: Entries) -> Array:
    """Return thresholds (K,) that pass as many scores as known positives.

    ``scores`` are (m, K); a label without a known positive gets 1/2. A threshold lies halfway between the two scores
    that it parts.
    """
    weights = entries.weights(np.arange(entries.targets.shape[1]))
    thresholds = np.full(weights.shape[1], 0.5)
    for label, column in enumerate(np.where(weights > 0, scores, -np.inf).T):
        n_known = int((weights[:, label] > 0).sum())
        n_positive = int((entries.targets[:, label] * (weights[:, label] > 0)).sum())
        if n_positive:
            last = len(column) - n_positive
            lowest = np.partition(column, last)[last]
            below = column[np.argpartition(column, last)[:last]].max() if n_positive < n_known else lowest
            thresholds[label] = (lowest + below) / 2
    return thresholds


@dataclass(frozen=True)
class Judge:
    """A criterion over the known entries of all labels that are judged."""

    criterion: str
    labels: Array  # (labels,) positions
    targets: Array  # (m, labels)
    weights: Array  # (m, labels)
    mean: Array  # (labels,)
    shift: Array  # (m, labels)

    @classmethod
    def of(cls, entries: Entries, criterion: str) -> Judge:
        """Return the judge of leave-one-out scores of ``entries``."""
        labels = np.flatnonzero(entries.group >= 0)
        T, S = entries.targets[:, labels], entries.weights(labels)
        # without this, leaving a positive out lowers its intercept and a negative out raises it: as lambda grows,
        # every positive would rank below every negative
        total = S.sum(axis=0)
        mean = (S * T).sum(axis=0) / np.where(total > 0, total, 1.0)
        left, moved = S, S * (T - mean)
        if entries.twin is not None:
            left, moved = (_sums(values, entries.twin)[entries.twin] for values in (left, moved))
        rest = total - left
        # Scores of folds are free of it already.
        tells = (rest > 0) & (entries.fold is None)
        shift = np.divide(moved, rest, out=np.zeros_like(T), where=tells)
        return cls(criterion, labels, T, S, mean, shift)

    def each(self, scores: Array) -> Array:
        """Return each label's criterion (labels,) of scores (m, K); NaN is undefined."""
        if self.criterion != "average_precision":
            freed = scores[:, self.labels] + self.shift
            return criterion_values(freed, self.targets, self.weights, self.criterion)
        # A label's value is its own: blocks of labels keep what is made of their scores in the cache.
        blocks = row_blocks(len(self.labels), max(1, len(scores)), _BLOCK)
        return np.concatenate([np.zeros(0), *(self._ranked(scores, block) for block in blocks)])

    def _ranked(self, scores: Array, block: slice) -> Array:
        """Return the average precision of a block of labels."""
        freed = _steps(scores[:, self.labels[block]], self.shift[:, block] - self.mean[block])
        return criterion_values(freed, self.targets[:, block], self.weights[:, block], self.criterion)

    def every(self, scores: Array) -> Array:
        """Return ``each`` of several scores (L, m, K), one a row (L, labels)."""
        n, m = scores.shape[:2]
        if self.criterion != "average_precision" or not are_few(m, scores.size):
            return np.stack([self.each(one) for one in scores])
        freed = _steps(scores[:, :, self.labels], self.shift - self.mean)
        together = freed.transpose(1, 0, 2).reshape(m, -1)
        targets, weights = (np.tile(values, n) for values in (self.targets, self.weights))
        return criterion_values(together, targets, weights, self.criterion).reshape(n, -1)


@dataclass(frozen=True)
class Trial:
    """Scaling that was tried, with the criterion of each lambda and label."""

    scaling: Scaling
    lambdas: Array
    each: Array
    importance: Array  # (labels,), sums to 1
    top: Array  # positions of the lambdas to average, best first
    scores: Array  # (m, K) leave-one-out scores of their average
    solution: tuple[Array, Array] | None = (
        None  # its weights (K, D) and biases (K,), where all labels share them
    )

    @property
    def values(self) -> Array:
        """Each lambda's criterion (L,), the weighted mean over labels.

        0 where no label has one.
        """
        return means(self.each, self.importance)

    @property
    def value(self) -> float:
        """The criterion of the best lambda."""
        return float(self.values[self.top[0]])


@dataclass(frozen=True)
class Search:
    """The entries that a choice rests on, and its rule.

    Attributes:
        entries: The training entries, all or a sample.
        lambdas: Absolute values, or None for the default grid.
        importance: (K,) weights of the labels.
        criterion: One of ``criterion.CRITERIA``.
        average: Number of the best lambdas whose solutions are averaged.
        leave_out: Scores rows that were left out over lambdas; None for ``leave_one_out``.
    """

    entries: Entries
    lambdas: Sequence[float] | None
    importance: Array
    criterion: str
    average: int
    leave_out: LeaveOut | None = None

    def trial(self, X: FeatureMatrix, scaling: Scaling) -> Trial:
        """Try a fitted scaling of ``X`` (n, D) over the lambdas or the default grid."""
        return try_scaling(scaling, rows_of(X[self.entries.rows], scaling), self)

    def shares(self, judge: Judge, defined: Array) -> Array:
        """Return the labels' shares in a mean, of those that are defined."""
        share = self.importance[judge.labels][defined]
        return np.asarray(share / share.sum() if share.size else share)

    def defined(self, judge: Judge, each: Array) -> Array:
        """Return which labels count, of criteria (L, labels)."""
        return np.asarray(np.isfinite(each).all(axis=0) & (self.importance[judge.labels] > 0))


def try_scaling(scaling: Scaling, rows: Rows, search: Search) -> Trial:
    """Try a scaling over the lambdas or the default grid.

    ``rows`` are scaled already.
    """
    left_out = (search.leave_out or leave_one_out)(rows, search.entries, search.lambdas)
    grid, scores = left_out.lambdas, left_out.scores
    judge = Judge.of(search.entries, search.criterion)
    each = judge.every(scores)
    defined = search.defined(judge, each)
    share, each = search.shares(judge, defined), each[:, defined]
    top = np.argsort(-means(each, share), kind="stable")[: search.average]
    solution = left_out.solve(grid[top]) if left_out.decomposition is not None else None
    return Trial(scaling, grid, each, share, top, scores[top].mean(axis=0), solution)


def means(each: Array, share: Array) -> Array:
    """Return weighted means over labels (L,), without a sum's rounding."""
    return np.round(each @ share, 12)


def _steps(scores: Array, shift: Array) -> Array:
    """Return ``scores + shift`` (..., m, labels) in steps of their rounding, float32.

    So no rounding ranks items.

    ``shift`` holds minus a label's mean: scores that say nothing but the mean are 0, and no boundary of steps.
    """
    step = np.abs(scores).max(axis=-2, keepdims=True, initial=0.0).astype(np.float64) * 2.0**-23
    return np.round((scores + shift) / np.where(step > 0, step, 1.0))


def choose(best: Trial | None, first: Trial | None, trial: Trial) -> Trial:
    """Choose the better of two trials, in favour of the first scaling.

    ``trial`` has to beat ``best``, and ``first`` by one standard error of their paired labels.
    """
    if best is None or first is None:
        return trial
    if trial.value <= best.value:
        return best
    # The best of several scalings is partly luck, most of all with few labels: the first one, which does best on most
    # sets, gives way only to a gain that its labels agree on.
    difference = trial.each[trial.top[0]] - first.each[first.top[0]]
    gain = difference @ trial.importance
    count = len(difference)
    spread = (trial.importance**2 @ (difference - gain) ** 2) * count / max(count - 1, 1)
    return trial if gain > np.sqrt(spread) else best


def climb(value: Callable[[int], float], start: int, count: int, least: int = 1) -> dict[int, float]:
    """Return the values of places from ``start`` up to a local maximum, its neighbours included.

    Places are 0 to ``count - 1``; at least ``least`` of them are tried, where there are as many.
    """
    values: dict[int, float] = {}

    def look(place: int) -> float:
        if 0 <= place < count and place not in values:
            values[place] = value(place)
        return values.get(place, -np.inf)

    look(start)
    distance = 1
    while len(values) < min(least, count):
        look(start - distance)
        look(start + distance)
        distance += 1
    here = max(values, key=look)
    while look(nearest := max(here - 1, here + 1, key=look)) > values[here]:
        here = nearest
    return values


@dataclass(frozen=True)
class Group:
    """Labels that share entries, and their rows, equal ones merged.

    Attributes:
        labels: (k,) positions.
        index: (m,) positions of the rows with entries.
        rows: (g, D) different rows.
        weights: (g,) the sums of their entries' weights.
        targets: (g, k) the entries' weighted means.
        place: (m,) each entry's row among these, or None where no two are equal.
    """

    labels: Array
    index: Array
    rows: Rows
    weights: Array
    targets: Array
    place: Array | None

    @classmethod
    def of(cls, rows: Rows, entries: Entries, number: int) -> Group | None:
        """Return the labels of a pattern, None where it has no rows."""
        pattern, labels = entries.patterns[number], np.flatnonzero(entries.group == number)
        index = np.flatnonzero(pattern > 0)
        if not len(index):
            return None
        part = rows if len(index) == rows.n else rows.take(index)
        weights, targets, place = pattern[index], entries.targets[np.ix_(index, labels)], None
        if entries.twin is not None:
            _, first, place = np.unique(entries.twin[index], return_index=True, return_inverse=True)
            total = np.bincount(place, weights)
            targets = _sums(weights[:, None] * targets, place) / total[:, None]
            part, weights = part.take(first), total
        return cls(labels, index, part, weights, targets, place)

    def spread(self, scores: Array) -> Array:
        """Return scores (..., m, k) of the entries from those of the rows (..., g, k)."""
        return scores if self.place is None else scores[..., self.place, :]


def groups_of(rows: Rows, entries: Entries) -> Iterator[Group]:
    """Yield the labels of each pattern that has rows."""
    for number in range(len(entries.patterns)):
        group = Group.of(rows, entries, number)
        if group is not None:
            yield group


def _sums(values: Array, group: Array) -> Array:
    """Return the sums of rows of ``values`` (n, K) by their group, (groups, K)."""
    out = np.zeros((int(group.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(out, group, values)
    return out


@dataclass(frozen=True)
class LeftOut:
    """Leave-one-out scores over lambdas.

    Attributes:
        lambdas: (L,).
        scores: (L, m, K) float32, 0 for a label without entries.
        decomposition: What all labels share, or None.
        targets: Its targets.
    """

    lambdas: Array
    scores: Array
    decomposition: Decomposition | None = None
    targets: Array | None = None

    def solve(self, lambdas: Array) -> tuple[Array, Array]:
        """Return weights (K, D) and biases (K,) averaged over ``lambdas``, from the decomposition."""
        assert self.decomposition is not None
        assert self.targets is not None
        return self.decomposition.solve(self.targets, self.decomposition.shrink(lambdas))


def leave_one_out(rows: Rows, entries: Entries, lambdas: Sequence[float] | Array | None) -> LeftOut:
    """Return leave-one-out scores over lambdas or the default grid; equal rows are left out together."""

    def scores_of(group: Group, decomposition: Decomposition, grid: Array) -> Array:
        return decomposition.leave_one_out(group.targets, grid, np.float32)

    return leave_out(rows, entries, lambdas, scores_of)


def leave_out(
    rows: Rows,
    entries: Entries,
    lambdas: Sequence[float] | Array | None,
    scores_of: Callable[[Group, Decomposition, Array], Array],
) -> LeftOut:
    """Return scores over lambdas or the default grid, of models that did not see the row.

    The decomposition of all rows comes with them where all labels share their entries.

    Args:
        scores_of: Gives scores (L, g, k) of a group's different rows, by its decomposition and the lambdas.
    """
    grid = None if lambdas is None else np.asarray(lambdas, dtype=np.float64)
    out: Array | None = None
    for group in groups_of(rows, entries):
        decomposition = decompose(group.rows, group.weights)
        if grid is None:
            grid = np.asarray(LAMBDA_GRID) * (decomposition.mean_square or rows.mean_square() or 1.0)
        scores = group.spread(scores_of(group, decomposition, grid))
        if len(group.labels) == len(entries.group) and len(group.index) == rows.n:
            return LeftOut(grid, scores, decomposition, group.targets)
        if out is None:
            out = np.zeros((len(grid), rows.n, len(entries.group)), dtype=np.float32)
        if len(group.index) < rows.n:
            for number, lambda_ in enumerate(grid):
                shrink = 1 / (decomposition.eigenvalues + lambda_)
                weight, bias = decomposition.solve(group.targets, shrink)
                out[number][:, group.labels] = rows.dot(weight.T) + bias
        out[np.ix_(np.arange(len(grid)), group.index, group.labels)] = scores
    assert grid is not None
    assert out is not None
    return LeftOut(grid, out)


def solve_exact(rows: Rows, entries: Entries, lambdas: Array) -> tuple[Array, Array]:
    """Return weights (K, D) and biases (K,) averaged over ``lambdas``.

    They are 0 for a label without entries.
    """
    weight, bias = np.zeros((entries.targets.shape[1], rows.d)), np.zeros(entries.targets.shape[1])
    for group in groups_of(rows, entries):
        decomposition = decompose(group.rows, group.weights)
        weight[group.labels], bias[group.labels] = decomposition.solve(
            group.targets, decomposition.shrink(lambdas)
        )
    return weight, bias


def solve_by_factors(rows: Rows, entries: Entries, lambdas: Array) -> tuple[Array, Array, Array]:
    """Return weights, biases and exact leave-one-out scores, averaged over ``lambdas``.

    (K, D), (K,) and (m, K); each pattern takes one matrix and one Cholesky factor for each lambda. Unknown entries get
    the label's own output; a label without entries gets zeros.
    """
    shape = entries.targets.shape
    weight, bias, scores = np.zeros((shape[1], rows.d)), np.zeros(shape[1]), np.zeros(shape)
    for group in groups_of(rows, entries):
        one = ByCholesky.of(group.rows, group.weights, group.targets)
        solved = mean_of([one.at(float(lambda_)) for lambda_ in lambdas])
        weight[group.labels], bias[group.labels] = solved.weight, solved.bias
        if len(group.index) < rows.n:
            scores[:, group.labels] = rows.dot(solved.weight.T) + solved.bias
        scores[np.ix_(group.index, group.labels)] = group.spread(solved.scores)
    return weight, bias, scores


def solve_large(rows: Rows, entries: Entries, lambda_: float) -> tuple[Array, Array, Array]:
    """Return weights, biases and 5-fold scores by conjugate gradients.

    (K, D), (K,) and (m, K); the folds are keyed.
    """
    labels = np.arange(entries.targets.shape[1])
    S = entries.weights(labels)
    fold = generator(0, "ridge folds").permutation(rows.n) % _FOLDS
    fold = fold if entries.twin is None else fold[entries.twin]
    fold = fold if entries.fold is None else entries.fold
    scores = np.zeros(entries.targets.shape)
    for number in range(_FOLDS):
        # A fold's solution only makes scores, which need fewer digits than the one that is kept.
        train, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        weight, bias = solve_masked(
            rows.take(train), entries.targets[train], S[train], lambda_, tolerance=1e-4
        )
        scores[held_out] = rows.take(held_out).dot(weight.T) + bias
    weight, bias = solve_masked(rows, entries.targets, S, lambda_)
    return weight, bias, scores
