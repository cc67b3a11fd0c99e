"""Evaluation of very many labels by blocks of rows, from lists of what is relevant.

No more than a block of the scores is held. They are asked for twice. The first pass sums what single items say, counts
what the decision rule predicts, and holds the scores of the relevant entries. The second counts, for each of these, the
items that score at least as much for the label: from these counts come AP and AUC exactly, as from all scores at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import ListedStates, known_rows, row_blocks
from labelwise.errors import UserError
from labelwise.metrics.checks import Floats, Scores, check_names, check_scores
from labelwise.metrics.evaluation import (
    METRICS,
    TOP_TITLES,
    Evaluation,
    PerLabel,
    Training,
    propensities_of,
    rule_figures,
)
from labelwise.metrics.item_metrics import DEPTHS
from labelwise.metrics.propensity import TopSums, looked_up, top_labels
from labelwise.metrics.ranking import Cuts, cut_auc, cut_average_precision, mean_over_labels
from labelwise.metrics.rules import (
    Input,
    OracleCardinality,
    PerLabelThreshold,
    Rule,
    Threshold,
    TopK,
    check_input,
    check_rule,
    decide,
)

ScoresOf: TypeAlias = Callable[[NDArray[np.int64]], Scores]
"""Returns the scores (b, K) of rows, given by their places; it is asked twice for each."""

BLOCK = 1 << 22
"""Scores of a block: 32 MB of float64."""
_FEW = 8  # scores of a label, or labels of an item, up to which comparing is faster than sorting
_BY_ROW = (Threshold, PerLabelThreshold, TopK, OracleCardinality)


def decides_by_row(rule: Rule) -> bool:
    """Return whether a rule decides for each item alone, so that rows can be judged in blocks."""
    return isinstance(rule, _BY_ROW)


def evaluate_in_blocks(
    Y: ListedStates,
    scores: ScoresOf,
    rule: Rule,
    *,
    label_names: Sequence[str] | None = None,
    input: Input = "probability",
    training: Training | None = None,
    entries: int = BLOCK,
) -> Evaluation:
    """Evaluate scores that are made block by block, as ``evaluate`` does with all at once.

    Rows of positives alone are left out (its ``fair_rows``), and labels without a known positive are left out of means.

    Args:
        Y: The states (n, K).
        scores: Makes the scores of rows.
        rule: Decides for each item alone (``decides_by_row``).
        label_names: K names; numbers by default.
        input: As for ``evaluate``.
        training: As for ``evaluate``.
        entries: Most scores of a block.

    Raises:
        UserError: For a rule that looks at all items, and where no positive, or no negative, is known.
    """
    check_input(input)
    check_rule(rule)
    if not decides_by_row(rule):
        raise UserError(f"rule {rule.name}: it looks at all items; give one that decides for each item alone")
    n, n_labels = Y.shape
    names = check_names(label_names, n_labels) or tuple(map(str, range(n_labels)))
    whole, known = Y.whole, known_rows(Y)
    rows = np.flatnonzero(whole)
    judged = Y[rows]
    _check_judgeable(judged, bool(Y.counts.any()))
    first = FirstPass(n_labels, rule, input, propensities_of(training))
    for part, block in _blocks(rows, scores, n_labels, entries):
        first.update(judged[part], block)
    ranks, pooled = RankCounts.of(first, n_labels), RankCounts.of(first, 1)
    for _, block in _blocks(rows, scores, n_labels, entries):
        ranks.update(block)
        pooled.update(block.reshape(-1, 1))
    ap, auc = ranks.finalize()
    positives = first.positives
    unlisted = np.bincount(Y.positives[~whole].indices, minlength=n_labels)
    per_label = PerLabel(
        positives, len(rows) - positives, int((~whole).sum()) - unlisted, average_precision=ap, auc=auc
    )
    figures = {
        "map": mean_over_labels(ap, positives > 0, "omit"),
        "macro_auc": mean_over_labels(auc, positives > 0, "omit"),
        "micro_auc": float(pooled.finalize()[1][0]),
        **first.item_figures(),
    }
    rule_figures(first.hits, first.calls, np.ones(n_labels, bool), "omit", per_label, figures)
    top = {} if training is None else first.top.finalize()
    more = {name: top[name] for name in TOP_TITLES if name in top and name not in METRICS}
    return Evaluation(
        figures={name: figures[name] for name in METRICS} | more,
        rule=rule.name,
        n_items=len(rows),
        n_items_left_out=n - len(rows),
        n_unknown=int(per_label.unknown.sum()),
        empty_labels="omit",
        label_names=names,
        per_label=per_label,
        n_items_positive_alone=int((known & ~whole).sum()),
        fair_rows=True,
    )


def observed_in_blocks(Y: ListedStates, scores: ScoresOf, *, entries: int = BLOCK) -> Floats:
    """Return ``observed_average_precision`` of each label (K,), of scores that are made block by block."""
    n_labels = Y.shape[1]
    rows = np.flatnonzero(known_rows(Y))
    relevant = RelevantScores()
    for part, block in _blocks(rows, scores, n_labels, entries):
        relevant.update(Y.positives[rows[part]], block)
    ranks = RankCounts.of(relevant, n_labels)
    for _, block in _blocks(rows, scores, n_labels, entries):
        ranks.update(block)
    return ranks.finalize()[0]


def _blocks(
    rows: NDArray[np.int64], scores: ScoresOf, n_labels: int, entries: int
) -> Iterator[tuple[slice, Scores]]:
    for part in row_blocks(len(rows), n_labels, entries):
        block = check_scores(scores(rows[part]))
        if block.shape != (part.stop - part.start, n_labels):
            raise UserError(
                f"scores came as {block.shape} for {part.stop - part.start} rows and {n_labels} labels"
            )
        yield part, block


def _check_judgeable(judged: ListedStates, some: bool) -> None:
    """Refuse lists that tell no positive, or no negative."""
    if not some:
        raise UserError("Y_true has no known positive (1), so nothing can be judged: give labelled items")
    if not len(judged) or (judged.counts == judged.shape[1]).all():
        raise UserError(
            "Y_true has no known negative (0), so every score would look perfect: give fully labelled items"
            " (unlisted='absent' where lists are complete), or use observed_in_blocks"
        )
    if not judged.counts.any():
        raise UserError(
            "Y_true has no known positive (1) among fully labelled items, so nothing can be judged: give some"
        )


class RelevantScores:
    """The scores of relevant entries; those of other rows are added."""

    def __init__(self) -> None:
        self._labels: list[NDArray[np.int64]] = []
        self._values: list[Scores] = []

    def update(self, positives: Any, scores: Scores) -> None:
        """Take in rows, by their relevant labels (b, K) CSR and their scores (b, K)."""
        rows = np.repeat(np.arange(len(scores)), np.diff(positives.indptr))
        self._labels.append(np.asarray(positives.indices, np.int64))
        self._values.append(scores[rows, positives.indices])

    def merge(self, other: RelevantScores) -> None:
        """Take in what was seen of other rows."""
        self._labels += other._labels
        self._values += other._values

    @property
    def entries(self) -> tuple[NDArray[np.int64], Scores]:
        """Labels (m,) and scores (m,) of the relevant entries."""
        if not self._labels:
            return np.zeros(0, np.int64), np.zeros(0)
        return np.concatenate(self._labels), np.concatenate(self._values)


class FirstPass(RelevantScores):
    """What the first pass over wholly known rows sums up."""

    def __init__(self, n_labels: int, rule: Rule, input: Input, propensity: Floats | None) -> None:
        super().__init__()
        self.rule, self.input = rule, input
        self.n_items = self.n_relevant_items = 0
        self.positives, self.hits, self.calls = np.zeros((3, n_labels), np.int64)
        self.top = TopSums(n_labels, min(max(DEPTHS), n_labels), propensity)
        self.sums = np.zeros(4)
        self.precision, self.recall = np.zeros((2, len(DEPTHS)))

    def update(self, positives: ListedStates, scores: Scores) -> None:
        """Take in rows (b, K) and their scores (b, K)."""
        if not len(scores):
            return
        listed = positives.positives
        super().update(listed, scores)
        self.n_items += len(scores)
        self.positives += np.bincount(listed.indices, minlength=scores.shape[1])
        truth = positives.dense() if isinstance(self.rule, OracleCardinality) else None
        chosen = decide(self.rule, scores, truth) if self.input == "logit" else self.rule.apply(scores, truth)
        self.calls += np.count_nonzero(chosen, axis=0)
        rows = np.repeat(np.arange(len(scores)), positives.counts)
        hit = chosen[rows, listed.indices] == 1
        self.hits += np.bincount(listed.indices[hit], minlength=scores.shape[1])
        self._rank(listed, scores)

    def merge(self, other: RelevantScores) -> None:
        """Add the sums of other rows, under the same rule."""
        super().merge(other)
        assert isinstance(other, FirstPass)
        self.top.merge(other.top)
        for name in (
            "n_items",
            "n_relevant_items",
            "positives",
            "hits",
            "calls",
            "sums",
            "precision",
            "recall",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def item_figures(self) -> dict[str, float]:
        """Return the metrics that rank each item's labels, as ``ranking_metrics`` does."""
        n, n_labels, some = self.n_items, len(self.positives), self.n_relevant_items
        names = ("one_error", "coverage", "ranking_loss", "label_ranking_ap")
        figures = {name: float(value / n) for name, value in zip(names, self.sums, strict=True)}
        for k, precision, recall in zip(DEPTHS, self.precision, self.recall, strict=True):
            trivial = k >= n_labels
            figures[f"precision_at_{k}"] = np.nan if trivial else float(precision / n)
            figures[f"recall_at_{k}"] = np.nan if trivial or not some else float(recall / some)
        return figures

    def _rank(self, positives: Any, scores: Scores) -> None:
        """Add the sums that concern the order of each item's labels."""
        n_labels, p = scores.shape[1], np.diff(positives.indptr)
        places = top_labels(scores, max(DEPTHS))
        self.top.update(positives, places)
        relevant = np.cumsum(looked_up(positives, places), axis=1)
        some = p > 0
        self.n_relevant_items += int(some.sum())
        for place, k in enumerate(DEPTHS):
            found = relevant[:, min(k, n_labels) - 1]
            self.precision[place] += float((found / min(k, n_labels)).sum())
            self.recall[place] += float((found[some] / p[some]).sum())
        rows, own, depth, hits = _depths(positives, scores)
        leads = np.bincount(rows, weights=own == scores.max(axis=1)[rows], minlength=len(scores)) > 0
        deepest = np.ones(len(scores), np.int64)
        np.maximum.at(deepest, rows, depth)
        wrong = np.bincount(rows, weights=depth - hits, minlength=len(scores))
        share = np.bincount(rows, weights=hits / depth, minlength=len(scores))
        both = some & (p < n_labels)
        self.sums += (
            float((~leads).sum()),
            float(((deepest - 1) / n_labels).sum()),
            float((wrong / np.maximum(p * (n_labels - p), 1))[both].sum()),
            float(np.where(both, share / np.maximum(p, 1), 1.0).sum()),
        )


