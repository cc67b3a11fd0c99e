"""Every row of a file is a row of the table, or the file is refused with the line."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from labelwise.data import has_delimiter, read_table
from labelwise.data.tables.parquet import Footer, read_footer
from labelwise.data.tables.table import read_columns
from labelwise.errors import UserError
from tests.timing import least_seconds

QUOTE = '"'


def columns(path: Path, content: str | bytes, **options: Any) -> Any:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_columns(path, **options)


def reviews(opening: tuple[int, ...] = (), closing: tuple[int, ...] = (), mark: str = "\t") -> str:
    """Return thirty reviews, unquoted, of which some begin or end with a quote."""
    rows = [f"{QUOTE * (i in opening)}review {i}{QUOTE * (i in closing)}{mark}good" for i in range(30)]
    return "\n".join([f"text{mark}mood", *rows]) + "\n"


@pytest.mark.parametrize("opening", [(3, 9), (3, 9, 20), (3,)])
def test_unquoted_texts_that_begin_with_a_quote(tmp_path: Path, opening: tuple[int, ...]) -> None:
    found = columns(tmp_path / "t.tsv", reviews(opening))
    assert found.rows == 30
    assert [i for i, text in enumerate(found.strings("text")) if text.startswith('"')] == list(opening)
    assert any("line 5" in note and "part of the texts" in note for note in found.notes)
    assert found.where(29) == "t.tsv: row 30 (line 31)"
    with pytest.raises(UserError, match=r"row 4 \(line 5\): a quote"):
        columns(tmp_path / "t.csv", reviews(opening, mark=","))


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_rows_between_two_quotes_are_not_swallowed(tmp_path: Path, ending: str) -> None:
    mark = "," if ending == "csv" else "\t"
    rows = [f"{i}{mark}{QUOTE * (i == 4)}review {i}{QUOTE * (i == 19)}" for i in range(30)]
    with pytest.raises(UserError, match=r"line 6 opens a quote .* that line 21 closes"):
        columns(tmp_path / f"t.{ending}", "\n".join([f"id{mark}text", *rows]))


def test_rows_between_two_escaped_quotes_are_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2 opens a quote .* that line 4 closes"):
        columns(tmp_path / "t.tsv", 'id\ttext\n1\t"one\n2\ta \\" b\n3\tthree"\n4\tfour\n')


def test_a_text_of_several_lines_is_one_row(tmp_path: Path) -> None:
    found = columns(tmp_path / "t.csv", 'id,text\n1,"one\ntwo"\n2,"say ""hi"", you"\n')
    assert found.strings("text") == ["one\ntwo", 'say "hi", you']
    assert found.notes == []
    # Each of its lines could be a row, but for the quotes around the names.
    found = columns(tmp_path / "t.csv", '"text","tag"\n"dear, all\nbye",a\n"c",b\n')
    assert found.strings("text") == ["dear, all\nbye", "c"]


def test_quotes_that_a_backslash_escapes(tmp_path: Path) -> None:
    found = columns(tmp_path / "t.csv", 'id,text\n1,"he said \\"hi\\", ok"\n2,"C:\\\\tmp"\n3,plain\n')
    assert found.strings("text") == ['he said "hi", ok', "C:\\tmp", "plain"]
    assert any("backslash" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,"x\n2,y\n', r"row 1 \(line 2\): a quote .* never closes"),
        ('a,b\n1,x\n\n2,"x" y\n3,"z"\n', r"row 2 \(line 4\): a quote .* closes in the middle of a field"),
        ('a, "b"\n1, "x"\n', "line 1: the name of a column begins with a quote"),
        ("a\0,b\n1,2\n", "name of column 1, .*control character"),
        ("a,b\x1b[31m\n1,2\n", "name of column 2, .*control character"),
        (b"a,\xff\n1,2\n", r"line 1 is not UTF-8 \(byte 0xff at 3\)"),
        (b"a,b\n1,2\n3,\xc3(\n", r"line 3 is not UTF-8"),
        ("sep=;\na;b\n1;2\n", "line 1 is a mark for Excel"),
        ("a,b\n1,2\n3,4,\n", r"row 2 \(line 3\) has 3 fields, the header has 2"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "it looks like packed by gzip: name it .gz"),
    ],
)
def test_what_leaves_the_rows_unclear_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        columns(tmp_path / "t.csv", content)
    assert str(caught.value).isprintable()


def test_nul_in_cells_and_mixed_line_ends_lose_no_row(tmp_path: Path) -> None:
    found = columns(tmp_path / "t.csv", 'a,b\r1,x\0y\r\n3,"\0"\n\r\n5,6')
    assert (found.rows, found.data["a"].to_pylist()) == (3, ["1", "3", "5"])
    assert found.data["b"].to_pylist() == ["x\0y", "\0", "6"]
    assert [found.line_of(row) for row in range(3)] == [2, 3, 5]


def test_names_that_are_numbers_may_be_a_row(tmp_path: Path) -> None:
    assert "if line 1 is a row" in columns(tmp_path / "t.csv", "0.12,-1.5e3,1\n0.5,2.0,0\n").notes[0]
    assert columns(tmp_path / "t.csv", "0,1,2\n0.5,2.0,0\n").notes == []


def test_empty_lines_of_one_column_are_told(tmp_path: Path) -> None:
    assert columns(tmp_path / "t.csv", "text\na\n\nb\n").notes == [
        'Empty lines (1) are no rows: an empty cell of a table of one column is written "".'
    ]
    assert columns(tmp_path / "t.csv", 'text\na\n""\nb\n').rows == 3


@pytest.mark.parametrize(
    ("mark", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars (|)"), (",", None)]
)
def test_the_delimiter_is_guessed_and_told(tmp_path: Path, mark: str, word: str | None) -> None:
    text = "\n".join(
        mark.join(row) for row in [("id", "text", "tags"), ("1", "hi", "a"), ("2", "b, c", "d")][:2]
    )
    found = columns(tmp_path / "t.csv", text)
    assert list(found.data) == ["id", "text", "tags"]
    assert found.notes == (
        []
        if word is None
        else [f"Fields are separated by {word}, as the first lines show (change it with --delimiter)."]
    )
    assert columns(tmp_path / "t.csv", text, delimiter=mark).notes == []


def test_a_delimiter_that_could_be_two_is_asked(tmp_path: Path) -> None:
    text = "id;price,euro;x\n1;2,50;1\n2;3,75;0\n"
    with pytest.raises(UserError, match=r"commas or semicolons; say which with delimiter \(--delimiter\)"):
        columns(tmp_path / "t.csv", text)
    assert list(columns(tmp_path / "t.csv", text, delimiter=";").data) == ["id", "price,euro", "x"]
    assert list(columns(tmp_path / "t.csv", "a\tb\n1\t2\n", delimiter="\\t").data) == ["a", "b"]
    for wrong in ("", "ab", '"', "\n", "é", "x"):
        with pytest.raises(UserError, match="delimiter"):
            columns(tmp_path / "t.csv", text, delimiter=wrong)
    with pytest.raises(UserError, match="JSONL, which has no delimiter"):
        columns(tmp_path / "t.jsonl", "{}", delimiter=",")
    table = read_table(tmp_path / "t.csv", delimiter=";", label_columns="x", feature_columns="id")
    assert table.annotations.matrix.tolist() == [[1], [0]]


def test_the_delimiter_of_one_table_need_not_be_that_of_another(tmp_path: Path) -> None:
    for name, content, expected in (
        ("t.csv", b"a;b\n1;2\n", True),
        ("t.csv", b"a,b\n1,2;3\n", False),
        ("t.jsonl", b'{"a;b": 1}', False),
        ("t.csv.gz", b"damaged", False),
    ):
        (tmp_path / name).write_bytes(content)
        assert has_delimiter(tmp_path / name, ";") is expected
    assert has_delimiter(tmp_path / "none.csv", ";") is False


def test_a_number_of_hundreds_of_digits_numbers_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"text,n,a\nhi,{'9' * 400},1\nyou,{'9' * 401},0\n")
    with pytest.raises(UserError, match="column 'n'"):
        read_table(tmp_path / "t.csv")


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_files(tmp_path: Path, packer: str) -> None:
    pack = PACKERS[packer]
    content = "".join(f"{i},{i * i}\n" for i in range(3000)).encode()
    found = columns(tmp_path / f"t.csv.{packer}", pack(b"a,b\n" + content) + pack(b"x,y\n"))
    assert (found.rows, found.data["b"].to_pylist()[-1]) == (3001, "y")
    assert found.where(3000) == f"t.csv.{packer}: row 3001 (line 3002)"
    assert columns(tmp_path / f"t.jsonl.{packer}", pack(b'{"a": 1}\n{"a": 2}')).rows == 2
    assert columns(tmp_path / f"t.json.{packer}", pack(b'[{"a": 1}, {"a": 2}]')).rows == 2
    for broken in (pack(content)[:-3], b"no " + pack(content), pack(content) + b"more"):
        with pytest.raises(UserError, match="is damaged or cut short"):
            columns(tmp_path / f"t.csv.{packer}", broken)


def test_what_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelwise.data.tables.lines._MOST_BYTES", 1 << 20)
    with pytest.raises(UserError, match="unpacks to more than"):
        columns(tmp_path / "t.csv.xz", lzma.compress(b"a,b\n" + b"1,2\n" * 3_000_000))


def test_a_json_array_of_objects(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    found = columns(tmp_path / "t.json", json.dumps(rows, indent=1))
    assert (found.data["a"].to_pylist(), found.data["b"].to_pylist()) == ([1, 2], ["x", "y"])
    assert found.line_of(1) == 6
    found = columns(tmp_path / "t.json", "\n".join(map(json.dumps, rows)))
    assert (found.rows, len(found.notes)) == (2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", r"row 1 \(line 1\) is not a JSON object"),
        ('{"a": [1]}', "is not an array of objects"),
        ('[{"a": 1} {"a": 2}]', "followed by neither a comma"),
        ('[{"a": 1},]', r"row 2 \(line 1\) is not JSON"),
        ('[{"a": 1}', "followed by neither a comma"),
        ('[{"a": 1}] x', "text follows the end"),
        ("[" * 100_000, "nests too deep"),
        ("[]", "no rows"),
        ('[{"a": 1, "a": 2}]', "more than once: 'a'"),
    ],
)
def test_json_that_is_no_array_of_objects(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        columns(tmp_path / "t.json", content)


def test_nan_beside_text_is_null_and_missing_keys_are_told(tmp_path: Path) -> None:
    found = columns(tmp_path / "t.jsonl", '{"tags": NaN, "n": NaN}\n{"tags": "a", "n": 1, "typo": 2}\n')
    assert found.names("tags") == [None, "a"]
    assert found.states("n").tolist() == [-1, 1]
    assert found.notes == ["Keys that not each of the 2 rows has, empty elsewhere: 'typo' in 1."]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "a\0b.csv", "x" * 5000 + ".csv", "none.csv"):
        with pytest.raises(UserError) as caught:
            read_columns(tmp_path / name)
        assert len(str(caught.value)) < 500


def test_numbers_with_decimals_are_no_names(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"f1": 1, "tags": 0.5}\n{"f1": 2, "tags": 2}\n')
    with pytest.raises(UserError, match=r"row 1 \(line 1\), column 'tags' holds 0.5: give a list of names"):
        read_table(tmp_path / "t.jsonl", labels_column="tags")


def one_value(value: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([value]))


@pytest.mark.parametrize("form", ["flat", "list", "struct"])
def test_a_long_value_repeated_without_end_is_refused(tmp_path: Path, form: str) -> None:
    values = one_value("x" * 1_000_000, 100_000)
    if form == "list":
        values = pa.ListArray.from_arrays(pa.array([0, 50_000, 100_000], pa.int32()), values)
    elif form == "struct":
        values = pa.StructArray.from_arrays([values], ["bytes"])
    parquet.write_table(pa.table({"text": values}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000

    def refuse() -> None:
        with pytest.raises(UserError, match="decodes to more than 4,294,967,296 bytes"):
            read_columns(tmp_path / "t.parquet")

    assert least_seconds(refuse, below=2) < 2


@pytest.mark.parametrize("length", [100, 20_000])
def test_texts_that_share_their_beginnings_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr("labelwise.data.tables.lines._MOST_BYTES", 1 << 24)
    values = pa.table({"text": ["x" * length + str(i) for i in range(500)] * 4})
    path = tmp_path / "t.parquet"
    parquet.write_table(values, path, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})
    if length == 100:
        assert read_columns(path).strings("text") == values["text"].to_pylist()
        return
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="decodes to more than"):
        read_columns(path)


def test_a_record_larger_than_a_block(tmp_path: Path) -> None:
    found = columns(tmp_path / "t.csv", 'id,text\n1,"' + "x" * (1 << 25) + '\n"\n2,y\n')
    assert [len(text or "") for text in found.strings("text")] == [1 << 25, 1]


def test_rows_are_bounded_in_every_format(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": pa.nulls(60_000_000, pa.int8())}), tmp_path / "t.parquet")
    with pytest.raises(
        UserError, match=r"60,000,000 rows, more than 50,000,000; give max_rows \(--max-rows\)"
    ):
        read_columns(tmp_path / "t.parquet")
    for name, content in (("t.csv", "a\n1\n2\n3\n"), ("t.jsonl", "{}\n{}\n{}"), ("t.json", "[{}, {}, {}]")):
        with pytest.raises(UserError, match="has 3 rows, more than 2"):
            columns(tmp_path / name, content, max_rows=2)
        assert columns(tmp_path / name, content, max_rows=3).rows == 3


def test_what_decodes_is_counted_whatever_the_metadata_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(pa.table({"a": pa.array(range(200_000))}), tmp_path / "t.parquet")
    monkeypatch.setattr("labelwise.data.tables.lines._MOST_BYTES", 1000)
    monkeypatch.setattr("labelwise.data.tables.lines._TIMES", 0.5)
    with pytest.raises(UserError, match="decodes to more than"):
        read_columns(tmp_path / "t.parquet")
    monkeypatch.setattr("labelwise.data.tables.parquet.read_footer", lambda _: Footer(200_000, ()))
    with pytest.raises(UserError, match="decodes to more than"):
        read_columns(tmp_path / "t.parquet")


def test_the_footer_is_read_as_arrow_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {
        "n": pa.array(range(1000), pa.int64()),
        "tags": pa.array([["a", "b"]] * 1000),
        "image": pa.array([{"bytes": b"x" * 9, "path": "p"}] * 1000),
        "fixed": pa.array([b"12345"] * 1000, pa.binary(5)),
        "yes": pa.array([True] * 1000),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=300)
    with parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
        footer = read_footer(path)
        assert footer.rows == file.metadata.num_rows
    assert [chunk.path for chunk in footer.chunks] == [chunk.path_in_schema for chunk in chunks]
    for found, chunk in zip(footer.chunks, chunks, strict=True):
        assert found.bytes >= chunk.total_uncompressed_size
        if chunk.path_in_schema == "fixed":
            assert found.bytes >= 5 * chunk.num_values
        if "tags" in chunk.path_in_schema:
            assert found.most_bytes == chunk.num_values * chunk.total_uncompressed_size


CELLS = st.text(st.sampled_from('ab ,;\t"\\\n\r\0é|'), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)
    ),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from([",", "\t", ";"]),
)
def test_what_csv_writes_is_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: Any, mark: str
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=mark, quoting=quoting).writerows(
        [[f"c{i}" for i in range(len(rows[0]))], *rows]
    )
    path = tmp_path_factory.getbasetemp() / "written.csv"
    try:
        found = columns(path, file.getvalue(), delimiter=mark)
    except UserError:
        # With quotes around every field, names included, nothing is unclear.
        assert quoting != csv.QUOTE_ALL
        return
    # Rows at the end without content are left out, which is told.
    ends = [end for end, row in enumerate(rows, 1) if len(row) == 1 or any(map(str.strip, row))]
    end = ends[-1] if ends else len(rows)
    assert bool(end < len(rows)) == any("at the end without content" in note for note in found.notes)
    assert [
        list(row) for row in zip(*(column.to_pylist() for column in found.data.values()), strict=True)
    ] == rows[:end]


@pytest.mark.parametrize("kind", ["date32", "timestamp", "duration", "list"])
def test_times_that_python_cannot_hold_are_refused_with_their_column(tmp_path, kind):
    import pyarrow as pa
    from pyarrow import parquet

    days, seconds = pa.array([1, 2**31 - 5], pa.int32()), pa.array([1, 2**62])
    wrong = {
        "date32": days.view(pa.date32()),
        "timestamp": seconds.view(pa.timestamp("us")),
        "duration": seconds.view(pa.duration("ms")),
        "list": pa.ListArray.from_arrays([0, 1, 2], days.view(pa.date32())),
    }
    for column, fine in ((wrong[kind], False), (wrong[kind].slice(0, 1), True)):
        n = len(column)
        path = tmp_path / "a.parquet"
        parquet.write_table(pa.table({"text": ["a", "b"][:n], "when": column, "cat": [1, 0][:n]}), path)
        if fine:
            assert read_table(path, label_columns=["cat"]).labels is not None
            continue
        with pytest.raises(UserError, match=r"a\.parquet: column 'when' holds a time that is none"):
            read_table(path, label_columns=["cat"])
