"""Texts of labels from files: what is read, and what is refused by file and label."""

from __future__ import annotations

import json

import pytest

from labelwise.runs.named_values import read_named_texts
from tests.refusals import refusal

NAMES = ("cat", "sea turtle")
TEXTS = {"cat": "a small beast", "sea turtle": ["sea turtle", "a reptile of the sea"]}


def read(path):
    return read_named_texts(path, NAMES, setting="label_texts (--label-texts)")


@pytest.mark.parametrize("ending", ["json", "toml", "JSON"])
def test_json_and_toml_say_the_same(tmp_path, ending):
    path = tmp_path / f"texts.{ending}"
    toml = "cat = 'a small beast'\n\"sea turtle\" = ['sea turtle', 'a reptile of the sea']\n"
    path.write_text(toml if ending == "toml" else json.dumps(TEXTS))
    assert read(path) == TEXTS


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.json", '{"cta": "x"}', "did you mean 'cat'"),
        ("t.json", '{"cat": 3}', "give a text"),
        ("t.json", '{"cat": "x", "cat": "y"}', "'cat' twice"),
        ("t.json", '["cat"]', '"label": text'),
        ("t.json", "{", "is not JSON"),
        ("t.toml", "cat = ", "is not TOML"),
        ("t.toml", "cat = 3", "give a text"),
        ("t.toml", "[cat]\ntext = 'x'", "give a text"),
    ],
)
def test_a_file_that_holds_something_else_is_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with refusal(words):
        read(tmp_path / name)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    for name in ("t.json", "t.toml"):
        with refusal("No such file"):
            read(tmp_path / name)
