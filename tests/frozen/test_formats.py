"""Models, runs, caches, results and predictions of the first format are read for ever, and give what they gave."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import labelwise as lw
from labelwise.embedding import FeatureCache
from labelwise.experiments import Job, collect, load_spec, read_results, run_jobs
from labelwise.runs import RunDirectory
from tests.frozen import cases, formats

FIXTURE = json.loads((cases.FILES / "formats.json").read_text(encoding="utf-8"))
EXACT = cases.is_exact(FIXTURE)


@pytest.fixture
def runs(tmp_path):
    return formats.copied_runs(tmp_path)


def numbers(lines):
    return np.array([line.split() for line in lines], float)


def same_model(one, other):
    old, new = formats.weights(one), formats.weights(other)
    assert old.keys() == new.keys()
    for name, value in old.items():
        assert (value.dtype, value.shape) == (new[name].dtype, new[name].shape), name
        if EXACT:
            np.testing.assert_array_equal(new[name], value, name)
    X, _ = formats.features("test.csv")
    scores = [lw.load(folder).decision_scores(X) for folder in (one, other)]
    np.testing.assert_allclose(*scores, rtol=0, atol=cases.TOLERANCE)


@pytest.mark.parametrize("name", FIXTURE["models"])
def test_a_model_loads_predicts_and_is_saved_as_it_was(name, tmp_path):
    old, folder = FIXTURE["models"][name], cases.FILES / "models" / name
    model = lw.load(folder)
    new = formats.of_model(model)
    np.testing.assert_allclose(numbers(new["proba"]), numbers(old["proba"]), atol=1e-5)
    lost = set(old["attributes"]) - set(new["attributes"])
    assert lost <= {"held_out_", "classes_"}, lost
    told = ["names", "map", "rule", "rule_source", *(["digest"] if EXACT else [])]
    assert {k: new[k] for k in told} == {k: old[k] for k in told}
    model.save(tmp_path / "again")
    same_model(folder, tmp_path / "again")
    before, after = (json.loads((f / "model.json").read_text()) for f in (folder, tmp_path / "again"))
    for volatile in ("labelwise", "sha256"):
        before.pop(volatile)
        after.pop(volatile)
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("name", formats.models())
def test_a_model_is_trained_as_it_was(name, tmp_path):
    X, Y = formats.features("table.csv")
    model = lw.MultiLabelClassifier(**formats.models()[name]).fit(X, Y, label_names=formats.NAMES)
    model.save(tmp_path / "model")
    same_model(cases.FILES / "models" / name, tmp_path / "model")
    lost = set(FIXTURE["models"][name]["attributes"]) - set(formats.of_model(model)["attributes"])
    assert not lost


def test_a_stopped_run_goes_on_to_the_same_model(runs):
    left = sorted((runs / "stopped" / "checkpoints" / "final").glob("step-*"))
    assert left
    done = (runs / "stopped" / "checkpoints" / "final" / "history.jsonl").read_text()
    result = formats.command("train", runs / "stopped", "--resume")
    assert result.exit_code == 0, (result.output, result.exception)
    same_model(runs / "finished" / "model", runs / "stopped" / "model")
    finished, stopped = (RunDirectory(runs / name) for name in ("finished", "stopped"))
    records = (runs / "stopped" / "history.jsonl").read_text()
    assert records.startswith(done), "what was trained before is not trained again"
    if EXACT:
        assert stopped.figures() == finished.figures()
        for kept in zip(stopped.held_out(), finished.held_out(), strict=True):
            np.testing.assert_array_equal(*kept)
        with (
            np.load(runs / "finished" / "sketch.npz") as old,
            np.load(runs / "stopped" / "sketch.npz") as new,
        ):
            for name in old.files:
                np.testing.assert_array_equal(new[name], old[name], name)
    assert (runs / "stopped" / "report.html").stat().st_size > 10_000


def test_a_run_trained_anew_is_what_it_was(runs, tmp_path):
    told = formats.answer("train", tmp_path / "table.csv", "--out", tmp_path / "new", *formats.RUN)
    lost = set(FIXTURE["answers"]["keys"]["train"]) - set(cases.paths(told))
    assert not lost
    same_model(runs / "finished" / "model", tmp_path / "new" / "model")
    for name in ("state.json", "evaluation.json"):
        old, new = (json.loads((run / name).read_text()) for run in (runs / "finished", tmp_path / "new"))
        assert not set(cases.paths(old)) - set(cases.paths(new)), name
        if EXACT and name == "evaluation.json":
            assert {key: new[key] for key in old} == old
    old, new = ({p.name for p in run.iterdir()} for run in (runs / "finished", tmp_path / "new"))
    assert old <= new
    old, new = ((run / "run.toml").read_text() for run in (runs / "finished", tmp_path / "new"))
    assert set(old.splitlines()) <= set(new.splitlines())


def test_a_finished_run_is_left_reported_and_judged(runs, tmp_path):
    told = formats.answer("train", runs / "finished", "--resume")
    assert told["already_finished"]
    assert formats.command("report", runs / "finished").exit_code == 0
    assert (runs / "finished" / "report.html").stat().st_size > 10_000
    judged = formats.answer("evaluate", runs / "finished", tmp_path / "test.csv")
    lost = set(FIXTURE["answers"]["keys"]["evaluate"]) - set(cases.paths(judged))
    assert not lost
    old, new = FIXTURE["answers"]["figures"], judged["figures"]["metrics"]
    assert {k: new[k] for k in old} == pytest.approx(old, abs=cases.TOLERANCE, nan_ok=True)


def test_predictions_are_what_they_were(runs, tmp_path):
    out = tmp_path / "new.parquet"
    told = formats.answer("predict", runs / "finished", tmp_path / "test.csv", "--out", out)
    lost = set(FIXTURE["answers"]["keys"]["predict"]) - set(cases.paths(told))
    assert not lost
    old, new = pq.read_table(cases.FILES / "predictions.parquet"), pq.read_table(out)
    assert [(f.name, f.type) for f in old.schema] == [(f.name, f.type) for f in new.schema]
    pd.testing.assert_frame_equal(new.to_pandas(), old.to_pandas(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("describe", ["describe", cases.FILES / "table.csv"]),
        ("methods", ["methods", "bbam"]),
        ("experiments", ["experiment", "--list"]),
        ("datasets", ["datasets"]),
    ],
)
def test_a_command_answers_with_the_keys_that_it_had(name, words):
    lost = set(FIXTURE["answers"]["keys"][name]) - set(cases.paths(formats.answer(*words)))
    assert not lost


def test_what_is_cached_is_listed_and_not_computed_again(tmp_path):
    shutil.copytree(cases.FILES / "cache", tmp_path / "cache")
    entries = FeatureCache(tmp_path / "cache").entries()
    assert [entry.state for entry in entries] == ["kept", "kept"]
    assert {entry.items for entry in entries} == {3, 4}
    found, computed = formats.embedded(tmp_path / "cache")
    for name, rows in FIXTURE["cache"].items():
        np.testing.assert_allclose(found[name], numbers(rows), rtol=1e-4, atol=1e-5, err_msg=name)
    # A key holds how torch prints modules, which another version may change.
    if torch.__version__ == FIXTURE["platform"]["torch"]:
        assert computed == []
        assert len(FeatureCache(tmp_path / "cache").entries()) == 2


def test_results_are_read_and_their_runs_are_done(tmp_path):
    shutil.copytree(cases.FILES / "results", tmp_path / "results")
    old = read_results(tmp_path / "results" / "results.parquet")
    new = collect(tmp_path / "results")
    pd.testing.assert_frame_equal(new[list(old.columns)], old, check_dtype=False)
    assert dict(new.dtypes.astype(str)) == dict(old.dtypes.astype(str))
    done = [job for job in formats.jobs() if job.seed != 7]
    tally = run_jobs(done, "tests.frozen.formats:measure", tmp_path / "results")
    assert (tally.before, tally.done, tally.failed) == (2, 0, 0)


def test_runs_of_experiments_have_the_keys_that_they_had():
    assert {job.key: job.to_dict() for job in formats.jobs()} == FIXTURE["jobs"]
    for key, data in FIXTURE["jobs"].items():
        assert Job.from_dict(data).key == key
    for name, ends in FIXTURE["experiments"].items():
        assert set(ends) <= {job.key for job in load_spec(name).jobs("honest")}, name
