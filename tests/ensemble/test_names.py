"""Scores by name beside loops over the definition; their weight; labels that nobody has shown; the state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from labelwise.ensemble import KnownEntries, LabelVectors, NameScores
from labelwise.ensemble.names import _nonnegative
from labelwise.models import FeatureBlocks
from tests.refusals import refusal


def case(seed=0, n=60, d=7, n_labels=5, hidden=0.0, strength=1.0):
    """A pool whose labels follow the directions of their names, and left-out scores that know a part of it."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_labels, d))
    X = (rng.normal(size=(n, d)) * rng.uniform(0.5, 2, d) + rng.normal(size=d)).astype(np.float32)
    cosines = X @ vectors.T
    truth = (strength * cosines + rng.normal(size=(n, n_labels)) > 1).astype(np.int8)
    truth[: 2 * n_labels] = 0
    truth[np.arange(n_labels), np.arange(n_labels)] = 1
    labels = np.where(rng.random(truth.shape) < hidden, -1, truth).astype(np.int8)
    left_out = (truth * 0.3 + rng.normal(size=truth.shape) * 0.3).astype(np.float32)
    known = KnownEntries.of(labels)
    return X, known, left_out[known.rows], vectors.astype(np.float32)


def fitted(X, known, left_out, vectors, projection=None, block=None):
    names = LabelVectors(np.asarray(vectors, np.float32), projection, block)
    return NameScores.fit(X, known, left_out, names)


def slow_scores(pool, X, vectors):
    """Return z-scored cosines by loops, float64."""
    pool, X, vectors = (np.asarray(array, np.float64) for array in (pool, X, vectors))
    mean, deviation = pool.mean(0), pool.std(0)
    unit = [v / np.linalg.norm(v) for v in vectors]
    middle = sum(unit) / len(unit)
    directions = [(v - middle) / deviation for v in unit]

    def cosine(row, direction):
        c = (row - mean) / deviation
        return c @ direction / np.linalg.norm(c) / np.linalg.norm(direction)

    out = np.empty((len(X), len(vectors)))
    for k, direction in enumerate(directions):
        of_pool = [cosine(row, direction) for row in pool]
        out[:, k] = [(cosine(row, direction) - np.mean(of_pool)) / np.std(of_pool) for row in X]
    return out


def slow_weight(known, left_out, by_name, label):
    """Return a label's weight by SciPy's NNLS over weighted entries, one by one."""
    rows, targets = [], []
    for j in np.flatnonzero(known.both):
        counts = [i for i in range(len(known)) if known.mask is None or known.mask[i, j]]
        mean = np.mean([known.targets[i, j] for i in counts])
        deviation = np.sqrt(mean * (1 - mean))
        n_k, n_j = known.targets[:, label].sum(), known.targets[:, j].sum()
        root = np.sqrt(np.exp(-((np.log(1 + n_k) - np.log(1 + n_j)) ** 2) / 2))
        for i in counts:
            rows.append([root * (left_out[i, j] - mean) / deviation, root * by_name[i, j]])
            targets.append(root * (known.targets[i, j] - mean) / deviation)
    rows, targets = np.array(rows), np.array(targets)
    if known.both[label]:
        a, b = nnls(rows, targets)[0]
        mean = known.means[label]
    else:
        a, b = 1.0, nnls(rows[:, 1:], targets)[0][0]
        mean = 1 / (2 + 2 * known.counts[label])
    return b / max(a, 0.1) * np.sqrt(mean * (1 - mean))


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@pytest.mark.parametrize("strength", [1.0, 0.0, -1.0])
def test_scores_and_weights_are_those_of_the_definition(hidden, strength):
    X, known, left_out, vectors = case(hidden=hidden, strength=strength)
    names = fitted(X, known, left_out, vectors)
    new = np.random.default_rng(9).normal(size=(6, X.shape[1])).astype(np.float32)
    np.testing.assert_allclose(names.scores(new), slow_scores(X, new, vectors), atol=2e-5)
    by_name = slow_scores(X, X[known.rows], vectors)
    expected = [slow_weight(known, left_out, by_name, label) for label in range(len(vectors))]
    np.testing.assert_allclose(names.weight, expected, atol=1e-5)
    assert names.weight.any() == (strength > 0)
    assert not names.named.any()
    np.testing.assert_allclose(
        names.added(left_out, names.scores(X[known.rows]), share=0.5),
        left_out + 0.5 * np.array(expected) * by_name,
        atol=1e-4,
    )


def test_a_label_that_nobody_has_shown_is_scored_by_its_name_alone():
    X, known, left_out, vectors = case()
    targets = known.targets.copy()
    targets[:, 2] = 0
    known = replace(known, targets=targets, both=np.array([True, True, False, True, True]))
    names = fitted(X, known, left_out, vectors)
    assert names.named.tolist() == [False, False, True, False, False]
    by_name = names.scores(X)
    np.testing.assert_allclose(
        names.weight[2], slow_weight(known, left_out, by_name[known.rows], 2), rtol=1e-4
    )
    assert names.weight[2] > 0
    outputs = np.random.default_rng(1).normal(size=by_name.shape)
    alone = [names.added(outputs * factor, by_name, share) for factor in (0, 1) for share in (0, 1)]
    for other in alone:
        np.testing.assert_array_equal(other[:, 2], alone[0][:, 2])
    assert np.corrcoef(alone[0][:, 2], by_name[:, 2])[0, 1] > 0.999
    np.testing.assert_array_equal(alone[2][:, [0, 1, 3, 4]], outputs[:, [0, 1, 3, 4]].astype(np.float32))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-5, 5)] * 3), min_size=1, max_size=6))
