import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labelwise.annotations import Annotations, as_matrix, both_signs_known, parse, row_blocks
from labelwise.errors import UserError
from tests.refusals import refused

STATES = np.array([[1, 0, -1], [-1, 1, 0]], dtype=np.int8)
NAN = float("nan")
FLOATS = [[1, 0, NAN], [NAN, 1, 0]]

matrices = arrays(
    np.int8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([1, 0, -1])
)


def assert_states(annotations, expected=STATES):
    matrix = annotations.matrix
    assert matrix.dtype == np.int8
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize(
    "Y",
    [
        STATES,
        np.asfortranarray(STATES),
        np.repeat(STATES, 2, axis=1)[:, ::2],
        STATES.astype(np.int64),
        np.array(FLOATS),
        np.array(FLOATS, dtype=np.float16),
        np.array(FLOATS, dtype=object),
        STATES.tolist(),
        FLOATS,
        [[1, 0, None], [pd.NA, True, np.False_]],
        [(1, 0, -1), np.array([-1, 1, 0])],
        np.ma.array([[1, 0, 7], [7, 1, 0]], mask=[[0, 0, 1], [1, 0, 0]]),
        np.ma.array([[True, False, True], [True, True, False]], mask=[[0, 0, 1], [1, 0, 0]]),
        pd.DataFrame(FLOATS),
        pd.DataFrame(STATES),
        pd.DataFrame(FLOATS, dtype="Int8"),
        pd.DataFrame(FLOATS).astype("boolean"),
        pd.DataFrame(FLOATS, dtype="Float64"),
        pd.DataFrame({"a": [1, -1], "b": [False, True], "c": [None, False]}),
        pd.DataFrame(FLOATS).astype("Int8").astype("int8[pyarrow]"),
        pd.DataFrame(FLOATS).astype("category"),
        Annotations(STATES, ("a", "b", "c")),
    ],
)
def test_every_kind_of_matrix(Y):
    assert_states(parse(Y))
    np.testing.assert_array_equal(as_matrix(Y), STATES)


def test_bools_are_known_and_copied():
    Y = np.array([[True, False]])
    matrix = as_matrix(Y)
    np.testing.assert_array_equal(matrix, [[1, 0]])
    assert not np.shares_memory(matrix, Y)


def test_an_int8_matrix_comes_back_as_itself():
    assert as_matrix(STATES) is STATES
    assert parse(STATES).matrix is STATES


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csc_array, sp.coo_matrix, sp.lil_matrix])
@pytest.mark.parametrize(("unlisted", "state"), [("unknown", -1), ("absent", 0)])
def test_sparse_entries_that_are_not_stored_are_unlisted(make, unlisted, state):
    rows, columns, stored = [0, 0, 1], [0, 1, 2], [1, -1, 1]
    Y = make(sp.coo_matrix((np.array(stored, dtype=np.int8), (rows, columns)), shape=(2, 3)))
    assert_states(parse(Y, unlisted=unlisted), [[1, -1, state], [state, state, 1]])


def test_a_stored_zero_is_irrelevant():
    Y = sp.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 0])), shape=(2, 1))
    np.testing.assert_array_equal(as_matrix(Y, unlisted="unknown"), [[1], [0]])


@pytest.mark.parametrize("read", [parse, as_matrix])
def test_a_sparse_matrix_must_say_what_its_unstored_entries_are(read):
    with pytest.raises(UserError, match="unlisted='absent' where every label that applies is stored"):
        read(sp.csr_matrix(np.eye(2)))


def test_an_entry_stored_twice_is_refused():
    Y = sp.coo_matrix((np.array([1, -1]), ([1, 1], [2, 2])), shape=(2, 3))
    with pytest.raises(UserError, match=r"stores row 1, label 2 more than once"):
        parse(Y)


@given(matrices)
def test_round_trip_through_every_container(matrix):
    floats = np.where(matrix == -1, np.nan, matrix)
    known = matrix != -1
    sparse = sp.coo_matrix((matrix[known], np.nonzero(known)), shape=matrix.shape)
    for Y in (matrix.tolist(), floats, floats.astype(object), pd.DataFrame(floats), sparse, sparse.tocsc()):
        assert_states(parse(Y, unlisted="unknown"), matrix)


def test_names_come_from_the_frame_the_argument_or_the_place():
    frame = pd.DataFrame(STATES, columns=["cat", "dog", 3])
    assert parse(frame).label_names == ("cat", "dog", "3")
    assert parse(STATES, label_names=["a", "b", "c"]).label_names == ("a", "b", "c")
    assert parse(STATES).label_names == ("label_0", "label_1", "label_2")


@pytest.mark.parametrize("wrap", [pd.DataFrame, lambda f: parse(pd.DataFrame(f))])
def test_label_names_choose_and_order_where_the_input_has_names(wrap):
    chosen = parse(wrap({"cat": [1, 0], "dog": [0, -1], "cow": [1, 1]}), label_names=["cow", "dog"])
    assert chosen.label_names == ("cow", "dog")
    assert_states(chosen, [[1, 0], [1, -1]])


