import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, train_test_split

import labelwise as lw
from labelwise.annotations import simulate
from labelwise.errors import UserError

full = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([1, 0]))
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.01, 1)


def published_single_positive(Y, seed):
    """Shuffle a row's positives, keep the first; shuffle its negatives, keep none."""
    random = np.random.RandomState(seed)
    observed = np.full(Y.shape, -1)
    for i in range(len(Y)):
        positions = np.nonzero(Y[i] == 1)[0]
        random.shuffle(positions)
        observed[i, positions[:1]] = 1
        negatives = np.nonzero(Y[i] == 0)[0]
        random.shuffle(negatives)
    return observed


@given(full, seeds)
def test_single_positive_is_the_published_rule_to_the_bit(Y, seed):
    before = Y.copy()
    hidden = simulate.single_positive(Y, seed)
    assert hidden.dtype == np.int8
    np.testing.assert_array_equal(hidden, published_single_positive(Y, seed))
    np.testing.assert_array_equal(Y, before)


def test_single_positive_with_rows_without_positives_on_a_long_matrix():
    Y = (np.random.default_rng(3).random((2000, 81)) < 0.02).astype(np.uint8)
    assert not Y.any(axis=1).all()
    np.testing.assert_array_equal(lw.simulate.single_positive(Y), published_single_positive(Y, 1200))


@pytest.mark.data
def test_single_positive_on_coco():
    root = os.environ.get("LABELWISE_DATA")
    if not root:
        pytest.skip(
            "LABELWISE_DATA is not set: it names the folder that holds coco14_labels/coco14_labels.npz"
        )
    with np.load(Path(root) / "coco14_labels" / "coco14_labels.npz") as stored:
        Y = np.unpackbits(stored["train_Y"], axis=1)[:, :80]
    hidden = simulate.single_positive(Y)
    np.testing.assert_array_equal(hidden, published_single_positive(Y, 1200))
    assert hidden.shape == (82081, 80)
    assert lw.describe(hidden).setting == "single_positive"


@given(full, shares, seeds)
def test_partial_positives_keep_their_number_a_row(Y, fraction, seed):
    hidden = simulate.partial_positives(Y, fraction, seed)
    assert hidden.dtype == np.int8
    for row, left in zip(Y, hidden, strict=True):
        positives = int(row.sum())
        assert (left == 1).sum() == (max(1, round(fraction * positives)) if positives else 0)
        assert set(np.flatnonzero(left == 1)) <= set(np.flatnonzero(row))
        assert (left[left != 1] == -1).all()


def test_partial_positives_choose_evenly():
    hidden = simulate.partial_positives(np.ones((4000, 4)), 0.5, seed=0)
    np.testing.assert_allclose((hidden == 1).mean(axis=0), 0.5, atol=0.03)


@given(full, st.floats(0, 1, exclude_min=True), seeds)
def test_partial_keeps_an_exact_number_of_entries(Y, fraction, seed):
    count = round(fraction * Y.size)
    if count == 0:
        with pytest.raises(UserError, match="keeps none"):
            simulate.partial(Y, fraction, seed)
        return
    hidden = simulate.partial(Y, fraction, seed)
    assert hidden.dtype == np.int8
    known = hidden != -1
    assert known.sum() == count
    np.testing.assert_array_equal(hidden[known], Y[known])


@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_partial_hides_whatever_the_sign(fraction):
    Y = (np.random.default_rng(1).random((2000, 10)) < 0.2).astype(int)
    known = simulate.partial(Y, fraction) != -1
    np.testing.assert_allclose([known[Y == 1].mean(), known[Y == 0].mean()], fraction, atol=0.02)


@given(full, shares, seeds)
def test_caps_rule_labels_the_first_of_the_permutation(Y, fraction, seed):
    count = int(fraction * len(Y))
    if count == 0:
        with pytest.raises(UserError, match="labels none of"):
            simulate.semi_supervised(Y, fraction, seed, rule="cap")
        return
    expected = np.full(Y.shape, -1)
    for row in np.random.RandomState(seed).permutation(len(Y))[:count]:
        expected[row] = Y[row]
    hidden = simulate.semi_supervised(Y, fraction, seed, rule="cap")
    assert hidden.dtype == np.int8
    np.testing.assert_array_equal(hidden, expected)


@given(full, shares, seeds)
def test_semi_supervised_labels_whole_rows_and_a_larger_share_labels_them_too(Y, fraction, seed):
    count = int(fraction * len(Y))
    if count == 0:
        with pytest.raises(UserError, match="labels none of"):
            simulate.semi_supervised(Y, fraction, seed)
        return
    hidden = simulate.semi_supervised(Y, fraction, seed)
    assert hidden.dtype == np.int8
    labelled = (hidden != -1).all(1)
    assert labelled.sum() == count
    assert (hidden[~labelled] == -1).all()
    np.testing.assert_array_equal(hidden[labelled], Y[labelled])
    more = simulate.semi_supervised(Y, min(1.0, 2 * fraction), seed)
    assert (more[labelled] != -1).all()