def _depths(
    positives: Any, scores: Scores
) -> tuple[NDArray[np.int64], Scores, NDArray[np.int64], NDArray[np.int64]]:
    """Return of each relevant entry: row, score, how many labels score at least as much, and how many relevant ones."""
    p = np.diff(positives.indptr)
    rows = np.repeat(np.arange(len(scores)), p)
    own = scores[rows, positives.indices]
    depth, hits = np.empty((2, len(rows)), np.int64)
    few = np.flatnonzero((p > 0) & (p <= _FEW))
    for j in range(int(p[few].max(initial=0))):
        some = few[p[few] > j]
        at = positives.indptr[some] + j
        depth[at] = np.count_nonzero(scores[some] >= own[at][:, None], axis=1)
    for row in np.flatnonzero(p > _FEW):
        its = slice(positives.indptr[row], positives.indptr[row + 1])
        depth[its] = scores.shape[1] - np.searchsorted(np.sort(scores[row]), own[its])
    order = np.lexsort((-own, rows))
    sorted_rows, sorted_own = rows[order], own[order]
    ends = np.ones(len(rows), bool)
    # Equal scores of a row count together: each takes the place of the last of them.
    ends[:-1] = (sorted_rows[1:] != sorted_rows[:-1]) | (sorted_own[1:] != sorted_own[:-1])
    last = np.flatnonzero(ends)
    place = last[np.searchsorted(last, np.arange(len(rows)))]
    hits[order] = place + 1 - positives.indptr[sorted_rows]
    return rows, own, depth, hits


