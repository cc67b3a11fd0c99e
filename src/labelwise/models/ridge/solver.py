"""Multi-output ridge on 0/1 targets, tuned by exact leave-one-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.errors import UserError, listed, near
from labelwise.metrics import PlattCalibration, judgeable
from labelwise.models.ridge.choice import Candidates, Choice, Record
from labelwise.models.ridge.criterion import CRITERIA
from labelwise.models.ridge.direct import Solved
from labelwise.models.ridge.grouped import folds_of_groups, leave_groups_out, solve_grouped
from labelwise.models.ridge.path import Lambdas, Path, better
from labelwise.models.ridge.plan import Plan
from labelwise.models.ridge.rows import ridge_outputs, rows_of
from labelwise.models.ridge.tuning import (
    Search,
    Trial,
    count_thresholds,
    entries_of,
    groups_of,
    solve_by_factors,
    solve_exact,
    solve_large,
)
from labelwise.models.ridge.twins import twins_of
from labelwise.models.scaling import SCALINGS, FeatureMatrix, Scaling

Array: TypeAlias = npt.NDArray[Any]

TAIL = 0.1


@dataclass(frozen=True)
class RidgeSolution:
    """A fitted ridge, trained on targets 0 and 1.

    Its raw outputs are ``scaling.transform(X) @ weight.T + bias``.

    Attributes:
        weight: (K, D) float32.
        bias: (K,) float32.
        scaling: The scaling of the features.
        lambda_: The best lambda.
        lambdas_averaged: The lambdas whose solutions are averaged: a mean of linear models is one linear model.
        loo_scores: (n, K) float32, the raw output for each row of the training X by models that did not see the entry;
            of a row that taught nothing, the model's own output.
        thresholds: (K,) float32, above which as many of a label's entries have their leave-one-out output as are
            relevant.
        exact: Whether ``loo_scores`` are exact leave-one-out, else from approximate leverages or 5 folds.
        criterion: The criterion of the choice.
        table: One record (scaling, lambda, value) for each pair tried, higher is better.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    scaling: Scaling
    lambda_: float
    lambdas_averaged: tuple[float, ...]
    loo_scores: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float32]
    exact: bool
    criterion: str
    table: tuple[dict[str, str | float], ...]

    def predict(self, X: FeatureMatrix) -> npt.NDArray[np.float32]:
        """Return raw outputs (n, K) float32 for ``X`` (n, D).

        They go from about 0 (absent) to 1 (relevant).
        """
        return ridge_outputs(X, self.scaling, self.weight, self.bias)

    def predict_proba(self, X: FeatureMatrix) -> npt.NDArray[np.float64]:
        """Return ``probabilities(self.predict(X))``, (n, K) in (0, 1)."""
        return probabilities(self.predict(X))

    def calibration(self, Y: Array) -> PlattCalibration | None:
        """Return Platt's calibration of the leave-one-out outputs, or None.

        ``Y`` (n, K) are the labels of the fit.

        Without any known negative an unknown entry is absent, as in the fit. A label of one class, or of none, takes
        the slope of all (``PlattCalibration.fit``); None where no label has both signs in rows by which both can be
        judged.
        """
        known = np.asarray(Y)
        known = known if (known == 0).any() else np.maximum(known, 0)
        if not judgeable(known).calibration:
            return None
        return PlattCalibration.fit(known, self.loo_scores, input="logit")


def probabilities(raw: Array) -> npt.NDArray[np.float64]:
    """Map raw ridge outputs to (0, 1), strictly monotone, float64.

    1/2 stays 1/2. The identity on [.1, .9], with exponential tails of matching slope outside: ``.1 exp((r - .1) / .1)``
    below and its mirror image above. So outputs beyond 0 and 1 keep their order instead of being clipped to
    ties.
    """
    r = np.asarray(raw, dtype=np.float64)
    low = TAIL * np.exp((np.minimum(r, TAIL) - TAIL) / TAIL)
    high = TAIL * np.exp((np.minimum(1.0 - r, TAIL) - TAIL) / TAIL)
    return np.where(r < TAIL, low, np.where(r > 1.0 - TAIL, 1.0 - high, r))


