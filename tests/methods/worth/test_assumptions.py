"""Each method on a small problem in which its assumption holds: it must beat what does without the assumption.

A case names the method, what it is measured against (``an``, or training on known entries alone), the metric on test
items, and a margin. Margins are about half of the smallest gain in ten repetitions with other items, labels and seeds;
``test_the_margin_holds_in_repetitions`` (slow) runs five of them, and this file, run as a program, prints the gains
of all ten. Where a method does not win, ``TestFindings`` holds what was found, and ``FINDINGS`` of
``docs/make_methods.py`` says it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from torch import nn

import labelwise as lw
from labelwise.annotations import simulate


def linear(seed, *, n=400, d=20, k=6, share=0.25, noise=0.5):
    """Return (X, Y, X_test, Y_test): labels that a linear function of the features nearly explains."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal((d, k))
    X = random.standard_normal((n + 600, d)).astype(np.float32)
    raw = X @ weight / d**0.5 + noise * random.standard_normal((n + 600, k))
    Y = (raw > np.quantile(raw, 1 - share, axis=0)).astype(np.int8)
    return X[:n], Y[:n], X[n:], Y[n:]


def labelled_rows(seed):
    """A quarter of the rows is labelled, and nothing is known of the others."""
    X, Y, X_test, Y_test = linear(seed)
    return X, simulate.semi_supervised(Y, 0.25, seed=seed, rule="cap"), X_test, Y_test


def uneven_coverage(seed):
    """Entries are hidden whatever their sign, most of them on one side of a feature: what is known is no answer."""
    X, Y, X_test, Y_test = linear(seed)
    rate = np.where(X[:, :1] > 0, 0.9, 0.15)
    known = np.random.default_rng(100 + seed).random(Y.shape) < rate
    return X, np.where(known, Y, np.int8(-1)), X_test, Y_test


def nearly_all_positives(seed):
    """Nearly every relevant entry is known, and few of the irrelevant ones are."""
    X, Y, X_test, Y_test = linear(seed)
    known = np.random.default_rng(100 + seed).random(Y.shape) < np.where(Y == 1, 0.97, 0.03)
    return X, np.where(known, Y, np.int8(-1)), X_test, Y_test


def single_positives(seed):
    """One relevant label of an item is known, drawn at random."""
    X, Y, X_test, Y_test = linear(seed, share=0.35)
    return X, simulate.single_positive(Y, seed=seed), X_test, Y_test


def lengths(seed):
    """The length of a feature vector says nothing, and varies; nearly every relevant entry is known."""
    X, Y, X_test, Y_test = linear(seed, share=0.2, noise=0.2)
    random = np.random.default_rng(100 + seed)
    X, X_test = (Z * np.exp(random.standard_normal((len(Z), 1))).astype(np.float32) for Z in (X, X_test))
    known = (Y == 1) & (random.random(Y.shape) < 0.95)
    return X, np.where(known, Y, np.int8(-1)), X_test, Y_test


def separated(seed, *, n=500, d=30, k=4, gap=1.6, labelled=0.05):
    """Both sides of each label are two normal clouds apart; one row in twenty is labelled."""
    random = np.random.default_rng(seed)
    Y = (random.random((n + 800, k)) < 0.3).astype(np.int8)
    axes = np.linalg.qr(random.standard_normal((d, k)))[0]
    X = random.standard_normal((n + 800, d)) + gap * (2 * Y - 1) @ axes.T
    X = X.astype(np.float32)
    return X[:n], simulate.semi_supervised(Y[:n], labelled, seed=seed, rule="cap"), X[n:], Y[n:]


class Whole(nn.Module):
    """A backbone that hands on what it gets, so that a whole network is a head without an input scaling."""

    n_features = 20

    def forward(self, x):
        return x


UNSCALED = {"tune": "all", "backbone": Whole(), "epochs": 20, "learning_rate": 0.01}
LONGER = {"learning_rate": 0.01, "epochs": 60}
PERCEPTRON = {"tune": "all", "backbone": "mlp", "epochs": 30}
SHARES = {"prior": np.full(4, 0.3)}
TOLD = {"learning_rate": 0.03, "epochs": 60, "hyperparameters": {"warm_up": 0.0}, **SHARES}


@dataclass(frozen=True)
class Case:
    """What a method must win, against what, by how much; options of both and of the method alone."""

    method: str
    problem: Any
    against: str
    margin: float
    metric: str = "map"
    both: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        return f"{self.method} over {self.against} by {self.metric} on {self.problem.__name__}"


