"""Ridge on rows that do not fit in memory, from sums that are gathered in passes over them.

The first pass reads labels alone and counts them. The second fits scalings from sums of columns, and keeps a keyed
sample of rows; on it scaling and lambda are chosen by leave-one-out as for rows in memory (``choice``). The third
gathers ``RidgeMoments`` of all rows under the chosen scaling, and under the first one where both are near. All rows
then decide between the two, and on lambda, by leave-one-out scores of the judged rows: each is scored, exactly, by the
model of all other rows. Judged are all rows where their scores are few enough, else a keyed sample of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.annotations import LabelCounts, States, dense_states
from labelwise.models.ridge.choice import Candidates, Choice
from labelwise.models.ridge.direct import Solved
from labelwise.models.ridge.equal_rows import EqualRows
from labelwise.models.ridge.moments import ColumnSums, LabelGroups, MomentRidge, RidgeMoments
from labelwise.models.ridge.passes import Facts, RowStream, Sample, first_rows, sum_products
from labelwise.models.ridge.path import Lambdas, better
from labelwise.models.ridge.plan import COMPARED, tried_rows
from labelwise.models.ridge.sampling import pick, sample_order
from labelwise.models.ridge.solver import RidgeSolution
from labelwise.models.ridge.tuning import (
    Entries,
    Judge,
    Search,
    Trial,
    count_thresholds,
)
from labelwise.models.ridge.twins import twins_of
from labelwise.models.scaling import SCALINGS

Array: TypeAlias = npt.NDArray[Any]

_ENTRIES = 1 << 24
"""Most leave-one-out scores that are judged at once: a ranking of them takes some 1.5 GB."""
_TOO_MANY = 1 << 26  # entries of all rows, beyond which scalings are not ranked by every label
_CHOSEN_BY = 2_000_000  # entries by which scalings are then chosen


@dataclass(frozen=True, eq=False)
class StreamedRidge:
    """A ridge that was solved from sums, and the rows by which it was judged.

    Attributes:
        solution: Its ``loo_scores`` and ``thresholds`` are those of ``X``.
        X: (j, D) float32 the judged rows, as they came.
        labels: (j, K) int8 their states.
        index: (j,) their places among all rows.
        counts: Of the labels of all rows.
        chosen_by: Numbers of labels by which scaling and lambda were chosen: first on a sample of rows, then on the
            judged ones.
    """

    solution: RidgeSolution
    X: Array
    labels: npt.NDArray[np.int8]
    index: npt.NDArray[np.int64]
    counts: LabelCounts
    chosen_by: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether every row with a known entry was judged."""
        return len(self.index) == self.counts.known


def solve_stream(
    stream: RowStream,
    *,
    scalings: Sequence[str] = SCALINGS,
    label_weights: Array | None = None,
    average: int = 1,
    criterion: str = "average_precision",
    most_judged: int = _ENTRIES,
    on_pass: Callable[[str], object] | None = None,
) -> StreamedRidge:
    """Fit ridge regression to a stream of rows, as ``solve_ridge`` does to rows in memory.

    Args:
        stream: Is read three times: once its labels alone, twice everything.
        scalings: Kinds of scaling to choose from.
        label_weights: (K,) >= 0, weights of the labels in the criterion.
        average: Number of the best lambdas whose solutions are averaged.
        criterion: ``average_precision`` or ``squared_error``.
        most_judged: Most leave-one-out scores to judge by; beyond it rows, and then labels, are sampled.
        on_pass: Is told in words what each pass does.

    Raises:
        UserError: For no known positive, and for more different masks of known entries than there is memory for.
    """
    tell = on_pass or (lambda words: None)
    tell("counting labels")
    facts = Facts.of(stream)
    sample = Sample.of(facts.counts, stream.n_labels, most_judged)
    tell("summing columns")
    sums, X, Y = first_rows(stream, sample, facts.starts())
    judged = _Judged.of(X, Y, sample, facts.groups)
    importance = np.ones(stream.n_labels) if label_weights is None else np.asarray(label_weights, np.float64)
    search = Search(judged.entries, None, importance[sample.labels], criterion, average)
    choice, tried = _choose(judged, search, sums, scalings, sample)
    whole = tried is judged.entries
    contenders = _contenders(choice, whole, facts, stream.n_features)
    tell("gathering moments")
    ridges, judged = _gather(stream, facts, contenders, judged)
    ones = [_ByMoments.of(ridge, trial, judged) for ridge, trial in zip(ridges, contenders, strict=True)]
    if whole or facts.groups.count > 1:
        one, values = ones[0], {}
        used = contenders[0].lambdas[contenders[0].top]
    else:
        lambdas = [
            Lambdas(one, None, trial, search, one.judge(criterion))
            for one, trial in zip(ones, contenders, strict=True)
        ]
        chosen = better(*lambdas) if len(lambdas) == 2 else lambdas[0]
        path = chosen.climb()
        one, used, values = ones[lambdas.index(chosen)], path.lambdas, path.values
    weight, bias = one.solve(used)
    keep = sample.kept
    scores, entries = one.scores_of_all(keep, used), judged.entries_of_all(keep)
    kind = one.trial.scaling.kind
    table = tuple(
        {**record, "value": values[float(record["lambda"])]}
        if record["scaling"] == kind and float(record["lambda"]) in values
        else record
        for record in choice.table
    )
    solution = RidgeSolution(
        weight=weight,
        bias=bias,
        scaling=one.trial.scaling,
        lambda_=float(used[0]),
        lambdas_averaged=tuple(used.tolist()),
        loo_scores=scores,
        thresholds=count_thresholds(scores, entries).astype(np.float32),
        exact=True,
        criterion=criterion,
        table=table,
    )
    chosen_by = tried.targets.shape[1], (tried if whole else judged.entries).targets.shape[1]
    return StreamedRidge(
        solution, X[keep], dense_states(Y[keep]), sample.index[keep], facts.counts, chosen_by
    )