def test_a_rule_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"rule='caps' does not exist; did you mean 'cap'\?"):
        simulate.semi_supervised(np.eye(4), 0.5, rule="caps")


SPLITTERS = {
    "k-fold": lambda seed: KFold(5, shuffle=True, random_state=seed),
    "stratified": lambda seed: StratifiedKFold(5, shuffle=True, random_state=seed),
    "shuffle": lambda seed: ShuffleSplit(1, test_size=0.2, random_state=seed),
}


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_labelled_rows_spread_over_the_parts_of_scikit_learns_splitters(splitter):
    """Of 1,000 rows 200 keep something. A test part of 200 expects 40 of them; a standard deviation is 5.1."""
    rows = np.arange(1000)
    Y = np.repeat([[1, 0]], 1000, axis=0)
    for seed in range(40):
        tested = next(SPLITTERS[splitter](seed).split(rows, rows % 2))[1]
        drawn = {
            "semi_supervised": (simulate.semi_supervised(Y, 0.2, seed) >= 0)[:, 0],
            "partial": (simulate.partial(Y, 0.2, seed) >= 0)[:, 0],
            "partial_positives": simulate.partial_positives(np.ones((1000, 5)), 0.2, seed)[:, 0] == 1,
            "single_positive": simulate.single_positive(np.ones((1000, 5)), seed)[:, 0] == 1,
            "split": np.isin(rows, lw.split(Y, [0.8, 0.2], seed)[1]),
        }
        for name, kept in drawn.items():
            expected = kept.mean() * 200
            deviation = (200 * kept.mean() * (1 - kept.mean()) * 0.8) ** 0.5
            assert abs(kept[tested].sum() - expected) < 4.5 * deviation, (name, seed)


def test_caps_rule_and_scikit_learn_draw_the_same_permutation():
    labelled = (simulate.semi_supervised(np.ones((100, 1)), 0.2, 0, rule="cap")[:, 0] == 1).nonzero()[0]
    assert set(labelled) == set(train_test_split(np.arange(100), test_size=0.2, random_state=0)[1])


@pytest.mark.parametrize(("fraction", "count"), [(0.05, 285), (0.1, 571), (0.15, 857), (0.2, 1143)])
@pytest.mark.parametrize("rule", ["random", "cap"])
def test_semi_supervised_sizes_of_voc(rule, fraction, count):
    hidden = simulate.semi_supervised(np.ones((5717, 2)), fraction, seed=1, rule=rule)
    assert (hidden[:, 0] == 1).sum() == count


@pytest.mark.parametrize(
    "hide", [simulate.partial_positives, simulate.partial, simulate.semi_supervised], ids=lambda f: f.__name__
)
def test_a_seed_gives_the_same_twice_and_another_seed_another(hide):
    Y = np.random.default_rng(0).integers(0, 2, (50, 8))
    np.testing.assert_array_equal(hide(Y, 0.4, 7), hide(Y, 0.4, 7))
    assert (hide(Y, 0.4, 7) != hide(Y, 0.4, 8)).any()


@pytest.mark.parametrize(
    "hide",
    [
        simulate.single_positive,
        lambda Y: simulate.partial_positives(Y, 0.5),
        lambda Y: simulate.partial(Y, 0.5),
        lambda Y: simulate.semi_supervised(Y, 0.5),
    ],
)
def test_unknown_entries_are_refused(hide):
    with pytest.raises(
        UserError, match=r"unknown entry at row 1 \(counted from 0\), label 0: simulate from wholly"
    ):
        hide([[1, 0], [-1, 1]])


@pytest.mark.parametrize("hide", [simulate.partial_positives, simulate.partial, simulate.semi_supervised])
@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan"), "half", None])
def test_fractions_outside_their_range_are_refused(hide, fraction):
    with pytest.raises(UserError, match=r"fraction must be above 0 and at most 1"):
        hide([[1, 0]], fraction)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(UserError, match="seed must be a whole number"):
        simulate.single_positive([[1, 0]], seed)


@pytest.mark.parametrize("hide", [simulate.single_positive, lambda Y: simulate.partial(Y, 0.5)])
def test_a_sparse_matrix_is_refused_with_what_to_give(hide):
    with pytest.raises(UserError, match=r"give Y\.toarray\(\)"):
        hide(sp.csr_matrix(np.eye(4, dtype=np.int8)))


@given(full, st.floats(0, 0.9), seeds)
def test_random_partial_keeps_values_and_is_nested(Y, hidden, seed):
    try:
        kept = simulate.random_partial(Y, hidden, seed)
    except UserError:
        assume(False)
    assert kept.dtype == np.int8
    assert ((kept == Y) | (kept == -1)).all()
    fewer = simulate.random_partial(Y, hidden / 2, seed)
    assert (fewer[kept >= 0] == kept[kept >= 0]).all()
    assert (simulate.random_partial(Y, 0, seed) == Y).all()


