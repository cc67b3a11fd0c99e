"""The syntax of a cell is read or refused; it is never a label name."""

import json
import unicodedata

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.annotations import Annotations, describe, names_in, parse, parse_names
from labelwise.errors import UserError
from tests.annotations.awkward import NAMES
from tests.refusals import refused


def read(cells, **options):
    found = parse_names(cells, unlisted="absent", **options)
    return [
        None
        if (row == -1).all()
        else {n for n, state in zip(found.label_names, row, strict=True) if state == 1}
        for row in found.matrix
    ]


def notes(cells, **options):
    return parse_names(cells, **options).notes


@pytest.mark.parametrize(
    ("cells", "options", "rows"),
    [
        (["{'sea','sun'}", "{'sea'}", "set()"], {}, [{"sea", "sun"}, {"sea"}, set()]),
        (["('sea','sun')", "('sea',)", "()"], {}, [{"sea", "sun"}, {"sea"}, set()]),
        (["frozenset({'sea'})", "array(['sun', 'sea'], dtype=object)"], {}, [{"sea"}, {"sea", "sun"}]),
        (['{"choices":["sea","sun"]}', "sea", ""], {}, [{"sea", "sun"}, {"sea"}, None]),
        (['{"choices": []}', "sand, wet"], {}, [set(), {"sand, wet"}]),
        (
            [
                '[{"value":{"choices":["sea"]},"from_name":"q","to_name":"t","type":"choices"}]',
                '[{"id":1,"result":[{"value":{"choices":["sun"]},"from_name":"q"}]}]',
                '[{"result":[]}]',
                '[{"result":[],"was_cancelled":true}]',
            ],
            {},
            [{"sea"}, {"sun"}, set(), None],
        ),
        (['[{"id":3,"name":"sea"},{"id":4,"name":"sun"}]', "[]"], {}, [{"sea", "sun"}, set()]),
        ([[{"name": "sea", "slug": "s"}]], {"name_key": "name"}, [{"sea"}]),
        ([{"name": "sea", "slug": "s"}], {"name_key": "name"}, [{"sea"}]),
        (["<sea><sun>", "<sun>"], {}, [{"sea", "sun"}, {"sun"}]),
        (["#sea #sun", "#sun"], {}, [{"sea", "sun"}, {"sun"}]),
        (["#sea #sun", "#sun"], {"separator": " "}, [{"#sea", "#sun"}, {"#sun"}]),
        (["#sea #sun"], {"label_names": ["#sea", "#sun"]}, [{"#sea", "#sun"}]),
        (["sea, sun", "sea, sand &amp; wind"], {}, [{"sea", "sun"}, {"sea", "sand &amp; wind"}]),
        (["sand &amp; wind; sea", "sea"], {}, [{"sand &amp; wind", "sea"}, {"sea"}]),
        (["R&B;pop"], {}, [{"R&B", "pop"}]),
        (["sea,sun"] * 9 + ["sun", "sea;sand"], {}, [{"sea", "sun"}] * 9 + [{"sun"}, {"sea;sand"}]),
        (["wind, cold;sea", "sea", "wind, cold"], {}, [{"wind, cold", "sea"}, {"sea"}, {"wind, cold"}]),
        (["wind, cold", "sea"], {"label_names": ["sea", "wind, cold"]}, [{"wind, cold"}, {"sea"}]),
        (
            ["wind, cold", "sea", "fog"],
            {"label_names": ["sea", "wind, cold"], "extra": "ignore"},
            [{"wind, cold"}, {"sea"}, set()],
        ),
        (
            ["stop sign", "traffic light", "red light"],
            {"label_names": ["stop sign", "traffic light"], "extra": "ignore"},
            [{"stop sign"}, {"traffic light"}, set()],
        ),
        (["sea sun", "sun"], {"label_names": ["sea", "sun"]}, [{"sea", "sun"}, {"sun"}]),
        (["sea#sun", "sun"], {"separator": "#"}, [{"sea", "sun"}, {"sun"}]),
        (["(other)", "sea"], {}, [{"(other)"}, {"sea"}]),
        (["[np.str_('sea'), np.str_('sun')]", "[]"], {}, [{"sea", "sun"}, set()]),
        (["{'sea': np.int64(1), 'sun': np.float64(0.0)}"], {}, [{"sea"}]),
        (["'sea', 'sun'", '"sun"'], {}, [{"sea", "sun"}, {"sun"}]),
        (["<sea>, <sun>", "<sun>"], {}, [{"sea", "sun"}, {"sun"}]),
        (["sea\u3001sun", "sun"], {}, [{"sea", "sun"}, {"sun"}]),
        (["sea\uff0csun", "sun"], {}, [{"sea", "sun"}, {"sun"}]),
        (["ratio 16:9; wide", "wide"], {}, [{"ratio 16:9", "wide"}, {"wide"}]),
        (["sea:1", "sun"], {}, [{"sea:1"}, {"sun"}]),
        (['["sea:1"]'], {}, [{"sea:1"}]),
        ([[1, 0, 1], [0, 0, 0]], {"label_names": ["a", "b", "c"]}, [{"a", "c"}, set()]),
        (["[1, 0, 1]", "[0, 0, 0]"], {"label_names": ["a", "b", "c"]}, [{"a", "c"}, set()]),
        ([[True, False], [False, False]], {"label_names": ["a", "b"]}, [{"a"}, set()]),
        ([[3, 5], [5], [0, 1]], {}, [{"3", "5"}, {"5"}, {"0", "1"}]),
        (["nan", "sea", "None"], {}, [None, {"sea"}, None]),
        (["nan", "sea"], {"label_names": ["nan", "sea"]}, [{"nan"}, {"sea"}]),
        (['["nan"]', "none"], {}, [{"nan"}, {"none"}]),
        ([float("nan"), "null", np.nan, np.float32("nan"), "sea"], {}, [None, None, None, None, {"sea"}]),
    ],
)
def test_cells_are_read_as_what_they_say(cells, options, rows):
    assert read(cells, **options) == rows


