"""Hints: which entries they reach, and with what target."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelwise.errors import UserError
from labelwise.targets import Hints

scores_ = st.one_of(st.just(math.nan), st.floats(0, 1, width=32))


@given(
    arrays(np.float32, (5, 4), elements=scores_),
    arrays(np.int8, (5, 4), elements=st.sampled_from([1, 0, -1])),
    st.floats(0.3, 1),
    st.none() | st.floats(0, 0.3),
    st.none() | st.integers(1, 4),
)
def test_a_hint_reaches_unknown_entries_alone(scores, labels, yes_above, no_below, at_most):
    made = Hints(scores, yes_above, no_below, at_most, smoothing=0.2).targets(labels)
    for row in range(5):
        yes = [k for k in range(4) if labels[row, k] == -1 and scores[row, k] > yes_above]
        yes = sorted(yes, key=lambda k: (-scores[row, k], k))[:at_most]
        for k in range(4):
            if k in yes:
                assert made.values[row, k] == np.float32(0.8)
            elif labels[row, k] == -1 and no_below is not None and scores[row, k] < no_below:
                assert made.values[row, k] == 0
            else:
                assert np.isnan(made.values[row, k])
    filled = made.filled(labels)
    assert (filled[labels >= 0] == labels[labels >= 0]).all()
    assert ((filled != labels) <= ~np.isnan(made.values)).all()
    assert made.words.startswith(f"hints made {(made.values > 0.5).sum()} unknown entries")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"yes_above": 1.5}, "hints: yes_above=1.5: give a number from 0 to 1"),
        ({"no_below": 0.6}, "hints: no_below=0.6: give a number from 0 to 0.5"),
        ({"weight": 0}, "hints: weight=0"),
        ({"smoothing": 0.5}, "hints: smoothing=0.5"),
        ({"at_most": 0}, "hints: at_most=0: give a whole number from 1"),
        ({"at_most": True}, "hints: at_most=True"),
        ({"yes_above": "much"}, "hints: yes_above='much'"),
        (
            {"scores": [[0.1, 2.0]]},
            r"hints hold 2 at row 0, label 1 \(counted from 0\): give scores in \[0, 1\]",
        ),
        ({"scores": [[0.1]]}, r"hints have shape \(1, 1\): give one score for each of \(1, 2\) entries"),
        ({"scores": "abc"}, r"hints='abc': give scores \(1, 2\)"),
        ({"scores": [[-math.inf, 0]]}, "hints hold -inf"),
    ],
)
def test_what_is_no_hint_is_refused(given_, message):
    with pytest.raises(UserError, match=message):
        Hints(**{"scores": [[0.1, 0.2]], **given_}).targets(np.array([[-1, -1]], dtype=np.int8))
