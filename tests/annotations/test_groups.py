"""Groups: reading them, and splits that never cut one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise import split
from labelwise.annotations import as_groups
from labelwise.errors import UserError


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 9), min_size=12, max_size=60),
    st.sampled_from([[0.8, 0.2], [0.2] * 5, [0.5, 0.3, 0.2]]),
)
def test_a_group_is_never_cut_and_no_part_is_empty(seed, groups, fractions):
    Y = (np.random.default_rng(seed).random((len(groups), 3)) < 0.3).astype(int)
    if len(set(groups)) < len(fractions):
        with pytest.raises(UserError, match="too few for"):
            split(Y, fractions, seed, groups=groups)
        return
    parts = split(Y, fractions, seed, groups=groups)
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    assert all(len(part) for part in parts)
    seen = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, seen)) == len(set(groups))
    again = split(Y, fractions, seed, groups=groups)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))


def test_parts_are_near_their_shares_and_labels_in_proportion():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), random.integers(1, 12, 400))
    # A group's items are alike.
    Y = (random.random((400, 8)) < np.linspace(0.05, 0.5, 8)).astype(int)[groups]
    for fractions in ([0.8, 0.2], [0.2] * 5):
        for part, share in zip(split(Y, fractions, groups=groups), fractions, strict=True):
            assert abs(len(part) / len(Y) - share) < 0.005
            np.testing.assert_allclose(Y[part].sum(0), share * Y.sum(0), atol=0.04 * Y.sum(0).max())


def test_what_names_a_group():
    same = [0, 1, 0, 2, 3, 4]
    for given_ in (
        ["a", "b", "a", "", None, float("nan")],
        pd.Series(["a", "b", "a", pd.NA, " ", None]),
        np.array([7, 8, 7, 9, 10, 11]),
        [7.0, 8, 7, None, None, "7"],
    ):
        assert as_groups(given_, 6).tolist() == same


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("abc", "groups='abc': give the name or number of each item's group"),
        (5, "groups=5: give the name"),
        ([1, 2], "groups has 2 entries for 3 items: give one for each item"),
        ([1, 2, 2.5], r"groups has 2.5 at row 2 \(counted from 0\): give a name or a whole number"),
        ([1, 2, ["a"]], "at row 2"),
        (np.zeros((3, 2)), "at row 0"),
    ],
)
def test_what_is_no_groups_is_refused(groups, message):
    with pytest.raises(UserError, match=message):
        split(np.eye(3, dtype=int), [0.5, 0.5], groups=groups)
