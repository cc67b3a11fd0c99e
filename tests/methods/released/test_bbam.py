"""What BBAM's released code does besides: the leak and the second split, off by default and only with given truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier
from labelwise.annotations import simulate
from labelwise.errors import UserError
from labelwise.methods import Problem, get
from labelwise.metrics import mean_average_precision


def truth(n=200, k=3, seed=0):
    return (np.random.default_rng(seed).random((n, k)) < 0.3).astype(np.int8)


def method(Y, fraction=0.1, true=True, **values):
    labels = simulate.semi_supervised(Y, fraction, seed=1, rule="cap")
    problem = Problem(labels, "semi_supervised", Y.mean(0), "all", true_labels=Y if true else None)
    return get("bbam")(problem, values)


def test_both_are_off_by_default():
    spec = get("bbam").spec.hyperparameters
    assert spec["leak_truth"].default is False
    assert spec["warm_up_seed"].default is None


def scored(bbam, cosines, refreshed=True):
    """Return the pseudo-labels of a pool whose scores are ``cosines``, after angle statistics were measured."""
    for name, value in {
        "mean_negative": 1.2,
        "mean_positive": 0.8,
        "variance_negative": 0.0144,
        "variance_positive": 0.0324,
    }.items():
        getattr(bbam, name).fill_(value)
    bbam.refreshed.fill_(refreshed)
    pool = SimpleNamespace(scores=lambda: iter([(slice(0, len(cosines)), torch.from_numpy(cosines))]))
    return bbam.pseudo_labels(pool)


def test_the_leak_scores_by_the_transform_of_the_true_sign():
    """psi = mu + a (theta - mu) with the moments of the sign that the truth names, entry by entry."""
    Y = truth()
    cosines = np.random.default_rng(1).uniform(-0.2, 0.9, Y.shape).astype(np.float32)
    a = {1: np.sqrt(0.0234 / 0.0324), 0: np.sqrt(0.0234 / 0.0144)}
    mu = {1: 0.8, 0: 1.2}
    expected = np.empty(Y.shape, np.float32)
    for i in range(len(Y)):
        for k in range(Y.shape[1]):
            y = int(Y[i, k])
            expected[i, k] = np.cos(mu[y] + a[y] * (np.arccos(float(cosines[i, k])) - mu[y]))
    leaked = scored(method(Y, leak_truth=True), cosines)
    np.testing.assert_array_equal(leaked, scored(method(Y), expected))
    plain = scored(method(Y), cosines)
    assert (leaked != plain).any()
    np.testing.assert_array_equal(scored(method(Y, leak_truth=True), cosines, refreshed=False), plain)


def test_the_leak_finds_labels_that_the_scores_know_nothing_of():
    """Beyond both means the two transforms part, so that the choice alone tells the sign."""
    Y = truth(4000, 1)
    theta = np.random.default_rng(2).normal(1.4, 0.05, Y.shape)
    hidden = simulate.semi_supervised(Y, 0.1, seed=1, rule="cap") == -1
    cosines = np.cos(theta).astype(np.float32)
    fair, leaked = (scored(method(Y, leak_truth=leak), cosines)[hidden] for leak in (False, True))
    chance = Y.mean() ** 2 + (1 - Y.mean()) ** 2
    assert (fair == Y[hidden]).mean() == pytest.approx(chance, abs=0.03)
    assert (leaked == Y[hidden]).mean() > 0.85


def test_the_second_split_warms_up_on_its_own_rows_with_true_labels():
    Y = truth()
    bbam = method(Y, warm_up_seed=1000)
    first, second = bbam.plan()
    rows = np.sort(np.random.RandomState(1000).permutation(200)[:20])
    (group,) = first.mixture
    np.testing.assert_array_equal(bbam.problem.groups[group], rows)
    assert set(first.views) == set(first.mixture)
    assert set(second.mixture) == {"fair", "unfair"}
    start = bbam.start_labels()
    np.testing.assert_array_equal(np.flatnonzero((start >= 0).all(1)), rows)
    np.testing.assert_array_equal(start[rows], Y[rows])
    index = torch.from_numpy(rows[:5])
    batch = SimpleNamespace(
        stage="warm-up", index=index, labels=torch.full((5, 3), -1, dtype=torch.int8), state={"target": None}
    )
    np.testing.assert_array_equal(bbam.target(batch).numpy(), Y[rows[:5]])
    known = (bbam.problem.labels >= 0).all(1)
    assert 20 < (known | np.isin(np.arange(200), rows)).sum() <= 40


@pytest.mark.parametrize("values", [{"leak_truth": True}, {"warm_up_seed": 1000}])
def test_neither_works_without_given_truth(values):
    rng = np.random.default_rng(0)
    Y = truth()
    X = (rng.normal(size=(200, 6)) + 2 * Y[:, [0, 1, 2, 0, 1, 2]]).astype(np.float32)
    seen = simulate.semi_supervised(Y, 0.3, seed=1, rule="cap")
    with pytest.raises(
        UserError, match=r"leak_truth and warm_up_seed of method 'bbam' reproduce published numbers"
    ):
        MultiLabelClassifier("bbam", hyperparameters=values, epochs=4, validation=None).fit(X, seen)
    model = MultiLabelClassifier("bbam", hyperparameters=values, epochs=4, validation=None).fit(
        X, seen, true_labels=Y
    )
    assert mean_average_precision(Y, model.decision_scores(X)) > 0.5


class Unread(Problem):
    """A problem whose true labels must not be looked at."""

    def __getattribute__(self, name):
        assert name not in ("true_labels", "truth"), "the true labels were read"
        return super().__getattribute__(name)


def test_the_truth_is_not_looked_at_unless_an_option_asks_for_it():
    random = np.random.default_rng(0)
    Y = (random.random((80, 3)) < 0.4).astype(np.int8)
    problem = Unread(
        simulate.semi_supervised(Y, 0.3, seed=1, rule="cap"), "semi_supervised", Y.mean(0), true_labels=Y
    )
    bbam = get("bbam")(problem, {})
    assert not bbam.reads_truth
    bbam.plan()
    bbam.slots()
    bbam.start_labels()
    scored(bbam, random.uniform(-1, 1, (80, 3)).astype(np.float32))
    with pytest.raises(AssertionError, match="were read"):
        scored(get("bbam")(problem, {"leak_truth": True}), random.uniform(-1, 1, (80, 3)).astype(np.float32))


@pytest.mark.parametrize("option", [{"leak_truth": True}, {"warm_up_seed": 1000}])
def test_a_model_that_read_the_truth_says_so(option):
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(80, 4)).astype(np.float32), (random.random((80, 3)) < 0.4).astype(np.int8)
    seen, short = simulate.semi_supervised(Y, 0.3, seed=1, rule="cap"), {"epochs": 2, "validation": None}
    plain = MultiLabelClassifier("bbam", **short).fit(X, seen, true_labels=Y)
    told = MultiLabelClassifier("bbam", hyperparameters=option, **short).fit(X, seen, true_labels=Y)
    assert not any("no honest result" in note for note in plain.notes_)
    assert any("no honest result" in note for note in told.notes_)
    with pytest.raises(UserError, match="true_labels"):
        MultiLabelClassifier("bbam", hyperparameters=option, **short).fit(X, seen)