@pytest.mark.parametrize("spell", [lambda cell: cell, json.dumps, str])
def test_states_by_name(spell):
    cells = [{"sea": 1, "sun": 0}, {"sea": None, "wind": True}, {"sun": -1}, {}]
    found = parse_names(list(map(spell, cells)), unlisted="absent")
    assert found.label_names == ("sea", "sun", "wind")
    assert found.matrix.tolist() == [[1, 0, 0], [-1, 0, 1], [0, -1, 0], [0, 0, 0]]
    found = parse(list(map(spell, cells)), minus_one="absent", empty="absent")
    assert found.matrix.tolist() == [[1, 0, -1], [0, -1, 1], [-1, 0, -1], [-1, -1, -1]]


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (
            ["sea", "{sea,sun}"],
            {},
            "row 1 (counted from 0) holds '{sea,sun}', which is no list of names and no states",
        ),
        (['{"sea": .7}'], {}, "which is no list of names and no states by name"),
        (['{"sea": 0.7}'], {}, "where 'sea' has 0.7, which is no state"),
        (['{"sea": 1, "sea": 0}'], {}, "no states by name"),
        (["{'sea': 1, 'sea': 0}"], {}, "no states by name"),
        ([{"sea": 1, " sea": 0}], {}, "which says two things of 'sea'"),
        ([{"tags": ["sea"]}], {}, "where 'tags' has ['sea'], which is no state"),
        (["['sea' 'sun']"], {}, "which is no list of names"),
        (["['sea'\n 'sun']"], {}, "which is no list of names"),
        (["['sea', nan]"], {}, "which is no list of names"),
        (
            ["<sea><sun>", "sun"],
            {},
            "row 0 (counted from 0) holds '<sea><sun>', and other cells are written otherwise",
        ),
        (["#sea #sun", "sun"], {}, "one name or several?"),
        (["sea#sun", "sun", "wind"], {}, "row 0 (counted from 0) holds 'sea#sun', one name or several?"),
        (["sea/sun", "sun", "wind"], {}, "Give separator='/'"),
        (["sea\nsun", "sun"], {}, "one name or several?"),
        (
            [[1, 0], [0, 1]],
            {},
            "[1, 0], states without the names of their labels: write the names that apply",
        ),
        (["[1, 0]", "[0, 1]"], {}, "states without the names of their labels"),
        (["1,0,0", "0,1,1"], {}, "states without the names of their labels"),
        (["1.0;0;1", "0;1;1"], {}, "states without the names of their labels"),
        (["True,False", "False,True"], {}, "states without the names of their labels"),
        (["sea:1, sun:0", "sea:0"], {}, "row 0 (counted from 0) holds 'sea:1, sun:0', names with states"),
        (["sea=true;sun=false"], {}, "names with states"),
        (["sea:0.9|sun:0.1"], {}, "names with states"),
        (["sea: yes"], {}, "names with states"),
        (["100", "011"], {}, "as if 3 states without the names of their labels"),
        ([[1, 0], [0, 1]], {"label_names": ["a", "b"], "extra": "ignore"}, "states without the names"),
        ([[1, 0], [0, 1]], {"label_names": ["a", "b", "c"]}, "states without the names"),
        (
            [[1, 0, 0], [0, 1]],
            {"label_names": ["a", "b", "c"]},
            "row 1 (counted from 0) lists 2 states where",
        ),
        ([[1], [0]], {}, "states without the names of their labels"),
        ([[0.5, 1.0]], {}, "lists 0.5, which is not a label name"),
        ([[{"name": "sea", "slug": "s"}]], {}, "name_key (--name-key), such as 'name', 'slug'"),
        ([[{"name": "sea", "present": False}]], {}, "name_key (--name-key)"),
        ([[{"name": "sea"}], [{"title": "sun"}]], {}, "row 1 (counted from 0)"),
        ([[{"name": 3.5}]], {"name_key": "name"}, "an object without a name under 'name'"),
        (['[{"result":[]},{"result":[]}]'], {}, "2 annotations of one item: keep one"),
        (['[{"value":{"start":1,"labels":["a"]},"from_name":"q"}]'], {}, "a result that is no choice"),
        (
            ['[{"value":{"choices":["a"]},"from_name":"q"},{"value":{"choices":["b"]},"from_name":"r"}]'],
            {},
            "answers to several questions",
        ),
        ([["sea", ["sun"]]], {}, "lists ['sun'], which is not a label name"),
        (["[" * 4000 + "]" * 4000], {}, "which is no list of names"),
        ([[10**5000]], {}, "lists a value of type int"),
        ([b"sea"], {}, "give a list of names"),
        (["sea\x1b[31m"], {}, "holds the control character U+001B"),
        ([["sea\u202e"]], {}, "holds the control character U+202E"),
        ([["a\nb"]], {}, "holds the control character U+000A"),
        (5, {}, "one cell of names a row, not 5"),
        (sp.eye(2, format="csc"), {}, "one cell of names a row, not a sparse matrix"),
        (["sea"], {"separator": 3}, "separator must not be empty, and must be a text"),
        (["sea"], {"name_key": 3}, "name_key (--name-key) is 3"),
        (["sea"], {"label_names": 3}, "label_names must be a list of names, not 3"),
        (["sea"], {"label_names": [None]}, "label_names holds None, which is not a name"),
        (["sea"], {"minus_one": 0}, "minus_one must be 'unknown' or 'absent', not 0"),
    ],
)
def test_what_is_unclear_is_refused_with_what_to_write(cells, options, message):
    assert len(refused(lambda: parse_names(cells, **options), message)) < 500


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["sea, sun", "sea"], {}, ["separated by ',', which 1 of 2 cells hold"]),
        (["sea", "sun"], {}, ["Each cell is one name"]),
        (
            ["sea,sun", "sea", "sea;sand", "sun"],
            {},
            ["';', which occurs in 1 cells, is read as part of a name"],
        ),
        (["sea,sun", "sea sun", "sea"], {}, ["'sea sun' is one name, and its words are names too"]),
        (["nan", "nan", "sea"], {}, ["say 'nan' (2) are read as empty"]),
        ([["none"], ["sea"]], {}, ["'none' is read as a label"]),
        ([["<unk>", "a[1]", "sea"]], {}, ["Names with brackets", "'<unk>', 'a[1]'"]),
        ([["rock &amp; roll", "it's"]], {}, ["'rock &amp; roll'"]),
        ([["Cat", "cat", "dog"]], {}, ["differ in case, blanks or encoding alone", "'Cat' and 'cat'"]),
        ([["caf\u00e9", "cafe\u0301"]], {}, ["differ in case"]),
        (
            [["traffic light", "traffic  light", "zero\u200bwidth", "zerowidth"]],
            {},
            ["'traffic  light'", "zero"],
        ),
        ([[{"name": "sea", "id": 1}]], {}, ["the text of 'name' is the name, not 'id'"]),
        (["<sea><sun>"], {}, ["such as <a><b>"]),
        (["#sea #sun"], {}, ["such as #a #b are read as the names a and b"]),
        (['{"choices":["sea"]}'], {}, ["Label Studio"]),
        (["1", "0", "1"], {}, ["The names are 0 and 1 alone"]),
    ],
)
def test_what_was_guessed_is_told(cells, options, words):
    found = notes(cells, **options)
    for word in words:
        assert any(word in note for note in found), found
    assert str(describe(parse(cells))).count("read as ") >= 1


