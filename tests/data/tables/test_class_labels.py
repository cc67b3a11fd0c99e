"""Parquet of the ``datasets`` library: numbers of classes are read by the names in its metadata."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from labelwise.data import read_table
from labelwise.data.tables.class_labels import named
from labelwise.errors import UserError

CLASS = {"names": ["cat", "dog", "never"], "_type": "ClassLabel"}


def write(path, **columns):
    features = {"labels": {"feature": CLASS, "_type": "Sequence"}, "animal": CLASS}
    table = pa.table(columns).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    parquet.write_table(table, path)
    return path


def test_a_list_of_classes_is_a_list_of_names_with_all_classes_as_labels(tmp_path):
    labels = pa.array([[1, 0], [], None], pa.list_(pa.int64()))
    path = write(tmp_path / "t.parquet", id=["a", "b", "c"], text=["one", "two", "three"], labels=labels)
    table = read_table(path, labels_column="labels", unlisted="absent")
    assert table.annotations.label_names == ("cat", "dog", "never")
    assert table.annotations.matrix.tolist() == [[1, 1, 0], [0, 0, 0], [-1, -1, -1]]


def test_a_single_class_is_its_name_and_minus_one_is_none(tmp_path):
    path = write(tmp_path / "t.parquet", id=["a", "b"], text=["one two", "three"], animal=pa.array([2, -1]))
    table = read_table(path, labels_column="animal", unlisted="absent")
    assert table.annotations.label_names == ("cat", "dog", "never")
    assert table.annotations.matrix.tolist() == [[0, 0, 1], [-1, -1, -1]]


def test_a_number_of_no_class_is_refused(tmp_path):
    path = write(tmp_path / "t.parquet", id=["a"], text=["one"], labels=pa.array([[3]], pa.list_(pa.int64())))
    with pytest.raises(UserError, match="column 'labels' holds the class 3, and its metadata name 3 classes"):
        read_table(path, labels_column="labels", unlisted="absent")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"info": 3}', '{"info": {"features": {"labels": [5]}}}', "[" * 9999]
)
def test_other_metadata_say_nothing(tmp_path, text):
    path = tmp_path / "t.parquet"
    table = pa.table({"id": ["a"], "text": ["b"], "labels": [["cat"]]}).replace_schema_metadata(
        {"huggingface": text}
    )
    parquet.write_table(table, path)
    assert read_table(path, labels_column="labels", unlisted="absent").annotations.label_names == ("cat",)


@given(
    st.lists(st.none() | st.lists(st.sampled_from([0, 1, 2, None]), max_size=4), max_size=6),
    st.integers(0, 3),
    st.sampled_from([pa.list_(pa.int64()), pa.list_(pa.int8()), pa.large_list(pa.int32())]),
)
def test_each_number_has_its_name_wherever_a_column_begins(tmp_path_factory, rows, start, kind):
    column = pa.chunked_array([pa.array(rows, kind)]).slice(start)
    expected = [
        None if row is None else [None if value is None else CLASS["names"][value] for value in row]
        for row in rows[start:]
    ]
    assert (
        named(tmp_path_factory.getbasetemp(), "labels", column, tuple(CLASS["names"])).to_pylist() == expected
    )
