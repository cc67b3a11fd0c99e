"""Whatever is given as labels is read or refused by the library's own error. The long form takes 20,000 of each."""

import random
import warnings
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from labelwise.annotations import as_matrix, describe, names_in, parse, parse_names
from labelwise.errors import UserError

WORDS = [
    "a", "b", "cat", "", " ", "1", "0", "-1", "nan", "None", "null", "[", "]", "{", "}", "(", ")", "<", ">", "'", '"',
    ",", ";", "|", "#", "/", "&amp;", "&", ":", "\\", "\\u0041", "\\x", "\0", "\n", "\ud800", "\u202e", "é", "e\u0301",
    "true", "True", "NaN", "Infinity", "1e999", "9" * 5000, "[" * 3000, "{" * 300, '{"a":' * 300, "0x1", "--1", "b'a'",
    '{"choices":["a"]}', '["a","b"]', "{'a','b'}", "('a',)", "set()", "{'a':1}", '{"a": 1, "a": 0}', "[1,0]", "array([",
    '[{"name":"a","id":1}]', 
    '[{"value":{"choices":["a"]},"from_name":"q"}]', '{"result":[]}', "<a><b>", "#a #b", "lambda",
    "frozenset({", "dtype=object)", "\u2028", "\ufeff", "１", "٣", "…", "[[", "]]", "nan,", "a,b;c|d",
]  # fmt: skip


class Evil:
    """An object whose every part fails."""

    def __fail(self, *_, **__):
        raise KeyError("evil")

    __repr__ = __len__ = __iter__ = __array__ = __getitem__ = __eq__ = __float__ = __fail
    __hash__ = object.__hash__


class Lying:
    """An object that says it is a frame, or sparse, and is none."""

    shape, columns, iloc, dtypes, dtype = (2, 2), ["a", "b"], [1], [int], "int"

    def tocoo(self):
        return self

    def __len__(self):
        return -1  # noqa: PLE0303


def text(draw):
    return "".join(draw.choice(WORDS) for _ in range(draw.randrange(6)))


def scalar(draw):
    makers = [
        lambda: draw.choice([1, 0, -1]),
        lambda: draw.choice([1, 0, -1]),
        lambda: text(draw),
        lambda: None,
        lambda: draw.choice([True, False]),
        lambda: draw.choice([1.0, 0.5, float("nan"), float("inf"), -0.0]),
        lambda: draw.choice([10**5000, -(10**30), 2**63, 2**64]),
        lambda: draw.choice([b"a", b"\xff", bytearray(b"x"), memoryview(b"x")]),
        lambda: draw.choice([Decimal("1"), Decimal("NaN"), Fraction(1, 2), 1j]),
        lambda: draw.choice(
            [pd.NA, pd.NaT, np.ma.masked, pd.Timestamp(0), np.datetime64("NaT"), np.timedelta64(1, "s")]
        ),
        lambda: draw.choice(
            [np.int8(1), np.float16(0), np.bool_(True), np.str_("a"), np.void(b"ab"), np.complex64(1)]
        ),
        lambda: draw.choice(
            [Evil(), Lying(), object(), int, len, ..., range(3), iter([1]), slice(1), ValueError("x")]
        ),
    ]
    return draw.choice(makers)()


def nested(draw, depth=0):
    if depth > 3 or draw.random() < 0.4:
        return scalar(draw)
    inner = [nested(draw, depth + 1) for _ in range(draw.randrange(4))]
    makers = [
        lambda: inner,
        lambda: tuple(inner),
        lambda: {
            value for value in inner if isinstance(value, str | int | float | tuple) and hashable(value)
        },
        lambda: {text(draw): value for value in inner},
        lambda: OrderedDict((i, value) for i, value in enumerate(inner)),
        lambda: {"choices": inner},
        lambda: [{"value": {"choices": inner}, "from_name": scalar(draw)}],
        lambda: [{"result": inner}],
        lambda: [{"name": scalar(draw), "id": 1} for _ in inner],
        lambda: looped(inner),
    ]
    return draw.choice(makers)()


def hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


def looped(values):
    values.append(values)
    return values