def test_random_partial_hides_each_entry_alike_whatever_its_sign():
    Y = (np.random.default_rng(0).random((4000, 10)) < 0.1).astype(np.int8)
    hidden = simulate.random_partial(Y, 0.3, seed=5) == -1
    deviation = (0.3 * 0.7) ** 0.5
    for state in (0, 1):
        chosen = hidden[state == Y]
        assert abs(chosen.mean() - 0.3) < 4.5 * deviation / len(chosen) ** 0.5
    assert len(set(hidden.sum(axis=1))) > 5, "rows differ in number"


@given(full, st.integers(0, 5), st.integers(0, 5), seeds)
def test_fixed_per_class_keeps_its_numbers_of_each_label(Y, m, n, seed):
    if m == n == 0:
        m = 1
    kept = simulate.fixed_per_class(Y, m, n, seed)
    assert kept.dtype == np.int8
    assert ((kept == Y) | (kept == -1)).all()
    for k in range(Y.shape[1]):
        assert (kept[:, k] == 1).sum() == min(m, (Y[:, k] == 1).sum())
        assert (kept[:, k] == 0).sum() == min(n, (Y[:, k] == 0).sum())
    more = simulate.fixed_per_class(Y, m + 1, n + 2, seed)
    assert (more[kept >= 0] == kept[kept >= 0]).all()


def test_fixed_per_class_chooses_evenly_and_takes_one_number_for_both():
    Y = np.repeat([[1, 0], [0, 1]], 50, axis=0)
    drawn = sum(simulate.fixed_per_class(Y, 10, seed=seed) >= 0 for seed in range(400))
    assert abs(drawn - 80).max() < 5 * (400 * 0.2 * 0.8) ** 0.5


@given(full, st.integers(1, 3), seeds)
def test_biased_positives_keep_positives_alone(Y, count, seed):
    kept = simulate.biased_positives(Y, positives=count, seed=seed)
    assert set(np.unique(kept)) <= {-1, 1}
    assert (Y[kept == 1] == 1).all()
    np.testing.assert_array_equal((kept == 1).sum(1), np.minimum(count, Y.sum(1)))


def test_biased_positives_are_drawn_in_proportion_to_their_weights():
    weights = np.array([1.0, 2.0, 5.0, 0.0])
    kept = simulate.biased_positives(np.ones((20_000, 4)), weights, seed=1)
    shares = (kept == 1).mean(axis=0)
    np.testing.assert_allclose(shares, weights / 8, atol=4.5 * 0.5 / 20_000**0.5)
    # The second of a draw without replacement: sum over the first of w_i/W * w_j/(W - w_i).
    two = (simulate.biased_positives(np.ones((20_000, 4)), weights, positives=2, seed=2) == 1).mean(axis=0)
    W = weights.sum()
    expected = [
        weights[j] / W + sum(weights[i] / W * weights[j] / (W - weights[i]) for i in range(3) if i != j)
        for j in range(4)
    ]
    np.testing.assert_allclose(two, expected, atol=4.5 * 0.5 / 20_000**0.5)


def test_biased_positives_take_a_weight_for_each_entry_and_frequency_by_default():
    Y = np.ones((3, 3), dtype=np.int8)
    np.testing.assert_array_equal(simulate.biased_positives(Y, np.eye(3)), np.where(np.eye(3), 1, -1))
    frequent = np.repeat([[1, 1], [1, 0]], [1000, 3000], axis=0)
    first = simulate.biased_positives(frequent, seed=3)[:1000]
    assert abs((first[:, 0] == 1).mean() - 0.8) < 0.06
    hidden = simulate.biased_positives([[1, 1]], [0, 0])
    assert (hidden == -1).all(), "a weight of 0 says never"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda Y: simulate.random_partial(Y, 1.0 - 1e-12), "leaves none of 2 entries known"),
        (lambda Y: simulate.random_partial(Y, 1.2), "hidden must be above 0 and at most 1"),
        (lambda Y: simulate.random_partial(Y, "a"), "hidden must be above 0"),
        (lambda Y: simulate.fixed_per_class(Y, -1), "positives must be a whole number from 0, not -1"),
        (lambda Y: simulate.fixed_per_class(Y, 1, 1.5), "negatives must be a whole number"),
        (lambda Y: simulate.fixed_per_class(Y, 0), "leave no entry known"),
        (lambda Y: simulate.biased_positives(Y, [1.0]), "one number for each of 2 labels"),
        (lambda Y: simulate.biased_positives(Y, [1.0, -1.0]), "negative or not finite"),
        (lambda Y: simulate.biased_positives(Y, [1.0, float("nan")]), "negative or not finite"),
        (lambda Y: simulate.biased_positives(Y, "much"), "one number for each of 2 labels"),
        (lambda Y: simulate.biased_positives(Y, positives=0), "leaves no entry known"),
        (lambda Y: simulate.biased_positives(Y, positives=True), "positives must be a whole number"),
        (lambda Y: simulate.random_partial([[1, -1]], 0.5), "simulate from wholly known labels"),
        (lambda Y: simulate.fixed_per_class([[1, -1]], 1), "simulate from wholly known labels"),
        (lambda Y: simulate.biased_positives([[1, -1]]), "simulate from wholly known labels"),
    ],
)
def test_what_new_simulators_cannot_use_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call([[1, 0]])