def test_the_two_weights_equal_scipys(triples):
    x, z, t = np.array(triples, float).T
    found = _nonnegative(x @ x, x @ z, z @ z, x @ t, z @ t)
    wanted = nnls(np.stack([x, z], 1), t)[0]
    assert min(found) >= 0
    # Where x and z are parallel, other weights do as well.
    residual = [np.square(t - a * x - b * z).sum() for a, b in (found, wanted)]
    assert residual[0] == pytest.approx(residual[1], abs=1e-8)


def test_columns_of_mere_rounding_give_no_direction():
    """An encoder may have constant features, which its own rounding moves: to divide by that is to see nothing else."""
    X, known, left_out, vectors = case()
    noise = np.random.default_rng(2).normal(size=(len(X), 2)).astype(np.float32)
    wide = np.hstack([X, noise * [0, 1e-8] + 0.25]).astype(np.float32)
    names = fitted(wide, known, left_out, np.hstack([vectors, 0.25 + noise[: len(vectors)] * 1e-3]))
    assert not names.directions[:, -2:].any()
    plain = fitted(X, known, left_out, vectors)
    assert np.corrcoef(names.scores(wide).ravel(), plain.scores(X).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("n_labels", [1, 2])
def test_names_that_say_nothing_apart_weigh_nothing(n_labels):
    """One label's name is the mean of all names; so are names that are the same."""
    X, known, left_out, vectors = case(n_labels=n_labels)
    names = fitted(X, known, left_out, np.repeat(vectors[:1], n_labels, axis=0))
    by_name = names.scores(X)
    assert not by_name.any()
    np.testing.assert_array_equal(names.added(left_out, by_name[known.rows]), left_out)


def test_a_projection_takes_the_items_to_the_space_of_names():
    X, known, left_out, _ = case()
    rng = np.random.default_rng(3)
    projection, vectors = rng.normal(size=(4, X.shape[1])).astype(np.float32), rng.normal(size=(5, 4))
    names = fitted(X, known, left_out, vectors, projection)
    plain = fitted(X @ projection.T, known, left_out, vectors)
    np.testing.assert_allclose(names.scores(X), plain.scores(X @ projection.T), atol=1e-4)
    np.testing.assert_allclose(names.weight, plain.weight, atol=1e-5)


@pytest.mark.parametrize("projected", [False, True])
def test_of_blocks_the_encoders_alone_takes_part(projected):
    X, known, left_out, vectors = case()
    projection = np.eye(7, dtype=np.float32)[::-1].copy() if projected else None
    other = sp.csr_array(np.random.default_rng(4).normal(size=(len(X), 3)).astype(np.float32))
    blocks = FeatureBlocks(("words", "minilm"), (other, X))
    names = fitted(blocks, known, left_out, vectors, projection, "minilm")
    alone = fitted(X, known, left_out, vectors, projection)
    assert names.n_features == 10
    for form in (blocks, blocks[3:9], blocks.toarray(), sp.csr_array(blocks.toarray())):
        rows = slice(3, 9) if form.shape[0] == 6 else slice(None)
        np.testing.assert_allclose(names.scores(form), alone.scores(X[rows]), atol=1e-5)
    np.testing.assert_array_equal(names.weight, alone.weight)
    again = NameScores.from_state(names.state())
    np.testing.assert_array_equal(again.scores(blocks), names.scores(blocks))
    for columns in ([3, 10, 9], [-1, 6, 10], [4, 10, 10], [10, 3, 10], [3, 10]):
        with refusal("columns"):
            NameScores.from_state({**names.state(), "columns": np.array(columns, np.int64)})


@pytest.mark.parametrize("projected", [False, True])
def test_the_state_gives_the_same_scores(projected):
    X, known, left_out, vectors = case()
    projection = np.eye(7, dtype=np.float32)[:6] if projected else None
    names = fitted(X, known, left_out, vectors[:, : 6 if projected else 7], projection)
    arrays = {name: array.copy() for name, array in names.state().items()}
    again = NameScores.from_state(arrays)
    np.testing.assert_array_equal(again.scores(X), names.scores(X))
    np.testing.assert_array_equal(
        again.added(left_out, names.scores(X)[known.rows]),
        names.added(left_out, names.scores(X)[known.rows]),
    )
    for name, array in arrays.items():
        with refusal("stored scores by name"):
            NameScores.from_state({**arrays, name: array[:-1]})
        if array.dtype.kind == "f":
            with refusal("stored scores by name"):
                NameScores.from_state({**arrays, name: np.full_like(array, np.nan)})
        if name != "projection":
            with refusal(f"lack {name}"):
                NameScores.from_state({other: arrays[other] for other in arrays if other != name})
