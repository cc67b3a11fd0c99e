"""Gate: the share that a richer score earns, by rows that were left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from labelwise.ensemble import KnownEntries, open_gate
from labelwise.ensemble.gate import ENTRIES_KNOWN, POSITIVES_KNOWN, SHARES, local_gain, own_gain
from tests.ensemble.test_stack import problem


def scores(known, noise, seed):
    rng = np.random.default_rng(seed)
    return (known.targets + rng.normal(scale=noise, size=known.targets.shape)).astype(np.float32)


def labels(n_labels=12, m=200, seed=0):
    rng = np.random.default_rng(seed)
    return KnownEntries.of((rng.random((m, n_labels)) < rng.uniform(0.05, 0.4, n_labels)).astype(np.int8))


def test_a_much_better_score_is_taken():
    known = labels()
    opening = open_gate([scores(known, 2.0, 1)], [scores(known, 0.2, 2)], known, ENTRIES_KNOWN)
    assert (opening.share >= 0.75).all()
    assert opening.t > 5
    assert (opening.gain > 0.2).all()


def test_a_worse_score_is_refused_for_every_label():
    known = labels()
    opening = open_gate([scores(known, 0.2, 1)], [scores(known, 2.0, 2)], known, ENTRIES_KNOWN)
    assert not opening.share.any()
    assert opening.mean_gain < 0


def test_noise_against_noise_rarely_opens_at_two_errors():
    opened = 0
    for seed in range(20):
        known = labels(seed=seed)
        opening = open_gate([scores(known, 1, seed)], [scores(known, 1, 100 + seed)], known, POSITIVES_KNOWN)
        # Mixtures of two independent scores are better than either, so whole shares alone are counted.
        opened += (opening.share == 1).any()
    assert opened <= 4


def test_one_label_cannot_open_it():
    known = labels(n_labels=1)
    opening = open_gate([scores(known, 2.0, 1)], [scores(known, 0.1, 2)], known, ENTRIES_KNOWN)
    assert not opening.share.any()
    assert opening.t == 0


def test_labels_of_one_kind_and_rows_that_nobody_scored_are_left_out():
    known = labels()
    known.targets[:, 3] = 0
    known = KnownEntries.of(known.targets.astype(np.int8))
    simple, rich = scores(known, 2.0, 1), scores(known, 0.2, 2)
    simple[::3] = np.nan
    rich[::3] = np.nan
    opening = open_gate([simple], [rich], known, ENTRIES_KNOWN)
    assert np.isfinite([opening.mean_gain, opening.mean_error]).all()
    assert opening.share[known.both].all()


def test_gains_are_of_average_precision_of_known_entries():
    known, members = problem(m=120, K=4, hidden=0.4)
    opening = open_gate([members[2]], [members[0]], known, ENTRIES_KNOWN)
    gains, weights = [], []
    for k in range(4):
        on = known.mask[:, k]
        pair = [average_precision_score(known.targets[on, k], one[on, k]) for one in (members[0], members[2])]
        gains.append(pair[0] - pair[1])
        weights.append(known.positives[k] / (known.positives[k] + 4))
    assert opening.mean_gain == pytest.approx(np.average(gains, weights=weights), abs=1e-6)


def by_loops(gains, positives):
    K = len(gains)
    mean, error = np.zeros(K), np.zeros(K)
    for k in range(K):
        weight = [n / (n + 4) * np.exp(-((np.log1p(positives[k]) - np.log1p(n)) ** 2) / 2) for n in positives]
        mean[k] = sum(w * g for w, g in zip(weight, gains, strict=True)) / sum(weight)
        square = sum(w**2 * (g - mean[k]) ** 2 for w, g in zip(weight, gains, strict=True)) / sum(weight) ** 2
        number = sum(weight) ** 2 / sum(w**2 for w in weight)
        error[k] = np.sqrt(square * number / max(number - 1, 0.5))
    return mean, error


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.5, 0.5), st.integers(1, 5000)), min_size=2, max_size=12))
def test_local_gain_is_its_formula(pairs):
    gains, positives = (np.array(values, float) for values in zip(*pairs, strict=True))
    mean, error = local_gain(gains, positives)
    expected = by_loops(gains, positives)
    np.testing.assert_allclose(mean, expected[0], atol=1e-9)
    np.testing.assert_allclose(error, expected[1], atol=2e-6)


def test_shares_end_at_one():
    assert SHARES[-1] == 1
    assert list(SHARES) == sorted(SHARES)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.5, 0.5), st.integers(1, 5000)), min_size=2, max_size=12),
    st.sampled_from(SHARES),
)
def test_own_gain_is_its_formula(pairs, share):
    gains, positives = (np.array(values, float) for values in zip(*pairs, strict=True))
    mean, error = own_gain(gains, positives, 0.03, None, share)
    around, around_error = by_loops(gains, positives)
    for k, n in enumerate(positives):
        noise, between = (0.25 * share) ** 2 / n, (0.03 * share) ** 2
        own = between / (between + noise)
        assert mean[k] == pytest.approx(around[k] + own * (gains[k] - around[k]), abs=1e-9)
        variance = (1 - own) ** 2 * around_error[k] ** 2 + own**2 * noise
        assert error[k] == pytest.approx(np.sqrt(variance), abs=3e-6)


def test_a_frequent_label_that_loses_is_refused_where_the_others_gain():
    known = labels(n_labels=12, m=800)
    simple, rich = scores(known, 1.0, 1), scores(known, 0.4, 2)
    most = int(known.positives.argmax())
    rich[:, most] = scores(known, 1.0, 3)[:, most] - 3 * known.targets[:, most]
    opening = open_gate([simple], [rich], known, ENTRIES_KNOWN)
    others = np.delete(np.arange(12), most)
    assert opening.share[most] == 0
    assert opening.share[others].mean() > 0.5


def test_a_gain_below_the_margin_opens_nothing():
    known = labels(m=4000)
    simple = scores(known, 0.6, 1)
    rich = simple + 0.02 * (known.targets - simple)
    assert not open_gate([simple], [rich], known, ENTRIES_KNOWN).share.any()
