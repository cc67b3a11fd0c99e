"""Input scaling: its kinds, its safety, and its way to a file and back."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labelwise.errors import UserError
from labelwise.models import SCALINGS, InputScaling

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
