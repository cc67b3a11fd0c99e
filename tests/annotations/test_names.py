import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.annotations import names_in, parse, parse_names
from labelwise.errors import UserError
from tests.refusals import refused

CELLS = [["cat", "dog"], ["cow"], [], None]
NAMES = ("cat", "cow", "dog")
KNOWN = {
    "unknown": [[1, -1, 1], [-1, 1, -1], [-1, -1, -1], [-1, -1, -1]],
    "absent": [[1, 0, 1], [0, 1, 0], [0, 0, 0], [-1, -1, -1]],
}


@pytest.mark.parametrize("unlisted", ["unknown", "absent"])
@pytest.mark.parametrize(
    "values",
    [
        CELLS,
        tuple(CELLS),
        pd.Series(CELLS),
        [("dog", "cat"), {"cow"}, frozenset(), float("nan")],
        [np.array(["cat", "dog"]), np.array(["cow"], dtype=object), np.array([], dtype=str), pd.NA],
        ['["cat", "dog"]', "['cow']", "[]", ""],
        ["cat; dog", "cow", "[]", "  "],
        ["dog|cat|", "cow", "[]", None],
        np.array(["cat,dog", "cow", "[]", " , "]),
        pd.Series(["cat,dog", "cow", "[]", None]),
        pd.Series(["cat,dog", "cow", "[]", None], dtype="category"),
        pd.Series(CELLS, dtype=pd.ArrowDtype(pa.list_(pa.string()))),
    ],
)
def test_every_kind_of_cell(values, unlisted):
    for annotations in (parse(values, unlisted=unlisted), parse_names(values, unlisted=unlisted)):
        assert annotations.label_names == NAMES
        np.testing.assert_array_equal(annotations.matrix, KNOWN[unlisted])


def test_a_list_of_blanks_is_an_empty_cell():
    np.testing.assert_array_equal(parse_names([["a"], [""]], unlisted="absent").matrix, [[1], [-1]])


def test_label_names_fix_the_labels_and_their_order():
    annotations = parse(["dog", "cat"], label_names=["dog", "yak", "cat"], unlisted="absent")
    assert annotations.label_names == ("dog", "yak", "cat")
    np.testing.assert_array_equal(annotations.matrix, [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(
        parse_names([[], None], label_names=["a"], unlisted="absent").matrix, [[0], [-1]]
    )


def test_numbers_in_a_list_are_names():
    assert parse_names([[3, np.int64(12)], "[5]"]).label_names == ("12", "3", "5")


@pytest.mark.parametrize(
    ("values", "options", "names"),
    [
        (["a,b;c"], {}, {"a,b", "c"}),
        (["a,b|c", "d"], {}, {"a,b", "c", "d"}),
        (["a;b"], {"separator": ","}, {"a;b"}),
        (["haze  primary\tclear"], {"separator": " "}, {"haze", "primary", "clear"}),
        (["a -> b"], {"separator": "->"}, {"a", "b"}),
        (["traffic light", "cat"], {"separator": ";"}, {"traffic light", "cat"}),
        (["traffic light", "cat"], {"label_names": ["cat", "traffic light"]}, {"traffic light", "cat"}),
        (["haze primary"], {"label_names": ["haze", "primary"]}, {"haze", "primary"}),
        (["traffic light, cat", "stop sign"], {}, {"traffic light", "cat", "stop sign"}),
    ],
)
def test_separators(values, options, names):
    annotations = parse_names(values, **options)
    assert set(annotations.label_names) == names
    assert (annotations.matrix == 1).any(axis=0).all()


def joined(row):
    return ";".join(row) if row else "[]"


@given(
    st.lists(
        st.none() | st.lists(st.sampled_from(["a", "b c", "d'e", 'f"g', "é\\"]), unique=True), min_size=1
    ).filter(any),
    st.sampled_from(["unknown", "absent"]),
)
def test_lists_json_python_and_joined_text_say_the_same(rows, unlisted):
    expected = parse_names(rows, unlisted=unlisted)
    for spell in (json.dumps, str, joined):
        texts = [None if row is None else spell(row) for row in rows]
        found = parse_names(texts, unlisted=unlisted, separator=";")
        assert found.label_names == expected.label_names
        np.testing.assert_array_equal(found.matrix, expected.matrix)
    for row, states in zip(rows, expected.matrix, strict=True):
        relevant = {name for name, state in zip(expected.label_names, states, strict=True) if state == 1}
        assert relevant == set(row or [])
        assert (states == -1).all() or row is not None
        assert unlisted == "unknown" or row is None or (states >= 0).all()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["cat", "dgo"], {"label_names": ["cat", "dog"]}, "row 1 (counted from 0) has the label 'dgo'"),
        (["cat", "dgo"], {"label_names": ["cat", "dog"]}, "did you mean 'dog'?"),
        (["cat", 3.5], {}, "row 1 (counted from 0) holds 3.5: give a list of names"),
        ([["cat", None]], {}, "row 0 (counted from 0) lists None, which is not a label name"),
        ([["cat", True]], {}, "lists True"),
        (["a", "[cat]"], {}, "row 1 (counted from 0) holds '[cat]', which is no list of names"),
        (["['cat' 'dog']"], {}, "which is no list of names"),
        (["x", "traffic light"], {}, "row 1 (counted from 0) holds 'traffic light', one name or several?"),
        ([None, ""], {}, "values hold no label name (2 rows)"),
        ([], {"label_names": ["a"]}, "values hold no label name (0 rows)"),
        ([["a"]], {"label_names": []}, "values hold no label name"),
        ("cat", {}, "one cell of names a row, not the text 'cat'"),
        (["cat"], {"separator": ""}, "separator must not be empty"),
        (["cat"], {"unlisted": "no"}, "unlisted must be 'unknown' or 'absent'"),
        (["cat"], {"label_names": ["cat", "cat"]}, "'cat' more than once"),
        (["cat"], {"label_names": "cat"}, "must be a list of names"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(values, options, message):
    refused(lambda: parse_names(values, **options), message)


def test_names_that_label_names_has_not_are_refused_or_ignored():
    cells = ["cat;cow", "cow", "", "dog"]
    with pytest.raises(UserError, match="cow"):
        parse_names(cells, label_names=["cat", "dog"])
    found = parse_names(cells, label_names=["cat", "dog"], unlisted="absent", extra="ignore")
    assert found.matrix.tolist() == [[1, 0], [0, 0], [-1, -1], [0, 1]]
    assert names_in(cells, label_names=["cat", "dog"]) == ("cat", "cow", "dog")
    with pytest.raises(UserError, match="ignore"):
        parse_names(cells, extra="drop")
