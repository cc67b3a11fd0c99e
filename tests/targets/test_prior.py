"""Priors from single positives and one cardinality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.errors import UserError
from labelwise.targets import expected_prior


def test_priors_share_the_cardinality_out_by_counts():
    np.testing.assert_allclose(expected_prior([10, 30, 0], 1.2, 40), [0.3, 0.9, 0.0], rtol=1e-15)


def test_what_exceeds_one_goes_to_the_others_in_proportion():
    np.testing.assert_allclose(expected_prior([80, 10, 10], 2.0, 100), [1, 0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(expected_prior([70, 25, 5], 2.5, 100), [1, 1, 0.5], rtol=1e-15)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any), st.floats(0, 1))
def test_priors_are_shares_that_sum_to_the_cardinality_and_cover_what_was_observed(counts, place):
    n = 1000
    least, most = sum(counts) / n, np.count_nonzero(counts)
    cardinality = least + place * (most - least)
    prior = expected_prior(counts, cardinality, n)
    assert ((prior >= 0) & (prior <= 1)).all()
    assert prior.sum() == pytest.approx(cardinality, rel=1e-12)
    assert (prior >= np.array(counts) / n - 1e-12).all()
    assert (np.diff(prior[np.argsort(counts, kind="stable")]) >= -1e-12).all()


def test_impossible_cardinalities_are_refused():
    with pytest.raises(UserError, match="at most the 2 labels"):
        expected_prior([5, 5, 0], 2.5, 10)
    with pytest.raises(UserError, match="give at least 1"):
        expected_prior([5, 5], 0.5, 10)
    with pytest.raises(UserError, match="observed_counts"):
        expected_prior([11], 1, 10)