def judged_rows(
    stream: RowStream, *, most_judged: int = _ENTRIES
) -> tuple[Array, npt.NDArray[np.int8], npt.NDArray[np.int64], LabelCounts]:
    """Return the rows that ``solve_stream`` would judge by, without solving anything.

    They are ``X``, ``labels``, ``index`` and ``counts`` of ``StreamedRidge``, of two passes.
    """
    facts = Facts.of(stream)
    sample = Sample.of(facts.counts, stream.n_labels, most_judged)
    _, X, Y = first_rows(stream, sample, facts.starts())
    keep = sample.kept
    return X[keep], dense_states(Y[keep]), sample.index[keep], facts.counts


@dataclass(frozen=True, eq=False)
class _Judged:
    """Judged rows, and what their equals among all rows say.

    Attributes:
        X: (j, D) float32.
        Y: Their states (j, K).
        labels: The labels that are judged.
        groups: Labels by their known rows.
        entries: The rows' entries of the judged labels.
        counts: (G, j) how many of each group's rows are equal to each row.
        positives: (j, K) CSR, how many of these are relevant.
    """

    X: Array
    Y: States
    labels: Array
    groups: LabelGroups
    entries: Entries
    counts: Array = field(default_factory=lambda: np.zeros((0, 0)))
    positives: Any = None

    @classmethod
    def of(cls, X: Array, Y: States, sample: Sample, groups: LabelGroups) -> _Judged:
        """Return judged rows whose equals are not known yet."""
        entries = _entries(dense_states(Y, sample.labels), groups, sample.labels)
        return cls(X, Y, sample.labels, groups, replace(entries, twin=twins_of(X)))

    def entries_of_all(self, rows: Array) -> Entries:
        """Return the entries of all labels, of some rows."""
        return _entries(dense_states(self.Y[rows]), self.groups, np.arange(len(self.groups.of_label)))

    def parts(self, labels: Array) -> Iterator[tuple[int, Array, Array]]:
        """Yield for each group: its number, places in ``labels``, and places in the group's own labels."""
        for group in range(self.groups.count):
            own = self.groups.labels(group)
            places = np.flatnonzero(np.isin(labels, own))
            if len(places):
                yield group, places, np.searchsorted(own, labels[places])

    def targets(self, group: int, labels: Array, rows: Array | slice) -> Array:
        """Return the mean targets (b, k) of the rows that are equal to each row."""
        whole = len(labels) == self.positives.shape[1]
        positives = self.positives[rows] if whole else self.positives[rows][:, labels]
        return np.asarray(positives.toarray() / np.maximum(self.counts[group, rows], 1)[:, None])


def _entries(Y: npt.NDArray[np.int8], groups: LabelGroups, labels: Array) -> Entries:
    targets = (Y == 1).astype(np.float64)
    rows = np.arange(len(Y))
    if groups.absent:
        return Entries(rows, targets, np.ones((1, len(Y))), np.zeros(len(labels), np.int64))
    _, first, group = np.unique(groups.of_label[labels], return_index=True, return_inverse=True)
    patterns = (Y[:, first] != -1).T.astype(np.float64)
    return Entries(rows, targets, patterns, group)


