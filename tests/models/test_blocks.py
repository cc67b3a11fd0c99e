"""Blocks of features agree with the dense matrix of all of them side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from labelwise.classifier.items import take
from labelwise.classifier.training import fingerprint
from labelwise.data import ArraySource, as_source
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks, is_blocks, side_by_side


@st.composite
def blocks(draw: Any) -> tuple[FeatureBlocks, np.ndarray]:
    """Return blocks and the same numbers as one array."""
    n = draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts, dense = [], []
    for number in range(draw(st.integers(2, 4))):
        array = random.normal(size=(n, draw(st.integers(1, 5)))).astype(np.float32)
        array[random.random(array.shape) < 0.4] = 0
        dense.append(array)
        kinds = (np.asarray, sparse.csr_array, sparse.csr_matrix, sparse.coo_array, np.float64)
        parts.append((f"source {number}", draw(st.sampled_from(kinds))(array)))
    return FeatureBlocks(tuple(name for name, _ in parts), tuple(part for _, part in parts)), np.hstack(dense)


@given(blocks(), st.data())
def test_rows_are_those_of_the_dense_matrix(case: tuple[FeatureBlocks, np.ndarray], data: Any) -> None:
    X, dense = case
    n = len(dense)
    numbers = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=10)), dtype=np.int64)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    ends = data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))
    for index in (numbers, mask, slice(*ends), slice(None)):
        rows = X[index]
        assert is_blocks(rows)
        assert rows.shape == dense[index].shape
        assert rows.names == X.names
        np.testing.assert_array_equal(rows.toarray(), dense[index])
        assert [sparse.issparse(part) for part in rows.parts] == [sparse.issparse(part) for part in X.parts]
    np.testing.assert_array_equal(take(X, numbers).toarray(), dense[numbers])


@given(blocks())
def test_slices_are_the_columns_of_each_source(case: tuple[FeatureBlocks, np.ndarray]) -> None:
    X, dense = case
    assert (X.shape, X.ndim, X.dtype) == (dense.shape, 2, np.float32)
    assert list(X.slices) == list(X.names)
    for part, columns in zip(X.parts, X.slices.values(), strict=True):
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part.toarray() if sparse.issparse(part) else part, dense[:, columns])


class Halve:
    def transform(self, X: np.ndarray) -> np.ndarray:
        return X * np.float32(0.5)


@pytest.mark.parametrize("budget", [1 << 30, 0])
@pytest.mark.parametrize("scaling", [None, Halve()])
@settings(max_examples=20)
@given(case=blocks())
def test_a_batch_is_the_dense_rows_of_all(
    budget: int, scaling: Any, case: tuple[FeatureBlocks, np.ndarray]
) -> None:
    X, dense = case
    source, plain = ArraySource(X, scaling, budget=budget), ArraySource(dense, scaling, budget=budget)
    assert (len(source), source.shape) == (len(plain), plain.shape)
    index = np.arange(len(dense))[::-1]
    for view in ("plain", "strong"):
        batch = source.batch(index, view, seed=1, epoch=2)
        assert batch.dtype == torch.float32
        assert torch.equal(batch, plain.batch(index, view, seed=1, epoch=2))


def test_a_part_that_is_not_finite_is_refused_by_its_row() -> None:
    words = sparse.csr_array(np.eye(3, dtype=np.float32))
    words.data[2] = np.inf
    with pytest.raises(UserError, match="row 2"):
        as_source(FeatureBlocks(("minilm", "words"), (np.ones((3, 2)), words)))


def test_every_number_and_name_counts_in_a_fingerprint() -> None:
    dense, words = np.ones((3, 2), np.float32), sparse.csr_array(np.eye(3, dtype=np.float32))
    X = FeatureBlocks(("minilm", "words"), (dense, words))
    others = [
        FeatureBlocks(("minilm", "word"), (dense, words)),
        FeatureBlocks(("minilm", "words"), (dense, words * 2)),
        FeatureBlocks(("minilm", "words"), (dense + 1, words)),
        X[np.array([0, 1])],
    ]
    assert fingerprint(X) == fingerprint(X[:])
    assert len({fingerprint(X), *map(fingerprint, others)}) == 5


def test_one_matrix_stays_what_it_is() -> None:
    words = sparse.csr_array(np.eye(3, dtype=np.float32))
    assert side_by_side({"words": words}) is words
    assert side_by_side({"words": words, "minilm": np.ones((3, 1))}).names == ("words", "minilm")


@pytest.mark.parametrize(
    ("names", "shapes", "words"),
    [
        (("a", "a"), [(2, 1), (2, 1)], "'a' are given twice"),
        (("a",), [(2, 1)], "two or more blocks"),
        (("a", "b"), [(2, 1)], "2 names and 1 blocks"),
        (("a", "b"), [(2, 1), (3, 1)], "a, b have 2, 3 rows"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(names: Any, shapes: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        FeatureBlocks(names, tuple(np.zeros(shape) for shape in shapes))
