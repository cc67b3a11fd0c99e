"""The pages that are made from the source say what the source says; no error message is missing."""

from __future__ import annotations

import ast
import functools
import html
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "labelwise"


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def failures():
    made = script("make_failures")
    anywhere, whole = made.collect, functools.cache(made.collect)
    # The library is read once for all tests.
    made.collect = lambda root=made.ROOT: whole() if root == made.ROOT else anywhere(root)
    yield made
    del sys.modules["make_failures"]


def test_the_errors_page_is_the_generated_one(failures):
    committed = (DOCS / "failures.md").read_text(encoding="utf-8")
    assert committed == failures.page(), "docs/failures.md is old: python docs/make_failures.py"


def test_the_commands_page_is_the_generated_one():
    committed = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert committed == script("make_commands").page(), (
        "docs/reference/commands.md is old: python docs/make_commands.py"
    )


def test_every_word_of_every_message_is_on_the_errors_page():
    page = plain((DOCS / "failures.md").read_text(encoding="utf-8"))
    missing = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in ("UserError", "NotFitted", "Unusable", "Interrupted", "Stopped", "BadParameter"):
                continue
            texts = [
                part.value for arg in node.args for part in ast.walk(arg) if isinstance(part, ast.Constant)
            ]
            for text in texts:
                words = plain(text) if isinstance(text, str) else ""
                if len(words) >= 12 and words not in page:
                    missing.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {words}")
    assert not missing, missing


def plain(text: str) -> str:
    """Return the letters of a text alone, so that escapes and placeholders do not matter."""
    text = re.sub(r"<var>.*?</var>", "", html.unescape(text))
    return re.sub(r"[^A-Za-z]+", " ", text).strip()


def test_advice_is_about_rooms_and_files_that_have_messages(failures):
    messages = failures.collect()
    assert {failures.room_of(message.file) for message in messages} <= set(failures.ROOMS)
    assert set(failures.FILES) <= {message.file for message in messages}


@pytest.fixture
def read(failures, tmp_path):
    """Return the messages of a module that is made of these lines."""

    def call(text):
        (tmp_path / "made.py").write_text(text, encoding="utf-8")
        return [message.text for message in failures.collect(tmp_path)]

    return call


def test_what_varies_becomes_a_placeholder(read):
    assert read('def f(row):\n    raise UserError(f"row {row + 1} of {self._path!r}: {len(x)} cells")') == [
        "row ‹row› of ‹path›: ‹number› cells"
    ]


def test_names_stand_for_the_texts_that_they_were_given(read):
    text = 'def f(a):\n    more = " or more" if a else ""\n    raise UserError(f"give 1{more}; see help")'
    assert read(text) == ["give 1 {or more}; see help"]


def test_helpers_are_followed(read):
    text = (
        'def g(what) -> str:\n    if what:\n        return f"no {what}"\n    return "nothing"\n\n'
        'def f():\n    raise UserError(g("bread"))'
    )
    assert read(text) == ["no bread", "nothing"]


def test_functions_that_return_errors_are_shown_where_they_are_called(read):
    text = (
        'def damaged(path, why) -> UserError:\n    return UserError(f"{path}: {why}; get it again")\n\n'
        'def f(n):\n    raise damaged(place, f"{n} lines too few")'
    )
    assert read(text) == ["‹place›: ‹n› lines too few; get it again"]
