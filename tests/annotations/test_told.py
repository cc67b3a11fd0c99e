"""What was said and did nothing, and what looks like something else, is told; what is ordinary is not."""

import numpy as np
import pytest
from scipy import sparse

from labelwise.annotations import Annotations, names_in, parse, parse_names
from labelwise.errors import UserError


def names_of(cells, **options):
    found = parse_names(cells, unlisted="absent", **options)
    return [{n for n, s in zip(found.label_names, row, strict=True) if s == 1} for row in found.matrix]


def test_the_usual_separators_win_over_those_of_other_scripts():
    assert names_of(["a、b;c", "c", "d;a、b"]) == [{"a、b", "c"}, {"c"}, {"d", "a、b"}]


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["a;b", "b", "c;a"], {"separator": "|"}, "'|' (--separator) occurs in no cell, and ';' in 2 of 3"),
        (["a,b", "b"], {"separator": ";"}, "';' (--separator) occurs in no cell, and ',' in 1 of 2"),
        (["a b", "b", "a"], {"separator": "|"}, "'a b' is one name, and its words are names too"),
        (["a;b", "b"], {"name_key": "name"}, "not used: name_key (--name-key) 'name', since no cell holds objects"),
        ([["a", "b"], ["b"]], {"name_key": "n"}, "not used: name_key (--name-key) 'n'"),
        ([["a", "b"], ["b"]], {"separator": ";"}, "not used: separator (--separator) ';', since no cell holds text"),
        (["True", "False", "True"], {}, "The names are False and True alone"),
        (["yes", "no", "yes"], {}, "The names are no and yes alone"),
        (["0", "1", "1"], {}, "The names are 0 and 1 alone"),
        (["-", "b", "c"], {}, "'-' is read as a label, not as a missing value"),
        (["-", "?", "c"], {}, "'-', '?' are read as labels, not as missing values"),
    ],
)  # fmt: skip
def test_what_did_nothing_or_looks_like_something_else_is_told(cells, options, words):
    assert any(words in note for note in parse_names(cells, **options).notes), parse_names(
        cells, **options
    ).notes


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["New York", "Rome"], {"separator": ";"}),
        (["a;b", "b"], {"separator": ";"}),
        (["Sports > Football;News", "News"], {"separator": ";"}),
        (["a|b", "b"], {"separator": "|"}),
        (["ratio 16:9;hd", "hd"], {"separator": ";"}),
        ([["H1N1", "type:2"], ["type:2"]], {}),
        ([[{"n": "a"}]], {"name_key": "n"}),
        ([["yes", "maybe"], ["no"]], {}),
    ],
)
def test_what_is_ordinary_is_not_told(cells, options):
    told = parse_names(cells, **options).notes
    assert [note for note in told if "Of each object" not in note] == []


def test_ids_under_the_key_of_names_are_names():
    cells = ['[{"id": 28, "name": "Action"}, {"id": 12, "name": "War"}]', '[{"id": 12, "name": "War"}]']
    assert names_of(cells, name_key="id") == [{"28", "12"}, {"12"}]
    with pytest.raises(UserError, match="row 0"):
        parse_names(['[{"id": true}]'], name_key="id")


@pytest.mark.parametrize("name", ["", "  "])
def test_a_label_has_a_name(name):
    for make in (
        lambda: parse([[1, 0]], label_names=[name, "a"]),
        lambda: Annotations([[1, 0]], (name, "a")),  # type: ignore[arg-type]
    ):
        with pytest.raises(UserError, match=r"number 1.*empty"):
            make()


def test_rows_of_a_damaged_sparse_matrix_are_not_gone_through():
    matrix = sparse.csc_matrix(np.eye(3, dtype=int))
    matrix.indptr = np.array([0, 10**6, 2 * 10**6, 3 * 10**6], dtype=np.int32)
    for reader in (names_in, parse_names):
        with pytest.raises(UserError, match="a sparse matrix"):
            reader(matrix)


def test_texts_that_are_none_are_refused():
    # Bytes taken for text, as a wrong dtype or a damaged file gives them.
    array = np.array([[0x3FFF3F, 0x7F01003F]], dtype=np.uint32).view("<U2").ravel()
    for reader in (names_in, parse_names):
        with pytest.raises(UserError, match="cannot be read"):
            reader(array)


def test_a_code_that_could_not_matter_is_told():
    told = "not used: minus_one (--minus-one), since the labels are names, among which -1 is none"
    assert told in parse_names([["a"], ["b"]], minus_one="absent").notes
    states = parse_names([{"a": 1, "b": -1}, {"a": -1}], minus_one="absent")
    assert states.matrix.tolist() == [[1, 0], [0, -1]]
    assert told not in states.notes


def test_a_mark_that_stays_in_the_names_is_the_separator_rather():
    cells = ["a, b;c;d;e", "n;q;a, b;c;d;e", "q;a, b;c;d;e", "n;q;c;d;e"]
    assert names_of(cells)[0] == {"a, b", "c", "d", "e"}
    assert names_of(["a, b", "b, c", "c, a", "d, x; y"])[3] == {"d", "x; y"}