def logits(raw: Array) -> npt.NDArray[np.float64]:
    """Return the logits of ``probabilities(raw)``, float64.

    They do not go through a p that rounds to 1.
    """
    r = np.asarray(raw, dtype=np.float64)
    # By symmetry: the nearer tail's log is known exactly, and its complement is no smaller than 1/2.
    near = np.minimum(r, 1.0 - r)
    log_near = np.where(near < TAIL, np.log(TAIL) + (near - TAIL) / TAIL, np.log(np.maximum(near, TAIL)))
    size = np.log1p(-np.exp(log_near)) - log_near
    return np.where(r < 0.5, -size, size)


def solve_ridge(
    X: FeatureMatrix,
    Y: Array,
    *,
    scalings: Sequence[str | Scaling] = SCALINGS,
    lambdas: Sequence[float] | None = None,
    weights: Array | None = None,
    label_weights: Array | None = None,
    unknown_weight: float = 1.0,
    average: int = 1,
    criterion: str = "average_precision",
    groups: Array | None = None,
) -> RidgeSolution:
    """Fit ridge regression to annotations.

    Scaling and lambda are chosen by leave-one-out on known entries.

    Unknown entries: rows without a known entry are left out. Without any known negative (single or partial
    positives) an unknown entry is absent with weight ``unknown_weight``; otherwise each label is fitted to its
    own known rows. Labels with the same known rows and weights share a decomposition, exact leave-one-out
    included. Equal rows are left out together.

    Sizes: where decompositions for every scaling would take long, scalings are chosen on a keyed sample of rows (1,500
    to 10,000; 1,000 and 8 labels where masks differ). All rows then decide between the first scaling and the best of
    the others (up to an order of 5,000), and on lambda, from the sample's up or down the grid, by exact leave-one-out
    from one Cholesky factor for each. Beyond 10,000 rows and features the solution comes from preconditioned conjugate
    gradients, exact to a relative residual of 1e-6, and leave-one-out scores from approximate leverages (see
    ``iterative``). With many masks it comes from conjugate gradients to 1e-8, and the scores from 5 folds. A label
    without a known entry gets zeros.

    Blocks: each block's scaling is chosen by that block alone, then the blocks' weights by the joint model (see
    ``BlockScaling``); a block that only costs is left out.

    The choice: the best (scaling, lambda) by the criterion, but the first scaling unless another beats it by one
    standard error of the paired labels; on real sets this did better than the plain maximum. Average precision
    is taken of leave-one-out scores freed of the intercept's own shift.

    Args:
        X: (n, D) dense, sparse or ``FeatureBlocks``. Every row shapes the scaling, rows with a known entry are fitted.
        Y: (n, K) in {1, 0, -1}.
        scalings: Kinds of scaling, or fitted ones, to choose from. For blocks kinds to choose each block's from, or
            scalings of all blocks, also by their ``kind``.
        lambdas: Absolute values; by default ``LAMBDA_GRID`` times the mean squared centred row norm.
        weights: (n,) >= 0, row weights of the squared error.
        label_weights: (K,) >= 0, weights of the labels in the criterion: a label's own solution does not depend on it.
        unknown_weight: Weight of an unknown entry that counts as absent.
        average: Number of the best lambdas of the chosen scaling whose solutions are averaged.
        criterion: ``average_precision`` (mean over labels) or ``squared_error``.
        groups: (n,) a number for each row, the same for rows of one group, such as frames of one video: everything is
            then chosen, and ``loo_scores`` are made, by leaving whole groups out in 5 folds.

    Raises:
        UserError: For no known positive, a bad scaling, criterion, lambda or weight.
    """
    Y, X = np.asarray(Y), X.tocsr() if hasattr(X, "tocsr") else X
    _check(X, Y, lambdas, weights, label_weights, unknown_weight, average, criterion)
    entries = entries_of(
        Y, None if weights is None else np.asarray(weights, dtype=np.float64), unknown_weight
    )
    entries = replace(entries, twin=twins_of(X[entries.rows]))
    if groups is not None:
        rows = entries.rows
        entries = replace(entries, fold=folds_of_groups(Y[rows], np.asarray(groups)[rows], entries.twin))
    importance = np.ones(Y.shape[1]) if label_weights is None else np.asarray(label_weights, dtype=np.float64)
    leave_out = None if entries.fold is None else leave_groups_out
    search = Search(entries, lambdas, importance, criterion, average, leave_out)
    candidates = Candidates.of(X, scalings)
    plan = Plan.of(X, entries, candidates.count)
    choice = candidates.choose(X, replace(search, entries=plan.tried))
    fit = _fit(X, search, plan, choice)
    solved = fit.solved
    # in rows: what starts from it rounds its sums by the layout
    weight32, bias32 = solved.weight.astype(np.float32, order="C"), solved.bias.astype(np.float32)
    all_used = len(entries.rows) == Y.shape[0]
    scaling = fit.scaling
    everywhere = (
        np.empty(Y.shape, dtype=np.float32) if all_used else ridge_outputs(X, scaling, weight32, bias32)
    )
    everywhere[entries.rows] = solved.scores
    return RidgeSolution(
        weight=weight32,
        bias=bias32,
        scaling=scaling,
        lambda_=float(fit.lambdas[0]),
        lambdas_averaged=tuple(fit.lambdas.tolist()),
        loo_scores=everywhere,
        thresholds=count_thresholds(solved.scores, entries).astype(np.float32),
        exact=plan.exact and entries.fold is None,
        criterion=criterion,
        table=tuple(_table(choice, fit)),
    )


