"""The section "Use": its commands run and its lines of Python score new items, as they stand in the page."""

from __future__ import annotations

import html
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from torch import nn
from typer.testing import CliRunner

import labelwise as lw
from labelwise.cli import app
from labelwise.report import content_of, write_report
from labelwise.runs import RunConfig, train

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 5)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(5, 2)) > 0).astype(np.int8)


class Own(nn.Module):
    n_features = 5

    def forward(self, batch):
        return batch


def code(page):
    section = re.search('<section id="use">(.*?)</section>', page, re.DOTALL)[1]
    blocks = re.findall("<pre[^>]*>(.*?)</pre>", section, re.DOTALL)
    return [html.unescape("\n".join(re.findall("<code>(.*?)</code>", block))) for block in blocks]


def page_of(model, tmp_path):
    return write_report(content_of(model), tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("items", "options"),
    [
        (X, {}),
        (pd.DataFrame(X, columns=list("vwxyz")), {}),
        (
            RANDOM.random((120, 1, 8, 8)).astype(np.float32),
            {"method": "an", "backbone": "smallcnn", "epochs": 1},
        ),
        (X, {"backbone": Own()}),
    ],
    ids=["rows", "frame", "pictures in arrays", "a module"],
)
def test_the_lines_of_python_score_new_items(items, options, tmp_path, monkeypatch):
    model = lw.MultiLabelClassifier(device="cpu", **options).fit(items, Y, label_names=["a", "b"])
    model.save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", items)
    (python,) = code(page_of(model, tmp_path))
    assert 'lw.load("model/"' in python
    made = {"Own": Own}
    exec(python, made)
    np.testing.assert_allclose(made["scores"], model.predict_proba(items), atol=1e-6)
    assert made["names"] == model.predict_names(items)


def test_texts_and_files_of_pictures_are_lists(tmp_path):
    from labelwise.models import ImagePreprocessing

    class Pooled(nn.Module):
        n_features = 12
        preprocessing = ImagePreprocessing((8, 8))

        def forward(self, batch):
            return nn.functional.adaptive_avg_pool2d(batch.float(), 2).flatten(1)

    pictures = RANDOM.integers(0, 255, (60, 8, 8, 3)).astype(np.uint8)
    model = lw.MultiLabelClassifier(device="cpu", backbone=Pooled()).fit(pictures, Y[:60])
    (python,) = code(page_of(model, tmp_path))
    assert 'X = ["one.jpg", "another.jpg"]' in python
    assert "backbone=Pooled()" in python


@pytest.mark.parametrize("folder", ["run", "my run's"])
def test_the_commands_of_a_run_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(5)]).assign(a=Y[:, 0], b=Y[:, 1])
    for name in ("train.csv", "new.csv", "test.csv"):
        frame.to_csv(name, index=False)
    train(RunConfig.build({"table": "train.csv"}), folder)
    page = (tmp_path / folder / "report.html").read_text(encoding="utf-8")
    commands, python = code(page)
    for command in commands.splitlines():
        program, *words = shlex.split(command)
        result = CliRunner().invoke(app, words)
        assert (program, result.exit_code) == ("labelwise", 0), result.output
    np.save("new.npy", X)
    made = {}
    exec(python, made)
    written = pd.read_parquet("predictions.parquet")
    np.testing.assert_allclose(made["scores"], written[["a", "b"]], atol=1e-6)
    assert "calibrated probabilities; labels are decided by the rule" in page


def test_what_the_numbers_are_comes_from_the_model(tmp_path):
    def words(**options):
        return content_of(lw.MultiLabelClassifier(device="cpu", **options).fit(X, Y)).use.words

    assert words().startswith("Its numbers are calibrated probabilities; labels are decided by the rule")
    assert "no calibrated probabilities" in words(calibrate=False)
    assert "threshold(0.3)" in words(rule=0.3)


def test_a_hostile_path_is_text(tmp_path):
    from dataclasses import replace

    content = content_of(lw.MultiLabelClassifier(device="cpu").fit(X, Y))
    hostile = 'a"; <b>$(x)'
    content = replace(content, use=replace(content.use, run=hostile, model=f"{hostile}/model"))
    page = write_report(content, tmp_path / "r.html").read_text(encoding="utf-8")
    commands, python = code(page)
    assert shlex.split(commands.splitlines()[0])[2] == hostile
    assert "<b>$" not in page
    compile(python, "lines", "exec")
