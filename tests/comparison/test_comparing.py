"""Compare: the same folds and figures for all methods, honest for each setting, resumed from shards."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import labelwise as lw
from labelwise import metrics
from labelwise.comparison import BASELINE, LogisticBaseline, deal_folds
from labelwise.errors import UserError
from labelwise.experiments import Tally
from tests.refusals import refused

FAST = {"epochs": 2}


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(100, 5))
    Y = (X @ random.normal(size=(5, 3)) + random.normal(size=(100, 3)) > 0.4).astype(np.int8)
    return X, Y


@pytest.fixture(scope="module")
def comparison(data):
    X, Y = data
    return lw.compare(X, Y, ["ridge", "an"], folds=3, **FAST)


def test_each_figure_is_that_of_a_fit_without_the_fold(data, comparison):
    X, Y = data
    for number, fold in enumerate(deal_folds(Y, 3)):
        ridge = lw.MultiLabelClassifier("ridge", random_state=0, **FAST).fit(X[fold.train], Y[fold.train])
        own = metrics.mean_average_precision(Y[fold.held_out], ridge.decision_function(X[fold.held_out]))
        assert comparison["ridge"].folds[number] == pytest.approx(own, abs=1e-6)
        columns = [
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            .fit(X[fold.train], Y[fold.train, k])
            .predict_proba(X[fold.held_out])[:, 1]
            for k in range(3)
        ]
        own = metrics.mean_average_precision(Y[fold.held_out], np.stack(columns, axis=1))
        assert comparison[BASELINE].folds[number] == pytest.approx(own, abs=1e-6)


def test_methods_stand_by_their_mean_and_differ_in_pairs(comparison):
    values = [one.value for one in comparison.methods]
    assert values == sorted(values, reverse=True)
    best = comparison.methods[0]
    assert best.to_best is None
    assert comparison[BASELINE].to_baseline is None
    for one in comparison.methods[1:]:
        assert one.to_best.value == pytest.approx(one.value - best.value)
        assert one.to_best.p_holm >= one.to_best.p
    assert {"map", "micro_f1", "one_error"} <= set(best.figures)


def test_a_metric_of_which_less_is_better_turns_the_order(data):
    X, Y = data
    result = lw.compare(X, Y, ["ridge"], folds=2, metric="hamming_loss")
    values = [one.value for one in result.methods]
    assert values == sorted(values)
    assert "Lower is better." in result.words


def test_positives_alone_are_judged_by_observed_map_and_nothing_else(data):
    X, Y = data
    single = lw.simulate.single_positive(Y, seed=0)
    result = lw.compare(X, single, ["ridge", "bce"], folds=3)
    assert result.metric == "observed_map"
    assert any("its level is biased" in word for word in result.words)
    assert "single positive" in result.left_out["bce"]
    assert {one.name for one in result.methods} == {"ridge", BASELINE}
    refused(lambda: lw.compare(X, single, ["ridge"], metric="map"), "observed_map", "known negatives")


def test_the_baseline_learns_from_known_entries_and_reads_sparse_rows(data):
    X, Y = data
    partial = lw.simulate.partial(Y, known_fraction=0.6, seed=0)
    partial[:, 2] = np.where(partial[:, 2] == 1, 1, -1)
    scores, kept = LogisticBaseline({}).fit(X, partial).scores(X)
    for k in range(3):
        rows = partial[:, k] >= 0 if k < 2 else (partial >= 0).any(axis=1)
        own = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
            X[rows], partial[rows, k] == 1
        )
        assert scores[:, k] == pytest.approx(own.predict_proba(X)[:, 1])
    assert np.array_equal(kept, np.arange(100))
    sparse = lw.compare(csr_array(np.maximum(X, 0)), Y, ["ridge"], folds=2)
    assert {one.name for one in sparse.methods} == {"ridge", BASELINE}
    one_class = np.column_stack([Y[:, 0], np.ones(100, np.int8)])
    assert (LogisticBaseline({}).fit(X, one_class).scores(X)[0][:, 1] == 1).all()


def test_what_cannot_take_part_is_named_and_left_out(data):
    X, Y = data
    partial = lw.simulate.partial(Y, known_fraction=0.6, seed=0)
    oracle = "bce_single_positive_all_negatives"
    result = lw.compare(X, partial, ["ridge", "bce", oracle], folds=2)
    assert "partial labels" in result.left_out["bce"]
    assert "oracle" in result.left_out[oracle]
    grouped = lw.compare(X, Y, ["ridge", "bce"], folds=2, groups=np.arange(100) // 4)
    assert not grouped.left_out
    assert grouped.grouped


def test_a_method_that_fails_on_a_fold_is_left_out_with_its_error(data, monkeypatch):
    X, Y = data
    fit = lw.MultiLabelClassifier.fit

    def failing(self, *args, **given):
        if self.method in ("an", "bce"):
            raise UserError("no luck today")
        return fit(self, *args, **given)

    monkeypatch.setattr(lw.MultiLabelClassifier, "fit", failing)
    result = lw.compare(X, Y, ["ridge", "an"], folds=2)
    assert result.left_out == {"an": "no luck today"}
    with pytest.raises(UserError, match="no method could be trained: no luck"):
        lw.compare(X, Y, ["an", "bce"], folds=2, baseline=False)


def test_a_stopped_comparison_goes_on_from_its_shards(data, tmp_path, monkeypatch):
    X, Y = data
    counted: list[str] = []

    def stop(finished, of, shard):
        counted.append(shard["key"])
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="2 of 4 runs are kept"):
        lw.compare(X, Y, ["ridge"], folds=2, folder=tmp_path / "kept", progress=stop)
    again: list[str] = []
    result = lw.compare(
        X, Y, ["ridge"], folds=2, folder=tmp_path / "kept", progress=lambda *a: again.append(a[2]["key"])
    )
    assert len(counted) == len(again) == 2
    assert not set(counted) & set(again)
    whole = lw.compare(X, Y, ["ridge"], folds=2)
    assert [one.folds for one in result.methods] == [one.folds for one in whole.methods]
    other: list[str] = []
    changed = X.copy()
    changed[0] += 1
    lw.compare(
        changed,
        Y,
        ["ridge"],
        folds=2,
        folder=tmp_path / "kept",
        progress=lambda *a: other.append(a[2]["key"]),
    )
    assert len(other) == 4


def test_the_result_goes_to_a_frame_json_csv_and_a_figure(comparison, tmp_path):
    frame = comparison.to_frame()
    assert list(frame.index) == [one.name for one in comparison.methods]
    comparison.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().startswith("method,value,deviation,to_best_value")
    comparison.to_json(tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_text())["best"] == comparison.best
    comparison.figure().savefig(tmp_path / "figure.png")
    assert comparison.best in str(comparison)
    assert comparison.verdict.startswith(f"{comparison.best} is the best of 3: mAP")
    assert "<table" in comparison._repr_html_()
    with pytest.raises(KeyError):
        comparison["other"]


def test_what_is_asked_wrongly_is_refused(data):
    X, Y = data
    refused(lambda: lw.compare(X, Y, ["ridg"]), "ridge")
    refused(lambda: lw.compare(X, Y, ["ridge", "ridge"]), "twice")
    refused(lambda: lw.compare(X, Y, ["ridge"], baseline=False), "two methods or more")
    refused(lambda: lw.compare(X, Y, ["ridge"], metric="mop"), "map")
    refused(lambda: lw.compare(X, Y, ["ridge"], method="an"), "no option of a comparison")
    refused(lambda: lw.compare(X, Y, ["ridge"], hyperparameters={"an": {}}), "takes part")
    refused(lambda: lw.compare(X, Y, ["bam"], hyperparameters={"bam": {"scael": 1}}), "scale")
    refused(lambda: lw.compare(X, Y[:50], ["ridge"]), "100 rows and Y has 50")


def test_jobs_run_in_this_process_are_counted_like_others(tmp_path):
    from labelwise.experiments import Job, Measured, run_jobs

    job = Job("a", "full", "ridge")
    assert run_jobs([job], lambda one, _: Measured([]), tmp_path, here=True) == Tally(0, 1, 0, 0, 0)
    refused(lambda: run_jobs([job], lambda *_: None, tmp_path, here=True, time_cap=1), "need processes")
