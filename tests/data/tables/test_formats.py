"""Tables in and out of the four formats: the same items, features and states whatever the format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelwise.data import read_table
from labelwise.errors import UserError

FORMATS = ["csv", "tsv", "parquet", "jsonl"]


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        path.write_text("".join(json.dumps(row, default=float) + "\n" for row in rows))
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def example(n: int = 6) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    states = np.array([[1, 0, np.nan], [-1, 1, 0], [np.nan, np.nan, np.nan]] * (n // 3), dtype=np.float64)
    frame = pd.DataFrame(draw.normal(size=(n, 2)).astype(np.float32), columns=["f0", "f1"])
    frame.insert(0, "id", [f"item {i}" for i in range(n)])
    return frame.assign(cat=states[:, 0], dog=states[:, 1], owl=states[:, 2])


TRUTH = np.array([[1, 0, -1], [-1, 1, 0], [-1, -1, -1]] * 2, dtype=np.int8)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_table(tmp_path: Path, kind: str) -> None:
    frame = example()
    table = read_table(write(frame, tmp_path / f"t.{kind}"))
    assert table.items == list(frame["id"])
    assert (table.kind, table.feature_names, len(table)) == ("features", ("f0", "f1"), 6)
    assert table.features is not None
    assert table.features.dtype == np.float32
    np.testing.assert_array_equal(table.features, frame[["f0", "f1"]].to_numpy(np.float32))
    assert table.annotations.label_names == ("cat", "dog", "owl")
    np.testing.assert_array_equal(table.annotations.matrix, TRUTH)
    assert table.annotations.matrix.dtype == np.int8


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("unlisted", ["unknown", "absent"])
def test_a_column_of_names(tmp_path: Path, kind: str, unlisted: str) -> None:
    frame = pd.DataFrame({"x1": [0.0, 1.0, 2.0], "tags": ["cat;dog", None, "owl"]})
    table = read_table(write(frame, tmp_path / f"t.{kind}"), labels_column="tags", unlisted=unlisted)  # type: ignore[arg-type]
    no = -1 if unlisted == "unknown" else 0
    assert table.annotations.label_names == ("cat", "dog", "owl")
    assert table.annotations.matrix.tolist() == [[1, 1, no], [-1, -1, -1], [no, no, 1]]
    assert table.items == ["1", "2", "3"]


def test_a_column_of_lists_of_names_and_of_numbers(tmp_path: Path) -> None:
    rows = [{"embedding": [1, 2.5], "tags": ["a"]}, {"embedding": [0, 4], "tags": ["b", "a"]}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    for kind in ("jsonl", "parquet"):
        table = read_table(tmp_path / f"t.{kind}", labels_column="tags")
        assert table.feature_names == ("embedding_0", "embedding_1")
        assert table.features is not None
        assert table.features.tolist() == [[1, 2.5], [0, 4]]
        assert table.annotations.matrix.tolist() == [[1, -1], [1, 1]]


@pytest.mark.parametrize("word", ["image", "text", "Image"])
def test_beside_an_image_or_text_column_all_others_are_labels(tmp_path: Path, word: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{word},f1,x_2\na.png,1,0\nb.png,,1\n")
    table = read_table(path)
    assert table.kind == word.lower()
    assert table.features is None
    assert table.annotations.label_names == ("f1", "x_2")
    names = ["a.png", "b.png"]
    assert table.contents == (names if word == "text" else [str(tmp_path.resolve() / name) for name in names])
    assert table.items == (["1", "2"] if word == "text" else ["a.png", "b.png"])


def test_features_by_name_and_the_rest_labels(tmp_path: Path) -> None:
    names = ["Feature 1", "feat_2", "f3", "X.4", "dim:5", "emb-6", "v7", "feature_a", "x_b"]
    labels = ["fur", "x", "f", "vocal2", "dim"]
    path = tmp_path / "t.csv"
    path.write_text(",".join(names + labels) + "\n" + ",".join("1" * 14) + "\n")
    table = read_table(path)
    assert table.feature_names == tuple(names)
    assert table.annotations.label_names == tuple(labels)


def test_columns_by_name_and_by_pattern(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key,weight,size,label_b,label_a,note\nr,1.5,2,1,0,hello\ns,3,4,,1,\n")
    table = read_table(
        path, item_column="key", label_columns=["label_a", "label_*"], feature_columns=["size", "weight"]
    )
    assert table.items == ["r", "s"]
    assert table.annotations.label_names == ("label_a", "label_b")
    assert table.annotations.matrix.tolist() == [[0, 1], [1, -1]]
    assert table.feature_names == ("size", "weight")


def test_with_labels_named_all_others_are_features(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,weight,size,heavy\nr,1.5,2,1\n")
    assert read_table(path, label_columns="heavy").feature_names == ("weight", "size")


def test_byte_order_mark_semicolons_quotes_and_the_index_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufefff1;Müll\n 1.5 ; TRUE \n2;False\n+3;NA\n".encode())
    table = read_table(path)
    assert table.annotations.label_names == ("Müll",)
    assert table.annotations.matrix.ravel().tolist() == [1, 0, -1]
    assert table.features is not None
    assert table.features.ravel().tolist() == [1.5, 2, 3]
    example().drop(columns="id").to_csv(path)
    assert read_table(path).items == [str(i) for i in range(6)]
    path.write_text('id,f1,a\n"two\nlines",1,1\n"a,b",2,0\n')
    assert read_table(path).items == ["two\nlines", "a,b"]


def test_blank_lines_before_the_header_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n\nf1,a\n2,1\n")
    assert read_table(path).annotations.matrix.tolist() == [[1]]
    path.write_text("\n\nf1,a\n2,1\n3,2\n")
    with pytest.raises(UserError, match=r"row 2 \(line 5\), column 'a'"):
        read_table(path)


def test_expected_places_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1, "emb": [1, 2, 3]}\n{"emb": [4, 5, 6], "a": 0}\n')
    table = read_table(path, expect=(["emb_2", "emb_0"], ["a"]))
    assert table.features is not None
    assert table.features.tolist() == [[3, 1], [6, 4]]
    assert table.annotations.matrix.tolist() == [[1], [0]]


def test_leading_zeros_of_ids_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,f1,a\n007,1,1\n7,2,0\n")
    assert read_table(path).items == ["007", "7"]


def test_expected_columns_are_chosen_and_ordered(tmp_path: Path) -> None:
    path = write(example().assign(extra=1.0), tmp_path / "t.csv")
    table = read_table(path, expect=(["f1", "f0"], ["owl", "cat"]))
    assert table.feature_names == ("f1", "f0")
    assert table.annotations.label_names == ("owl", "cat")
    np.testing.assert_array_equal(table.annotations.matrix, TRUTH[:, [2, 0]])
    partly = read_table(path, expect=(["f0"], ["cat", "fox"]), require_labels=False)
    np.testing.assert_array_equal(partly.annotations.matrix, np.c_[TRUTH[:, 0], np.full(6, -1)])
    with pytest.raises(UserError, match=r"label columns 'fox'.*not in the file"):
        read_table(path, expect=(["f0"], ["cat", "fox"]))
    with pytest.raises(UserError, match=r"feature columns 'f_1'.*did you mean 'f1'"):
        read_table(path, expect=(["f0", "f_1"], ["cat"]))
    with pytest.raises(UserError, match="an 'image' or a 'text' column"):
        read_table(path, expect=([], ["cat"]))


def test_without_labels(tmp_path: Path) -> None:
    path = write(example()[["id", "f0", "f1"]], tmp_path / "t.csv")
    table = read_table(path, require_labels=False)
    assert table.labels is None
    with pytest.raises(UserError, match=r"t\.csv has no labels"):
        _ = table.annotations
    known = read_table(path, require_labels=False, labels_column="tags", expect=(["f0", "f1"], ["cat"]))
    assert known.annotations.matrix.tolist() == [[-1]] * 6


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tables_with_holes_survive_every_format(tmp_path: Path, data: st.DataObject) -> None:
    n, width, labels = (data.draw(st.integers(1, 4)) for _ in range(3))
    states = data.draw(hnp.arrays(np.int8, (n, labels), elements=st.sampled_from([1, 0, -1])))
    features = data.draw(hnp.arrays(np.float32, (n, width), elements=st.floats(-1e6, 1e6, width=32)))
    frame = pd.DataFrame(features, columns=[f"x{i}" for i in range(width)])
    for k in range(labels):
        hole = data.draw(st.sampled_from([np.nan, -1.0]))
        frame[f"label {k}"] = np.where(states[:, k] == -1, hole, states[:, k])
    for kind in FORMATS:
        table = read_table(write(frame, tmp_path / f"h.{kind}"))
        assert table.features is not None
        np.testing.assert_array_equal(table.features, features)
        np.testing.assert_array_equal(table.annotations.matrix, states)


def test_image_paths_start_at_a_folder(tmp_path: Path) -> None:
    (tmp_path / "photos" / "new").mkdir(parents=True)
    (tmp_path / "here").symlink_to(tmp_path / "photos")
    path = tmp_path / "t.csv"
    absolute = tmp_path / "here" / "c.png"
    path.write_text(f"image,fur\na.png,1\nnew/../new/b.png,0\n{absolute},\n")
    folder = tmp_path.resolve() / "photos"
    for images in (folder, tmp_path / "here", str(tmp_path / "photos" / "new" / "..")):
        table = read_table(path, images=images)
        assert table.contents == [str(folder / name) for name in ("a.png", "new/b.png", "c.png")]
        assert table.items == ["a.png", "new/../new/b.png", str(absolute)]


def test_a_label_of_that_name_is_no_column_of_texts_and_no_id(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,f0,f1,text\n1,.5,.2,0\n1,.1,.7,1\n")
    table = read_table(path, label_columns=["image", "text"])
    assert (table.kind, table.feature_names) == ("features", ("f0", "f1"))
    assert table.annotations.matrix.tolist() == [[1, 0], [1, 1]]
    assert table.items == ["1", "2"]


def test_a_model_gets_the_kind_of_items_that_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("image,text,cat\na.png,hello,1\n")
    for kind, content in (("text", "hello"), ("image", str(tmp_path.resolve() / "a.png"))):
        table = read_table(path, expect=((), ("cat",)), kind=kind)
        assert (table.kind, table.contents) == (kind, [content])
    path.write_text("image,cat\na.png,1\n")
    with pytest.raises(UserError, match="takes texts, and there is no column 'text'"):
        read_table(path, expect=((), ("cat",)), kind="text")


def test_texts_that_parquet_keeps_as_views_are_texts(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    if not hasattr(pa, "string_view"):
        pytest.skip("an Arrow without views")
    stories = pa.array([f"a story of number {i}" for i in range(20)], pa.string_view())
    parquet.write_table(pa.table({"story": stories, "cat": [0, 1] * 10}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", label_columns=["cat"], keep=["story"])
    assert table.kind == "text"
    assert table.contents == table.kept["story"].to_pylist() == stories.to_pylist()