def test_choosing_lets_other_columns_hold_anything():
    frame = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "dog": [0, None]})
    assert_states(parse(frame, label_names=["dog"]), [[0], [-1]])


def test_sizes_of_annotations():
    annotations = parse(STATES)
    assert (annotations.n_items, annotations.n_labels) == (2, 3)
    with pytest.raises(AttributeError):
        annotations.matrix = STATES


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.array([[1, 0], [1, 2]]), "Y holds 2 at row 1 (counted from 0), label '1': write 1 for relevant"),
        (np.array([[1, 0], [1, 255]], dtype=np.uint8), "255 at row 1"),
        (np.array([[-2, 0]]), "-2 at row 0"),
        (np.array([[0.0, 0.5], [np.nan, 1]]), "0.5 at row 0 (counted from 0), label '1'"),
        (np.array([[0.0, 257.0]]), "257.0 at row 0"),
        (np.array([[0.0, np.inf]]), "inf at row 0"),
        (np.array([[0.0, 1.0]]).astype(complex), "0j at row 0"),
        (np.array([["1", "0"]]), "'1' at row 0 (counted from 0), label '0'"),
        (pd.DataFrame({"cat": [1, 0], "dog": [1, 3]}), "3 at row 1 (counted from 0), label 'dog'"),
        (pd.DataFrame({"cat": [1, 0], "dog": [1.5, 0]}), "1.5 at row 0 (counted from 0), label 'dog'"),
        (pd.DataFrame({"tags": ["cat", "dog"]}), "labelwise.annotations.parse_names"),
        (sp.csr_matrix(np.array([[0, 0], [0, 4]])), "4 at row 1 (counted from 0), label '1'"),
        ([[1, 0], [1]], "Y has 2 entries in row 0 and 1 in row 1 (counted from 0): give every row one entry"),
        ([[[1], [0, 1]]], "does not hold one value an entry"),
        ([1, 0, 1], "not 1-dimensional: for a single label, reshape it to (n, 1)"),
        (pd.Series([1, 0]), "not 1-dimensional"),
        (np.zeros((2, 2, 2)), "not 3-dimensional"),
        ("cat", "not 0-dimensional"),
        (np.empty((0, 3)), "Y is empty (0 items, 3 labels)"),
        ([[], []], "Y is empty (2 items, 0 labels)"),
        (pd.DataFrame(), "Y is empty"),
        (sp.csr_matrix((0, 2)), "Y is empty (0 items, 2 labels)"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(Y, message):
    refused(lambda: parse(Y), message)


def test_the_message_names_the_argument():
    with pytest.raises(UserError, match=r"^Y_true holds 2 at row 0"):
        as_matrix([[2]], argument="Y_true")


@pytest.mark.parametrize(
    ("label_names", "message"),
    [
        (["a", "b"], "label_names has 2 names, the matrix 3 labels"),
        (["a", "b", "a"], "label_names holds 'a' more than once"),
        ("abc", "must be a list of names, not the text 'abc'"),
    ],
)
def test_wrong_names_are_refused(label_names, message):
    with pytest.raises(UserError) as error:
        parse(STATES, label_names=label_names)
    assert message in str(error.value)


def test_a_misspelt_or_double_column_is_refused():
    with pytest.raises(UserError, match="'dgo' is not one label of the input: did you mean 'dog'"):
        parse(pd.DataFrame({"cat": [1], "dog": [0]}), label_names=["dgo"])
    double = pd.DataFrame([[1, 0]], columns=["cat", "cat"])
    with pytest.raises(UserError, match="'cat' more than once"):
        parse(double)
    with pytest.raises(UserError, match="names several columns"):
        parse(double, label_names=["cat"])


def test_unlisted_is_checked_whatever_the_input():
    with pytest.raises(UserError, match="unlisted must be 'unknown' or 'absent', not 'negative'"):
        parse(STATES, unlisted="negative")


def test_a_tensor_is_refused_where_its_array_is():
    import torch

    nearly = torch.tensor([[1.0, 0.0], [np.nextafter(1.0, 2), 1.0]], dtype=torch.float64)
    for Y in (nearly, nearly.numpy()):
        with pytest.raises(UserError, match=r"row 1 \(counted from 0\), label '0'"):
            parse(Y)
    assert parse(nearly.bfloat16()).matrix.tolist() == [[1, 0], [1, 1]]


def test_labels_of_both_signs_and_blocks_of_rows():
    labels = np.array([[1, 1, 0, -1], [0, 1, 0, -1], [1, -1, 1, -1], [0, 0, -1, -1]], dtype=np.int8)
    assert both_signs_known(labels).tolist() == [True, True, True, False]
    assert both_signs_known(labels, least=2).tolist() == [True, False, False, False]
    for n, k, entries in ((0, 3, None), (7, 3, 6), (5, 100, 10), (3, 0, 4)):
        blocks = list(row_blocks(n, k, entries))
        assert [row for block in blocks for row in range(n)[block]] == list(range(n))
        assert all(block.stop - block.start <= max(1, (entries or 1 << 19) // max(1, k)) for block in blocks)