CASES = [
    Case("bce", labelled_rows, "an", 0.02),
    Case("ridge", labelled_rows, "an", 0.02),
    Case("ignore_unknown", uneven_coverage, "an", 0.03),
    Case("em", uneven_coverage, "an", 0.03),
    Case("em", single_positives, "an", 0.1, "micro_f1", PERCEPTRON),
    Case("em_apl", uneven_coverage, "an", 0.03),
    Case("em_apl", single_positives, "an", 0.1, "micro_f1", PERCEPTRON),
    Case("an", nearly_all_positives, "ignore_unknown", 0.05),
    Case("hml_fixed", lengths, "an", 0.1, both=UNSCALED),
    Case("hml", lengths, "an", 0.1, both=UNSCALED),
    Case("hml", lengths, "hml_fixed", 0.05, "micro_f1", both=UNSCALED),
    Case("bam", lengths, "an", 0.07, both=UNSCALED),
    Case("cap", separated, "an", 0.05, own=TOLD),
    Case("cap", separated, "bce", 0.02, own=TOLD),
    Case("bbam", separated, "an", 0.05, own=LONGER),
    Case("bbam", separated, "bam", 0.03, own=LONGER | SHARES),
]


def value(method, data, metric, seed, **options):
    X, Y, X_test, Y_test = data
    settings = {"validation": None, "device": "cpu", "rule": 0.5, "random_state": seed, **options}
    if "prior" in lw.methods.get(method).spec.needs and (Y == 0).sum() == 0:
        settings["prior"] = Y_test.mean(0)
    model = lw.MultiLabelClassifier(method, **settings).fit(X, Y)
    return model.evaluate(X_test, Y_test)[metric]


def gain(case, seed):
    """Return the method's metric less the other's, on one draw of the problem."""
    data = case.problem(seed)
    own = value(case.method, data, case.metric, seed, **case.both, **case.own)
    return own - value(case.against, data, case.metric, seed, **case.both)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_method_wins_where_its_assumption_holds(case):
    assert gain(case, 0) > case.margin


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_margin_holds_in_repetitions(case):
    assert all(gain(case, seed) > case.margin for seed in range(1, 6))


class TestFindings:
    """Where a method does not win: mean gains of five repetitions."""

    @staticmethod
    def mean(case):
        return float(np.mean([gain(case, seed) for seed in range(5)]))

    def test_em_ranks_no_better_on_single_positives(self):
        """What it finds at one half, ``an`` ranks as high."""
        assert abs(self.mean(Case("em", single_positives, "an", 0, both=PERCEPTRON))) < 0.03

    @pytest.mark.parametrize("name", ["hml_fixed", "hml", "bam"])
    def test_angles_gain_nothing_once_features_are_scaled(self, name):
        """A head on fixed features gets scaled ones, whose length says nothing any more."""
        assert self.mean(Case(name, lengths, "an", 0)) < 0.005

    @pytest.mark.parametrize("name", ["hml_fixed", "hml", "bam"])
    def test_a_head_with_a_margin_finds_little_at_one_half(self, name):
        """Single positives, no prior, default budget: the margin is a bias towards no."""
        assert self.mean(Case(name, single_positives, "an", 0, "micro_f1")) < -0.3

    @pytest.mark.slow
    def test_cap_needs_the_shares(self):
        """Shares estimated on 25 rows and a warm-up on them: behind plain training on these rows in some draws."""
        case = Case("cap", separated, "bce", 0, own=LONGER)
        assert min(gain(case, seed) for seed in range(10)) < 0


def test_scale_and_margin_of_hml_move_at_its_default_budget_to_decisions_worth_having():
    """Some positives missing: .68 for .29 of micro-F1 at one half, at the same ranking, on seed 0."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1600, 8)).astype(np.float32)
    full = (X[:, :4] + random.normal(size=(1600, 4)) > 0.5).astype(np.int8)
    found = {}
    for name in ("hml_fixed", "hml"):
        model = lw.MultiLabelClassifier(name, validation=None, device="cpu", random_state=0)
        scores = model.fit(X, np.where(full == 1, full, np.int8(-1))).decision_scores(X)
        said = scores >= 0.5
        micro = 2 * (said & (full == 1)).sum() / (said.sum() + full.sum())
        found[name] = micro, lw.metrics.mean_average_precision(full, scores)
    learnt = model.trained_method_
    assert abs(float(learnt.margin.detach()) - 0.3) > 0.05
    assert abs(float(learnt.scale.detach()) - 20) > 0.05
    assert found["hml"][0] > found["hml_fixed"][0] + 0.2
    assert found["hml"][1] > found["hml_fixed"][1] - 0.002


if __name__ == "__main__":
    for one in CASES:
        if len(sys.argv) < 2 or one.method in sys.argv[1:]:
            gains = np.array([gain(one, seed) for seed in range(10)])
            line = f"{one!s:70} mean {gains.mean():+.3f}  least {gains.min():+.3f}  of 0 {gains[0]:+.3f}"
            print(line, " margin", one.margin, flush=True)
