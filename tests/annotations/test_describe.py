import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import labelwise as lw
from labelwise.annotations import describe, simulate

FULL = [[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
ROW = [-1, -1, -1]


@pytest.mark.parametrize(
    ("Y", "setting"),
    [
        ([ROW, ROW], "unlabelled"),
        (FULL, "full"),
        ([[1, 1], [1, 1]], "full"),
        ([[1, -1, -1], [-1, -1, 1]], "single_positive"),
        ([[1, -1, -1], ROW], "single_positive"),
        ([[1], [-1]], "single_positive"),
        ([[1, -1, 1], [-1, -1, 1]], "partial_positive"),
        ([[1, 1, 1], ROW], "partial_positive"),
        ([[1, 0, 1], ROW], "semi_supervised"),
        ([[1], [0], [-1]], "semi_supervised"),
        ([[1, 0, 1], [1, -1, -1]], "partial"),
        ([[1, 0, 1], [1, 0, -1], ROW], "partial"),
        ([[0, -1, -1], ROW], "partial"),
    ],
)
def test_settings(Y, setting):
    assert describe(Y).setting == setting


matrices = arrays(
    np.int8, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.sampled_from([1, 0, -1])
)


@given(matrices)
def test_counts_are_what_a_loop_counts(Y):
    summary = lw.describe(Y)
    n, K = Y.shape
    kinds = {"full": 0, "part": 0, "none": 0}
    for row in Y.tolist():
        known = [state for state in row if state != -1]
        kinds["full" if len(known) == K else "part" if known else "none"] += 1
    assert [summary.rows_fully_known, summary.rows_partly_known, summary.rows_unknown] == list(kinds.values())
    for k in range(K):
        column = Y[:, k].tolist()
        assert summary.positives[k] == column.count(1)
        assert summary.negatives[k] == column.count(0)
        assert summary.unknown[k] == column.count(-1)
        name = summary.label_names[k]
        assert (name in summary.labels_without_positive) == (1 not in column)
        assert (name in summary.labels_without_negative) == (0 not in column)
        assert (name in summary.rare_labels) == (1 <= column.count(1) < 10)
    assert (summary.n_items, summary.n_labels) == (n, K)
    assert summary.rows_without_positive == sum(1 not in row for row in Y.tolist())
    assert summary.share_unknown == pytest.approx(Y.ravel().tolist().count(-1) / (n * K))
    assert summary.positives_per_row == pytest.approx(Y.ravel().tolist().count(1) / n)
    assert summary.negatives_known == (0 in Y)
    priors = summary.priors()
    assert summary.prior_identified == (priors is not None and bool(np.isfinite(priors).all()))
    assert json.loads(json.dumps(summary.to_dict()))["setting"] == summary.setting
    assert summary.setting in str(summary)


def test_priors_of_each_setting():
    np.testing.assert_allclose(describe(FULL).priors(), [1 / 4, 1 / 4, 1 / 2])
    semi = describe([*FULL[:2], ROW])
    np.testing.assert_allclose(semi.priors(), [1 / 2, 0, 1])
    assert semi.prior_identified
    assert semi.cardinality == 1.5
    partial = describe([[1, 0, 1], [0, -1, -1], [0, -1, 1], [-1, 0, -1]])
    np.testing.assert_allclose(partial.priors(), [1 / 3, 0, np.nan])
    assert not partial.prior_identified
    assert partial.to_dict()["priors"] == [pytest.approx(1 / 3), 0.0, None]
    for unidentified in ([[1, -1], [-1, 1]], [[1, 1], [1, -1]], [[-1, -1]]):
        summary = describe(unidentified)
        assert summary.priors() is None
        assert not summary.prior_identified
        assert summary.cardinality is None
        assert summary.to_dict()["priors"] is None


def test_rows_that_only_note_positives_do_not_raise_the_priors():
    noted = [[1, -1], [1, -1], [-1, 1]]
    labelled = [[0, 1], [1, 0]]
    np.testing.assert_allclose(describe([*labelled, *noted]).priors(), [0.5, 0.5])


def test_what_is_not_identified_is_said():
    single = describe([[1, -1, -1], [-1, 1, -1]], label_names=["cat", "dog", "cow"])
    text = " ".join(single.not_identified)
    assert "share of positives" in text
    assert "number of labels of an item" in text
    assert "without a known positive look like: cow" in text
    assert "number of labels" not in " ".join(describe([[1, 1, -1]]).not_identified)
    assert describe([[-1]]).not_identified == ("Nothing is identified: no entry is known.",)
    assert describe([[1, 0], [0, 1]]).not_identified == ()
    assert "random sample" in describe([[1, 0], [0, 1], [-1, -1]]).not_identified[0]
    assert "whatever their sign" in describe([[1, 0], [0, -1], [1, 1]]).not_identified[0]
    assert "without a known negative: label_1" in " ".join(describe([[1, 1], [0, -1]]).not_identified)
    assert "apart: label_1" in describe([[1, 1], [0, 1]]).not_identified[0]


def test_the_text_names_labels_and_counts():
    text = str(describe([["cat", "dog"], ["cat"], None]))
    assert text.splitlines()[0] == "3 items, 2 labels, setting: partial_positive"
    assert "3 (50.0%) known positive, 0 (0.0%) known negative, 3 (50.0%) unknown" in text
    assert "most known positives: cat (2), dog (1)" in text
    assert "fewer than 10 known positives: 2 (cat, dog)" in text


def test_a_summary_keeps_its_own_priors():
    summary = describe(FULL)
    summary.priors()[:] = 9
    assert summary.priors().max() <= 1


def test_simulated_settings_are_recognised():
    Y = np.random.default_rng(0).integers(0, 2, (60, 7))
    assert describe(simulate.single_positive(Y)).setting == "single_positive"
    assert describe(simulate.partial_positives(Y, 0.5)).setting == "partial_positive"
    assert describe(simulate.partial(Y, 0.5)).setting == "partial"
    assert describe(simulate.semi_supervised(Y, 0.1)).setting == "semi_supervised"
