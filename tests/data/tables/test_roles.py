"""Every column's role is told with its reason; cells win over names, and what is unclear is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.data import read_table
from labelwise.errors import UserError

DRAW = np.random.default_rng(0)


def real(n: int, width: int = 3) -> pd.DataFrame:
    return pd.DataFrame(DRAW.normal(size=(n, width)).round(3), columns=[f"f{k}" for k in range(width)])


def states(n: int, holes: bool = False) -> list[object]:
    found = [int(value) for value in DRAW.integers(0, 2, n)]
    found[0], found[1] = 1, 0
    return ["" if holes and place % 5 == 2 else value for place, value in enumerate(found)]


def saved(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize(
    "name", ["feature_request", "x_ray", "Feature_complete", "text", "image", "item", "ID"]
)
@pytest.mark.parametrize("holes", [False, True])
def test_a_column_of_states_is_a_label_whatever_its_name(tmp_path: Path, name: str, holes: bool) -> None:
    frame = real(40).assign(bug=states(40), **{name: states(40, holes)}, question=states(40))
    table = read_table(saved(frame, tmp_path))
    assert (table.kind, table.feature_names) == ("features", ("f0", "f1", "f2"))
    assert table.annotations.label_names == ("bug", name, "question")
    assert f"labels: {name!r}, its cells are states" in table.roles
    assert any(name in note and "label" in note for note in table.notes)
    assert table.items == [str(row) for row in range(1, 41)]


def test_labels_of_such_names_stand_beside_texts_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["one of them", "another of them", "a third one"], "image": [1, 0, 0]})
    frame["x_ray"], frame["item"] = [0, 1, ""], [1, 1, 0]
    table = read_table(saved(frame, tmp_path))
    assert (table.kind, table.annotations.label_names) == ("text", ("image", "x_ray", "item"))


def test_a_name_that_two_readings_fit_is_refused(tmp_path: Path) -> None:
    words = pd.DataFrame(DRAW.integers(0, 2, (30, 4)), columns=[f"f{k}" for k in range(4)])
    path = saved(words.assign(x_ray=states(30), bug=states(30)), tmp_path)
    with pytest.raises(UserError, match=r"'x_ray' is named like a feature .* --feature-columns"):
        read_table(path)
    assert read_table(path, feature_columns="f*").annotations.label_names == ("x_ray", "bug")
    named = read_table(path, feature_columns=["f*", "x_ray"])
    assert named.annotations.label_names == ("bug",)
    with pytest.raises(UserError, match="'v9' is named like a feature"):
        read_table(saved(real(30).assign(v9=states(30), bug=states(30)), tmp_path))


def test_counts_of_words_stay_features_by_their_numbered_names(tmp_path: Path) -> None:
    words = pd.DataFrame(DRAW.integers(0, 2, (30, 6)), columns=[f"x{k}" for k in range(6)])
    table = read_table(saved(words.assign(bug=states(30)), tmp_path))
    assert table.feature_names == tuple(words.columns)
    assert "features: 'x0' ... 'x5' (6), by name" in table.roles


@pytest.mark.parametrize("name", ["Unnamed: 0", "", "index", "Index", "level_0", "__index_level_0__"])
@pytest.mark.parametrize("start", [0, 1])
def test_a_row_number_is_no_feature(tmp_path: Path, name: str, start: int) -> None:
    frame = pd.DataFrame(
        {name: range(start, start + 30), "a": DRAW.normal(size=30), "tags": ["p", "q;r"] * 15}
    )
    table = read_table(saved(frame, tmp_path), labels_column="tags")
    assert table.feature_names == ("a",)
    assert table.items == [str(row) for row in frame[name]]
    assert f"item ids: {name!r}, an index, which numbers the rows" in table.roles


def test_an_index_is_known_among_the_rows_of_a_split_and_beside_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": DRAW.normal(size=50), "tags": ["p", "q"] * 25})
    frame.sample(20, random_state=1).to_csv(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv", labels_column="tags").feature_names == ("a",)
    part = frame.sample(20, random_state=1).reset_index()
    table = read_table(saved(part, tmp_path), labels_column="tags")
    assert table.feature_names == ("a",)
    whole = frame.reset_index().assign(id=[f"n{i}" for i in range(50)])
    table = read_table(saved(whole, tmp_path), labels_column="tags")
    assert (table.items[0], table.feature_names) == ("n0", ("a",))
    assert "not used: 'index', an index, which numbers the rows" in table.roles
    twice = pd.concat([frame, frame], ignore_index=False)
    twice.to_csv(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv", labels_column="tags")
    assert (table.feature_names, table.items[:2]) == (("a",), ["1", "2"])


@pytest.mark.parametrize("values", [range(30), range(1, 31)])
def test_a_column_that_counts_the_rows_is_left_out_and_told(tmp_path: Path, values: range) -> None:
    frame = pd.DataFrame({"nr": values, "a": DRAW.normal(size=30), "tags": ["p", "q"] * 15})
    table = read_table(saved(frame, tmp_path), labels_column="tags")
    assert table.feature_names == ("a",)
    assert any("'nr' is no feature and no label: it counts the rows" in note for note in table.notes)
    named = read_table(saved(frame, tmp_path), labels_column="tags", feature_columns=["nr", "a"])
    assert named.feature_names == ("nr", "a")


def test_a_counter_beside_texts_is_no_label(tmp_path: Path) -> None:
    frame = pd.DataFrame({"nr": range(4), "mail": TEXTS, "late": [1, 0, 0, 1]})
    table = read_table(saved(frame, tmp_path))
    assert (table.contents, table.annotations.label_names) == (TEXTS, ("late",))
    assert "not used: 'nr', it counts the rows" in table.roles


def test_ids_of_other_things_are_no_features(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": DRAW.integers(0, 9, 30), "patientID": DRAW.integers(0, 9, 30)})
    frame = frame.assign(age=DRAW.normal(size=30), tags=["p", "q"] * 15)
    table = read_table(saved(frame, tmp_path), labels_column="tags")
    assert table.feature_names == ("age",)
    assert sum("an id by its name" in note for note in table.notes) == 2


TEXTS = ["the parcel came late again", "I cannot log in", "charged twice for one order", "where is my parcel"]


@pytest.mark.parametrize("name", ["body", "Beschwerde", "comment_text", "q"])
def test_a_text_column_of_any_name(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({name: TEXTS, "late": [1, 0, 0, 1], "login": [0, 1, "", 0]})
    table = read_table(saved(frame, tmp_path))
    assert (table.kind, table.contents, table.content_column) == ("text", TEXTS, name)
    assert table.annotations.label_names == ("late", "login")
    assert any(repr(name) in note and "--text-column" in note for note in table.notes)
    table = read_table(saved(frame, tmp_path), text_column=name)
    assert (table.kind, table.notes) == ("text", ())
    assert f"texts: {name!r}, --text-column" in table.roles


def test_of_two_texts_the_user_says_which(tmp_path: Path) -> None:
    frame = pd.DataFrame({"title": TEXTS[::-1], "body": TEXTS, "tags": ["a", "b", "a", "b"]})
    path = saved(frame, tmp_path)
    with pytest.raises(UserError, match=r"'title', 'body' all look like texts.*--text-column"):
        read_table(path, labels_column="tags")
    assert read_table(path, labels_column="tags", text_column="body").contents == TEXTS
    with pytest.raises(UserError, match=r"--text-column.*did you mean 'body'"):
        read_table(path, labels_column="tags", text_column="bodi")
    with pytest.raises(UserError, match="named as text and as label"):
        read_table(path, label_columns="body", text_column="body")


def test_texts_win_over_numbers_beside_them_and_that_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"when": [1, 5, 2, 8], "body": TEXTS, "tags": ["a", "b", "a", "b"]})
    table = read_table(saved(frame, tmp_path), labels_column="tags")
    assert (table.kind, table.contents) == ("text", TEXTS)
    assert "not used: 'when'" in table.roles


def test_words_and_names_of_files_are_no_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"colour": ["dark red", "blue", "green", "red"], "a": [1.5, 2, 3, 4]})
    with pytest.raises(UserError, match="'dark red'"):
        read_table(saved(frame.assign(tags=["a", "b"] * 2), tmp_path), labels_column="tags")


def test_unused_columns_are_told(tmp_path: Path) -> None:
    frame = real(20).assign(note="x", late=states(20), login=states(20))
    table = read_table(saved(frame, tmp_path), label_columns="late", feature_columns="f*")
    assert "features: 'f0' ... 'f2' (3), --feature-columns" in table.roles
    assert "labels: 'late', --label-columns" in table.roles
    assert "not used: 'note', 'login' (2)" in table.roles


def test_what_is_named_is_what_it_is_named(tmp_path: Path) -> None:
    frame = real(20).assign(index=[0, 1] * 10, key=[f"n{i}.png" for i in range(20)])
    options = {"label_columns": "index", "feature_columns": "f*", "item_column": "key"}
    table = read_table(saved(frame, tmp_path), **options)  # type: ignore[arg-type]
    assert (table.kind, table.annotations.label_names, table.items[0]) == ("features", ("index",), "n0.png")
    assert "item ids: 'key', --item-column" in table.roles
    two = pd.DataFrame({"index": [0, 1], "f0": [0.5, 1.5]})
    assert read_table(saved(two, tmp_path), label_columns="index").items == ["1", "2"]


def test_ids_are_kept_as_they_are_and_whole_numbers_have_no_point(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,f0,a\n0,1.5,1\n0.0,2.5,0\n1.50,3,1\n")
    assert read_table(tmp_path / "t.csv").items == ["0", "0.0", "1.50"]
    frame = pd.DataFrame({"id": [0.0, 1.0, 2.5], "f0": [1.5, 2, 3], "a": [1, 0, 1]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").items == ["0", "1", "2.5"]
    rows = [{"id": value, "f0": 1.5, "a": 1} for value in (0, 1.0, 3)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_table(tmp_path / "t.jsonl").items == ["0", "1", "3"]


ROLES = st.sampled_from(["state", "hole", "real", "index", "text"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            ROLES,
            st.sampled_from(["text", "image", "item", "x_ray", "feature_a", "late", "id", "index", "body"]),
        ),
        max_size=5,
        unique_by=lambda pair: pair[1],
    ),
    st.permutations(range(7)),
)
def test_no_label_is_trained_on_and_no_column_is_lost(tmp_path: Path, others, order) -> None:
    n = 24
    made = {
        "state": lambda: states(n),
        "hole": lambda: states(n, holes=True),
        "real": lambda: DRAW.normal(size=n).round(4),
        "index": lambda: range(n),
        "text": lambda: [f"{TEXTS[k % 4]} {k}" for k in range(n)],
    }
    frame = real(n, 2).assign(**{name: made[kind]() for kind, name in others})
    frame = frame.iloc[:, [place for place in order if place < frame.shape[1]]]
    try:
        table = read_table(saved(frame, tmp_path))
    except UserError:
        return
    kinds = {name: kind for kind, name in others}
    labels = set(table.annotations.label_names)
    assert all(kinds.get(name, "real") in ("state", "hole") for name in labels) or table.kind != "features"
    assert not [name for name in table.feature_names if kinds.get(name) in ("hole", "index", "text")]
    if table.kind == "features":
        assert labels == {name for name, kind in kinds.items() if kind in ("state", "hole")}
    told = " ".join(table.roles)
    for name in frame.columns:
        assert repr(name) in told or name in ("f0", "f1")


def test_features_are_read_beside_texts_where_both_are_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"when": [1, 5, 2, 8], "body": TEXTS, "f1": [0.5, 1, 2, 3], "tags": ["a", "b"] * 2})
    frame["late"] = [0, 1, 0, 1]
    path = saved(frame, tmp_path)
    for asked, names in (
        ({"labels_column": "tags", "text_column": "body", "feature_columns": ["when", "f1"]}, ("when", "f1")),
        ({"labels_column": "tags", "beside": True}, ("f1",)),
        ({"label_columns": ["late"], "beside": True, "feature_columns": "w*"}, ("when",)),
    ):
        table = read_table(path, **asked)  # type: ignore[arg-type]
        assert (table.kind, table.contents, table.feature_names) == ("text", TEXTS, names)
        np.testing.assert_array_equal(table.features, frame[list(names)].to_numpy(np.float32))
        assert (
            f"texts: 'body', {'--text-column' if 'text_column' in asked else 'its cells are texts'}"
            in table.roles
        )
    with pytest.raises(UserError, match="no feature columns beside 'body'"):
        read_table(saved(frame[["body", "tags"]], tmp_path), labels_column="tags", beside=True)
    with pytest.raises(UserError, match="no column of texts or pictures to read beside"):
        read_table(saved(frame[["when", "tags"]], tmp_path), labels_column="tags", beside=True)
    # Texts that are only there, and not asked for, give way to features that are named, as ever.
    table = read_table(
        saved(frame.rename(columns={"body": "text"}), tmp_path), labels_column="tags", feature_columns="when"
    )
    assert (table.kind, table.contents) == ("features", None)


def test_rows_without_a_text_are_left_out_with_their_features(tmp_path: Path) -> None:
    frame = pd.DataFrame({"body": [*TEXTS * 10, ""], "f1": range(41), "tags": ["a", "b"] * 20 + ["a"]})
    table = read_table(
        saved(frame, tmp_path), labels_column="tags", beside=True, text_column="body", on_bad_item="skip"
    )
    assert table.features is not None
    assert table.features[:, 0].tolist() == list(range(40))
    assert len(table) == 40
