"""The recipe of ``auto``: members, stack, trees and gate, fitted to a pool and applied to new rows.

Everything that is fitted is affine in the scores of its parts, label by label, so that what is left for new rows is
short: linear members add up to one matrix for each view, and smoothed linear members to scores of the pool's rows,
of which a new row takes its neighbours'.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble import accounts
from labelwise.ensemble.compression import MOST_COLUMNS
from labelwise.ensemble.gate import ENTRIES_KNOWN, POSITIVES_KNOWN, Demand, Opening, open_gate
from labelwise.ensemble.gate_folds import evaluated_folds, folds_of, repeats
from labelwise.ensemble.hats import centred, mean_square
from labelwise.ensemble.hinted import HintEvidence, HintScores
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.landmarks import Landmarks
from labelwise.ensemble.left_out import intercept_shift, left_out_moves
from labelwise.ensemble.members import RidgeMember
from labelwise.ensemble.names import LabelVectors, NameScores
from labelwise.ensemble.parts import MEMBERS, fit_members, refitted_stack
from labelwise.ensemble.pool import MemberSpec, Pool
from labelwise.ensemble.scorer import LINEAR_VIEWS, Scorer, Smoothed
from labelwise.ensemble.stack import Combination, mean_of_standardised, moments, stack
from labelwise.ensemble.trees import Trees
from labelwise.errors import Notice
from labelwise.models import FoldedRidge, RidgeSolution, Scaling, give_back_memory, logits, solve_ridge

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]
Solver: TypeAlias = Callable[..., RidgeSolution]

BUDGET = 200_000_000
"""Bytes that a fitted ensemble may take by default."""

_FEWEST_ROWS, _FEWEST_ALONE = 10, 20  # rows with known entries to choose by, with names or hints and without
_MEASURED_ROWS = 2000
_MOST_TUNED = 600  # rows up to which lambdas and scalings are chosen anew in every fold
_WIDEST_TREES = 4096  # columns beyond which trees read principal components in the features' place


@dataclass(frozen=True)
class Recipe:
    """What is combined, as it was chosen on real sets.

    Attributes:
        members: Ridges, those of one representation after each other.
        trees: The share of the trees in the ensemble's score, in [0, 1]; the rest is the stack's of members.
    """

    members: tuple[MemberSpec, ...] = MEMBERS
    trees: float = 1 / 3

    def mixed(self, stacked: Any, trees: Any) -> Any:
        """Return the ensemble's score or weight from those of the stack and of the trees."""
        return (1 - self.trees) * stacked + self.trees * trees


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A fitted ensemble, with the tuned ridge solution in reserve.

    Attributes:
        scorer: What scores new rows.
        left_out: (n, K) float32, scores of the pool's rows on the scale of ``scores``: those with known entries as if
            left out, the others' own.
        explanation: What it is made of and what each part adds, fit for JSON.
    """

    scorer: Scorer
    left_out: Matrix
    explanation: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        X: Any,
        labels: npt.NDArray[Any],
        solution: RidgeSolution,
        seed: int = 0,
        *,
        names: LabelVectors | None = None,
        hints: Matrix | None = None,
        groups: npt.NDArray[np.int64] | None = None,
        budget: int = BUDGET,
        solve: Solver = solve_ridge,
    ) -> Self:
        """Fit to a pool ``X`` (n, D) with annotations ``labels`` (n, K) in {1, 0, -1}.

        Args:
            X: Rows as they were given: dense, sparse or blocks of features.
            labels: At least one entry is 1.
            solution: The tuned ridge on these rows and labels, the simpler score that the ensemble has to beat.
            seed: Key of all its choices.
            names: Vectors of the labels' names by the encoder that read the items.
            hints: (n, K) scores of another model in [0, 1] or NaN, of rows of which new ones will have none.
            groups: (n,) numbers of rows that are left out together and are no neighbours of each other.
            budget: Bytes that its arrays may take; above it trees and then rows of the pool are left out.
            solve: What gave the solution; where rows are few it tunes anew without each fold.
        """
        chosen = Landmarks.of(labels, min(int(X.shape[1]), MOST_COLUMNS), seed)
        if chosen is None:
            return cls(
                *EnsembleFit(
                    X, labels, solution, seed, names, budget, hints=hints, groups=groups, solve=solve
                ).result()
            )
        warnings.warn(Notice(chosen.words), stacklevel=2)
        part = replace(solution, loo_scores=solution.loo_scores[chosen.rows])
        hints = None if hints is None else hints[chosen.rows]
        groups = None if groups is None else groups[chosen.rows]
        fit = EnsembleFit(
            *(X[chosen.rows], chosen.labels(labels), part, seed, names, budget),
            hints=hints,
            groups=groups,
            whole=False,
            solve=solve,
        )
        fit.notes.append(chosen.words)
        scorer, near, explanation = fit.result()
        elsewhere = partial(_left_out_elsewhere, scorer, solution, fit.ridge_share)
        return cls(scorer, chosen.spread(near, X, elsewhere), explanation)

    @property
    def n_features(self) -> int:
        """Number D of columns."""
        return self.scorer.n_features

    @property
    def n_labels(self) -> int:
        """Number K of labels."""
        return self.scorer.n_labels

    @property
    def scaling(self) -> Scaling:
        """Scaling by which the tuned ridge reads rows."""
        return self.scorer.scaling

    @property
    def named(self) -> npt.NDArray[np.bool_]:
        """Labels (K,) without a known positive that are scored by their names."""
        names = self.scorer.names
        return np.zeros(self.n_labels, bool) if names is None else names.named

    def scores(self, X: Any) -> Matrix:
        """Return scores (n, K) float32 of new rows ``X`` (n, D): logits, as those of ridge."""
        return self.scorer.scores(X)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that scores new rows, as arrays by name."""
        return self.scorer.state()

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return the ensemble of ``state()``, without left-out scores.

        Raises:
            UserError: For arrays that do not fit each other.
        """
        scorer = Scorer.from_state(arrays)
        return cls(scorer, np.zeros((0, scorer.n_labels), np.float32))


class EnsembleFit:
    """One fit: its data, and the steps in their order.

    Attributes:
        known: The known entries of the labels.
        notes: Sentences on what was assumed or left out.
        recipe: What is combined; the share of the trees may be changed after ``evidence``.
    """

    def __init__(
        self,
        X: Any,
        labels: npt.NDArray[Any],
        solution: RidgeSolution,
        seed: int = 0,
        names: LabelVectors | None = None,
        budget: int = BUDGET,
        *,
        hints: Matrix | None = None,
        groups: npt.NDArray[np.int64] | None = None,
        whole: bool = True,
        recipe: Recipe | None = None,
        solve: Solver = solve_ridge,
    ) -> None:
        """``whole`` is whether these are all rows that the ridge was fitted to."""
        self.recipe = recipe or Recipe()
        self.X, self.labels, self.solution, self.seed = X, np.asarray(labels), solution, seed
        self.vectors, self.budget, self.whole = names, budget, whole
        self.hints, self.groups, self.solve = hints, groups, solve
        self.hinted: HintEvidence | None = None
        self.ridge_share = np.ones(self.labels.shape[1])
        self.notes: list[str] = []
        self.names_opening: Opening | None = None
        self.known = KnownEntries.of(self.labels)

    def result(self) -> tuple[Scorer, Matrix, dict[str, Any]]:
        """Return scorer, left-out scores and explanation."""
        alone = self.vectors is None and self.hints is None
        if len(self.known) < (_FEWEST_ALONE if alone else _FEWEST_ROWS) or not self.known.both.any():
            self.notes.append(
                "too few known entries to choose anything by: the scores are those of the tuned ridge alone"
                + ("" if self.hints is None else ", and hints are left out")
            )
            return self._ridge_alone()
        self._fit_parts()
        self.opening = self._open()
        return self._assembled()

    def evidence(self) -> tuple[list[Matrix], list[Matrix], Matrix]:
        """Return what the gate is asked by: scores (m, K) by ridge, by the stack, and by the trees out of their bags.

        Those by ridge and by the stack, one of each for each way to draw folds, are of rows whose fold had left the
        pool; NaN in folds that are not evaluated.
        """
        self._fit_parts()
        return self._evidence()

    def ungated(self, X: Any) -> Matrix:
        """Return raw scores (n, K) of new rows by the ensemble alone, after ``evidence``; in ridge's units."""
        everywhere = np.ones(self.known.targets.shape[1])
        scorer = self._scorer(self._mixture(everywhere)[1], 1 - everywhere)
        return scorer.raw(X)

    def _fit_parts(self) -> None:
        """Fit pool, members, trees and stack."""
        weights = getattr(self.solution.scaling, "weights", None)
        self.pool = Pool.fit(self.X, self.seed, weights, LINEAR_VIEWS, self.groups)
        self.notes += self.pool.words
        self.known = KnownEntries.of(self.labels, self.pool.twins(), groups=self.groups)
        self.parts = list(fit_members(self.pool, self.known, self.recipe.members))
        give_back_memory()
        self.forests = self._grow()
        give_back_memory()
        self.combined = stack([part.member.loo for part in self.parts], self.known)
        self.bagged = mean_of_standardised(self._bags, self.known)
        loo = self.solution.loo_scores[self.known.rows]
        # Where groups are left out, the scores are free of that shift already.
        shift = intercept_shift(self.known) if self.groups is None else 0
        self.simple = np.asarray(loo + shift, np.float32)

    def _ridge_alone(self) -> tuple[Scorer, Matrix, dict[str, Any]]:
        left_out = logits(self.solution.loo_scores).astype(np.float32)
        return Scorer.of_ridge(self.solution), left_out, self._explanation([], [], [])

    def _grow(self) -> dict[str, Trees]:
        """Grow trees on the features and on smoothed components."""
        wide = int(self.X.shape[1]) > _WIDEST_TREES
        places = {"p": self.pool.representation("p")} if wide else {"x": self.X}
        places["p1"] = self.pool.representation("p1")
        return {
            name: Trees.fit(
                features[self.known.rows],
                self.known.targets,
                seed=self.seed,
                mask=self.known.mask,
                twins=self.known.twins,
                fold=self.known.fold,
            )
            for name, features in places.items()
        }

    def _evidence(self) -> tuple[list[Matrix], list[Matrix], Matrix]:
        ways = [self._out_of_pool(repeat) for repeat in range(repeats(len(self.known)))]
        return [way[0] for way in ways], [way[1] for way in ways], self.bagged.of(self._bags)

    def _open(self) -> Opening:
        """Ask the gate how much of the ensemble each label gets."""
        simple, stacked, trees = self._evidence()
        rich = [self.recipe.mixed(one, trees) for one in stacked]
        opening = open_gate(simple, rich, self.known, self._demand)
        deviation = moments(self.simple, self.known)[1]
        self.out_of_pool = [
            ((1 - opening.share) * a + opening.share * deviation * b).astype(np.float32)
            for a, b in zip(simple, rich, strict=True)
        ]
        return opening

    @property
    def _demand(self) -> Demand:
        return ENTRIES_KNOWN if (self.labels == 0).any() else POSITIVES_KNOWN

    def _with_names(self, scorer: Scorer, raw: Matrix) -> tuple[Scorer, Matrix]:
        """Return the scorer and left-out scores (m, K) with the evidence of names, as far as a gate opens."""
        if self.vectors is None:
            return scorer, raw
        names = NameScores.fit(self.X, self.known, raw, self.vectors)
        by_name = names.scores(self.X[self.known.rows])
        named = [(one + names.weight * by_name).astype(np.float32) for one in self.out_of_pool]
        self.names_opening = open_gate(self.out_of_pool, named, self.known, self._demand)
        share = np.where(self.known.both, self.names_opening.share, 0.0)
        names = replace(
            names, weight=np.where(names.named, names.weight, share * names.weight).astype(np.float32)
        )
        return replace(scorer, names=names), names.added(raw, by_name)

    def _with_hints(self, raw: Matrix) -> Matrix:
        """Return left-out scores (m, K) with the evidence of learnt hints, as far as a gate opens."""
        if self.hints is None:
            return raw
        if (scores := HintScores.fit(self.pool, self.hints)) is None:
            self.notes.append("hints tell no item from another, so nothing was learnt from them")
            return raw
        evidence = HintEvidence.fit(scores, self.known, raw, self.out_of_pool, self._demand)
        self.out_of_pool = [evidence.added(one, self.known) for one in self.out_of_pool]
        self.hinted, self.without_hints = evidence, raw
        return evidence.added(raw, self.known)

    @property
    def _bags(self) -> list[Matrix]:
        """Out-of-bag scores (m, K) of each forest."""
        return [bag for trees in self.forests.values() if (bag := trees.out_of_bag) is not None]

    def _out_of_pool(self, repeat: int) -> tuple[Matrix, Matrix]:
        """Return scores (m, K) by ridge and by the stack, fitted to a pool without the row's fold.

        NaN for the rows of folds that are not evaluated.
        """
        known, m = self.known, len(self.known)
        fold = folds_of(known, self.seed, repeat)
        simple, rich = (np.full(known.targets.shape, np.nan, np.float32) for _ in range(2))
        for number in range(evaluated_folds(m)):
            out = fold == number
            gone = np.zeros(len(self.pool), bool)
            gone[known.rows[out]] = True
            if not out.any() or out.all():
                continue
            rest, new = self.pool.without(gone)
            kept = known.without(gone)
            give_back_memory()
            rich[out] = refitted_stack(self.parts, rest, new, kept, tuned=m <= _MOST_TUNED)
            simple[out] = self._refitted_ridge(out)
        return simple, rich

    def _refitted_ridge(self, out: npt.NDArray[np.bool_]) -> Matrix:
        """Return the tuned ridge's scores of rows ``out`` (m,) by a fit to the others, free of the intercept.

        Where rows are few it is tuned anew: a choice among dozens that had seen the rows would flatter it. Where the
        ridge has rows beyond these, or a fold would take minutes, they are its leave-one-out scores.
        """
        known, rows = self.known, self.known.rows
        kept = known.take(np.flatnonzero(~out))
        if len(known) <= _MOST_TUNED and kept.both.any():
            groups = None if known.groups is None else known.groups[~out]
            solution = self.solve(self.X[rows[~out]], self.labels[rows[~out]], groups=groups)
            return solution.predict(self.X[rows[out]]) - kept.means.astype(np.float32)
        if not self.whole or self._folded.order > FoldedRidge.MOST:
            return self.simple[out]
        if known.mask is None:
            scores = self._folded.outputs(known.targets, self.solution.lambda_, out)
        else:
            Z = self._folded.roots
            unit = mean_square(centred(Z[~out])[0])
            scores = RidgeMember.fit(Z[~out], kept, (self.solution.lambda_ / unit,), 0).scores(Z[out])
        return scores - kept.means.astype(np.float32)

    @cached_property
    def _folded(self) -> FoldedRidge:
        """The rows with known entries, scaled as the tuned ridge scales them."""
        return FoldedRidge.of(self.X[self.known.rows], self.solution.scaling)

    def _mixture(self, share: Double) -> tuple[Combination, Combination]:
        """Return the ensemble's score, standardised, and its share of a mixture in the units of ridge's scores."""
        of_trees = self.recipe.trees
        unit = Combination(
            np.vstack([self.combined.weight * (1 - of_trees), self.bagged.weight * of_trees]),
            self.recipe.mixed(self.combined.offset, self.bagged.offset),
        ).standardised(self._left_out, self.known)
        mean, deviation = moments(self.simple, self.known)
        return unit, Combination(
            unit.weight * (share * deviation), unit.offset * (share * deviation) + share * mean
        )

    @property
    def _left_out(self) -> list[Matrix]:
        """Left-out scores (m, K) of every member and forest."""
        return [part.member.loo for part in self.parts] + self._bags

    def _assembled(self) -> tuple[Scorer, Matrix, dict[str, Any]]:
        """Return the mixture of ridge and ensemble that the gate chose, with its left-out scores."""
        share = np.where(self.known.both, self.opening.share, 0.0)
        self.ridge_share = 1 - share
        unit, mixed = self._mixture(share)
        left_out = self._left_out
        raw = ((1 - share) * self.simple + mixed.of(left_out)).astype(np.float32)
        raw = self._with_hints(raw)
        scorer, raw = self._with_names(self._scorer(mixed, 1 - share), raw)
        moved = None if self.whole else left_out_moves(self.X, self.solution, self.ridge_share)
        everywhere = scorer.scores_of_pool(self.X, self.pool, moved)
        everywhere[self.known.rows] = logits(raw)
        explanation = self._explanation(*self._account(unit, share))
        return self._within_budget(scorer), everywhere, explanation

    def _within_budget(self, scorer: Scorer) -> Scorer:
        """Return the scorer, thinned where its arrays would take more than the budget."""
        thinned, words = scorer.within(self.budget, self.seed)
        if words:
            rows = self.known.rows[:: max(1, len(self.known) // _MEASURED_ROWS)]
            before, after = (one.scores(self.X[rows]) for one in (scorer, thinned))
            loss = accounts.gain(before, after, self.known.take(np.searchsorted(self.known.rows, rows)))[
                "gain"
            ]
            self.notes.append(
                f"over the budget of {self.budget / 1e6:.0f} MB: {words}, which moves mean average precision on"
                f" {len(rows)} of its own rows by {-float(loss or 0):+.4f}"
            )
        return thinned

    def _scorer(self, mixed: Combination, ridge_share: Double) -> Scorer:
        parts, V, hinted = self.parts, len(self.parts), self.hinted
        weights, offset = mixed.weight, mixed.offset
        if not (ridge_share < 1).any():
            if hinted is None or not hinted.open:
                return Scorer.of_ridge(self.solution)
            parts, weights = [], weights[:0]
        if hinted is not None and hinted.open:
            weights = np.vstack([weights[: len(parts)], hinted.factor, weights[len(parts) :]])
            parts, offset = [*parts, hinted.scores.part], offset + hinted.offset
        smoothed, biases = Smoothed.of(self.pool, parts, weights[: len(parts)])
        forests = {
            name: (trees, weight.astype(np.float32))
            for (name, trees), weight in zip(self.forests.items(), mixed.weight[V:], strict=True)
            if weight.any()
        }
        return Scorer(
            self.solution.scaling,
            self.solution.weight * ridge_share[:, None].astype(np.float32),
            (self.solution.bias * ridge_share + offset + biases).astype(np.float32),
            smoothed,
            forests,
        )

    def _account(self, unit: Combination, share: Double) -> tuple[list[Any], list[Any], list[Any]]:
        """Return members, gains and gates for the explanation."""
        values: dict[str, float | None] = {str(part.spec): part.member.r2 for part in self.parts}
        values |= {f"trees.{name}": None for name in self.forests}
        members = accounts.member_weights(values, unit.weight, self._left_out, self.known)
        if self.hinted is not None:
            members = self.hinted.among(members, self.known, self.without_hints)
        return members, self._gains(), self._gates(share)

    def _gains(self) -> list[dict[str, Any]]:
        """Return what smoothing, kernels and trees add to left-out average precision."""
        loo = {part.spec: part.member.loo for part in self.parts}
        whole = self.combined.of(list(loo.values()))
        with_trees = self.recipe.mixed(whole, self.bagged.of(self._bags))
        without = {
            "smoothing": [one for spec, one in loo.items() if not spec.smoothing],
            "kernels": [one for spec, one in loo.items() if not spec.kernel],
        }
        pairs = {name: (whole, stack(rest, self.known).of(rest)) for name, rest in without.items()}
        pairs["trees"] = (with_trees, whole)
        if self.hinted is not None:
            pairs["hints"] = (self.hinted.added(self.without_hints, self.known), self.without_hints)
        return [{"name": name, **accounts.gain(a, b, self.known)} for name, (a, b) in pairs.items()]

    def _gates(self, share: Double) -> list[dict[str, Any]]:
        opened = {"ensemble": (self.opening, share)}
        if self.hinted is not None:
            opened["hints"] = (self.hinted.opening, self.hinted.opening.share)
        if self.names_opening is not None:
            opened["names"] = (self.names_opening, self.names_opening.share)
        return [accounts.gate(name, *one, self.known) for name, one in opened.items()]

    def _explanation(self, members: list[Any], gains: list[Any], gates: list[Any]) -> dict[str, Any]:
        return {
            "rows": len(self.labels),
            "labelled": len(self.known),
            "members": members,
            "gains": gains,
            "gates": gates,
            "notes": self.notes,
        }


def _left_out_elsewhere(
    scorer: Scorer, solution: RidgeSolution, share: Double, X: Any, rows: npt.NDArray[Any]
) -> Matrix:
    """Return scores (b, K) of rows ``X`` (b, D) outside the pool: by the ensemble, which has not seen their labels.

    Ridge has: of it they take the leave-one-out scores.
    """
    own = replace(solution, loo_scores=solution.loo_scores[rows])
    return scorer.in_logits(scorer.raw(X) + left_out_moves(X, own, share), X)
