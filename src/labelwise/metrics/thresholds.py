"""Per-label thresholds learnt where negatives are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.annotations import both_signs_known
from labelwise.errors import UserError, near, shown
from labelwise.metrics.calibration import PlattCalibration, as_logits
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair
from labelwise.metrics.measurable import judgeable
from labelwise.metrics.ranking import cut_best_threshold, cuts, label_cuts
from labelwise.metrics.rules import Input, PerLabelThreshold, check_input, probability_of

Goal = Literal["auto", "micro-f1", "macro-f1"]


class Step(NamedTuple):
    """Shrinkage of each label's threshold to the common one."""

    per_label: float
    """Way from the common threshold (0) to the one of the label's highest expected F1 (1)."""
    least: float
    """Each label is predicted for at least this share of its known positives."""


STEPS = (Step(0.0, 0.0), Step(0.0, 0.25), Step(0.25, 0.25), Step(0.5, 0.25))
"""What ``"auto"`` tries, the most shrunk first."""
FIXED: Mapping[str, Step] = {"micro-f1": STEPS[0], "macro-f1": Step(0.75, 0.5)}
_FOLDS, _MOST_ROWS, _FEWEST_ROWS = 5, 20_000, 50
# The loss of held-out micro-F1 that a step may cost. For each of five real sets, the other four choose .04
# (benchmarks/studies/decisions.py); half of it gains nearly as much macro-F1 and keeps micro-F1 where it was.
_TOLERANCE = 0.02


def learn_thresholds(
    Y: ArrayLike,
    scores: ArrayLike,
    *,
    goal: Goal = "auto",
    shrinkage: float | None = None,
    input: Input = "probability",
    label_names: Sequence[str] | None = None,
    **meanings: Unpack[Meanings],
) -> PerLabelThreshold:
    """Return per-label thresholds of high F1, shrunk as held-out rows say.

    Judged on the known entries of the rows that ``judgeable(Y)`` names. Scores are calibrated by
    ``PlattCalibration``, which makes labels comparable. Then t_k = t + per_label (t*_k - t) on the scale of calibrated
    logits: t has the highest micro-F1 of all labels; t*_k the highest F1 that label k can expect if its calibrated
    probabilities hold, sum_{p >= t} 2 p / (their number + sum p), which is steadier than the F1 of a few positives;
    and t_k is at most the score that ``least`` of the label's known positives as many items reach. A label without
    both classes takes t for scores that lie as those of the other labels do.

    ``"auto"`` takes the last of (per_label, least) = (0, 0), (0, 1/4), (1/4, 1/4), (1/2, 1/4) whose micro-F1, on rows
    left out in five folds, is within .02 of the best; of fewer than 50 rows the first.

    Args:
        Y: (n, K) of 1, 0 and -1; give validation rows, not rows that the model was trained on.
        scores: (n, K) finite, probabilities or logits as ``input`` says.
        goal: ``"micro-f1"`` (one threshold for all labels, calibrated), ``"macro-f1"`` (per_label 3/4, least 1/2: every
            label counts alike), or ``"auto"``.
        shrinkage: instead of all this t_k = w_k t*_k + (1 - w_k) t on the scores as they are, w_k = P_k / (P_k +
            shrinkage), with P_k the known positives of label k and t*_k the threshold of its highest F1; at least 0.
        input: ``"probability"`` or ``"logit"``.
        label_names: K names, for messages.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        A rule named ``learnt_thresholds`` for scores as they were given (for probabilities, where these were logits,
        with thresholds for logits beside them).

    Raises:
        UserError: no label has both a known positive and a known negative; an option that does not exist.
    """
    if shrinkage is not None and not (np.isfinite(shrinkage) and shrinkage >= 0):
        raise UserError(f"shrinkage is {shrinkage}: give a number of positives, at least 0")
    if goal not in ("auto", *FIXED):
        raise UserError(f"goal is {shown(goal)}: {near(str(goal), ('auto', *FIXED))}")
    labels, s = check_pair(Y, scores, "Y", label_names, **meanings)
    measurable = judgeable(labels)
    if not measurable.thresholds:
        raise UserError(
            "no label has both a known positive and a known negative, so thresholds cannot be learnt:"
            " give a prior (PriorMatched), a fixed Threshold, or some fully labelled items"
        )
    labels, s, both = labels[measurable.rows], s[measurable.rows], measurable.labels
    if shrinkage is not None:
        return PerLabelThreshold(_shrunk(labels, s, both, shrinkage), name="learnt_thresholds")
    x = as_logits(s, check_input(input), label_names)
    # A label of one class says nothing here, so its place is that of all labels together.
    calibration = PlattCalibration.fit(np.where(both, labels, np.int8(-1)), x, input="logit")
    z = calibration.logits(x)
    step = FIXED[goal] if goal in FIXED else _least_shrunk(labels, z, both)
    at = (_thresholds(labels, z, both, [step])[step] - calibration.offset) / np.array(calibration.slope)
    if input == "logit":
        return PerLabelThreshold.at_logits(at, "learnt_thresholds")
    values = cast(Sequence[float], 1 / (1 + np.exp(-at)))
    return PerLabelThreshold(values, name="learnt_thresholds")


