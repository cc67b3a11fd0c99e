"""``labelwise train --warm-start``."""

import numpy as np
import pandas as pd
import pytest

from labelwise import load
from labelwise.runs import RunConfig, resume, train
from tests.cli.conftest import LABELS


def options(table, **more):
    labels = more.pop("labels", LABELS)
    settings = {"method": "an", "epochs": 2, "validation": "none", **more}
    return RunConfig(table=str(table), item_column="id", label_columns=labels, **settings)


def test_a_run_goes_on_from_another_with_a_new_label(answer, tables, tmp_path):
    train(options(tables.semi), tmp_path / "one")
    frame = pd.read_csv(tables.semi)
    frame["bird"] = (tables.X[:140, 0] > 0).astype(int)
    frame.to_csv(tmp_path / "more.csv", index=False)
    found = answer(
        *("train", tmp_path / "more.csv", "--item-column", "id", "--method", "an", "--epochs", 1),
        *(word for name in (*LABELS, "bird") for word in ("--label-columns", name)),
        *("--learning-rate", 1e-12, "--warm-start", tmp_path / "one", "--out", tmp_path / "two"),
    )
    assert any(
        "the weights of 3 labels go on from the earlier model; bird start anew" in n for n in found["notes"]
    )
    X = tables.X.astype(np.float32)
    first, second = (load(tmp_path / name / "model").decision_scores(X) for name in ("one", "two"))
    np.testing.assert_allclose(second[:, :3], first, atol=1e-5)


def test_a_stopped_run_that_began_warm_resumes_to_the_bit(tables, tmp_path):
    train(options(tables.semi), tmp_path / "one")
    settings = options(tables.semi, warm_start=str(tmp_path / "one"))
    train(settings, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "labelwise.runs.training._finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
        )
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "stopped")
    resume(tmp_path / "stopped")
    X = tables.X.astype(np.float32)
    first, second = (load(tmp_path / name / "model").decision_scores(X) for name in ("whole", "stopped"))
    np.testing.assert_array_equal(first, second)


def test_other_features_are_refused_and_leave_nothing(refused, tables, tmp_path):
    train(options(tables.semi), tmp_path / "one")
    pd.read_csv(tables.semi).drop(columns="f4").to_csv(tmp_path / "less.csv", index=False)
    command = (
        "--item-column",
        "id",
        "--method",
        "an",
        "--warm-start",
        tmp_path / "one",
        "--out",
        tmp_path / "two",
    )
    assert "its features are not those of less.csv (f4)" in refused("train", tmp_path / "less.csv", *command)
    assert "no such run" in refused(
        "train", tables.semi, *command[:4], "--warm-start", tmp_path / "x", *command[-2:]
    )
    assert not (tmp_path / "two").exists()
