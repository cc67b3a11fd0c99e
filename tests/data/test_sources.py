"""Views are functions of (seed, epoch, item) only; every kind of input gives the same rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from labelwise.data import (
    ArraySource,
    Capabilities,
    ImageSource,
    Texts,
    TokenizerParts,
    as_source,
    check_lengths,
    is_source,
    select_rows,
)
from labelwise.data.views import bits, streams
from labelwise.errors import UserError

N, D = 200, 50
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(N, 9, 12), dtype=np.uint8)


class Halve:
    def transform(self, X: Any) -> np.ndarray:
        return np.asarray((X.toarray() if sparse.issparse(X) else X) * 0.5, dtype=np.float32)


SOURCES = {
    "kept": lambda: ArraySource(X),
    "scaled": lambda: ArraySource(X, Halve()),
    "batchwise": lambda: ArraySource(X, Halve(), budget=0),
    "sparse, batchwise": lambda: ArraySource(sparse.csr_array(X), budget=0),
    "images": lambda: ImageSource(IMAGES),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
@settings(max_examples=20, deadline=None)
@given(index=st.lists(st.integers(0, N - 1), min_size=1, max_size=40), epoch=st.integers(0, 10**9))
def test_a_view_does_not_depend_on_the_batch(source: Any, index: list[int], epoch: int) -> None:
    made = source()
    everything = made.batch(np.arange(N), "strong", seed=3, epoch=epoch)
    batch = made.batch(np.array(index), "strong", seed=3, epoch=epoch)
    assert batch.shape == (len(index), *made.shape)
    assert batch.dtype == torch.float32
    assert torch.equal(batch, everything[index])


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_views_change_with_seed_epoch_and_item_only(source: Any) -> None:
    made = source()
    index = np.zeros(1, dtype=np.int64)
    first = made.batch(index, "strong", seed=1, epoch=2)
    assert torch.equal(first, source().batch(index, "strong", seed=1, epoch=2))
    assert not torch.equal(first, made.batch(index, "strong", seed=2, epoch=1))
    assert not torch.equal(first, made.batch(index, "strong", seed=1, epoch=3))
    weak = made.batch(index, "weak", seed=1, epoch=2)
    assert torch.equal(weak, made.batch(index, "weak", seed=9, epoch=9))
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("budget", [0, 1 << 30])
def test_dense_sparse_and_frame_are_one(budget: int) -> None:
    thin = np.where(np.abs(X) > 1, X, 0)
    inputs = [
        thin,
        sparse.csr_array(thin),
        sparse.csc_matrix(thin),
        sparse.coo_array(thin),
        pd.DataFrame(thin),
    ]
    index = np.array([5, 0, 199, 5])
    for scaling in (None, Halve()):
        sources = [ArraySource(rows, scaling, budget=budget) for rows in inputs]
        for view in ("weak", "strong"):
            first, *others = (source.batch(index, view, seed=0, epoch=1) for source in sources)
            assert all(torch.equal(first, other) for other in others)
    assert torch.equal(sources[0].batch(index, "weak", seed=0, epoch=0), torch.from_numpy(thin[index] * 0.5))


def test_the_strong_view_is_the_formula() -> None:
    source = ArraySource(X, strong_view=0.3, noise=0.0)
    strong = source.batch(np.arange(N), "strong", seed=0, epoch=0).numpy()
    gone = strong == 0
    np.testing.assert_array_equal(strong[~gone], X[~gone])
    assert abs(gone.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / X.size)
    noisy = ArraySource(X, strong_view=0.3, noise=0.25).batch(np.arange(N), "strong", seed=0, epoch=0).numpy()
    units = (noisy - strong) / (0.25 * np.sqrt((X.astype(np.float64) ** 2).mean(axis=1)))[:, None]
    assert stats.kstest(units.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(units.ravel(), gone.ravel())[0, 1]) < 0.05


def test_no_strong_view_is_the_identity_and_batches_are_copies() -> None:
    source = ArraySource(X, strong_view=0.0)
    batch = source.batch(np.arange(N), "strong", seed=0, epoch=0)
    assert torch.equal(batch, torch.from_numpy(X))
    batch.zero_()
    assert torch.equal(source.batch(np.arange(N), "weak", seed=0, epoch=0), torch.from_numpy(X))


def test_shares_dropped_per_item_and_per_coordinate_are_even() -> None:
    gone = (
        ArraySource(np.ones((2000, 64)), noise=0.0).batch(np.arange(2000), "strong", seed=5, epoch=7).numpy()
        == 0
    )
    for axis, count in ((0, 2000), (1, 64)):
        deviations = (gone.mean(axis=axis) - 0.2) / np.sqrt(0.16 / count)
        assert np.abs(deviations).max() < 5
        assert 0.5 < deviations.var() < 1.6


def test_bits_are_splitmix64() -> None:
    def mix(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    gamma, key = 0x9E3779B97F4A7C15, 0
    for part in (7, 3, 11):
        key = mix(((key ^ part) + gamma) % 2**64)
    words = [mix((key + step * gamma) % 2**64) for step in (1, 2)]
    numbers = [(word >> shift) & 0xFFFF for word in words for shift in (0, 16, 32, 48)]
    assert bits(streams(np.array([11]), seed=7, epoch=3), 7).tolist() == [numbers[:7]]


def test_image_layouts_and_scaled_units() -> None:
    weak = ImageSource(IMAGES).batch(np.array([3]), "weak", seed=0, epoch=0)
    np.testing.assert_allclose(weak[0, 0].numpy(), (IMAGES[3] / 255 - 0.5) / 0.5, atol=1e-6)
    colour = np.random.default_rng(2).random((4, 3, 8, 6))
    for layout in (colour, colour.transpose(0, 2, 3, 1)):
        source = as_source(layout, mean=0.0, std=1.0)
        assert source.shape == (3, 8, 6)
        np.testing.assert_allclose(source.batch(np.arange(4), "weak", seed=0, epoch=0), colour, atol=1e-6)


def test_a_strong_image_is_shifted_and_cut() -> None:
    source = ImageSource(np.full((50, 20, 20), 255, np.uint8), cutout=0.5, noise=0.0)
    strong = source.batch(np.arange(50), "strong", seed=0, epoch=0)
    assert ((strong == 0).sum((1, 2, 3)) == 100).all()
    assert set(strong.unique().tolist()) == {0.0, 1.0}
    ramp = np.tile(np.arange(20, dtype=np.float32) / 32, (400, 20, 1))
    moved = ImageSource(ramp, mean=0, std=1 / 32, shift=2, cutout=0, noise=0).batch(
        np.arange(400), "strong", seed=0, epoch=0
    )
    counts = np.bincount((moved[:, 0, 10, 10] - 8).int().numpy())
    assert len(counts) == 5
    assert counts.min() > 50
    same = ImageSource(IMAGES, shift=0, cutout=0, noise=0)
    index = np.arange(N)
    assert torch.equal(*(same.batch(index, view, seed=0, epoch=0) for view in ("weak", "strong")))


def with_hole(value: float) -> np.ndarray:
    rows = X.copy()
    rows[[7, 100], 3] = value
    return rows


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (with_hole(np.nan), r"rows 7, 100 \(counted from 0\): NaN"),
        (with_hole(-np.inf), r"rows 7, 100 \(counted from 0\)"),
        (X.astype(np.float64) * 1e39, "beyond float32"),
        (sparse.csr_array(with_hole(np.nan)), "rows 7, 100"),
        (pd.DataFrame(with_hole(np.nan)), "rows 7, 100"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), "columns 'b' are not numbers"),
        (np.array([["a", "b"]]), "not numbers"),
        (np.array([[1, None]], dtype=object), "object values, not numbers"),
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((2, 2, 2), dtype=np.int64), "uint8"),
        (np.full((2, 4, 4), np.nan), "rows 0, 1"),
    ],
)
def test_bad_input_is_one_line(bad: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_source(bad)


def test_bad_arguments() -> None:
    for keywords in ({"strong_view": 1.0}, {"strong_view": -0.1}, {"noise": -1.0}, {"noise": np.nan}):
        with pytest.raises(UserError, match=next(iter(keywords))):
            ArraySource(X, **keywords)
    with pytest.raises(UserError, match="cutout=1"):
        ImageSource(IMAGES, cutout=1)
    with pytest.raises(UserError, match="did you mean 'strong'"):
        ArraySource(X).batch(np.arange(2), "strongg", seed=0, epoch=0)
    with pytest.raises(UserError, match="X has 200 rows and Y has 3"):
        check_lengths(X, [[1], [0], [1]])
    assert check_lengths(sparse.csr_array(X), X) == N
    source = ArraySource(X)
    assert as_source(source) is source
    with pytest.raises(UserError, match="scaling is for rows"):
        as_source(IMAGES, scaling=Halve())


class Bare:
    """A source of nothing but the required members."""

    shape = (2,)

    def __len__(self) -> int:
        return 5

    def batch(self, index, view, *, seed, epoch):
        return torch.from_numpy(np.repeat(np.asarray(index)[:, None], 2, axis=1))


def test_a_source_needs_three_members_and_offers_none_of_the_others():
    source, offers = Bare(), Capabilities(Bare())
    assert is_source(source)
    assert as_source(source) is source
    assert all(getattr(offers, name) is None for name in Capabilities.__annotations__)


def test_the_parts_that_sources_of_ours_offer():
    table = Capabilities(ArraySource(np.eye(3)))
    assert table.matrix is not None
    assert table.digests is None
    words = SimpleNamespace(encode=lambda texts: [[1] * len(text) for text in texts], pad_id=0)
    texts = Texts(["a", "bcd"], words)
    offers = Capabilities(texts)
    assert (offers.kind, offers.lengths.tolist(), offers.items) == ("text", [1, 3], ["0", "1"])
    assert offers.digests() == texts.digests()
    assert offers.scan is None
    parts = TokenizerParts(offers.tokenizer)
    assert (parts.pad_id, parts.definition, parts.special_ids) == (0, None, None)


def test_rows_of_a_source_that_cannot_be_indexed():
    part = select_rows(Bare(), np.array([4, 1]))
    assert (len(part), part.shape) == (2, (2,))
    assert part.batch(np.array([1, 0]), "plain", seed=0, epoch=0)[:, 0].tolist() == [1, 4]


def test_a_frame_with_columns_named_as_a_sources_members_is_a_frame():
    frame = pd.DataFrame({"batch": [1.0, 2.0], "items": [3.0, 4.0]})
    assert not is_source(frame)
    assert as_source(frame).shape == (2,)


def test_sparse_rows_are_made_dense_only_where_somebody_asks() -> None:
    rows = sparse.random(20, 6, density=0.3, format="csr", random_state=0, dtype=np.float32)
    source = ArraySource(rows)
    assert sparse.issparse(source.rows)
    assert "_dense" not in vars(source)
    assert source.matrix is source.matrix
    np.testing.assert_array_equal(source.matrix, source.rows.toarray())
