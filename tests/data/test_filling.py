"""A table written again with unknown entries filled: nothing else changes."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.annotations import Annotations
from labelwise.data import TableOptions, read_table, write_filled
from tests.refusals import refused


def filled(path, out, states, **options):
    form = TableOptions(**options)
    table = read_table(path, form, require_items=False)
    notes = write_filled(table, form, np.array(states, np.int8), out)
    return notes


def test_columns_of_states_keep_every_other_cell(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text('id,x_1,cat,"dog; big",note\na,0.10,1,,"q, r"\nb,2,,0,\nc,3e0,,,z\n')
    options = {"label_columns": ["cat", "dog; big"], "feature_columns": ["x_1"]}
    # (a, cat) and (b, dog) are given: what the states say of them does not count.
    assert filled(path, out, [[0, 1], [0, 1], [-1, 1]], **options) == ()
    assert out.read_text() == 'id,x_1,cat,dog; big,note\na,0.10,1,1,"q, r"\nb,2,0,0,\nc,3e0,,1,z\n'


def test_the_files_own_words_for_yes_and_no(tmp_path):
    path, out = tmp_path / "a.tsv", tmp_path / "b.tsv"
    path.write_text("image\tcat\tdog\na.jpg\tyes\t\nb.jpg\tno\tyes\nc.jpg\t\tyes\n")
    filled(path, out, [[-1, 1], [-1, -1], [0, -1]])
    assert out.read_text() == "image\tcat\tdog\na.jpg\tyes\tyes\nb.jpg\tno\tyes\nc.jpg\tno\tyes\n"


def test_minus_one_for_absent(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("image,cat,dog\na.jpg,1,\nb.jpg,-1,1\nc.jpg,,1\n")
    filled(path, out, [[-1, 1], [-1, -1], [0, -1]], minus_one="absent")
    assert out.read_text() == "image,cat,dog\na.jpg,1,1\nb.jpg,-1,1\nc.jpg,-1,1\n"


@pytest.mark.parametrize(
    ("cells", "after"),
    [
        (["cat;dog", "dog", ""], ["cat;dog", "dog;cat", "cat;dog"]),
        (["cat|dog", "dog", ""], ["cat|dog", "dog|cat", "cat|dog"]),
        (['["cat", "dog"]', '["dog"]', ""], ['["cat", "dog"]', '["dog", "cat"]', "cat;dog"]),
        (["<cat><dog>", "<dog>", ""], ["<cat><dog>", "<dog><cat>", None]),
    ],
)
def test_names_in_a_cell(tmp_path, cells, after):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    pd.DataFrame({"image": ["a.jpg", "b.jpg", "c.jpg"], "tags": cells}).to_csv(path, index=False)
    states = [[-1, -1], [1, -1], [1, 1]] if after[2] else [[-1, -1], [1, -1], [-1, -1]]
    filled(path, out, states, labels_column="tags")
    written = pd.read_csv(out, keep_default_na=False)["tags"].tolist()
    assert written == [text or "" for text in after]


def test_absent_entries_do_not_fit_in_names(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("image,tags\na.jpg,cat;dog\nb.jpg,dog\n")
    (note,) = filled(path, out, [[-1, -1], [0, -1]], labels_column="tags")
    assert "1 entries known to be absent" in note
    assert out.read_text() == path.read_text()


def test_pairs_get_new_rows(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("image,label,value\na.jpg,cat,1\nb.jpg,dog,0\nb.jpg,cat,\n")
    filled(path, out, [[-1, 1], [0, -1]], item_column="image", labels_column="label", label_value="value")
    assert out.read_text() == "image,label,value\na.jpg,cat,1\nb.jpg,dog,0\nb.jpg,cat,0\na.jpg,dog,1\n"


def test_typed_tables_keep_their_types(tmp_path):
    frame = pd.DataFrame(
        {"image": ["a.jpg", "b.jpg"], "cat": pd.array([1, None], "Int64"), "dog": [None, True]}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    filled(tmp_path / "a.parquet", tmp_path / "b.parquet", [[-1, 0], [1, -1]])
    written = pd.read_parquet(tmp_path / "b.parquet")
    assert written["cat"].tolist() == [1, 1]
    assert written["dog"].tolist() == [False, True]
    lines = [{"image": "a.jpg", "tags": ["cat"]}, {"image": "b.jpg", "tags": ["cat", "dog"]}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    filled(tmp_path / "a.jsonl", tmp_path / "b.jsonl", [[-1, 1], [-1, -1]], labels_column="tags")
    first = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    assert first["tags"] == ["cat", "dog"]


def test_another_format_is_refused_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("image,cat\na.jpg,1\nb.jpg,\n")
    message = refused(lambda: filled(path, tmp_path / "b.parquet", [[-1], [1]]))
    assert ".csv" in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_given_is_overwritten(tmp_path, data):
    n, k = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 3))
    known = data.draw(
        st.lists(st.lists(st.sampled_from(["1", "0", ""]), min_size=k, max_size=k), min_size=n, max_size=n)
    )
    if not any("1" in row for row in known):
        known[0][0] = "1"
    states = data.draw(
        st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=k, max_size=k), min_size=n, max_size=n)
    )
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    names = [f"l{j}" for j in range(k)]
    lines = [",".join(["image", *names]), *(",".join([f"{i}.jpg", *row]) for i, row in enumerate(known))]
    path.write_text("\n".join(lines) + "\n")
    filled(path, out, states)
    after = [line.split(",")[1:] for line in out.read_text().splitlines()[1:]]
    for i in range(n):
        for j in range(k):
            expected = known[i][j] or {1: "1", 0: "0", -1: ""}[states[i][j]]
            assert after[i][j] == expected


def with_new_label(path, out, states, **options):
    """Write a table with one label more than its file has, "new one"."""
    form = TableOptions(**options)
    table = read_table(path, form, require_items=False)
    old = table.annotations
    matrix = np.hstack([old.matrix, np.full((len(old.matrix), 1), -1, np.int8)])
    labels = Annotations(matrix, (*old.label_names, "new one"))
    states = np.hstack([old.matrix, np.array(states, np.int8)[:, None]])
    table = replace(table, labels=labels)
    return write_filled(table, form, states, out, added=["new one"])


def test_a_new_label_gets_a_column_beside_the_others(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("id,cat,dog,note\na,1,,q\nb,,0,\nc,,1,z\n")
    options = {"label_columns": ["cat", "dog"]}
    assert with_new_label(path, out, [1, -1, 0], **options) == ()
    assert out.read_text() == "id,cat,dog,new one,note\na,1,,1,q\nb,,0,,\nc,,1,0,z\n"
    # Nothing is known of it: the file stays as it is.
    assert with_new_label(path, out, [-1, -1, -1], **options) == ()
    assert out.read_text() == path.read_text()


def test_a_new_label_where_an_empty_cell_means_absent(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("image,cat,dog\na.jpg,1,\nb.jpg,,1\nc.jpg,-1,1\n")
    assert with_new_label(path, out, [1, -1, 0], empty="absent") == ()
    assert out.read_text() == "image,cat,dog,new one\na.jpg,1,,1\nb.jpg,,1,-1\nc.jpg,-1,1,0\n"
    (note,) = with_new_label(path, out, [1, -1, 0], empty="absent", minus_one="absent")
    assert "new labels (new one) are not in the table, since none of its cells means unknown" in note
    assert out.read_text() == path.read_text()


def test_a_new_label_among_names_and_pairs(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("image,tags\na.jpg,cat;dog\nb.jpg,dog\nc.jpg,\n")
    assert with_new_label(path, out, [1, -1, -1], labels_column="tags") == ()
    assert out.read_text() == "image,tags\na.jpg,cat;dog;new one\nb.jpg,dog\nc.jpg,\n"
    path.write_text("image,tags\na.jpg,cat dog\nb.jpg,dog\nc.jpg,cat\n")
    (note,) = with_new_label(path, out, [1, -1, -1], labels_column="tags", separator=" ")
    assert "' ' separates names there" in note
    (note,) = with_new_label(path, out, [1, -1, -1], labels_column="tags", separator=" ", unlisted="absent")
    assert "means absent there" in note
    path.write_text("image,label,value\na.jpg,cat,1\nb.jpg,dog,0\nb.jpg,cat,1\n")
    pairs = {"labels_column": "label", "label_value": "value"}
    assert with_new_label(path, out, [1, 0], **pairs) == ()
    written = out.read_text()
    assert written.startswith(path.read_text())
    assert {"a.jpg,new one,1", "b.jpg,new one,0"} <= set(written.splitlines())


def test_a_new_label_in_parquet_has_the_type_of_the_others(tmp_path):
    path, out = tmp_path / "a.parquet", tmp_path / "b.parquet"
    frame = pd.DataFrame({"x_0": [0.5, 1.5, 2.5], "cat": [1, None, 0], "dog": [None, 1, None]})
    frame.astype({"cat": "Int8", "dog": "Int8"}).to_parquet(path)
    assert with_new_label(path, out, [1, -1, 0], label_columns=["cat", "dog"], feature_columns=["x_0"]) == ()
    written = pd.read_parquet(out)
    assert list(written.columns) == ["x_0", "cat", "dog", "new one"]
    assert written["new one"].tolist()[::2] == [1, 0]
    assert pd.isna(written["new one"].iloc[1])


def test_a_column_of_that_name_is_no_place_for_a_new_label(tmp_path):
    path, out = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("id,cat,dog,new one\na,1,,text\nb,,0,more\n")
    (note,) = with_new_label(path, out, [1, 0], label_columns=["cat", "dog"])
    assert "it has another column of that name" in note
    assert out.read_text() == path.read_text()
