"""Known entries: which rows, which targets, which of them count."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labelwise.ensemble import KnownEntries

LABELS = npst.arrays(
    np.int8, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.sampled_from([-1, 0, 1])
)


def slow(labels):
    """Rows, targets, counting entries and labels with both signs, entry by entry."""
    n, n_labels = labels.shape
    absent = not any(labels[i, k] == 0 for i in range(n) for k in range(n_labels))
    rows = [i for i in range(n) if any(labels[i, k] != -1 for k in range(n_labels))]
    counts = [[absent or labels[i, k] != -1 for k in range(n_labels)] for i in rows]
    both = []
    for k in range(n_labels):
        signs = {int(labels[i, k] == 1) for i, row in zip(rows, counts, strict=True) if row[k]}
        both.append(signs == {0, 1})
    return rows, [[float(labels[i, k] == 1) for k in range(n_labels)] for i in rows], counts, both


@settings(max_examples=60, deadline=None)
@given(labels=LABELS)
def test_known_entries_equal_a_loop(labels):
    known = KnownEntries.of(labels)
    rows, targets, counts, both = slow(labels)
    assert known.rows.tolist() == rows
    assert known.targets.dtype == np.float32
    assert known.targets.tolist() == targets
    mask = np.ones(known.targets.shape, bool) if known.mask is None else known.mask
    assert mask.tolist() == counts
    assert known.mask is None or not known.mask.all()
    assert known.both.tolist() == both
    np.testing.assert_allclose(known.counts, mask.sum(axis=0))


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, data=st.data())
def test_the_pool_without_rows_is_read_as_if_they_had_never_been(labels, data):
    gone = data.draw(npst.arrays(bool, len(labels)))
    assume = not (labels == 0).any()
    left, want = KnownEntries.of(labels).without(gone), KnownEntries.of(labels[~gone], assume_absent=assume)
    assert left.rows.tolist() == want.rows.tolist()
    assert left.targets.tolist() == want.targets.tolist()
    assert left.both.tolist() == want.both.tolist()
    assert left.counts.tolist() == want.counts.tolist()


def test_single_positives_count_the_rest_of_their_rows_as_absent():
    known = KnownEntries.of(np.array([[1, -1], [-1, -1], [-1, 1]], np.int8))
    assert known.mask is None
    assert known.targets.tolist() == [[1, 0], [0, 1]]
    assert known.both.all()


def test_twins_are_kept_only_where_rows_have_one():
    labels, twins = np.array([[1], [0], [-1], [1]], np.int8), np.array([5, 3, 5, 5])
    known = KnownEntries.of(labels, twins)
    assert known.twins.tolist() == [1, 0, 1]
    assert known.take(np.array([0, 1])).twins is None
    assert known.without(np.array([False, True, False, False])).twins.tolist() == [0, 0]