class RankCounts:
    """Counts of items by each label's distinct scores of relevant entries; those of other items are added.

    Attributes:
        labels: (m,) the label of each score, ascending.
        values: (m,) the scores, ascending within a label.
        relevant: (m,) how many relevant entries have it.
        at_least: (m,) how many items score at least as much for the label.
        above: (m,) how many score more.
    """

    def __init__(self, labels: NDArray[np.int64], values: Scores, n_labels: int) -> None:
        order = np.lexsort((values, labels))
        labels, values = labels[order], values[order]
        new = np.ones(len(labels), bool)
        new[1:] = (labels[1:] != labels[:-1]) | (values[1:] != values[:-1])
        starts = np.flatnonzero(new)
        self.labels, self.values = labels[starts], values[starts]
        self.relevant = np.diff(np.append(starts, len(labels)))
        self.at_least, self.above = np.zeros((2, len(starts)), np.int64)
        self.n_items = 0
        self._counts = np.bincount(self.labels, minlength=n_labels)
        self._starts = np.cumsum(self._counts) - self._counts

    @classmethod
    def of(cls, relevant: RelevantScores, n_labels: int) -> RankCounts:
        """Return counts by the scores of relevant entries; for one label, of all of them together."""
        labels, values = relevant.entries
        return cls(labels if n_labels > 1 else np.zeros_like(labels), values, n_labels)

    def update(self, scores: Scores) -> None:
        """Take in the scores (b, K) of items."""
        n = len(scores)
        self.n_items += n
        for j in range(min(_FEW, int(self._counts.max(initial=0)))):
            labels = np.flatnonzero((self._counts > j) & (self._counts <= _FEW))
            at = self._starts[labels] + j
            part, values = scores[:, labels], self.values[at]
            self.at_least[at] += np.count_nonzero(part >= values, axis=0)
            self.above[at] += np.count_nonzero(part > values, axis=0)
        many = np.flatnonzero(self._counts > _FEW)
        for label, column in zip(many, np.sort(scores[:, many].T, axis=1), strict=True):
            own = slice(self._starts[label], self._starts[label] + self._counts[label])
            self.at_least[own] += n - np.searchsorted(column, self.values[own], "left")
            self.above[own] += n - np.searchsorted(column, self.values[own], "right")

    def merge(self, other: RankCounts) -> None:
        """Add the counts of other items, by the same scores."""
        self.n_items += other.n_items
        self.at_least += other.at_least
        self.above += other.above

    def finalize(self) -> tuple[Floats, Floats]:
        """Return each label's average precision (K,) and AUC (K,), NaN unless it has both classes."""
        ap, auc = np.full((2, len(self._counts)), np.nan)
        for label in np.flatnonzero(self._counts):
            at = slice(self._starts[label], self._starts[label] + self._counts[label])
            true = np.cumsum(self.relevant[at][::-1])
            false = self.at_least[at][::-1] - true
            above = self.above[at][::-1] - np.concatenate([[0], true[:-1]])
            values = self.values[at][::-1]
            cuts = Cuts(
                values,
                true,
                false,
                above,
                values.astype(np.float64),
                int(true[-1]),
                self.n_items - int(true[-1]),
            )
            ap[label], auc[label] = cut_average_precision(cuts), cut_auc(cuts)
        return ap, auc
