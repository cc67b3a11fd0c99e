"""Whatever bytes a table's file holds are read or refused by the library's own error; the long form takes 20,000."""

from __future__ import annotations

import gzip
import io
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from labelwise.annotations import parse_names
from labelwise.data import read_table
from labelwise.data.tables.table import read_columns
from labelwise.errors import UserError

TOKENS = [
    b'"', b'""', b"'", b",",
    b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\0", b"\\", b'\\"', b"[", b"]", b"{", b"}", b":",
    b"null",
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 2000, b'{"a":' * 500, b"\xff", b"\xc3", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xe2\x80\xae", b"true", b"-1", b"0.5", b"1.000000", b"<a><b>", b"#a #b",
    b'{"choices":["a"]}', b"{'a'}", b"nan", b" ", b"\xf0\x9f\x98\x80", b"a" * 300, b"id", b"text", b"\x1f\x8b", b"PAR1",
    b"@data", b"@attribute x numeric", b"?", b"%",
]  # fmt: skip


def csv_bytes(mark: str) -> bytes:
    rows = [
        ("id", "text", "f1", "cat", "tags"),
        ("1", '"a ""b"" c"', "0.5", "1", "x y"),
        ("2", "d", "1e3", "", '"p;q"'),
    ]
    return "\n".join(mark.join(row) for row in [*rows, *rows[1:]]).encode() + b"\n"


def arff_bytes() -> bytes:
    attributes = ("id string", "'a text' string", "f1 numeric", "cat {0,1}", "tags {'x y',\"p;q\"}")
    rows = ("1,'a \\'b\\' c',0.5,1,'x y'", '2,d,1e3,?,"p;q"')
    head = ("% made", "@relation r", *(f"@attribute {words}" for words in attributes), "@data")
    return "\n".join((*head, *rows, *rows)).encode() + b"\n"


def objects() -> list[dict[str, object]]:
    row = {
        "id": 1,
        "text": "a \u00e9",
        "f1": 0.5,
        "cat": None,
        "tags": ["x"],
        "e": [1, 2],
        "d": {"x": 1},
        "b": True,
    }
    return [
        row,
        row | {"id": 2, "tags": [], "f1": 3},
        {"id": 3, "tags": [{"name": "q", "id": 1}], "new": float("nan")},
    ]


def parquet_bytes(**options: object) -> bytes:
    file = io.BytesIO()
    columns = {
        "id": ["a", "b", None] * 5,
        "f1": [0.5, float("inf"), None] * 5,
        "cat": pa.array([1, 0, -1] * 5, pa.int8()),
        "tags": [["x", "y"], None, []] * 5,
        "image": [{"bytes": b"\x89PNG", "path": "a.png"}, None, {"bytes": None, "path": None}] * 5,
        "day": pa.array([0, 2**40, None] * 5, pa.timestamp("us")),
        "word": pa.array(["u", "v", "u"] * 5).dictionary_encode(),
        "map": pa.array([[("x", 1)], [], None] * 5, pa.map_(pa.string(), pa.int8())),
    }
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "csv": lambda: [csv_bytes(","), csv_bytes(";"), csv_bytes("\t"), b"text\na\n\nb\n"],
    "tsv": lambda: [csv_bytes("\t"), b'id\ttext\n1\t"a\n2\tb"\n', csv_bytes(",")],
    "jsonl": lambda: ["\n".join(map(json.dumps, objects())).encode()],
    "json": lambda: [json.dumps(objects()).encode(), json.dumps(objects(), indent=1).encode()],
    "csv.gz": lambda: [gzip.compress(csv_bytes(",")), gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")],
    "arff": lambda: [arff_bytes(), arff_bytes().replace(b"\n", b"\r\n")],
    "parquet": lambda: [parquet_bytes(), parquet_bytes(compression="none", use_dictionary=False)],
}


def mutated(draw: random.Random, seeds: list[bytes], in_place: bool) -> bytes:
    data = bytearray(draw.choice(seeds))
    if in_place:
        # Parquet finds its parts by their places: what moves them is seldom read any further.
        for _ in range(draw.choice([1, 1, 2, 4])):
            at = draw.randrange(len(data))
            data[at] = draw.choice([0, 1, 255, data[at] ^ (1 << draw.randrange(8)), draw.randrange(256)])
        return bytes(data)
    for _ in range(draw.choice([1, 1, 2, 3, 8])):
        at, kind = draw.randrange(len(data) + 1), draw.randrange(6)
        if kind == 0:
            data[at:at] = draw.choice(TOKENS)
        elif kind == 1:
            data[at : at + draw.choice([1, 1, 4, 20])] = draw.choice(TOKENS)
        elif kind == 2:
            del data[at : at + draw.choice([1, 1, 4, 20, 200])]
        elif kind == 3 and data:
            data[min(at, len(data) - 1)] = draw.randrange(256)
        elif kind == 4:
            data[at:at] = data[at : at + draw.choice([4, 40])]
        else:
            other = draw.randrange(len(data) + 1)
            data[at : at + 8] = data[other : other + 8]
    return bytes(data)


def check(refusal: UserError) -> None:
    message = str(refusal)
    assert "\n" not in message
    assert len(message) < 20_000, message[:500]


def read_all(path: Path, draw: random.Random) -> None:
    """Read a file's columns, each by every reader of cells, and the table."""

    def refused(read: Callable[[], object]) -> None:
        try:
            read()
        except UserError as refusal:
            check(refusal)

    options = {
        "delimiter": draw.choice([None, None, None, ",", "tab"]) if "sv" in path.name else None,
        "max_rows": draw.choice([None, None, 1]),
    }
    columns = read_columns(path, **options)  # type: ignore[arg-type]
    for name in columns.data:
        for read in (columns.strings, columns.names, columns.states, columns.numbers, columns.is_vector):
            refused(lambda read=read, name=name: read(name))  # type: ignore[misc]
        refused(lambda name=name: parse_names(columns.names(name)))  # type: ignore[misc]
        refused(lambda name=name: read_table(path, labels_column=name, **options))  # type: ignore[misc, arg-type]
    columns.where(columns.rows - 1, "x")
    refused(lambda: read_table(path, **options))  # type: ignore[arg-type]


def attack(folder: Path, ending: str, count: int, seed: int) -> None:
    draw = random.Random(f"{ending} {seed}")
    seeds = SEEDS[ending]()
    path = folder / f"t.{ending}"
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            data = mutated(draw, seeds, ending == "parquet" and draw.random() < 0.9)
            path.write_bytes(data)
            try:
                read_all(path, draw)
                read += 1
            except UserError as refusal:
                check(refusal)
            except Exception as error:
                raise AssertionError(f"{ending}, input {number} of seed {seed}: {data[:2000]!r}") from error
    assert read > count / 500


@pytest.mark.parametrize("ending", SEEDS)
def test_files_of_any_bytes_are_read_or_refused(tmp_path: Path, ending: str) -> None:
    attack(tmp_path, ending, 150, seed=0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("ending", SEEDS)
def test_twenty_thousand_files_of_any_bytes_are_read_or_refused(tmp_path: Path, ending: str) -> None:
    attack(tmp_path, ending, 20_000, seed=1)
