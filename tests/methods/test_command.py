"""``labelwise train`` works with every method in every setting that it accepts, on embedded digits."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import labelwise as lw
from labelwise.annotations import simulate
from labelwise.cli import app
from labelwise.data import digits_canvases, digits_features
from labelwise.methods import SETTINGS, get, names
from labelwise.runs import reporting

HIDE = {
    "full": lambda Y: Y,
    "single_positive": lambda Y: simulate.single_positive(Y, seed=0),
    "partial_positive": lambda Y: simulate.partial_positives(Y, 0.5, seed=0),
    "partial": lambda Y: simulate.partial(Y, 0.5, seed=0),
    "semi_supervised": lambda Y: simulate.semi_supervised(Y, 0.4, seed=0),
}
FIRST = [(m, next(s for s in SETTINGS if s in get(m).spec.settings)) for m in names()]
PAIRS = [(m, s) for m in names() for s in SETTINGS if s in get(m).spec.settings]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A table of features and labels for each setting, and the labels without gaps."""
    folder = tmp_path_factory.mktemp("digits")
    pictures, Y, labels = digits_canvases(120, seed=0)
    X = digits_features(pictures, seed=0, filters=16)
    for setting, hide in HIDE.items():
        with (folder / f"{setting}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", *(f"f{i}" for i in range(X.shape[1])), *(f"digit_{k}" for k in labels)])
            for i, (x, y) in enumerate(zip(X.tolist(), hide(Y).tolist(), strict=True)):
                writer.writerow([f"i{i}", *x, *("" if v < 0 else v for v in y)])
    shares = {f"digit_{k}": float(v) for k, v in zip(labels, Y.mean(0), strict=True)}
    (folder / "prior.json").write_text(json.dumps(shares), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("method", "setting"), PAIRS)
def test_train(method, setting, tables, tmp_path, monkeypatch, few_trees):
    """The report is drawn, and all trees grown, in each method's first setting: they take most of a training."""
    if (method, setting) not in FIRST:
        few_trees()
        monkeypatch.setattr(reporting, "write_run_report", lambda *_, **__: None)
    needs = get(method).spec.needs
    command = [
        "train",
        tables / f"{setting}.csv",
        "--method",
        method,
        "--out",
        tmp_path / "run",
        "--epochs",
        3,
    ]
    command += ["--label-columns", "digit_*", "--item-column", "id", "--device", "cpu"]
    if "prior" in needs and "positive" in setting:
        command += ["--prior", tables / "prior.json"]
    if "true_labels" in needs:
        command += ["--true-labels", tables / "full.csv"]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output
    model = lw.load(tmp_path / "run" / "model")
    assert model.method_ == method
    assert np.isfinite(model.predict_proba(np.zeros((2, model.n_features_in_), np.float32))).all()
