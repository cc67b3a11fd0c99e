"""Annotations that are held as lists beside the same as a matrix."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.annotations import (
    Annotations,
    ListedAnnotations,
    ListedStates,
    describe,
    listed,
    parse,
    parse_names,
)
from labelwise.errors import UserError


@pytest.fixture(scope="module", autouse=True)
def few_are_many():
    """Hold small annotations as lists, where a test asks for it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(listed, "LISTED_ENTRIES", 0)
    yield
    patch.undo()


def as_lists(make):
    """Return what is made where everything is large, and where nothing is."""
    made = []
    for labels in (1, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listed, "LISTED_LABELS", labels)
            made.append(make())
    lists, dense = made
    assert isinstance(lists, ListedAnnotations)
    assert not isinstance(dense, ListedAnnotations)
    np.testing.assert_array_equal(lists.states.dense(), dense.matrix)
    assert (lists.label_names, lists.notes) == (dense.label_names, dense.notes)
    return lists, dense


names = st.lists(st.sampled_from(["ant", "bee", "cat", "dog"]), max_size=5)
cells = st.lists(st.one_of(st.none(), names), min_size=1, max_size=6).filter(any)


@settings(max_examples=30)
@given(cells, st.sampled_from(["unknown", "absent"]), st.sampled_from(["unknown", "absent"]))
def test_names_are_held_as_lists(rows, unlisted, empty):
    lists, dense = as_lists(lambda: parse_names(rows, unlisted=unlisted, empty=empty))
    assert str(describe(lists)) == str(describe(dense))
    some = lists.label_names[::-1][:2]
    np.testing.assert_array_equal(
        parse(lists, label_names=some).matrix, parse(dense, label_names=some).matrix
    )
    np.testing.assert_array_equal(lists.take([0, 0]).matrix, dense.take([0, 0]).matrix)


@settings(max_examples=30)
@given(st.integers(0, 999), st.sampled_from(["unknown", "absent"]), st.sampled_from(["csr", "coo", "csc"]))
def test_sparse_matrices_are_held_as_lists(seed, unlisted, form):
    Y = sp.csr_array((np.random.default_rng(seed).random((7, 5)) < 0.3).astype(np.int8)).asformat(form)
    as_lists(lambda: parse(Y, unlisted=unlisted))


def test_what_is_no_list_stays_a_matrix():
    zero = sp.csr_array(([1, 0], [0, 1], [0, 2, 2]), shape=(2, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed, "LISTED_LABELS", 1)
        assert not isinstance(parse(zero, unlisted="unknown"), ListedAnnotations)
        assert isinstance(parse(zero, unlisted="absent"), ListedAnnotations)
        assert not isinstance(parse_names([{"cat": 1, "dog": 0}]), ListedAnnotations)
        with pytest.raises(UserError, match="row 1 "):
            parse(sp.csr_array(([1, 2], [0, 1], [0, 1, 2]), shape=(2, 3)), unlisted="absent")


def test_names_must_fit_the_states():
    states = ListedStates.of(np.array([0, 1]), np.array([1]), np.zeros(1, np.int8), 2)
    assert ListedAnnotations(states, ["a", "b"]).with_notes(["n"]).notes == ("n",)
    with pytest.raises(UserError, match="3 names"):
        ListedAnnotations(states, ["a", "b", "c"])


def test_the_matrix_of_lists_is_read_where_it_is_asked_for():
    states = ListedStates.of(np.array([0, 1]), np.array([1]), np.zeros(1, np.int8), 2)
    lists = ListedAnnotations(states, ["a", "b"])
    assert lists.matrix is lists.matrix
    assert (lists.n_items, lists.n_labels) == (1, 2)
    assert Annotations(lists.matrix, ("a", "b")).states is not None
