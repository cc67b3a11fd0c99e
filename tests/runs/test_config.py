"""The configuration of a run: TOML out and in, overrides, and what it refuses."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from labelwise import MultiLabelClassifier
from labelwise.cli import app
from labelwise.errors import UserError
from labelwise.runs import RunConfig
from labelwise.runs.config import GROUPS
from labelwise.runs.inputs import parse_rule
from labelwise.runs.toml import dumps, parse_value
from tests.refusals import refused

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXT)
FLAT = st.dictionaries(TEXT, st.one_of(SCALARS, st.lists(TEXT, max_size=3)), max_size=5)


@given(FLAT, st.dictionaries(TEXT, SCALARS, min_size=1, max_size=4))
def test_toml_reads_back_what_was_written(flat, table):
    values = {**flat, "the table": table}
    assert tomllib.loads(dumps(values)) == values


def test_toml_leaves_out_none_and_empty_tables():
    assert dumps({"a": None, "b": 1, "c": {}}) == "b = 1\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.25", 0.25),
        ("true", True),
        ('"a b"', "a b"),
        ("both", "both"),
        ("1\nx = 2", "1\nx = 2"),
        ("", ""),
    ],
)
def test_values_are_read_as_toml_and_bare_words_as_text(text, value):
    parsed = parse_value(text)
    assert (parsed, type(parsed)) == (value, type(value))


def test_every_setting_survives_toml(tmp_path: Path):
    config = RunConfig.build(
        {
            "table": 'odd "name".csv',
            "label_columns": ["a", "b*"],
            "feature_columns": "f*",
            "method": "bam",
            "prior": "prior.json",
            "validation": "0.3",
            "precision": 16,
            "rule": 0.25,
            "learning_rate": 1e-7,
            "max_length": 64,
            "hyperparameters": {"scale": 10, "margin_on": "both", "flag": True},
        }
    )
    assert (config.validation, config.precision, config.rule, config.feature_columns) == (
        0.3,
        "16",
        "0.25",
        ["f*"],
    )
    (tmp_path / "run.toml").write_text(config.to_toml())
    assert RunConfig.build({}, file=tmp_path / "run.toml") == config


def test_options_win_over_the_file_and_sets_over_both(tmp_path: Path):
    (tmp_path / "run.toml").write_text("seed = 1\nepochs = 2\n[hyperparameters]\na = 1\nb = 2\n")
    config = RunConfig.build(
        {"epochs": 5, "batch_size": None}, file=tmp_path / "run.toml", sets=["b=3", "c = word"]
    )
    assert (config.seed, config.epochs, config.batch_size) == (1, 5, None)
    assert config.hyperparameters == {"a": 1, "b": 3, "c": "word"}


def test_every_setting_is_an_option_of_the_command():
    options = {parameter.name for parameter in get_command(app).commands["train"].params}
    assert RunConfig.model_fields.keys() - {"table", "hyperparameters"} <= options


def test_every_setting_is_in_a_group_and_every_parameter_of_the_classifier_a_setting():
    otherwise = {"table", "hyperparameters"}
    for name, field in RunConfig.model_fields.items():
        assert name in otherwise or field.json_schema_extra["group"] in GROUPS
    given = RunConfig(table="t.csv", seed=5, epochs=3).classifier_options()
    assert (given["random_state"], given["epochs"]) == (5, 3)
    # Labels are read with the table, and these two belong to the run.
    of_the_table = {"unlisted", "minus_one", "empty"}
    assert given.keys() == inspect.signature(MultiLabelClassifier).parameters.keys() - of_the_table - {
        "directory",
        "progress",
    }


def test_what_a_backbone_reads_of_an_item_reaches_the_classifier():
    from labelwise.runs.inputs import Inputs
    from labelwise.runs.training import _classifier

    inputs = Inputs(SimpleNamespace(kind="text"), None, None, None, None, "auto")
    config = RunConfig(backbone="minilm", image_size=32, max_length=64)
    made = _classifier(SimpleNamespace(checkpoints=Path("run")), config, inputs, False)
    assert (made.image_size, made.max_length) == (32, 64)


def test_located_makes_paths_absolute_and_leaves_words():
    config = RunConfig.build(
        {"table": "t.csv", "prior": 2.0, "label_weights": "balanced", "validation": "none"}
    )
    located = config.located()
    assert located.table == str(Path.cwd() / "t.csv")
    assert (located.prior, located.label_weights, located.validation) == (2.0, "balanced", "none")
    assert located.files() == {"table": str(Path.cwd() / "t.csv")}
    assert located.located() == located


def test_a_model_in_a_local_folder_is_located_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    located = RunConfig(backbone="hf/tiny").located()
    assert located.backbone == f"hf/{tmp_path / 'tiny'}"
    assert located.located() == located
    assert RunConfig(backbone="hf/owner/name").located().backbone == "hf/owner/name"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epoch": 1}, "'epoch'; did you mean 'epochs'"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"max_length": 2}, "max_length=2"),
        ({"seed": True}, "seed=True"),
        ({"strong_view": 1.0}, "strong_view=1.0"),
        ({"tune": "x"}, "'head' or 'all'"),
        ({"hyperparameters": {"a": [1]}}, "hyperparameters"),
    ],
)
def test_wrong_settings_are_one_line(values, said):
    refused(lambda: RunConfig.build(values), said)


@pytest.mark.parametrize("text", ["0.3", "threshold(0.3)", "top_k(2)", " top_k( 2 ) "])
def test_rules_are_written_as_results_name_them(text):
    rule = parse_rule(text)
    assert rule != "auto"
    assert parse_rule(rule.name) == rule


@pytest.mark.parametrize(
    "text", ["best", "threshold()", "top_k(1.5)", "threshold(nan)", "oracle_cardinality()", ""]
)
def test_other_rules_are_refused(text):
    with pytest.raises(UserError):
        parse_rule(text)
    assert parse_rule("auto") == "auto"
