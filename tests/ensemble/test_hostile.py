"""Hostile features and labels: every part stays finite, and no library's warning comes through."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.ensemble import Ensemble, KnownEntries, MemberSpec, Pool, RidgeMember, Trees
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks, solve_ridge

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 12)).astype(np.float32)
FEW = ((np.abs(X) > 1.5) * X).astype(np.float32)
FEATURES = {
    "one row": X[:1],
    "two rows": X[:2],
    "one column": X[:, :1],
    "constant": np.ones((20, 6), np.float32),
    "doubled rows": np.repeat(X[:10], 4, axis=0),
    "all rows the same": np.repeat(X[:1], 20, axis=0),
    "huge": X * np.float32(1e30),
    "tiny": X * np.float32(1e-18),
    "far from 0": X + np.float32(1e6),
    "rows of zeros": np.concatenate([X, np.zeros((20, 12), np.float32)]),
    "an outlier": np.concatenate([X, np.full((1, 12), 1e12, np.float32)]),
    "sparse": sp.csr_array(FEW),
    "sparse and empty": sp.csr_array((20, 8), dtype=np.float32),
    "sparse and wide": sp.random_array((20, 2600), density=0.002, format="csr", rng=1, dtype=np.float32),
    "blocks, one empty": FeatureBlocks(("a", "b"), (X, sp.csr_array((40, 5), dtype=np.float32))),
}
MEMBERS = ("c", "d", "l", "p1", "c8", "w1.rbf3", "p1.ntk")


def labels(kind, n):
    """Return labels (n, 3) of some kind, at least one of them known."""
    Y = (np.random.default_rng(1).random((n, 3)) < 0.4).astype(np.int8)
    if kind == "no positive":
        return np.zeros_like(Y)
    if kind == "one known row":
        Y[1:] = -1
    if kind == "one known entry":
        Y[1:], Y[0] = -1, (-1, 1, -1)
    if kind == "half of the entries":
        Y[np.random.default_rng(2).random(Y.shape) < 0.5] = -1
        Y[0, 0] = 1
    return Y


@pytest.mark.parametrize(
    "kind", ["all", "no positive", "one known row", "one known entry", "half of the entries"]
)
@pytest.mark.parametrize("name", FEATURES)
def test_parts_stay_finite_without_a_warning(name, kind):
    features = FEATURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool = Pool.fit(features)
        known = KnownEntries.of(labels(kind, len(pool)), pool.twins())
        new, none = pool.new(features[:2]), pool.new(features[:0])
        for spec in map(MemberSpec.parse, MEMBERS):
            found = pool.feature_map(spec, known.rows)
            member = RidgeMember.fit(found.of(pool, known.rows), known)
            refit = RidgeMember.fit(found.of(pool, known.rows), known, lambda_index=member.lambda_index)
            assert np.isfinite(member.scores(found.of(new))).all()
            assert member.scores(found.of(none)).shape == (0, 3)
            # targets are 0 and 1: far beyond them, a row's leverage was mistaken
            assert np.abs(member.loo).max() < 5
            np.testing.assert_allclose(refit.loo, member.loo, atol=5e-3)
        trees = Trees.fit(features[known.rows], known.targets, 4, mask=known.mask, twins=known.twins)
        assert np.isfinite(trees.out_of_bag).all()
        assert np.isfinite(trees.scores(features)).all()
        for fold in (np.arange(len(pool)) % 3 == 0, np.zeros(len(pool), bool)):
            rest, out = pool.without(fold)
            assert len(rest) + len(out) == len(pool)


@pytest.fixture(scope="module", params=["a matrix", "blocks"])
def stored(request):
    """Return the arrays of an ensemble whose gate is open, and rows that it scores."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(150, 12)).astype(np.float32)
    Y = (rows[:, :3] + rows[:, 3:6] ** 2 + 0.3 * rng.normal(size=(150, 3)) > 1.2).astype(np.int8)
    features = rows
    if request.param == "blocks":
        features = FeatureBlocks(("a", "b"), (rows[:, :6], sp.csr_array(rows[:, 6:])))
    ensemble = Ensemble.fit(features, Y, solve_ridge(features, Y))
    assert ensemble.scorer.smoothed is not None, "the gate is closed, so that nothing is tampered with"
    return ensemble.state(), features[np.arange(3)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tampered_ensembles_are_refused_or_give_scores(stored, data):
    arrays, rows = stored
    state = {name: array.copy() for name, array in arrays.items()}
    name = data.draw(st.sampled_from(sorted(state)))
    array = state[name]
    kind = data.draw(st.sampled_from(["entry", "bytes", "cut", "type", "shape", "lost", "exchanged"]))
    if kind == "entry" and array.size:
        values = {"u": [0, 7], "i": [0, -1, 7], "f": [0, -1, 7, np.nan, np.inf]}[array.dtype.kind]
        array.reshape(-1)[data.draw(st.integers(0, array.size - 1))] = data.draw(st.sampled_from(values))
    elif kind == "bytes" and array.size:
        array.reshape(-1).view(np.uint8)[data.draw(st.integers(0, array.nbytes - 1))] = data.draw(
            st.integers(0, 255)
        )
    elif kind == "cut" and len(array):
        state[name] = array[: data.draw(st.integers(0, len(array) - 1))]
    elif kind == "type":
        state[name] = array.astype(
            data.draw(st.sampled_from([np.float64, np.int8, np.uint64, complex, bool]))
        )
    elif kind == "shape":
        state[name] = data.draw(st.sampled_from([array[None], array.reshape(-1), array.T, array[..., :0]]))
    elif kind == "lost":
        del state[name]
    else:
        state[name] = state[data.draw(st.sampled_from(sorted(state)))]
    # what is finite but huge overflows, which harms nobody but its maker
    with np.errstate(all="ignore"):
        try:
            ensemble = Ensemble.from_state(state)
        except UserError:
            return
        assert ensemble.scores(rows).shape == (3, ensemble.n_labels)


@pytest.mark.parametrize(
    ("name", "told", "lie"),
    [
        ("config", '"n_features": 12', '"n_features": 1099511627776'),
        ("config", '"n_features": 12', '"n_features": Infinity'),
        ("config", '"n_features": 12', '"n_features": 1e999'),
        ("members.config", '"k": 20', '"k": 0'),
        ("members.config", '"k": 20', '"k": NaN'),
        ("members.config", '"ntk"', '"no kernel"'),
        ("members.views.config", r'"shares": \[', '"shares": [1e300, '),
        ("members.views.config", r'"shares": \[[^]]*\]', '"shares": []'),
        ("members.views.config", '"c":', '"x":'),
    ],
)
def test_lies_about_sizes_are_refused(stored, name, told, lie):
    state = dict(stored[0])
    text = state[name].tobytes().decode()
    lied = re.sub(told, lie, text, count=1)
    assert lied != text
    state[name] = np.frombuffer(lied.encode(), np.uint8)
    with pytest.raises(UserError):
        Ensemble.from_state(state)
