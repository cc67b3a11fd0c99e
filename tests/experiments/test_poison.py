"""The honest protocol, with every label that it may not see replaced: what is learnt stays the same to the bit."""

import numpy as np
import pytest

from labelwise import methods
from labelwise.data.datasets import Dataset, Part
from labelwise.errors import UserError
from labelwise.experiments import Job
from labelwise.experiments import measuring as _measure
from labelwise.experiments.measuring import Source, measure

N, K, FRACTION = 48, 4, 0.5


def trees():
    """A set with and without poison: hidden training labels and all test labels turned over."""
    rng = np.random.default_rng(0)
    Y = (rng.random((2 * N, K)) < 0.4).astype(np.int8)
    X = (Y @ rng.normal(size=(K, 6)) + rng.normal(size=(2 * N, 6))).astype(np.float32)

    def dataset(train, test):
        parts = {
            name: Part(tuple(map(str, range(N))), labels, features=features)
            for name, labels, features in (("train", train, X[:N]), ("test", test, X[N:]))
        }
        return Dataset("voc2012", "features", tuple("abcd"), parts)

    return dataset, Y


def observed(setting, Y):
    seen = np.full_like(Y, -1)
    if setting == "semi_supervised":
        seen[::2] = Y[::2]
    elif setting == "single_positive":
        rows = np.flatnonzero((Y == 1).any(1))
        seen[rows, (Y[rows] == 1).argmax(1)] = 1
    else:
        known = np.random.default_rng(1).random(Y.shape) < FRACTION
        seen[known] = Y[known]
    return seen


def outcome(monkeypatch, job, dataset, seen):
    """Return the scores of the test items, the rule and what the run knows of its validation."""
    judged = []
    monkeypatch.setattr(_measure, "_read", lambda *_: dataset)
    monkeypatch.setattr(_measure, "hide", lambda *_: seen.copy())
    monkeypatch.setattr(
        _measure,
        "evaluate",
        lambda _, scores, rule, *rest: judged.append((scores, rule.name, repr(rule))) or ([], {}),
    )
    facts = measure(job, Source("nowhere")).facts
    return (*judged[0], facts["validation_map"], facts["hyperparameters"])


CASES = [
    pytest.param(name, setting, id=f"{name}-{setting}")
    for name in methods.names()
    for setting in ("semi_supervised", "single_positive", "partial")
    if setting in methods.get(name).spec.settings and "true_labels" not in methods.get(name).spec.needs
]


@pytest.mark.parametrize(("method", "setting"), CASES)
def test_hidden_and_test_labels_change_nothing_that_is_learnt(monkeypatch, method, setting):
    dataset, Y = trees()
    train, test = Y[:N], Y[N:]
    seen = observed(setting, train)
    poisoned = np.where(seen == -1, 1 - train, train).astype(np.int8)
    assert (poisoned != train).any()
    job = Job("VOC", setting, method, labelled_fraction=FRACTION, options={"cardinality": 1.6})
    clean, other = (
        outcome(monkeypatch, job, dataset(*labels), seen) for labels in ((train, test), (poisoned, 1 - test))
    )
    np.testing.assert_array_equal(clean[0], other[0])
    assert clean[1:] == other[1:]


def test_the_poison_is_one_that_tells(monkeypatch):
    """The published protocol, which may look, comes to something else: so would the honest one if it looked."""
    dataset, Y = trees()
    train, test = Y[:N], Y[N:]
    seen = observed("semi_supervised", train)
    poisoned = np.where(seen == -1, 1 - train, train).astype(np.int8)
    given = {"options": {"code": "cap"}, "protocol": "published", "labelled_fraction": FRACTION}
    job = Job(
        "VOC", "semi_supervised", "bbam", hyperparameters={"leak_truth": True, "warm_up_seed": 1000}, **given
    )
    clean, other = (
        outcome(monkeypatch, job, dataset(*labels), seen) for labels in ((train, test), (poisoned, 1 - test))
    )
    assert (clean[0] != other[0]).any()
    with pytest.raises(UserError, match="leak_truth reads true labels"):
        measure(
            Job("VOC", "semi_supervised", "bbam", hyperparameters={"leak_truth": True}), Source("nowhere")
        )