def _fit(X: FeatureMatrix, search: Search, plan: Plan, choice: Choice) -> Path:
    """Return the solution on all rows with the scaling that was chosen."""
    best, entries = choice.best, search.entries
    used = best.lambdas[best.top]
    if plan.tried is entries and best.solution is not None:
        return Path(best.scaling, Solved(*best.solution, best.scores), used, {})
    if entries.fold is not None:
        rows = rows_of(X[entries.rows], best.scaling)
        weight, bias, scores = solve_grouped(rows, entries, used, exact=plan.exact)
        return Path(best.scaling, Solved(weight, bias, scores), used if plan.exact else used[:1], {})
    if plan.shared:
        contenders = choice.contenders if plan.compares and len(choice.contenders) == 2 else (best,)
        on_all_rows = [_lambdas(X, search, plan, trial) for trial in contenders]
        return (better(*on_all_rows) if len(on_all_rows) == 2 else on_all_rows[0]).climb()
    rows = rows_of(X[entries.rows], best.scaling)
    if plan.tried is entries:
        weight, bias = solve_exact(rows, entries, used)
        loo = best.scores
    elif plan.exact:
        weight, bias, loo = solve_by_factors(rows, entries, used)
    else:
        used = used[:1]
        weight, bias, loo = solve_large(rows, entries, float(used[0]))
    return Path(best.scaling, Solved(weight, bias, loo), used, {})


def _lambdas(X: FeatureMatrix, search: Search, plan: Plan, trial: Trial) -> Lambdas:
    """Return the solutions on all rows of what was tried on a sample."""
    group = next(groups_of(rows_of(X[search.entries.rows], trial.scaling), search.entries))
    return Lambdas(plan.solver.of(group.rows, group.weights, group.targets), group, trial, search)


def _table(choice: Choice, fit: Path) -> list[Record]:
    """Return what was tried, with the values on all rows where there are any."""
    kind = fit.scaling.kind
    return [
        {**record, "value": fit.values[float(record["lambda"])]}
        if record["scaling"] == kind and float(record["lambda"]) in fit.values
        else record
        for record in choice.table
    ]


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