def _choose(
    judged: _Judged, search: Search, sums: ColumnSums, scalings: Sequence[str], sample: Sample
) -> tuple[Choice, Entries]:
    """Choose on the judged rows, or on the first of them where those in memory would be so sampled.

    Where there are too many entries a keyed sample of the labels decides.

    Returns:
        The choice, and the entries that made it.
    """
    entries, d = judged.entries, judged.X.shape[1]
    fitted = tuple(sums.scaling(kind) for kind in scalings)
    m, n_labels = len(sample.order), len(judged.groups.of_label)
    count = tried_rows(m, d, n_labels, judged.groups.count, len(fitted))
    least = min(count or m, len(entries.rows))
    tried = entries if least == m else pick(entries, sample.first(least))
    candidates = Candidates(fitted, (), len(fitted))
    search = replace(search, entries=tried)
    if m * n_labels > _TOO_MANY:
        search = _with_fewer_labels(search, max(1, _CHOSEN_BY // len(tried.rows)))
    return candidates.choose(judged.X, search), search.entries


def _with_fewer_labels(search: Search, most: int) -> Search:
    """Return a search by a keyed part of the labels, of those that the rows show in both classes."""
    entries = search.entries
    shown = entries.targets.sum(axis=0)
    order = sample_order(len(shown))
    labels = np.sort(order[((shown > 0) & (shown < len(entries.rows)))[order]][:most])
    if len(entries.patterns) > 1 or not len(labels):
        return search
    few = replace(entries, targets=entries.targets[:, labels], group=entries.group[labels])
    return replace(search, entries=few, importance=search.importance[labels])


def _contenders(choice: Choice, whole: bool, facts: Facts, d: int) -> tuple[Trial, ...]:
    """Return the trials between which all rows decide, or the one that was chosen."""
    compares = not whole and facts.groups.count == 1 and min(facts.counts.known, d) <= COMPARED
    return choice.contenders if compares and len(choice.contenders) == 2 else (choice.best,)


def _gather(
    stream: RowStream, facts: Facts, contenders: Sequence[Trial], judged: _Judged
) -> tuple[list[list[MomentRidge]], _Judged]:
    """Return each contender's ridge by groups, and the judged rows with what their equals say."""
    equal = EqualRows(judged.X, judged.entries.twin, stream.n_labels, facts.groups)
    scalings = [trial.scaling for trial in contenders]
    moments: list[RidgeMoments] = []
    for parts, found in stream.over(partial(sum_products, scalings, facts.groups, equal)):
        for one, part in zip(moments, parts, strict=False):
            one.merge(part)
        moments = moments or parts
        equal.add(*found)
    counts, positives = equal.finalize()
    # A row that does not know a group's labels taught it nothing, whatever its equals know.
    for group, (_, known) in enumerate(facts.groups.rows(judged.Y)):
        counts[group] *= known
    ridges = [[part.decompose() for part in one.finalize()] for one in moments]
    return ridges, replace(judged, counts=counts, positives=positives)


@dataclass(frozen=True, eq=False)
class _ByMoments:
    """One lambda at a time from moments, judged on some rows."""

    ridges: list[MomentRidge]
    trial: Trial
    judged: _Judged
    rows: npt.NDArray[np.float32]  # (j, D) scaled

    @classmethod
    def of(cls, ridges: list[MomentRidge], trial: Trial, judged: _Judged) -> _ByMoments:
        """Return the solutions with a trial's scaling."""
        return cls(ridges, trial, judged, trial.scaling.transform(judged.X))

    def near(self, lambda_: float) -> Solved:
        """Return leave-one-out scores (j, l) of the judged labels, without the solution."""
        nothing = np.empty((0, 0))
        scores = self._left_out(np.arange(len(self.rows)), self.judged.labels, np.array([lambda_]))
        return Solved(nothing, nothing, scores)

    at = near

    def solve(self, lambdas: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return weights (K, D) and biases (K,) float32, averaged over lambdas; 0 of a label without entries."""
        groups = self.judged.groups
        weight = np.zeros((len(groups.of_label), self.rows.shape[1]), np.float32)
        bias = np.zeros(len(weight), np.float32)
        for group, ridge in enumerate(self.ridges):
            labels = groups.labels(group)
            if ridge.moments.weight:
                weight[labels], bias[labels] = ridge.solve(lambdas)
        return weight, bias

    def scores_of_all(self, rows: Array, lambdas: Array) -> npt.NDArray[np.float32]:
        """Return leave-one-out scores (b, K) of all labels, of some judged rows."""
        return self._left_out(rows, np.arange(len(self.judged.groups.of_label)), lambdas)

    def judge(self, criterion: str) -> Judge:
        """Return the judge of the judged rows, by the counts and means of all rows."""
        judged, T = self.judged, self.judged.entries.targets
        everything = np.arange(T.shape[1])
        mean, shift = np.zeros(T.shape[1]), np.zeros(T.shape)
        for group, places, own in judged.parts(judged.labels):
            moments, left = self.ridges[group].moments, judged.counts[group][:, None]
            mean[places] = moments.target[own]
            moved = judged.targets(group, judged.labels[places], slice(None)) - mean[places]
            moved *= left
            rest = moments.weight - left
            shift[:, places] = np.divide(moved, rest, out=np.zeros_like(moved), where=rest > 0)
        return Judge(criterion, everything, T, judged.entries.weights(everything), mean, shift)

    def _left_out(self, rows: Array, labels: Array, lambdas: Array) -> npt.NDArray[np.float32]:
        scores = np.zeros((len(rows), len(labels)), np.float32)
        judged, z = self.judged, self.rows[rows]
        for group, places, own in judged.parts(labels):
            ridge, s = self.ridges[group], judged.counts[group, rows]
            if not ridge.moments.weight:
                continue
            where = slice(None) if len(own) == len(ridge.moments.target) else own
            targets = judged.targets(group, labels[places], rows)
            # A row that taught these labels nothing is left out 0 times: its score is the model's own.
            found = ridge.leave_one_out(z, targets, s, lambdas, where)
            if len(places) == len(labels):
                return found
            scores[:, places] = found
        return scores
