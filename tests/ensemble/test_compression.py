"""Principal directions against numpy's SVD, of every form of features, and damaged files."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import Compression
from labelwise.ensemble.rows import ScaledRows
from labelwise.errors import UserError
from labelwise.models import BlockScaling, FeatureBlocks, InputScaling


def matrix(n=80, d=30, seed=0, density=0.4):
    """Return rows in which some directions carry more than others."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) @ rng.normal(size=(6, d)) + rng.normal(size=(n, d))
    return (X * (rng.random((n, d)) < density)).astype(np.float32)


def slow(X, scaling, rank, centred):
    """Return Z less its mean, and numpy's leading directions and variances."""
    Z = scaling.transform(X).astype(np.float64)
    Z -= Z.mean(axis=0) * centred
    _, s, Vt = np.linalg.svd(Z, full_matrices=False)
    return Z, Vt[:rank].T, s[:rank] ** 2 / len(Z)


@pytest.fixture(params=["covariance", "iteration"])
def way(request, monkeypatch):
    if request.param == "iteration":
        monkeypatch.setattr("labelwise.ensemble.compression._EXACT", 0)
    return request.param


@pytest.mark.parametrize("kind", ["standardise_l2", "l2", "none"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("centred", [True, False])
def test_directions_are_those_of_numpy(kind, make, centred, way):
    X = matrix()
    scaling = InputScaling.fit(X, kind)
    found = Compression.fit(make(X), scaling, 5, centred=centred)
    Z, V, variances = slow(X, scaling, 5, centred)
    np.testing.assert_allclose(found.variances, variances, rtol=1e-3)
    turned = found.transform(make(X))
    assert turned.dtype == np.float32
    # a direction's sign is free: products of turned rows are not
    np.testing.assert_allclose(turned @ turned.T, Z @ V @ V.T @ Z.T, atol=2e-3 * np.abs(Z @ Z.T).max())
    np.testing.assert_allclose(np.einsum("ij,ij->j", turned, turned) / len(X), variances, rtol=1e-2)


def test_new_rows_are_turned_like_those_of_the_pool(way):
    X, new = matrix(), matrix(seed=3)
    scaling = InputScaling.fit(X, "standardise_l2")
    found = Compression.fit(X, scaling, 4)
    mean = scaling.transform(X).mean(axis=0, dtype=np.float64)
    expected = (scaling.transform(new) - mean) @ found.directions.astype(np.float64)
    np.testing.assert_allclose(found.transform(sp.csr_array(new)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(400, 300), (300, 400)])
def test_iteration_captures_nearly_all_that_the_best_directions_do(shape, monkeypatch):
    X = matrix(*shape, density=0.05)
    scaling = InputScaling.fit(X, "standardise_l2")
    best = Compression.fit(X, scaling, 40).variances.sum()
    monkeypatch.setattr("labelwise.ensemble.compression._EXACT", 0)
    found = [Compression.fit(sp.csr_array(X), scaling, 40, seed=seed) for seed in (0, 0, 1)]
    assert found[0].variances.sum() > 0.93 * best
    np.testing.assert_array_equal(found[0].directions, found[1].directions)
    assert (found[0].directions != found[2].directions).any()


@pytest.mark.parametrize("block", [1, 70, 10**9])
def test_blocks_of_rows_and_of_sources_change_nothing(block, monkeypatch):
    monkeypatch.setattr("labelwise.ensemble.rows._BLOCK", block)
    X, V = matrix(n=17), np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    scalings = [InputScaling.fit(X[:, :10], "standardise_l2"), InputScaling.fit(X[:, 10:], "l2")]
    shares = (0.6, 0.8)
    Z = np.hstack(
        [
            w * s.transform(X[:, c])
            for w, s, c in zip(shares, scalings, (slice(10), slice(10, 30)), strict=True)
        ]
    ).astype(np.float64)
    mean = Z.mean(axis=0)
    for first, second in (
        (np.asarray, sp.csr_array),
        (sp.csr_array, sp.csr_array),
        (sp.csr_array, np.asarray),
    ):
        parts = [(first(X[:, :10]), scalings[0], 0.6), (second(X[:, 10:]), scalings[1], 0.8)]
        rows = ScaledRows.side_by_side(parts)
        np.testing.assert_allclose(rows.times(V), Z @ V, atol=1e-5)
        np.testing.assert_allclose(rows.dense(), Z, atol=1e-6)
        np.testing.assert_allclose(rows.mean(), mean, atol=1e-6)
        np.testing.assert_allclose(rows.moments(), Z.T @ Z, atol=1e-5)
        centred = rows.centred(mean)
        np.testing.assert_allclose(centred.times(V), (Z - mean) @ V, atol=1e-5)
        W = V[:17]
        np.testing.assert_allclose(centred.transposed_times(W), (Z - mean).T @ W, atol=1e-5)
        np.testing.assert_allclose(centred.gram_times(W), (Z - mean) @ (Z - mean).T @ W, atol=1e-4)
        np.testing.assert_allclose(centred.moments_times(V), (Z - mean).T @ (Z - mean) @ V, atol=1e-4)
        np.testing.assert_allclose(centred.moments(), (Z - mean).T @ (Z - mean), atol=1e-5)


def test_a_far_mean_does_not_drown_the_variance(way):
    rng = np.random.default_rng(0)
    X = (1000 + rng.normal(size=(60, 8)) * [3, 2, 1, 1, 1, 1, 1, 1]).astype(np.float32)
    scaling = InputScaling.fit(X, "none")
    found = Compression.fit(X, scaling, 2)
    np.testing.assert_allclose(found.variances, slow(X, scaling, 2, True)[2], rtol=1e-3)


@pytest.mark.parametrize(
    "X",
    [
        np.ones((10, 4), np.float32),
        np.zeros((10, 4), np.float32),
        matrix(n=1, d=4),
        np.repeat(matrix(n=2, d=7), 5, axis=0),
        matrix(n=3, d=40),
        matrix(n=20, d=1),
    ],
    ids=["constant", "zeros", "one row", "doubled rows", "fewer rows than columns", "one column"],
)
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("centred", [True, False])
def test_what_has_few_directions_is_turned_to_few_without_a_warning(X, make, centred, way):
    scaling = InputScaling.fit(X, "standardise_l2" if centred else "l2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Compression.fit(make(X), scaling, 6, centred=centred)
        turned = found.transform(make(X))
    Z, *_ = slow(X, scaling, 6, centred)
    assert 1 <= found.rank <= max(1, min(X.shape))
    assert np.isfinite(turned).all()
    np.testing.assert_allclose(turned @ turned.T, Z @ Z.T, atol=2e-3)
    assert found.transform(make(X[:0])).shape == (0, found.rank)


def test_stored_directions_come_back():
    X = matrix()
    scaling = InputScaling.fit(X, "l2")
    found = Compression.fit(X, scaling, 5, centred=False)
    assert found.directions.dtype == np.float16
    state = {name: array.copy() for name, array in found.state().items()}
    assert found.nbytes == sum(array.nbytes for array in state.values())
    np.testing.assert_array_equal(Compression.from_state(state, scaling).transform(X), found.transform(X))
    del state["offset"]
    with pytest.raises(UserError, match="lack offset"):
        Compression.from_state(state, scaling)


SCALING = InputScaling.fit(matrix(), "l2")
FOUND = Compression.fit(matrix(), SCALING, 3)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_tampered_directions_are_refused_or_turn_rows_to_finite_ones(data):
    state = {name: array.copy() for name, array in FOUND.state().items()}
    name = data.draw(st.sampled_from(sorted(state)))
    array = state[name]
    kind = data.draw(st.sampled_from(["entry", "bytes", "cut", "type", "shape"]))
    if kind == "entry":
        array.flat[data.draw(st.integers(0, array.size - 1))] = data.draw(st.floats(width=16))
    elif kind == "bytes":
        array.reshape(-1).view(np.uint8)[data.draw(st.integers(0, array.nbytes - 1))] = data.draw(
            st.integers(0, 255)
        )
    elif kind == "cut":
        state[name] = array[: data.draw(st.integers(0, len(array) - 1))]
    elif kind == "type":
        state[name] = array.astype(data.draw(st.sampled_from([np.float64, np.int8, complex, bool])))
    else:
        state[name] = data.draw(st.sampled_from([array[None], array[..., :0], array[..., 0], array.T]))
    try:
        found = Compression.from_state(state, SCALING)
    except UserError:
        return
    turned = found.transform(matrix(n=5))
    assert turned.shape == (5, 3)
    assert np.isfinite(turned).all()


def test_blocks_are_turned_by_the_scaling_of_blocks():
    X = matrix()
    blocks = FeatureBlocks(("a", "b"), (X[:, :10], sp.csr_array(X[:, 10:])))
    scaling = BlockScaling.fit(blocks, "standardise_l2", [3.0, 4.0])
    Z, V, variances = slow(blocks, scaling, 5, True)
    found = Compression.fit(blocks, scaling, 5)
    np.testing.assert_allclose(found.variances, variances, rtol=1e-3)
    turned = found.transform(blocks)
    np.testing.assert_allclose(turned @ turned.T, Z @ V @ V.T @ Z.T, atol=2e-3)
    for same in (blocks.toarray(), sp.csr_array(blocks.toarray())):
        np.testing.assert_allclose(found.transform(same), turned, atol=1e-5)
