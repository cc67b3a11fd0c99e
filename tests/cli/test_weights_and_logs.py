"""``train --weight-column NAME`` and ``train --log NAME``."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from labelwise import load
from labelwise.errors import UserError
from labelwise.runs import RunConfig, train
from tests.classifier.test_sample_weight import WHOLE, X, Y


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    frame["w"] = WHOLE
    for k in range(Y.shape[1]):
        frame[f"l{k}"] = Y[:, k]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_column_of_weights_is_no_feature_and_weighs_rows(lw, table, tmp_path):
    result = lw("train", table, "--weight-column", "w", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["method"] == "ridge"
    assert "weights" in told["reason"]
    assert told["n_labels"] == 3
    assert "weights: w, by --weight-column" in told["roles"]
    model = load(tmp_path / "run" / "model")
    from labelwise import MultiLabelClassifier

    same = MultiLabelClassifier("ridge").fit(X, Y, sample_weight=WHOLE)
    np.testing.assert_allclose(model.decision_function(X), same.decision_function(X), rtol=1e-4, atol=1e-4)
    assert lw("evaluate", tmp_path / "run", table).exit_code == 0


@pytest.mark.parametrize("cell", ["", "-1", "heavy"])
def test_a_weight_that_is_no_number_is_refused(refused, table, tmp_path, cell):
    frame = pd.read_csv(table, dtype=str)
    frame.loc[3, "w"] = cell
    frame.to_csv(table, index=False)
    said = refused("train", table, "--weight-column", "w", "--out", tmp_path / "run")
    assert "weight_column (--weight-column) 'w' holds" in said
    assert "item '4'" in said
    said = refused("train", table, "--weight-column", "weights", "--out", tmp_path / "run")
    assert "weight_column (--weight-column) 'weights' is no column" in said


def test_logs_are_written_under_the_run(lw, refused, table, tmp_path):
    pytest.importorskip("tensorboard")
    common = ("train", table, "--method", "an", "--epochs", 2, "--weight-column", "w")
    result = lw(*common, "--log", "csv", "--log", "tensorboard", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["name"] == "loss"] == ["1", "2"]
    assert {row["value"] for row in rows if row["name"] == "method"} == {"an"}
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    said = refused(*common, "--log", "tensorbord", "--out", tmp_path / "other")
    assert "did you mean 'tensorboard'" in said
    assert not (tmp_path / "other").exists()
    assert "named twice" in refused(*common, "--log", "csv", "--log", "csv", "--out", tmp_path / "other")


def test_a_resumed_run_goes_on_in_its_log(table, tmp_path, monkeypatch):
    from labelwise.engine import run as engine_run
    from labelwise.tracking import CsvLog

    config = RunConfig.build({"table": str(table), "method": "an", "epochs": 3, "weight_column": "w"})
    write, calls = CsvLog.write, []

    def stop_at_the_fifth(self, numbers, step):
        calls.append(step)
        if len(calls) == 5:
            raise KeyboardInterrupt
        write(self, numbers, step)

    monkeypatch.setattr(engine_run.Run, "save_if_due", lambda self, force=False: self.save())
    monkeypatch.setattr(CsvLog, "write", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", logs=["csv"])
    monkeypatch.setattr(CsvLog, "write", write)
    train(config, tmp_path / "run", resume=True, logs=["csv"])
    train(config, tmp_path / "whole", logs=["csv"])
    names = [
        [(row["step"], row["name"]) for row in csv.DictReader((tmp_path / one / "log.csv").open(newline=""))]
        for one in ("run", "whole")
    ]
    assert set(names[0]) == set(names[1])
    assert len(names[0]) == len(set(names[0]))


def test_rows_that_are_read_in_passes_have_neither(table, tmp_path):
    pd.read_csv(table).to_parquet(tmp_path / "t.parquet")
    given = {"table": str(tmp_path / "t.parquet"), "stream": True}
    with pytest.raises(UserError, match=r"log \(--log\): rows that are read in passes"):
        train(RunConfig.build(given), tmp_path / "run", logs=["csv"])
    with pytest.raises(UserError, match="--weight-column: these need all rows in memory"):
        train(RunConfig.build({**given, "weight_column": "w"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
