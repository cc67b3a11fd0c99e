"""The closed-form base learner: multi-output ridge on 0/1 targets, tuned by exact leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.errors import UserError, listed, near
from labelwise.models._decomposition import decompose
from labelwise.models._entries import CRITERIA, Entries, criterion_values, entries_of
from labelwise.models._masked import solve_masked
from labelwise.models._rows import Rows, rows_of
from labelwise.models.scaling import SCALINGS, FeatureMatrix, InputScaling

__all__ = ["LAMBDA_GRID", "RidgeSolution", "probabilities", "solve_ridge"]

Array: TypeAlias = npt.NDArray[Any]

LAMBDA_GRID: tuple[float, ...] = tuple(float(10.0**power) for power in np.linspace(-2, 2, 13))
"""The default lambdas, in units of the mean squared norm of the centred, scaled rows."""

_LARGEST = 6000  # an eigendecomposition of a larger matrix takes minutes
_WORK = 2e12  # most floating-point operations spent on the decompositions of distinct mask patterns
_FOLDS = 5
_TAIL = 0.1
_SAMPLE_LABELS, _SAMPLE_ROWS = 8, 2000


@dataclass(frozen=True)
class RidgeSolution:
    """A fitted ridge: ``raw = scaling.transform(X) @ weight.T + bias``, trained on targets 0 and 1.

    ``weight`` (K, D) float32; ``bias`` (K,) float32; ``scaling``; ``lambda_`` the chosen lambda (the best of
    ``lambdas_averaged``, whose solutions are averaged: a mean of linear models is one linear model);
    ``loo_scores`` (n, K) float32, the raw output for each row of the training X by models that did not see
    the entry (a row that taught nothing: the model's own output); ``exact`` whether they are exact
    leave-one-out (else from 5 folds); ``criterion``; ``table`` one record (scaling, lambda, value) for each
    pair tried, higher is better.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    scaling: InputScaling
    lambda_: float
    lambdas_averaged: tuple[float, ...]
    loo_scores: npt.NDArray[np.float32]
    exact: bool
    criterion: str
    table: tuple[dict[str, str | float], ...]

    def predict(self, X: FeatureMatrix) -> npt.NDArray[np.float32]:
        """Return the raw output (n, K) float32 for ``X`` (n, D): about 0 (absent) to 1 (relevant)."""
        return _predict(X, self.scaling, self.weight, self.bias)

    def predict_proba(self, X: FeatureMatrix) -> npt.NDArray[np.float64]:
        """Return ``probabilities(self.predict(X))``, (n, K) in (0, 1)."""
        return probabilities(self.predict(X))


def probabilities(raw: Array) -> npt.NDArray[np.float64]:
    """Map raw ridge outputs to (0, 1): strictly monotone, 1/2 to 1/2, float64.

    The identity on [.1, .9], with exponential tails of matching slope outside: ``.1 exp((r - .1) / .1)``
    below and its mirror image above. So outputs beyond 0 and 1 keep their order instead of being clipped to
    ties.
    """
    r = np.asarray(raw, dtype=np.float64)
    low = _TAIL * np.exp((np.minimum(r, _TAIL) - _TAIL) / _TAIL)
    high = _TAIL * np.exp((np.minimum(1.0 - r, _TAIL) - _TAIL) / _TAIL)
    return np.where(r < _TAIL, low, np.where(r > 1.0 - _TAIL, 1.0 - high, r))


def solve_ridge(
    X: FeatureMatrix,
    Y: Array,
    *,
    scalings: Sequence[str | InputScaling] = SCALINGS,
    lambdas: Sequence[float] | None = None,
    weights: Array | None = None,
    label_weights: Array | None = None,
    unknown_weight: float = 1.0,
    average: int = 1,
    criterion: str = "average_precision",
) -> RidgeSolution:
    """Fit ridge regression to annotations; scaling and lambda are chosen by leave-one-out on known entries.

    ``X`` (n, D) dense or sparse: every row shapes the scaling, rows with a known entry are fitted. ``Y`` (n,
    K) in {1, 0, -1}. ``lambdas``: absolute values; by default ``LAMBDA_GRID`` times the mean squared centred
    row norm. ``weights`` (n,) >= 0: row weights of the squared error. ``label_weights`` (K,) >= 0: weights of
    the labels in the criterion (a label's own solution does not depend on its weight). ``average``: how many
    of the best lambdas of the chosen scaling are averaged. ``criterion``: ``average_precision`` (mean over
    labels) or ``squared_error``.

    Unknown entries: without any known negative (single or partial positives) they are absent with weight
    ``unknown_weight``; otherwise each label is fitted to its own known rows, exactly: labels that share a
    mask share a decomposition, and beyond a budget of work by conjugate gradients to a relative residual of
    1e-8, with scaling and lambda chosen on a sample of labels and rows and out-of-fold scores from 5 folds.
    So too when both n and D exceed 6,000. Raise UserError for no known positive, a bad scaling, criterion,
    lambda or weight.
    """
    Y = np.asarray(Y)
    _check(X, Y, lambdas, weights, label_weights, unknown_weight, average, criterion)
    entries = entries_of(
        Y, None if weights is None else np.asarray(weights, dtype=np.float64), unknown_weight
    )
    importance = np.ones(Y.shape[1]) if label_weights is None else np.asarray(label_weights, dtype=np.float64)
    fitted = [s if isinstance(s, InputScaling) else InputScaling.fit(X, s) for s in scalings]
    order = min(len(entries.rows), int(X.shape[1]))
    cost = len(entries.patterns) * (len(entries.rows) * order**2 + 10.0 * order**3)
    exact = order <= _LARGEST and (len(entries.patterns) == 1 or cost <= _WORK)
    tried = (
        entries if exact and (len(entries.patterns) == 1 or cost * len(fitted) <= _WORK) else _sample(entries)
    )

    table: list[dict[str, str | float]] = []
    best: tuple[float, InputScaling, list[float], Array | None] | None = None
    for scaling in fitted:
        rows = rows_of(X[tried.rows], scaling)
        grid, scores = _scores(rows, tried, lambdas)
        values = [_summary(loo, tried, importance, criterion) for loo in scores]
        table += [
            {"scaling": scaling.kind, "lambda": float(g), "value": v}
            for g, v in zip(grid, values, strict=True)
        ]
        top = np.argsort(-np.asarray(values), kind="stable")[:average]
        if best is None or max(values) > best[0]:
            chosen = scores[top].mean(axis=0) if tried is entries else None
            best = (max(values), scaling, [float(grid[number]) for number in top], chosen)
    assert best is not None
    _, scaling, used, loo = best
    rows = rows_of(X[entries.rows], scaling)
    if exact:
        weight, bias = _solve(rows, entries, used)
        loo = _scores(rows, entries, used)[1].mean(axis=0) if loo is None else loo
    else:
        weight, bias, loo = _solve_large(rows, entries, used[0])
        used = used[:1]
    weight32, bias32 = weight.astype(np.float32), bias.astype(np.float32)
    taught = len(entries.rows) == Y.shape[0]
    everywhere = np.empty(Y.shape, dtype=np.float32) if taught else _predict(X, scaling, weight32, bias32)
    everywhere[entries.rows] = loo
    return RidgeSolution(
        weight32, bias32, scaling, used[0], tuple(used), everywhere, exact, criterion, tuple(table)
    )


def _predict(X: FeatureMatrix, scaling: InputScaling, weight: Array, bias: Array) -> npt.NDArray[np.float32]:
    n, step = int(X.shape[0]), max(1, (1 << 23) // max(1, scaling.n_features))
    out = np.empty((n, len(bias)), dtype=np.float32)
    for start in range(0, n, step):
        out[start : start + step] = scaling.transform(X[start : start + step]) @ weight.T + bias
    return out


def _groups(rows: Rows, entries: Entries) -> Iterator[tuple[Array, Array, Rows, Array]]:
    """Yield for each pattern with known rows: its labels, its rows' positions, the rows, their weights."""
    for number, pattern in enumerate(entries.patterns):
        index = np.flatnonzero(pattern > 0)
        if len(index):
            labels = np.flatnonzero(entries.group == number)
            yield labels, index, rows if len(index) == rows.n else rows.take(index), pattern[index]


def _scores(rows: Rows, entries: Entries, lambdas: Sequence[float] | None) -> tuple[Array, Array]:
    """Return the lambdas (L,) and leave-one-out scores (L, m, K), float32; 0 for a label without entries."""
    grid = None if lambdas is None else np.asarray(lambdas, dtype=np.float64)
    out: Array | None = None
    for labels, index, part, s in _groups(rows, entries):
        found = decompose(part, s)
        if grid is None:
            grid = np.asarray(LAMBDA_GRID) * max(found.mean_square, 1e-12)
        if out is None:
            out = np.zeros((len(grid), rows.n, entries.targets.shape[1]), dtype=np.float32)
        if len(index) < rows.n:
            for number, lambda_ in enumerate(grid):
                weight, bias = found.solve(
                    entries.targets[np.ix_(index, labels)], 1 / (found.eigenvalues + lambda_)
                )
                out[number][:, labels] = rows.dot(weight.T) + bias
        out[np.ix_(np.arange(len(grid)), index, labels)] = found.leave_one_out(
            entries.targets[np.ix_(index, labels)], grid
        )
    assert grid is not None
    assert out is not None
    return grid, out


def _solve(rows: Rows, entries: Entries, lambdas: Sequence[float]) -> tuple[Array, Array]:
    weight, bias = np.zeros((entries.targets.shape[1], rows.d)), np.zeros(entries.targets.shape[1])
    for labels, index, part, s in _groups(rows, entries):
        found = decompose(part, s)
        shrink = np.mean([1 / (found.eigenvalues + lambda_) for lambda_ in lambdas], axis=0)
        weight[labels], bias[labels] = found.solve(entries.targets[np.ix_(index, labels)], shrink)
    return weight, bias


def _solve_large(rows: Rows, entries: Entries, lambda_: float) -> tuple[Array, Array, Array]:
    labels = np.arange(entries.targets.shape[1])
    S = entries.weights(labels)
    fold = generator(0, "ridge folds").permutation(rows.n) % _FOLDS
    scores = np.zeros(entries.targets.shape)
    for held in range(_FOLDS):
        kept, out = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        weight, bias = solve_masked(rows.take(kept), entries.targets[kept], S[kept], lambda_, tolerance=1e-4)
        scores[out] = rows.take(out).dot(weight.T) + bias
    weight, bias = solve_masked(rows, entries.targets, S, lambda_)
    return weight, bias, scores


def _sample(entries: Entries) -> Entries:
    """Return up to 2,000 rows (keyed) and, where masks differ, the 8 labels with the most known positives."""
    m = len(entries.rows)
    index = np.sort(generator(0, "ridge sample").permutation(m)[:_SAMPLE_ROWS])
    targets, patterns, group = entries.targets[index], entries.patterns[:, index], entries.group
    if len(patterns) > 1:
        positives = np.array([(targets[:, k] * (patterns[g] > 0)).sum() for k, g in enumerate(group)])
        keep = np.argsort(-positives, kind="stable")[:_SAMPLE_LABELS]
        group = np.where(np.isin(np.arange(len(group)), keep), group, -1)
    return Entries(entries.rows[index], targets, patterns, group)


def _summary(scores: Array, entries: Entries, importance: Array, criterion: str) -> float:
    labels = np.flatnonzero(entries.group >= 0)
    values = criterion_values(
        scores[:, labels], entries.targets[:, labels], entries.weights(labels), criterion
    )
    defined = np.isfinite(values) & (importance[labels] > 0)
    if not defined.any():
        return 0.0
    return float(np.average(values[defined], weights=importance[labels][defined]))


def _check(
    X: FeatureMatrix,
    Y: Array,
    lambdas: Sequence[float] | None,
    weights: Array | None,
    label_weights: Array | None,
    unknown_weight: float,
    average: int,
    criterion: str,
) -> None:
    if Y.ndim != 2 or X.ndim != 2 or X.shape[0] != Y.shape[0]:
        raise UserError(
            f"X has shape {tuple(X.shape)} and Y {tuple(Y.shape)}; give (n, D) and (n, K) of the same rows"
        )
    if criterion not in CRITERIA:
        raise UserError(f"criterion {criterion!r} does not exist; {near(criterion, CRITERIA)}")
    if lambdas is not None and (len(lambdas) == 0 or min(lambdas) <= 0):
        raise UserError(f"lambdas must be positive; got {listed(lambdas)}")
    if average < 1:
        raise UserError(f"average must be at least 1; got {average}")
    if not unknown_weight > 0:
        raise UserError(f"unknown_weight must be above 0; got {unknown_weight}")
    for name, value, size in (("weights", weights, Y.shape[0]), ("label_weights", label_weights, Y.shape[1])):
        if value is not None and (np.shape(value) != (size,) or not (np.asarray(value) >= 0).all()):
            raise UserError(f"{name} must be {size} numbers of 0 or more; got shape {np.shape(value)}")
