"""What a user says of a table is one object, known alike to the table's reader, to a run and to the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from labelwise.cli import app
from labelwise.data import TableOptions, read_table
from labelwise.errors import UserError
from labelwise.runs import RunConfig


def test_every_option_on_a_table_is_one_of_a_run_and_of_the_commands():
    names = set(TableOptions.names())
    assert names <= RunConfig.model_fields.keys()
    options = {
        name: {parameter.name for parameter in command.params}
        for name, command in get_command(app).commands.items()
    }
    for command in ("describe", "train"):
        assert names <= options[command]
    # What a model takes of an item, and how its cells are filled, comes with the model.
    assert names - options["evaluate"] == {"feature_columns", "impute", "encode"}
    given = {"labels_column": "tags", "text_column": "body", "minus_one": "absent", "max_rows": 7}
    assert RunConfig.build(given).table_options() == TableOptions(**given)


def test_a_run_of_an_earlier_version_is_read_and_resumed(tmp_path: Path):
    (tmp_path / "run.toml").write_text('table = "t.csv"\nunlisted = "unknown"\nlabel_columns = ["a"]\n')
    old = RunConfig.build({}, file=tmp_path / "run.toml")
    assert old.differences(RunConfig.build({"table": "t.csv", "label_columns": ["a"]})) == []
    assert old.differences(RunConfig.build({"table": "t.csv", "label_columns": ["a"], "unlisted": "absent"}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"unlisted": "no"}, "--unlisted) is 'no': it is 'unknown' or 'absent'"),
        ({"minus_one": "0"}, "--minus-one"),
        ({"empty": None}, "--empty"),
        ({"impute": "zero"}, "'mean' or 'median' or 'most_frequent'"),
        ({"max_rows": 0}, "--max-rows"),
        ({"label_value": "v"}, "--labels-column"),
        ({"label_columns": [1]}, "--label-columns"),
        ({"text_column": 3}, "--text-column"),
        ({"labels_column": "a", "label_columns": ["b"]}, "not both"),
    ],
)
def test_a_wrong_option_is_one_line(given, said):
    with pytest.raises(UserError) as caught:
        TableOptions(**given)
    assert said in str(caught.value)


def test_another_form_of_labels_takes_the_place_of_the_one_before():
    names, columns = TableOptions(labels_column="tags", label_value="state"), {"label_columns": ["a", "b"]}
    changed = names.changed({**columns, "separator": None})
    assert (changed.labels_column, changed.label_value, changed.label_columns) == (None, None, ("a", "b"))
    assert changed.changed({"labels_column": "tags"}).label_columns is None


def test_a_keyword_wins_over_the_object(tmp_path: Path):
    (tmp_path / "t.csv").write_text("f0,tags\n1.5,a;b\n2,b\n")
    options = TableOptions(labels_column="tags", unlisted="absent")
    assert read_table(tmp_path / "t.csv", options).annotations.matrix.tolist() == [[1, 1], [0, 1]]
    table = read_table(tmp_path / "t.csv", options, unlisted="unknown")
    assert table.annotations.matrix.tolist() == [[1, 1], [-1, 1]]
