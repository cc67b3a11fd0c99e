"""Input scaling: its kinds, its safety, and its way to a file and back."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labelwise.errors import UserError
from labelwise.models import (
    SCALINGS,
    BlockScaling,
    FeatureBlocks,
    InputScaling,
    fit_scaling,
    scaling_from_state,
)

MATRICES = npst.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.floats(-100, 100, width=32)
)


def slow(X, kind):
    X = X.astype(np.float64)
    if kind in ("standardise", "centre_l2", "standardise_l2"):
        X = X - X.mean(axis=0)
    if kind in ("standardise", "standardise_l2"):
        deviation = X.std(axis=0)
        X = X / np.where(deviation > 0, deviation, 1)
    if kind.endswith("l2"):
        norm = np.linalg.norm(X, axis=1, keepdims=True)
        X = X / np.where(norm > 0, norm, 1)
    return X


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array, sp.csr_matrix])
def test_transform_equals_the_formula(kind, make):
    X = np.random.default_rng(0).normal(size=(30, 5)) * (np.random.default_rng(1).random((30, 5)) < 0.6) + 0.0
    Z = InputScaling.fit(make(X), kind).transform(make(X))
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z, slow(X, kind), atol=1e-6)


@pytest.mark.parametrize("kind", SCALINGS)
@settings(max_examples=40, deadline=None)
@given(X=MATRICES)
def test_rows_are_finite_and_of_norm_one_or_zero(kind, X):
    Z = InputScaling.fit(X, kind).transform(X)
    assert np.isfinite(Z).all()
    if kind.endswith("l2"):
        norm = np.linalg.norm(Z, axis=1)
        assert (np.isclose(norm, 1, atol=1e-5) | (norm == 0)).all()


@pytest.mark.parametrize("kind", ["standardise", "centre_l2", "standardise_l2"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_a_constant_column_becomes_zero(kind, make):
    X = np.random.default_rng(0).normal(size=(7, 3))
    X[:, 1] = 0.1
    assert not InputScaling.fit(make(X), kind).transform(make(X))[:, 1].any()


@pytest.mark.parametrize("kind", SCALINGS)
def test_a_batch_is_scaled_as_the_whole(kind):
    X = np.random.default_rng(0).normal(size=(20, 4))
    scaling = InputScaling.fit(X, kind)
    np.testing.assert_array_equal(scaling.transform(X)[5:9], scaling.transform(X[5:9]))


@pytest.mark.parametrize("kind", SCALINGS)
def test_state_and_config_restore_the_scaling(kind):
    X = np.random.default_rng(0).normal(size=(20, 4))
    scaling = InputScaling.fit(X, kind)
    config = json.loads(json.dumps(scaling.config()))
    again = InputScaling.from_state(config, scaling.state())
    np.testing.assert_array_equal(again.transform(X), scaling.transform(X))


def test_inputs_are_left_alone():
    X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    before = X.copy()
    InputScaling.fit(X, "standardise_l2").transform(X)
    np.testing.assert_array_equal(X, before)


def test_mistakes_are_told_in_one_line():
    X = np.ones((5, 4))
    with pytest.raises(UserError, match="did you mean 'standardise'"):
        InputScaling.fit(X, "standardize")
    with pytest.raises(UserError, match="4 features"):
        InputScaling.fit(X, "l2").transform(np.ones((5, 3)))
    with pytest.raises(UserError, match="do not match"):
        InputScaling.from_state({"kind": "standardise", "n_features": 3}, {"mean": np.zeros(4)})


def two_blocks():
    rng = np.random.default_rng(0)
    words = sp.csr_array(rng.normal(size=(20, 3)) * (rng.random((20, 3)) < 0.6))
    return FeatureBlocks(("a", "b"), (rng.normal(size=(20, 4)) + 1, words))


@pytest.mark.parametrize("kind", SCALINGS)
def test_blocks_are_scaled_each_by_its_kind_and_weight(kind):
    X = two_blocks()
    scaling = BlockScaling.fit(X, [kind, "l2"], [3.0, 4.0])
    Z = scaling.transform(X)
    first = slow(X.parts[0], kind)
    first /= np.sqrt(np.square(first).sum(axis=1).mean())
    np.testing.assert_allclose(Z[:, :4], 0.6 * first, atol=1e-6)
    np.testing.assert_allclose(Z[:, 4:], 0.8 * slow(X.parts[1].toarray(), "l2"), atol=1e-6)
    np.testing.assert_array_equal(scaling.transform(X.toarray()), Z)
    np.testing.assert_array_equal(scaling.transform(sp.csr_array(X.toarray())), Z)
    A, U, M = scaling.sparse_parts(X)
    np.testing.assert_allclose(A.toarray() - U @ M.T, Z, atol=1e-6)


def test_the_state_of_blocks_restores_them_and_an_old_config_is_of_one_matrix():
    X = two_blocks()
    scaling = BlockScaling.fit(X, ["standardise_l2", "none"], [1.0, 0.3])
    again = scaling_from_state(json.loads(json.dumps(scaling.config())), scaling.state())
    assert again.kind == scaling.kind
    np.testing.assert_array_equal(again.transform(X), scaling.transform(X))
    old = InputScaling.fit(X.parts[0])
    assert isinstance(scaling_from_state(old.config(), old.state()), InputScaling)
    assert isinstance(fit_scaling(X), BlockScaling)
    np.testing.assert_allclose(
        BlockScaling.fit(X, scaling.kind).transform(X), scaling.transform(X), atol=1e-7
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_features": 9}, "9 features"),
        ({"weight": float("nan")}, "weights"),
        ({"weight": -1.0}, "weights"),
    ],
)
def test_damaged_blocks_are_told_in_one_line(change, words):
    scaling = BlockScaling.fit(two_blocks(), "l2")
    config = scaling.config()
    config.update({key: value for key, value in change.items() if key in config})
    config["blocks"][0].update({key: value for key, value in change.items() if key not in config})
    with pytest.raises(UserError, match=words):
        scaling_from_state(config, scaling.state())


def test_mistakes_with_blocks_are_told_in_one_line():
    X = two_blocks()
    with pytest.raises(UserError, match="one for each"):
        BlockScaling.fit(X, ["l2", "l2", "l2"])
    with pytest.raises(UserError, match="one for each"):
        BlockScaling.fit(X, "l2*1.0")
    with pytest.raises(UserError, match="joined by"):
        BlockScaling.fit(X, "l2*1.0+l2")
    with pytest.raises(UserError, match="0 or more"):
        BlockScaling.fit(X, "l2", [0.0, 0.0])
    with pytest.raises(UserError, match="same order"):
        BlockScaling.fit(X, "l2").transform(FeatureBlocks(("b", "a"), X.parts[::-1]))
    with pytest.raises(UserError, match="7 features"):
        BlockScaling.fit(X, "l2").transform(X.parts[0])
