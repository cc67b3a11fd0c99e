"""What -1, an empty cell and an unstored entry mean is asked or told."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.annotations import Summary, as_matrix, code_of, describe, parse
from labelwise.errors import UserError

NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1", "1"),
        (" 1.000000 ", "1"),
        ("+1", "1"),
        ("1.", "1"),
        ("10e-1", "1"),
        ("0.00", "0"),
        ("-0.0", "0"),
        (".0", "0"),
        ("-1.0", "-1"),
        ("True", "1"),
        ("FALSE", "0"),
        ("Yes", "yes"),
        ("no", "no"),
        ("", "empty"),
        ("NaN", "empty"),
        ("N/A", "empty"),
        ("<NA>", "empty"),
        ("?", "?"),
        ("0.5", None),
        ("0.9999999999999999999999", None),
        ("2", None),
        ("1e400", None),
        ("9" * 5000, None),
        ("\uff11", None),
        ("1_0", None),
        ("inf", None),
        ("X", "mark"),
        ("✓", "mark"),
        ("Ja", "yes"),
        ("N", "no"),
        ("nein", "no"),
        ("WAHR", "1"),
        ("falsch", "0"),
        ("#N/A", "empty"),
        ("n.a.", "empty"),
        ("k.A.", "?"),
        ("unknown", "?"),
        ("-", None),
        ("maybe", None),
    ],
)
def test_codes(text, code):
    assert code_of(text) == code


CELLS = [[1, 0, -1], [NAN, -1, 1]]
READ = {
    ("unknown", "unknown"): [[1, 0, -1], [-1, -1, 1]],
    ("absent", "unknown"): [[1, 0, 0], [-1, 0, 1]],
    ("unknown", "absent"): [[1, 0, -1], [0, -1, 1]],
    ("absent", "absent"): [[1, 0, 0], [0, 0, 1]],
}


@pytest.mark.parametrize(("minus_one", "empty"), READ)
@pytest.mark.parametrize(
    "make",
    [
        lambda: CELLS,
        lambda: np.array(CELLS),
        lambda: np.array(CELLS, dtype=object),
        lambda: torch.tensor(CELLS),
        lambda: torch.tensor(CELLS).to(torch.bfloat16),
        lambda: pd.DataFrame(CELLS),
        lambda: pd.DataFrame(CELLS, dtype="Float64"),
        lambda: pd.DataFrame(CELLS).astype(object).where(pd.DataFrame(CELLS).notna(), None),
        lambda: np.ma.masked_invalid(CELLS),
        lambda: (
            sp.csr_matrix(np.nan_to_num(np.array(CELLS), nan=7) - 2).sign() * 0
            + sp.csr_matrix(np.array(CELLS))
        ),
    ],
)
def test_what_minus_one_and_empty_mean(make, minus_one, empty):
    Y = make()
    unlisted = "absent" if sp.issparse(Y) else None
    options = {"unlisted": unlisted, "minus_one": minus_one, "empty": empty}
    np.testing.assert_array_equal(parse(Y, **options).matrix, READ[minus_one, empty])
    np.testing.assert_array_equal(as_matrix(Y, **options), READ[minus_one, empty])


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"sea": [1, None, 0], "sun": [True, False, None], "sand": [1.0, float("nan"), -1]}
    )
    found = parse(frame)
    assert found.label_names == ("sea", "sun", "sand")
    assert found.matrix.tolist() == [[1, 1, 1], [-1, 0, -1], [0, -1, -1]]
    assert parse(frame, label_names=["sun", "sea"]).matrix.tolist() == [[1, 1], [0, -1], [-1, 0]]
    assert as_matrix(frame, minus_one="absent").tolist() == [[1, 1, 1], [-1, 0, -1], [0, -1, 0]]
    names = parse(polars.Series([["sea"], [], None, ["sun", "sea"]]), unlisted="absent")
    assert names.matrix.tolist() == [[1, 0], [0, 0], [-1, -1], [1, 1]]
    with pytest.raises(UserError, match="collect it"):
        parse(frame.lazy())
    with pytest.raises(UserError, match=r"holds 'x' at row 1 .*label 'a'"):
        parse(polars.DataFrame({"b": [1, 0], "a": [None, "x"]}))


def test_tensors():
    assert parse(torch.tensor([[1, 0], [0, -1]])).matrix.tolist() == [[1, 0], [0, -1]]
    assert parse(torch.tensor([[True, False]])).matrix.tolist() == [[1, 0]]
    assert as_matrix(torch.tensor([[1.0, 0.0]], requires_grad=True)).tolist() == [[1, 0]]
    with pytest.raises(UserError, match="holds 2 at row 0"):
        parse(torch.tensor([[2, 0]]))
    with pytest.raises(UserError, match="sparse tensor"):
        parse(torch.eye(2).to_sparse())


@pytest.mark.parametrize(
    ("Y", "words"),
    [
        ([[1, -1], [-1, 1]], "as in CelebA, give minus_one='absent' (--minus-one absent)"),
        ([[1.0, -1.0], [NAN, 1.0]], "CelebA"),
        ([[1, 0, -1, NAN]], "In CheXpert -1 is uncertain"),
        ([[1, None], [None, 1]], "give empty='absent' (--empty absent)"),
        ([[1, 0], [0, -1]], None),
        ([[1, 0], [0, 1]], None),
        ([[1, 0], [NAN, 1]], None),
        (sp.csr_matrix([[1, -1]]), None),
    ],
)
def test_codes_of_other_conventions_are_pointed_out(Y, words):
    found = parse(Y, unlisted="unknown" if sp.issparse(Y) else None).notes
    if sp.issparse(Y):
        return
    assert bool(found) == (words is not None)
    assert words is None or words in found[0]
    assert parse(Y, minus_one="absent", empty="absent").notes == ()


@pytest.mark.parametrize(
    "Y", [[[1, 2], [2, 1]], np.array([[1.0, 2.0]]), pd.DataFrame({"a": [1, 2], "b": [2, 1]})]
)
def test_one_and_two_are_refused_with_a_hint(Y):
    with pytest.raises(UserError, match="1 and 2 occur alone: if they mean yes and no"):
        parse(Y)


def test_summaries_keep_the_notes_and_old_ones_have_none():
    summary = describe([[1, -1], [-1, 1]])
    assert len(summary.notes) == 1
    assert "read as   Only 1 and -1 occur" in str(summary)
    record = summary.to_dict()
    assert Summary.from_dict(record).notes == summary.notes
    del record["notes"]
    assert Summary.from_dict(record).notes == ()
    assert describe([[1, -1]], minus_one="absent").notes == ()
    assert describe(sp.eye(2, format="csr"), unlisted="absent").setting == "full"


def broken(kind, parts):
    matrix = (sp.csr_matrix if kind == "csr" else sp.csc_matrix)(np.eye(3))
    for name, value in parts.items():
        setattr(matrix, name, value)
    return matrix


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"indices": np.array([0, 7, 2])}, "index outside its shape"),
        ({"indices": np.array([0, -1, 2])}, "index outside its shape"),
        ({"indptr": np.array([0, 9, 2, 3])}, "parts do not fit"),
        ({"indptr": np.array([0, 1, 2, 2**31 - 1])}, "parts do not fit"),
        ({"indptr": np.array([5, 1, 2, 3])}, "parts do not fit"),
        ({"indptr": np.array([0, 1])}, "parts do not fit"),
        ({"indptr": np.array([0.0, 1.0, 2.0, 3.0])}, "parts do not fit"),
        ({"data": np.array([1.0])}, "parts do not fit"),
        ({"indices": np.array(["a", "b", "c"])}, "parts do not fit"),
        ({"indptr": None}, "parts do not fit"),
        ({"data": np.array([1.0, 2.0, 1.0])}, "holds 2.0 at row 1"),
        ({"data": np.array([1.0, 0.5, 1.0])}, "holds 0.5 at row 1"),
    ],
)
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_a_malformed_sparse_matrix_is_refused_before_scipy_reads_it(kind, parts, words):
    with pytest.raises(UserError, match=words):
        parse(broken(kind, parts), unlisted="absent")


def test_sparse_columns_of_pandas_say_what_they_do_not_store():
    frame = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix([[1, 0], [0, 1]]), columns=["a", "b"])
    with pytest.raises(UserError, match="unlisted='absent' where every label"):
        parse(frame)
    assert parse(frame, unlisted="absent").matrix.tolist() == [[1, 0], [0, 1]]
    assert parse(frame, unlisted="unknown").matrix.tolist() == [[1, -1], [-1, 1]]
    wrong = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix([[1, 0], [0, 4]]), columns=["a", "b"])
    with pytest.raises(UserError, match=r"holds 4(.0)? at row 1 .*label 'b'"):
        parse(wrong, unlisted="absent")


@pytest.mark.parametrize("record", [{}, {"label_names": 3}, []])
def test_a_damaged_record_of_a_summary(record):
    whole = describe([[1, 0]]).to_dict()
    for damaged in (
        record,
        {**whole, "positives": ["x"]},
        {**whole, "priors": 3},
        {**whole, "priors": ["x"]},
    ):
        with pytest.raises(UserError, match="is damaged"):
            Summary.from_dict(damaged)


def test_coo_out_of_range_is_refused():
    matrix = sp.coo_matrix(np.eye(2))
    matrix.row = np.array([0, 5])
    with pytest.raises(UserError, match="index outside its shape"):
        parse(matrix, unlisted="absent")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(
            st.lists(st.sampled_from([1, 0, -1]), min_size=k, max_size=k), min_size=1, max_size=5
        )
    ),
    st.sampled_from(["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]),
    st.sampled_from(["unknown", "absent"]),
)
def test_sparse_matrices_say_the_same_in_every_format(rows, kind, unlisted):
    matrix = np.array(rows)
    stored = matrix == 1
    Y = sp.coo_matrix((matrix[stored], np.nonzero(stored)), shape=matrix.shape).asformat(kind)
    expected = np.where(stored, 1, 0 if unlisted == "absent" else -1)
    np.testing.assert_array_equal(parse(Y, unlisted=unlisted).matrix, expected)
