"""``labelwise describe`` offers what its own refusals ask for."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def texts(tmp_path):
    rows = [
        {"id": f"t{i}", "text": f"the text number {i}", "cat": i % 2, "dog": int(i > 9)} for i in range(40)
    ]
    rows[3]["text"] = ""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_without_a_text_are_left_out_on_request(lw, refused, answer, texts):
    assert "--on-bad-item skip" in refused("describe", texts)
    description = answer("describe", texts, "--on-bad-item", "skip")
    assert description["labels"]["n_items"] == 39
    assert description["skipped"] == [["t3", "row 4 has no text"]]
    assert "t3: row 4 has no text" in lw("describe", texts, "--on-bad-item", "skip").output


def test_a_word_that_is_neither_stop_nor_skip_is_refused_on_a_clean_table(refused, tables):
    assert "on_bad_item (--on-bad-item) is 'drop'" in refused(
        "describe", tables.semi, "--on-bad-item", "drop"
    )