def test_plain_lists_need_no_note():
    assert notes([["cat", "dog"], ["it's"], []]) == ()
    assert names_in(["<a><b>", "<b>"]) == ("a", "b")


@pytest.mark.parametrize("name", ["a\0", "\x7f", "a\x85b", "a\u2028b", "\ud800", "\u2066x"])
def test_control_characters_in_label_names_are_refused(name):
    for make in (
        lambda: Annotations(np.zeros((1, 1), np.int8), (name,)),
        lambda: parse([[1]], label_names=[name]),
        lambda: parse_names([[name]]),
    ):
        with pytest.raises(UserError, match="control character") as error:
            make()
        assert str(error.value).isprintable()
    assert (
        Annotations(np.zeros((1, 1), np.int8), ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",)).n_labels
        == 1
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.sampled_from(NAMES), unique=True), min_size=1, max_size=6).filter(any),
    st.sampled_from(["unknown", "absent"]),
)
def test_lists_say_the_same_however_they_are_written(rows, unlisted):
    expected = parse_names(rows, unlisted=unlisted)
    for spell in (json.dumps, str, lambda row: str(tuple(row)), lambda row: str(set(row)), set, np.array):
        cells = [None if row is None else spell(row) for row in rows]
        found = parse_names(cells, unlisted=unlisted)
        assert found.label_names == expected.label_names
        np.testing.assert_array_equal(found.matrix, expected.matrix)
    objects = [None if row is None else [{"id": 1, "name": name} for name in row] for row in rows]
    for cells in (objects, [None if cell is None else json.dumps(cell) for cell in objects]):
        np.testing.assert_array_equal(parse_names(cells, unlisted=unlisted).matrix, expected.matrix)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.none()
        | st.lists(st.sampled_from(["sea", "sun", "sand", "caf\u00e9", "d'or"]), unique=True, min_size=1),
        min_size=1,
        max_size=6,
    ).filter(any),
    st.sampled_from([";", "|", ",", "; ", " , ", "#", "/", "><", " #"]),
)
def test_joined_names_are_read_back_or_refused(rows, mark):
    wrap = {"><": ("<", ">"), " #": ("#", "")}.get(mark, ("", ""))
    cells = ["" if row is None else wrap[0] + mark.join(row) + wrap[1] for row in rows]
    try:
        found = read(cells)
    except UserError:
        assert mark in "#/"
        return
    expected = [None if row is None else set(row) for row in rows]
    if mark in "#/":
        expected = [None if row is None else {mark.join(row)} for row in rows]
    if mark == " #" and max(len(row or ()) for row in rows) == 1:
        expected = [None if row is None else {f"#{row[0]}"} for row in rows]
    assert found == expected
    assert unicodedata.is_normalized("NFC", "".join(NAMES))
