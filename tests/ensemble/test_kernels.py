"""Kernels beside loops, and their features beside the kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import Kernel, KernelFeatures
from labelwise.errors import UserError


def rows(n, r, key=0):
    return np.random.default_rng(key).normal(size=(n, r)).astype(np.float32)


def slow_tangent(a, b):
    """The tangent kernel by its recursion over layers, for one pair of vectors."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    covariance = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    kernel = covariance
    for _ in range(2):
        angle = np.arccos(np.clip(covariance, -1, 1))
        slope = (np.pi - angle) / np.pi
        covariance = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
        kernel = covariance + kernel * slope
    return kernel / 2


def test_the_tangent_kernel_equals_its_recursion():
    A, B = rows(5, 4), rows(3, 4, 1)
    want = [[slow_tangent(a, b) for b in B] for a in A]
    np.testing.assert_allclose(Kernel.fit("ntk", A)(A, B), want, atol=1e-5)


def test_the_gaussian_kernel_equals_its_formula():
    A, B = rows(40, 4), rows(3, 4, 1)
    wide = A.astype(np.float64)
    median = np.median([((wide[i] - wide[j]) ** 2).sum() for i in range(40) for j in range(i)])
    want = [[np.exp(-3 / median * ((a - b) ** 2).sum()) for b in B.astype(np.float64)] for a in wide]
    np.testing.assert_allclose(Kernel.fit("rbf3", A)(A, B), want, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 40),
    r=st.integers(1, 6),
    name=st.sampled_from(["rbf1", "rbf3", "ntk"]),
    doubled=st.booleans(),
)
def test_products_of_features_are_the_kernel_among_landmarks_and_new_rows(n, r, name, doubled):
    A, new = rows(n, r), rows(4, r, 1)
    A = np.vstack([A, A]) if doubled else A
    kernel = Kernel.fit(name, A)
    features = KernelFeatures.fit(kernel, A)
    np.testing.assert_allclose(features.of(A) @ features.of(A).T, kernel(A, A), atol=2e-3)
    np.testing.assert_allclose(features.of(new) @ features.of(A).T, kernel(new, A), atol=2e-3)


def test_equal_rows_have_a_kernel_of_finite_width():
    A = np.ones((6, 3), np.float32)
    features = KernelFeatures.fit(Kernel.fit("rbf3", A), A)
    np.testing.assert_allclose(features.of(A) @ features.of(A).T, np.ones((6, 6)), atol=1e-5)


def test_rows_of_zeros_have_a_tangent_kernel():
    A = np.zeros((3, 2), np.float32)
    assert np.isfinite(KernelFeatures.fit(Kernel.fit("ntk", A), A).of(A)).all()


@pytest.mark.parametrize("name", ["rbf", "rbf-1", "rbfx", "rbfinf", "linear", ""])
def test_a_kernel_that_does_not_exist_is_refused(name):
    with pytest.raises(UserError, match="does not exist"):
        Kernel.fit(name, rows(3, 2))
