"""Hierarchies: reading, closing labels, coherent scores and thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelwise.annotations import Annotations, Hierarchy
from labelwise.errors import UserError
from tests.timing import least_seconds

NAMES = ("cat", "dog", "animal", "pet", "thing", "car")
GIVEN = {"cat": ["animal", "pet"], "dog": ["animal", "pet"], "animal": "thing", "car": "thing"}
H = Hierarchy.of(GIVEN, NAMES)


@st.composite
def graphs(draw):
    """Return a random acyclic graph over K labels in random order, and K."""
    k = draw(st.integers(2, 7))
    order = draw(st.permutations(range(k)))
    names = [f"l{i}" for i in range(k)]
    edges = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :] if draw(st.booleans())]
    given_ = {}
    for child, parent in edges:
        given_.setdefault(names[child], []).append(names[parent])
    return Hierarchy.of(given_, names)


def above(h):
    """Return R (K, K): R[i, j] where j is i or below it, by powers of the adjacency matrix."""
    k = len(h.label_names)
    R = np.eye(k, dtype=bool)
    for _ in range(k):
        for child, parents in enumerate(h.parents):
            for parent in parents:
                R[parent] |= R[child]
    return R


@given(graphs(), st.data())
def test_coherent_scores_are_the_maximum_over_descendants(h, data):
    k = len(h.label_names)
    scores = data.draw(arrays(np.float64, (3, k), elements=st.floats(-9, 9)))
    R, before = above(h), scores.copy()
    expected = np.array([[max(row[j] for j in range(k) if R[i, j]) for i in range(k)] for row in scores])
    np.testing.assert_array_equal(h.coherent(scores), expected)
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_array_equal(h.coherent(expected), expected)
    t = data.draw(arrays(np.float64, k, elements=st.floats(-9, 9)))
    predicted = expected >= h.coherent_thresholds(t)
    for child, parents in enumerate(h.parents):
        for parent in parents:
            assert (predicted[:, parent] >= predicted[:, child]).all()


@given(graphs(), st.data())
def test_closing_fills_what_follows_and_nothing_else(h, data):
    k = len(h.label_names)
    Y = data.draw(arrays(np.int8, (4, k), elements=st.sampled_from([1, 0, -1])))
    R, closing = above(h), h.close(Y)
    contradictions = []
    for row in range(4):
        wrong = [
            (row, c, a) for c in range(k) for a in range(k) if R[a, c] and Y[row, c] == 1 and Y[row, a] == 0
        ]
        contradictions += wrong
        for i in range(k):
            if Y[row, i] != -1:
                assert closing.matrix[row, i] == Y[row, i]
                continue
            yes = any(R[i, j] and Y[row, j] == 1 for j in range(k))
            no = any(R[a, i] and Y[row, a] == 0 for a in range(k))
            assert closing.matrix[row, i] == (-1 if yes == no else int(yes))
    assert sorted(map(tuple, closing.contradictions.tolist())) == sorted(contradictions)
    assert closing.unknown == (Y == -1).sum()
    assert closing.relevant == ((Y == -1) & (closing.matrix == 1)).sum()
    assert closing.irrelevant == ((Y == -1) & (closing.matrix == 0)).sum()
    assert h.close(closing.matrix).relevant == 0, "closing twice fills nothing more"


@given(graphs())
def test_it_reads_back_what_it_writes(h):
    assert Hierarchy.of(h.to_dict(), h.label_names) == h
    for children, parents in h.levels:
        assert all(h.heights[p] > h.heights[c] for c, p in zip(children, parents, strict=True))
    R = above(h)
    assert [set(np.flatnonzero(R[:, k])) - {k} for k in range(len(R))] == [set(a) for a in h.ancestors]


def test_several_parents_and_words():
    Y = np.array([[1, -1, -1, -1, -1, -1], [-1, -1, -1, -1, 0, -1]], dtype=np.int8)
    closing = H.close(Y)
    np.testing.assert_array_equal(closing.matrix, [[1, -1, 1, 1, 1, -1], [0, 0, 0, -1, 0, 0]])
    words = "the hierarchy filled 7 of 10 unknown entries (70.0%): 3 are relevant, 4 irrelevant"
    assert closing.words == words
    closed = H.closed(Annotations(Y, NAMES, ("a note",)))
    assert closed.notes == ("a note", words)
    full = Annotations(closing.matrix * 0, NAMES)
    assert H.closed(full) is full


def test_contradictions_are_listed_with_row_and_label():
    Y = np.full((9, 6), -1, dtype=np.int8)
    Y[7, [0, 2, 4]] = 1, 0, 0
    with pytest.raises(
        UserError,
        match=r"in 1 rows \(counted from 0\): row 7: 'cat' is relevant and 'animal' above it not;"
        r" row 7: 'cat' is relevant and 'thing' above it not; mend them",
    ):
        H.closed(Annotations(Y, NAMES))
    many = np.tile([1, 1, 0, 0, 0, 1], (4, 1))
    assert H.told(H.close(many)).endswith("; and 23 more")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"cat": "animal", "animal": "cat"}, "hierarchy has a cycle: 'cat' > 'animal' > 'cat'"),
        ({"cat": "cat"}, "hierarchy has a cycle: 'cat' > 'cat'"),
        (
            {"dog": ["pet", "cat"], "cat": "animal", "animal": "thing", "thing": "cat"},
            "hierarchy has a cycle: 'cat' > 'animal' > 'thing' > 'cat'",
        ),
        ({"cat": "animals"}, "hierarchy names no label 'animals': did you mean 'animal'"),
        ({"cow": "animal"}, "hierarchy names no label 'cow'"),
        ({"cat": 3}, "hierarchy of 'cat' is 3: give a parent's name"),
        ({"cat": [3]}, "hierarchy names no label 3"),
        ({3: "cat"}, "hierarchy names no label 3"),
        ([("cat", "animal")], "give a dict from each child to its parent"),
        ("cat", "give a dict from each child"),
    ],
)
def test_what_is_no_hierarchy_is_refused(given_, message):
    with pytest.raises(UserError, match=message):
        Hierarchy.of(given_, NAMES)


def test_labels_of_other_widths_are_refused():
    with pytest.raises(UserError, match="Y has 2 labels, and the hierarchy is of 6"):
        H.close([[1, 0]])
    with pytest.raises(UserError, match="other labels than the hierarchy"):
        H.closed(Annotations(np.zeros((1, 6), np.int8), tuple("abcdef")))


def test_a_deep_chain_and_a_wide_tree_take_no_time():
    chain = Hierarchy.of({f"l{i}": f"l{i + 1}" for i in range(1999)}, [f"l{i}" for i in range(2000)])
    wide = Hierarchy.of({f"l{i}": f"l{i // 10}" for i in range(1, 5000)}, [f"l{i}" for i in range(5000)])

    def both():
        assert (chain.coherent(np.eye(1, 2000)) == 1).all()
        assert wide.coherent(np.eye(1, 5000, 4999))[0].sum() == 5

    assert least_seconds(both, below=5) < 5
