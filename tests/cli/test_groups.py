"""``train --group-column NAME``."""

import json

import pandas as pd
import pytest

from tests.classifier.test_groups import NAMES, PARTIAL, X


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(40)])
    frame["clip"] = [name.removeprefix("clip ") for name in NAMES]
    for k in range(3):
        frame[f"l{k}"] = [{1: "1", 0: "0", -1: ""}[int(state)] for state in PARTIAL[:, k]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_column_of_groups_is_no_feature_and_no_label_and_keeps_groups_whole(lw, table, tmp_path):
    options = ("--group-column", "clip", "--method", "ridge")
    result = lw("train", table, *options, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["n_labels"] == 3
    assert "groups: clip, by --group-column" in told["roles"]
    assert not any("near copies" in note for note in told["notes"])
    flattering = lw("train", table.rename(tmp_path / "u.csv"), "--label-columns", "l*", "--method", "ridge", "--out",
                    tmp_path / "other", "--json", "--feature-columns", "f*")  # fmt: skip
    other = json.loads(flattering.stdout)
    assert other["figures"]["metrics"]["map"] > told["figures"]["metrics"]["map"] + 0.03
    (copies,) = [note for note in other["notes"] if "near copies" in note]
    assert "--group-column" in copies


def test_the_term_and_predictions_for_tables_without_the_column(lw, table, tmp_path):
    command = ("train", table, "--group-column", "clip", "--method", "an", "--epochs", 1)
    result = lw(*command, "--group-consistency", "0.5", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(table).drop(columns=["clip", "l0", "l1", "l2"])
    frame.to_csv(tmp_path / "new.csv", index=False)
    assert lw("predict", tmp_path / "run", tmp_path / "new.csv", "--out", tmp_path / "p.csv").exit_code == 0
    assert lw("evaluate", tmp_path / "run", table).exit_code == 0


def test_a_column_that_is_not_there_is_refused(refused, table, tmp_path):
    said = refused("train", table, "--group-column", "clips", "--out", tmp_path / "run")
    assert "group_column (--group-column) 'clips' is no column; did you mean 'clip'" in said
