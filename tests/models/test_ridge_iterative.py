"""Ridge by a low-rank factor and conjugate gradients, against its dense formulas."""

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.errors import Notice
from labelwise.models import InputScaling
from labelwise.models.ridge import iterative
from labelwise.models.ridge.direct import ByCholesky
from labelwise.models.ridge.iterative import ByIteration, LowRank
from labelwise.models.ridge.rows import BlockRows, Rows


def texts(n=300, d=400, seed=0):
    """Sparse rows of words that come by topic, and four labels of the topics; implicit, scaled."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(d, 0.05), 12)
    mixture = rng.dirichlet(np.full(12, 0.3), n)
    X = sp.csr_array(rng.poisson(15 * mixture @ topics).astype(np.float32))
    Y = mixture[:, :4] > 0.15
    return Rows(*InputScaling.fit(X, "centre_l2").sparse_parts(X)), Y.astype(float), rng.uniform(0.5, 2, n)


def centred(rows, s):
    Z = rows.dense(slice(None))
    return Z - s @ Z / s.sum()


@pytest.mark.parametrize("kind", ["dense", "sparse", "blocks"])
def test_diagonals_and_quadratic_forms_equal_the_dense_ones(kind):
    rows, _, s = texts(30, 20)
    if kind == "dense":
        rows = Rows(rows.dense(slice(None)))
    if kind == "blocks":
        rows = BlockRows([rows, Rows(np.random.default_rng(1).normal(size=(30, 4)))])
    rng = np.random.default_rng(2)
    centre, scale = rng.normal(size=rows.d), rng.random(rows.d)
    Z = rows.dense(slice(None)) - centre
    np.testing.assert_allclose(rows.quadratic(scale, centre), Z**2 @ scale, atol=1e-12)
    np.testing.assert_allclose(rows.diagonal(centre, s), s @ Z**2, atol=1e-12)


def test_the_factor_has_the_leading_eigenvectors_and_the_diagonal():
    rows, _, s = texts()
    Z = centred(rows, s)
    C = Z.T @ (s[:, None] * Z)
    factor = LowRank.of(rows, s, 20)
    leading = np.linalg.eigvalsh(C)[::-1][:8]
    np.testing.assert_allclose(np.sort(factor.eigenvalues)[::-1][:8], leading, rtol=0.05)
    M = factor.basis * factor.eigenvalues @ factor.basis.T + np.diag(factor.diagonal)
    np.testing.assert_allclose(np.diag(M), np.diag(C), atol=1e-9)
    inverse = factor.inverse(0.3)
    R = np.random.default_rng(0).normal(size=(rows.d, 3))
    np.testing.assert_allclose(inverse.dot(R), np.linalg.solve(M + 0.3 * np.eye(rows.d), R), atol=1e-9)
    expected = np.einsum("ij,ij->i", Z, np.linalg.solve(M + 0.3 * np.eye(rows.d), Z.T).T)
    np.testing.assert_allclose(
        inverse.quadratic(rows, s @ rows.dense(slice(None)) / s.sum()), expected, atol=1e-9
    )


@pytest.mark.parametrize("lambda_", [0.3, 3.0])
def test_the_solution_is_exact_and_left_out_scores_are_near(monkeypatch, lambda_):
    monkeypatch.setattr(iterative, "RANK", 30)
    rows, Y, s = texts()
    exact = ByCholesky.of(rows, s, Y).at(lambda_)
    one = ByIteration.of(rows, s, Y)
    near = one.at(lambda_)
    assert one.residual <= iterative.TOLERANCE
    np.testing.assert_allclose(near.weight, exact.weight, atol=1e-4)
    np.testing.assert_allclose(near.bias, exact.bias, atol=1e-5)
    fitted = rows.dot(exact.weight.T) + exact.bias
    # what leaving the row out changes, told to a tenth
    change = exact.scores - fitted
    assert np.sqrt(np.mean((near.scores - exact.scores) ** 2)) < 0.1 * np.sqrt(np.mean(change**2))


def test_a_second_lambda_starts_from_the_first():
    rows, Y, s = texts()
    one = ByIteration.of(rows, s, Y)
    one.at(0.3)
    again = one.at(1.0)
    np.testing.assert_allclose(again.weight, ByCholesky.of(rows, s, Y).at(1.0).weight, atol=1e-4)


def test_too_few_steps_are_told(monkeypatch):
    monkeypatch.setattr(iterative, "RANK", 2)
    monkeypatch.setattr(iterative, "_STEPS", 2)
    rows, Y, s = texts()
    one = ByIteration.of(rows, s, Y)
    with pytest.warns(Notice, match="relative residual"):
        one.at(0.01)
    assert one.residual > iterative.TOLERANCE
