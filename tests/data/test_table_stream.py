"""Tables that are read in fragments: the rows and states of the same table read whole."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyarrow import parquet

from labelwise.data import TableOptions, TableStream, read_table
from labelwise.data.tables import stream as module
from labelwise.errors import UserError

NAMES = np.array(["cat", "dog", "fox"])
LISTS = TableOptions(labels_column="tags", unlisted="absent")


@pytest.fixture(autouse=True)
def short_fragments(monkeypatch):
    monkeypatch.setattr(module, "FRAGMENT_ROWS", 16)


def columns(n=50, d=4, seed=0, **changed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, d)).astype(np.float32), rng.random((n, 3)) < 0.4
    lists = [list(NAMES[row]) for row in Y]
    lists[3] = None
    found = {
        "id": pa.array([f"item {i}" for i in range(n)]),
        "emb": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), d),
        "tags": pa.array(lists, pa.list_(pa.string())),
    }
    return {name: column for name, column in (found | changed).items() if column is not None}


def written(folder, data, cuts=(0, 20, 50), **options):
    """Write a table whole, and in parts in a folder."""
    table = pa.table(data)
    (folder / "parts").mkdir()
    for number, (start, stop) in enumerate(pairwise(cuts)):
        part = table.slice(start, stop - start)
        parquet.write_table(part, folder / "parts" / f"{number}.parquet", row_group_size=7, **options)
    parquet.write_table(table, folder / "whole.parquet")
    return folder / "parts", folder / "whole.parquet"


def same_as_whole(stream, whole):
    assert stream.feature_names == whole.feature_names
    assert stream.label_names == whole.annotations.label_names
    assert stream.roles == whole.roles
    X, Y = [], []
    for number, rows, states in stream.rows():
        assert number == len(X)
        X.append(rows)
        Y.append(states if isinstance(states, np.ndarray) else states.dense())
    np.testing.assert_array_equal(np.concatenate(X), whole.features)
    np.testing.assert_array_equal(np.concatenate(Y), whole.annotations.matrix)
    for (_, alone), states in zip(stream.labels(), Y, strict=True):
        np.testing.assert_array_equal(alone if isinstance(alone, np.ndarray) else alone.dense(), states)
    items = [item for _, _, ids, _ in stream.items() for item in ids]
    assert items == list(whole.items) or stream.item_column is None


def halves(n=50):
    return pa.array([[0.5, float(i)] for i in range(n)], pa.list_(pa.float16()))


def numbers(n=50):
    return pa.array([[[0, 2], [1], []][i % 3] for i in range(n)], pa.list_(pa.int32()))


def plain_columns():
    rng = np.random.default_rng(1)
    found = {"id": pa.array([f"i{i}" for i in range(50)])}
    found |= {f"f{k}": pa.array(rng.normal(size=50)) for k in range(3)}
    return found | {
        name: pa.array([[1, 0, None][(i + k) % 3] for i in range(50)]) for k, name in enumerate(NAMES)
    }


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (columns(), LISTS),
        (columns(), TableOptions(labels_column="tags")),
        (columns(), TableOptions(labels_column="tags", unlisted="absent", empty="absent")),
        (columns(emb=halves()), LISTS),
        (columns(tags=numbers()), LISTS),
        (columns(tags=columns()["tags"].cast(pa.large_list(pa.large_string()))), LISTS),
        (columns(id=None), LISTS),
        (plain_columns(), TableOptions()),
        (
            plain_columns(),
            TableOptions(empty="absent", feature_columns="f[01]", label_columns=["dog", "cat"]),
        ),
    ],
    ids=["absent", "unknown", "empty_absent", "halves", "numbers", "large", "no_ids", "columns", "chosen"],
)
def test_the_table_read_whole(tmp_path, data, options):
    folder, whole = written(tmp_path, data)
    same_as_whole(TableStream.open(folder, options), read_table(whole, options))


def test_a_dataset_and_a_single_file_are_streams_too(tmp_path):
    folder, whole = written(tmp_path, columns())
    for source in (ds.dataset(folder, format="parquet"), whole, ds.dataset(pa.table(columns()))):
        same_as_whole(TableStream.open(source, LISTS), read_table(whole, LISTS))


def test_fragments_lie_in_one_part_each_and_are_numbered(tmp_path):
    folder, _ = written(tmp_path, columns())
    (folder / "_metadata.parquet").write_bytes(b"no rows")
    (folder / ".hidden.parquet").write_bytes(b"no rows")
    stream = TableStream.open(folder, LISTS)
    assert [(one.number, one.part.name, one.start, one.rows) for one in stream.fragments()] == [
        (0, "0.parquet", 0, 16),
        (1, "0.parquet", 16, 4),
        (2, "1.parquet", 0, 16),
        (3, "1.parquet", 16, 14),
    ]
    skipped = [one.number for one, *_ in stream.items(skip=lambda one: one.number in (0, 1, 3))]
    assert skipped == [2]


def test_the_digest_is_of_the_content(tmp_path):
    folder, _ = written(tmp_path, columns())
    before = TableStream.open(folder, LISTS).digest
    assert TableStream.open(folder, LISTS).digest == before
    parquet.write_table(pa.table(columns(seed=1)).slice(0, 20), folder / "0.parquet", row_group_size=7)
    assert TableStream.open(folder, LISTS).digest != before


def not_finite(n=50):
    return pa.array([[1.0, float("nan") if i == 41 else 2.0] for i in range(n)], pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (columns(emb=not_finite()), LISTS, r"1.parquet: row 22, column 'emb': a feature is NaN"),
        (columns(tags=pa.array(["cat"] * 50)), LISTS, "a stream of rows takes lists"),
        (columns(tags=pa.array([[]] * 50, pa.list_(pa.string()))), LISTS, "lists no label"),
        (columns(tags=pa.array([[" "]] * 50)), LISTS, "without a name"),
        (columns(tags=pa.array([[0.5]] * 50)), LISTS, "give names or whole numbers"),
        (columns(), TableOptions(labels_column="tags", impute="mean"), "--impute cannot be used on a stream"),
        (columns(), TableOptions(labels_column="nothing"), "nothing"),
    ],
    ids=["nan", "texts", "none", "blank", "decimals", "impute", "missing"],
)
def test_what_cannot_be_read_is_refused(tmp_path, data, options, words):
    folder, _ = written(tmp_path, data)

    def read():
        for _ in TableStream.open(folder, options).rows():
            pass

    with pytest.raises(UserError, match=words):
        read()


def test_files_that_differ_are_refused(tmp_path):
    folder, _ = written(tmp_path, columns())
    parquet.write_table(pa.table(columns(emb=halves())), folder / "2.parquet")
    with pytest.raises(UserError, match=r"2\.parquet: row 1: its rows have 2 features, those before 4"):
        list(TableStream.open(folder, LISTS).rows())
    parquet.write_table(pa.table(columns(tags=None)), folder / "2.parquet")
    with pytest.raises(UserError, match=r"2\.parquet has no column 'tags'"):
        TableStream.open(folder, LISTS)
    (folder / "2.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"2\.parquet is not a Parquet file"):
        TableStream.open(folder, LISTS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no Parquet file in the folder"):
        TableStream.open(tmp_path / "empty", LISTS)


def test_a_name_that_a_model_does_not_know_is_told_with_its_row(tmp_path):
    folder, _ = written(tmp_path, columns())
    stream = TableStream.open(folder, LISTS, expect=(["emb_0", "emb_1", "emb_2", "emb_3"], ["cat", "dog"]))
    with pytest.raises(
        UserError, match=r"0.parquet: row \d+, column 'tags': the label 'fox' is none of those known"
    ):
        list(stream.labels())