def sparse(draw):
    rows, columns = draw.randrange(1, 4), draw.randrange(1, 4)
    dense = np.array([[draw.choice([0, 1, -1, 2]) for _ in range(columns)] for _ in range(rows)], dtype=float)
    matrix = sp.csr_matrix(dense).asformat(draw.choice(["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]))
    for name in ("indptr", "indices", "data", "row", "col", "coords", "offsets", "_shape"):
        if hasattr(matrix, name) and draw.random() < 0.3:
            size = draw.randrange(5)
            value = draw.choice(
                [
                    np.array([draw.choice([0, 1, -5, 2**31 - 1, 2**40]) for _ in range(size)]),
                    np.array([0.5] * size),
                    np.zeros((2, 2)),
                    np.array(["x"] * size),
                    None,
                    (1, 2),
                    [],
                ]
            )
            try:
                setattr(matrix, name, value)
            except Exception:
                continue
    return matrix


def array(draw):
    shape = tuple(draw.randrange(4) for _ in range(draw.randrange(4)))
    kind = draw.choice(
        ["i1", "u1", "i8", "u8", "f2", "f4", "f8", "f16", "c8", "?", "U3", "S2", "M8[s]", "m8[s]", "V4", "O"]
    )
    if kind == "O":
        values = np.empty(shape, dtype=object)
        values.ravel()[...] = None
        for place in np.ndindex(*shape):
            values[place] = nested(draw)
        return values
    size = int(np.prod(shape, dtype=int))
    raw = bytes(draw.choice([0, 1, 255, 63, 128]) for _ in range(size * np.dtype(kind).itemsize))
    try:
        values = np.frombuffer(raw, dtype=kind).reshape(shape) if size else np.empty(shape, dtype=kind)
    except ValueError:
        return raw
    if draw.random() < 0.2 and values.dtype.kind in "iufb?":
        return np.ma.array(values, mask=draw.random() < 0.5)
    return values


def structured(draw):
    makers = [
        lambda: pd.Series([nested(draw) for _ in range(draw.randrange(4))], dtype=object),
        lambda: pd.DataFrame(
            {draw.choice(["a", "b", 1, None, "a\0"]): [scalar(draw), scalar(draw)] for _ in range(2)},
            dtype=object,
        ),
        lambda: pd.DataFrame([[1, 0]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        lambda: pd.Categorical(["a", None, "b"]),
        lambda: pd.Index([1, 0]),
        lambda: pd.DataFrame({"a": pd.Categorical([1, None])}),
        lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.to_datetime(["2020", None])}),
        lambda: torch.tensor([[draw.choice([1.0, 0.0, -1.0, 0.5])]]).to(
            draw.choice([torch.float16, torch.bfloat16, torch.int64])
        ),
        lambda: torch.zeros((1, 1), dtype=draw.choice([torch.complex64, torch.bool, torch.uint8])),
        lambda: torch.empty((2, 2), device="meta"),
        lambda: (value for value in [1, 0]),
        lambda: {"a": [1, 0], "b": [0, 1]},
    ]
    return draw.choice(makers)()


def given_labels(draw):
    makers = [nested, array, sparse, structured, lambda d: [nested(d) for _ in range(d.randrange(5))]]
    makers.append(lambda d: [[scalar(d) for _ in range(2)] for _ in range(d.randrange(1, 4))])
    makers.append(lambda d: [text(d) for _ in range(d.randrange(1, 5))])
    return draw.choice(makers)(draw)


def options(draw, names):
    found = {}
    for name in names:
        if draw.random() < 0.2:
            found[name] = scalar(draw)
        elif draw.random() < 0.5:
            found[name] = {
                "label_names": lambda: [text(draw) or "x" for _ in range(draw.randrange(4))],
                "separator": lambda: draw.choice([" ", ";", ",", "><"]),
                "name_key": lambda: "name",
                "extra": lambda: draw.choice(["refuse", "ignore"]),
            }.get(name, lambda: draw.choice(["unknown", "absent"]))()
    return found


COMMON = ("label_names", "unlisted", "minus_one", "empty")
READERS = {
    "parse": (parse, given_labels, (*COMMON, "separator", "name_key")),
    "as_matrix": (as_matrix, given_labels, ("unlisted", "minus_one", "empty")),
    "describe": (describe, given_labels, COMMON),
    "parse_names": (
        parse_names,
        lambda draw: [nested(draw) for _ in range(draw.randrange(1, 5))],
        (*COMMON, "separator", "name_key", "extra"),
    ),
    "cells": (
        parse_names,
        lambda draw: [text(draw) for _ in range(draw.randrange(1, 5))],
        (*COMMON, "separator", "name_key", "extra"),
    ),
    "names_in": (names_in, given_labels, ("label_names", "separator", "name_key")),
}


def attack(name, count, seed):
    reader, make, keywords = READERS[name]
    draw = random.Random(f"{name} {seed}")
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            given, asked = make(draw), options(draw, keywords)
            try:
                reader(given, **asked)
                read += 1
            except UserError as refusal:
                message = str(refusal)
                assert "\n" not in message
                assert len(message) < 1500, message[:300]
            except Exception as error:
                raise AssertionError(f"{name}, input {number} of seed {seed}") from error
    assert read > count / 200


@pytest.mark.parametrize("name", READERS)
def test_labels_of_any_kind_are_read_or_refused(name):
    attack(name, 400, seed=0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_twenty_thousand_labels_of_any_kind_are_read_or_refused(name):
    attack(name, 20_000, seed=1)