def _thresholds(
    labels: Labels, z: Floats, both: NDArray[np.bool_], steps: Sequence[Step]
) -> dict[Step, Floats]:
    """Return each step's thresholds (K,) for calibrated logits (n, K)."""
    common = cut_best_threshold(cuts(z[(labels == 1) & both], z[(labels == 0) & both]))
    best = np.full(len(both), common)
    share = (labels == 1).sum(axis=0) / np.maximum((labels >= 0).sum(axis=0), 1)
    reached = {step.least: np.full(len(both), np.inf) for step in steps}
    for k in np.flatnonzero(both):
        down = np.sort(z[:, k])[::-1]
        best[k] = _expected_best(down)
        for least, at in reached.items():
            if least:
                at[k] = _below(down, max(1, int(least * share[k] * len(down) + 0.5)))
    return {
        step: np.minimum(common + step.per_label * (best - common), reached[step.least]) for step in steps
    }


def _expected_best(down: Floats) -> float:
    """Return the threshold of one label's highest expected F1.

    ``down`` are its logits (n,), the highest first.
    """
    p = probability_of(down).astype(np.float64)
    f1 = 2 * np.cumsum(p) / (np.arange(1, len(p) + 1) + p.sum())
    return _below(down, int(np.argmax(f1)) + 1)


def _below(down: Floats, count: int) -> float:
    """Return the threshold that accepts the first ``count`` logits.

    It is halfway down to the next one.
    """
    lowest = float(down[count - 1])
    following = float(down[count]) if count < len(down) else lowest
    middle = following + (lowest - following) / 2
    return middle if middle > following else lowest


def _least_shrunk(labels: Labels, z: Floats, both: NDArray[np.bool_]) -> Step:
    """Return the least shrunk step of nearly the best micro-F1.

    Micro-F1 is taken on rows that the thresholds were not learnt on.
    """
    # A seed of its own: the same labels give the same thresholds.
    order = generator(0, "threshold folds").permutation(len(labels))[:_MOST_ROWS]
    if len(order) < _FEWEST_ROWS:
        return STEPS[0]
    hits, calls, positives = (
        dict.fromkeys(STEPS, 0),
        dict.fromkeys(STEPS, 0),
        int((labels[order] == 1)[:, both].sum()),
    )
    for fold in range(_FOLDS):
        held_out = order[fold::_FOLDS]
        rest = np.setdiff1d(order, held_out)
        learnable = both & both_signs_known(labels[rest])
        if not learnable.any():
            return STEPS[0]
        known = (labels[held_out] >= 0) & both
        for step, at in _thresholds(labels[rest], z[rest], learnable, STEPS).items():
            predicted = (z[held_out] >= at) & known
            # Counts of all folds together: the micro-F1 of a fold with few positives says little.
            hits[step] += int((predicted & (labels[held_out] == 1)).sum())
            calls[step] += int(predicted.sum())
    micro = {step: 2 * hits[step] / max(positives + calls[step], 1) for step in STEPS}
    return [step for step in STEPS if micro[step] >= max(micro.values()) - _TOLERANCE][-1]


def _shrunk(labels: Labels, s: Scores, both: NDArray[np.bool_], shrinkage: float) -> Sequence[float]:
    n_positive = (labels == 1).sum(axis=0)
    common = cut_best_threshold(cuts(s[(labels == 1) & both], s[(labels == 0) & both]))
    values = np.full(labels.shape[1], common)
    for k in np.flatnonzero(both):
        weight = n_positive[k] / (n_positive[k] + shrinkage)
        values[k] += weight * (cut_best_threshold(label_cuts(labels, s, int(k))) - common)
    return cast(Sequence[float], values)
