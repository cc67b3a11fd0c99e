"""Estimates of an audit, as the next training uses them and its run keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import read_text
from labelwise.errors import UserError, listed

if TYPE_CHECKING:
    from labelwise.annotations import Annotations
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import Table

NAME = "audit_used.json"
"""The name of the file beside a run with the estimates that its training used."""
LEAST = 60
"""Answers of a random sample, at least, before estimates from them are used."""


class Sampled(NamedTuple):
    """An answered entry of an audit's random sample, and the unknown entries that it stands for."""

    item: str
    label: str
    answer: int
    weight: float


@dataclass(frozen=True)
class AuditedTable:
    """What an audit says of a table.

    Attributes:
        run: The name of the run that was audited.
        n_answers: Answers in its random sample.
        cardinality: Labels of an item, with the ends of the interval.
        shares: Each label's share of items, where the sample was drawn label by label; else None.
        labels: The labels that were audited.
        sample: The answers that were no skips.
        refused: Why nothing of it is used; None where it is.
        others: Labels of the training that were not audited.
        all_shares: Each label's share where there are such; None else.
    """

    run: str
    n_answers: int = 0
    cardinality: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shares: Mapping[str, float] | None = None
    labels: tuple[str, ...] = ()
    sample: tuple[Sampled, ...] = ()
    refused: str | None = None
    others: tuple[str, ...] = ()
    all_shares: Mapping[str, float] | None = None

    def checked(self, annotations: Annotations) -> Self:
        """Return the same for the labels of a training, not used where one that was audited is missing.

        Labels that came since, such as those that a reviewer added, have the share of their known positives: nobody
        asked the audit about them, and the others keep what it said.
        """
        missing = sorted(set(self.labels) - set(annotations.label_names))
        if self.refused is not None:
            return self
        if missing:
            return replace(self, refused=f"this training lacks labels that were audited ({listed(missing)})")
        others = tuple(name for name in annotations.label_names if name not in self.labels)
        return replace(self, others=others, all_shares=self._shares(annotations) if others else None)

    def _shares(self, annotations: Annotations) -> dict[str, float]:
        """Return each label's share: as estimated, or the cardinality spread over the labels that were audited."""
        from labelwise.targets import expected_prior

        Y, names = annotations.matrix, annotations.label_names
        known = dict(zip(names, (Y == 1).mean(axis=0).tolist(), strict=True))
        if self.shares is not None:
            return {**known, **self.shares}
        counts = np.array([(Y[:, names.index(name)] == 1).sum() for name in self.labels])
        # More may be known by now than the audit estimated.
        cardinality = max(self.cardinality[0], counts.sum() / len(Y))
        spread = expected_prior(counts, min(cardinality, np.count_nonzero(counts)), len(Y))
        return {**known, **dict(zip(self.labels, spread.tolist(), strict=True))}

    @property
    def prior(self) -> Any:
        """The shares by label, or the number of labels of an item, as ``prior`` takes them; None where unused."""
        if self.refused is not None:
            return None
        shares = self.shares if self.all_shares is None else self.all_shares
        return self.cardinality[0] if shares is None else dict(shares)

    def words(self, *, prior_given: bool) -> str:
        """Return a sentence on what is used."""
        if self.refused is not None:
            return f"audit: no estimate is used, since {self.refused}"
        value, lower, upper = self.cardinality
        use = "not the prior, since one is given" if prior_given else "the prior of this training"
        since = (
            f"; labels that came since ({listed(self.others)}) have the share of their known positives"
            if self.others and not prior_given
            else ""
        )
        return (
            f"audit: {self.n_answers:,} answers of {self.run} estimate {value:.2f} labels an item"
            f" ({lower:.2f} to {upper:.2f}): {use}{since}"
        )

    def to_json(self) -> str:
        """Return the text of its file."""
        return json.dumps(vars(self), default=dict, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file beside a run.

        Raises:
            UserError: Where it is not what ``to_json`` made.
        """
        try:
            values = json.loads(read_text(path))
            lists = {name: tuple(values.get(name, ())) for name in ("cardinality", "labels", "others")}
            sample = tuple(Sampled(*row) for row in values["sample"])
            return cls(**{**values, **lists, "sample": sample})
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not what a training wrote: put it back, or train anew") from None


def calibrate(
    model: MultiLabelClassifier, table: Table, audited: AuditedTable, answered: NDArray[np.bool_]
) -> str | None:
    """Calibrate a fitted model that its labels do not, by an audit's answers, and say so.

    One line for all labels is fitted to the scores of models that did not see the row: of given entries, each for
    itself, and of the audit's answers, each for its share of the unknown entries of its stratum. Thresholds move with
    the scores, so that label sets stay.

    Args:
        model: Fitted to ``table``.
        table: With the answers in its labels.
        audited: Estimates that are used.
        answered: (n, K) entries of ``table`` that have an answer, which stand in the sample or nowhere.
    """
    from labelwise.metrics import PerLabelThreshold

    left_out, decision = model.fitted_.left_out_logits, model.decision_
    if decision.calibration is not None:
        return None
    if left_out is None:
        return (
            "audit: the probabilities stay uncalibrated, since the answers are of items that method"
            f" {model.method_!r} saw in training"
        )
    logits = np.full(table.annotations.matrix.shape, np.nan)
    logits[np.setdiff1d(np.arange(len(logits)), [bad.row for bad in model.skipped_])] = left_out
    scores, states, weights = _sample(logits, table, audited, answered)
    calibration = _line(scores, states, weights, len(model.label_names_))
    if calibration is None:
        return "audit: the probabilities stay uncalibrated, since its answers are all of one kind"
    rule = decision.rule
    if isinstance(rule, PerLabelThreshold) and isinstance(model.rule, str) and rule.logits is not None:
        moved = calibration.logits(np.array(rule.logits, np.float64)[None])[0]
        rule = PerLabelThreshold.at_logits(moved, rule.name)
    model.decision_ = replace(decision, calibration=calibration, rule=rule)
    given = int(((table.annotations.matrix >= 0) & ~answered).sum())
    return f"audit: probabilities are calibrated by its answers and {given:,} given entries"


def _sample(
    logits: NDArray[np.float64], table: Table, audited: AuditedTable, answered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.float64]]:
    """Return scores, states and weights of given entries and of the audit's answers."""
    labels = table.annotations
    rows = {item: row for row, item in enumerate(table.items)}
    columns = {name: k for k, name in enumerate(labels.label_names)}
    found = [one for one in audited.sample if one.item in rows]
    places = np.array([(rows[one.item], columns[one.label]) for one in found], np.int64).reshape(-1, 2)
    given = np.argwhere((labels.matrix >= 0) & ~answered)
    both = np.concatenate([given, places])
    answers = np.array([one.answer for one in found], np.int8)
    states = np.concatenate([labels.matrix[given[:, 0], given[:, 1]], answers])
    weights = np.append(np.ones(len(given)), [one.weight for one in found])
    scores = logits[both[:, 0], both[:, 1]]
    read = ~np.isnan(scores)
    return scores[read], states[read], weights[read]


def _line(
    scores: NDArray[np.float64], states: NDArray[np.int8], weights: NDArray[np.float64], width: int
) -> Any:
    """Return one weighted Platt line for all labels, None where the states are of one kind."""
    from sklearn.linear_model import LogisticRegression

    from labelwise.metrics import PlattCalibration

    if len(np.unique(states)) < 2:
        return None
    fit = LogisticRegression(C=10.0).fit(scores[:, None], states, weights * len(weights) / weights.sum())
    slope, offset = max(float(fit.coef_[0, 0]), 1e-3), float(fit.intercept_[0])
    return PlattCalibration([slope] * width, [offset] * width, [True] * width)
