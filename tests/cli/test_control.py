"""Names, ids and paths may come from anybody: nothing of theirs is obeyed by a terminal."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.cli import output as show
from labelwise.errors import CONTROLS, UserError, printable
from labelwise.runs import toml

EVIL = "a\x1b]0;title\x07\x9b31m\x7f\u202eb\ud800\r"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800"])
def test_a_control_is_written_out(character):
    assert printable(f"a{character}b").isascii()
    assert printable(f"a{character}b") == f"a{character.encode('unicode_escape').decode()}b"
    assert str(UserError(f"a{character}b")).isprintable()


@pytest.mark.parametrize("text", ["", "ordinary", "ü 日本 👩‍👩‍👧", "two\nlines\tand a tab"])
def test_other_texts_stay(text):
    assert printable(text) == text


def test_what_is_printed_holds_none(capsys):
    show.say(f"{EVIL}\nnext")
    show.say(EVIL, err=True, end="")
    show.table(("label", "value"), [(EVIL, 1.0), ("x", EVIL)])
    show.show_notes([EVIL])
    show.show_skipped([(EVIL, EVIL)])
    record = {
        "rule": EVIL,
        "metrics": {"map": 0.5},
        "n_items": 3,
        "n_unknown": 1,
        "n_items_left_out": 0,
        "labels_without_positive": [EVIL],
        "labels_without_negative": [EVIL],
        "notes": [EVIL],
        "per_label": {"name": [EVIL], "positives": [1]},
    }
    show.figures(record)
    show.per_label(record)
    for stream in capsys.readouterr():
        assert stream
        assert not CONTROLS.search(stream)
        assert "\\x1b]0;title" in stream


def test_json_holds_none_and_reads_back_the_same(capsys):
    show.print_json({EVIL: [EVIL]})
    text = capsys.readouterr().out
    assert not CONTROLS.search(text)
    assert json.loads(text) == {EVIL: [EVIL]}


def test_settings_hold_none_and_read_back_the_same(tmp_path):
    evil = EVIL.replace("\ud800", "")
    text = toml.dumps({"a": evil, "b": {evil: [evil]}})
    assert not CONTROLS.search(text)
    (tmp_path / "a.toml").write_text(text)
    assert toml.read(tmp_path / "a.toml") == {"a": evil, "b": {evil: [evil]}}
    with pytest.raises(UserError, match="no character"):
        toml.dumps({"a": "\ud800"})


def test_an_error_of_the_command_line_holds_none(tmp_path):
    for words in (["describe", str(tmp_path / EVIL)], ["train", "--metho" + EVIL], [EVIL], ["report", EVIL]):
        result = CliRunner().invoke(app, words)
        assert not CONTROLS.search(result.output)
        assert result.exit_code == 2
