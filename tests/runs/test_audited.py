"""An audit's estimates reach the next training: prior, thresholds, calibration."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from labelwise import load, simulate
from labelwise.annotations import Annotations
from labelwise.completion import Answer, Answers
from labelwise.runs import RunConfig, RunDirectory, audit, report, train
from labelwise.runs.answering import open_answers
from labelwise.runs.auditing import estimates_for_training

NAMES, N = ["red", "green", "blue", "grey"], 500


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on a table with one tag an item, its truth, and 80 answers to an audit."""
    folder = tmp_path_factory.mktemp("audited")
    random = np.random.default_rng(0)
    X = random.normal(size=(N, 6)).round(3)
    truth = (X @ random.normal(size=(6, 4)) * 2 + random.normal(size=(N, 4)) > [0, 0, 1, 2]).astype(np.int8)
    truth[truth.sum(axis=1) == 0, 0] = 1
    Y = simulate.single_positive(truth, seed=0)
    frame = pd.DataFrame(X, columns=[f"x_{i}" for i in range(6)])
    frame.insert(0, "id", [f"item{i}" for i in range(N)])
    frame[NAMES] = np.where(Y == 1, "1", "")
    frame.to_csv(folder / "t.csv", index=False)
    train(settings(folder), folder / "run")
    answer(folder / "run", truth, 80)
    return folder, truth, X


def settings(folder, **more):
    return RunConfig(table=str(folder / "t.csv"), **{"method": "ridge", "device": "cpu", **more})


def answer(run, truth, size):
    ask = run / ".." / "ask.csv"
    audit(run, ask, size=size)
    frame = pd.read_csv(ask)
    rows = frame["item"].str.removeprefix("item").astype(int)
    frame["answer"] = truth[rows, [NAMES.index(label) for label in frame["label"]]]
    frame.to_csv(ask, index=False)
    return audit(run, answers=ask).estimate


def notes_of(done):
    return " | ".join(done.notes)


def test_the_next_training_reads_prior_thresholds_and_calibration(made, tmp_path):
    folder, truth, X = made
    estimate = audit(folder / "run").estimate
    done = train(settings(folder, answers=str(folder / "run")), tmp_path / "next")
    value, lower, upper = estimate.cardinality
    assert (
        f"audit: 80 answers of run estimate {value:.2f} labels an item ({lower:.2f} to {upper:.2f})"
        in notes_of(done)
    )
    assert "audit: probabilities are calibrated by its answers and 500 given entries" in notes_of(done)
    assert done.rule_source.startswith("matched to the audit's prior")
    model, before = load(tmp_path / "next" / "model"), load(folder / "run" / "model")
    assert model.prior_.sum() == pytest.approx(value, abs=0.02)
    # One tag an item is what the table says; the answers say how many there are.
    assert before.predict(X).sum() / N < 1.2 < abs(model.predict(X).sum() / N)
    assert abs(model.predict(X).sum() - truth.sum()) < 0.25 * truth.sum()

    def gap(fitted):
        return abs(fitted.predict_proba(X).mean() - truth.mean())

    assert gap(model) < 0.5 * gap(before)


def test_the_calibration_is_that_of_given_entries_and_of_weighted_answers(made, tmp_path):
    """A loop over entries: the line's weighted log-loss is no worse than that of lines near it."""
    folder, _, _ = made
    train(settings(folder, answers=str(folder / "run")), tmp_path / "next")
    model = load(tmp_path / "next" / "model")
    found = estimates_for_training(Answers.read(folder / "run"), folder / "run")
    frame = pd.read_csv(folder / "t.csv", dtype=str, keep_default_na=False).set_index("id")
    total = sum(one.weight for one in found.sample)
    assert total == pytest.approx((frame[NAMES] == "").to_numpy().sum())
    from labelwise.completion import left_out_scores
    from labelwise.runs.answering import trained_table
    from labelwise.runs.tables import FinishedRun

    opened = FinishedRun.open(tmp_path / "next", progress=False)
    table = trained_table(opened.directory, opened.read_table(folder / "t.csv"))
    logits = left_out_scores(model, table.features, table.annotations.matrix).logits
    slope, offset = model.calibration_.slope[0], model.calibration_.offset[0]
    raw, row_of = (logits - offset) / slope, {item: row for row, item in enumerate(frame.index)}

    def loss(a, b):
        entries = [(row_of[one.item], NAMES.index(one.label), one.answer, one.weight) for one in found.sample]
        entries += [(i, k, 1, 1.0) for i in range(N) for k in range(4) if frame.iloc[i][NAMES[k]] == "1"]
        scale = len(entries) / sum(weight for *_, weight in entries)
        value = a**2 / 20
        for row, k, state, weight in entries:
            p = expit(a * raw[row, k] + b)
            value -= scale * weight * np.log(p if state else 1 - p)
        return value

    best = loss(slope, offset)
    assert all(
        loss(slope + da, offset + db) >= best - 1e-6
        for da, db in [(0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)]
    )


def test_the_run_keeps_what_it_used(made, tmp_path):
    folder = made[0]
    run = shutil.copytree(folder / "run", tmp_path / "run")
    done = train(settings(folder, answers=str(run)), tmp_path / "next")
    shutil.rmtree(run)
    page = report(tmp_path / "next")
    assert "80 answers of run estimate" in page.read_text(encoding="utf-8").replace("&#39;", "'")
    # A run that was begun with an audit's answers hands its estimates on.
    again = train(settings(folder, answers=str(tmp_path / "next")), tmp_path / "third")
    assert [note for note in again.notes if "labels an item" in note] == [
        note for note in done.notes if "labels an item" in note
    ]


def test_few_answers_give_no_estimate_and_that_is_said(made, tmp_path):
    folder, truth, X = made
    run = shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("answers.sqlite*"))
    answer(run, truth, 20)
    done = train(settings(folder, answers=str(run)), tmp_path / "next")
    assert "audit: no estimate is used, since 20 answers of its random sample are too few: 60" in notes_of(
        done
    )
    Answers.read(run).write(tmp_path / "plain.csv")
    rows = Answers(tuple(row._replace(draw="", source="review") for row in Answers.read(run).rows))
    rows.write(tmp_path / "plain.csv")
    train(settings(folder, answers=str(tmp_path / "plain.csv")), tmp_path / "plain")
    first, second = (load(tmp_path / name / "model").predict_proba(X) for name in ("next", "plain"))
    np.testing.assert_array_equal(first, second)


def test_what_is_given_wins_and_what_cannot_be_used_is_said(made, tmp_path):
    folder, _, _ = made
    run = shutil.copytree(folder / "run", tmp_path / "run")
    given = train(
        settings(folder, answers=str(run), prior=1.5, calibrate=False, rule="0.4"), tmp_path / "given"
    )
    assert "not the prior, since one is given" in notes_of(given)
    model = load(tmp_path / "given" / "model")
    assert model.prior_.sum() == pytest.approx(1.5, abs=0.02)
    assert model.calibration_ is None
    Answers.read(run).write(tmp_path / "answers.csv")
    file = train(settings(folder, answers=str(tmp_path / "answers.csv")), tmp_path / "file")
    assert "no estimate is used, since they need the scores of the run that was audited" in notes_of(file)
    trained = train(settings(folder, answers=str(run), method="an", epochs=1), tmp_path / "an")
    assert "stay uncalibrated, since the answers are of items that method 'an' saw" in notes_of(trained)
    train(settings(folder, answers=str(run)), tmp_path / "next")
    # A label that nobody audited.
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(run / "answers.sqlite")) as connection:
        connection.execute("CREATE TABLE labels (name TEXT PRIMARY KEY, reviewer TEXT NOT NULL)")
        connection.execute("INSERT INTO labels VALUES ('mauve', 'Ann')")
        connection.commit()
    with open_answers(RunDirectory(run)) as store:
        store.append([Answer(f"item{i}", "mauve", 1) for i in range(5)])
    estimate = estimates_for_training(Answers.read(run), run)
    added = train(settings(folder, answers=str(run)), tmp_path / "added")
    value, lower, upper = estimate.cardinality
    # It goes on for the labels that it covers, which keep the shares that they had without the other.
    assert (
        f"audit: 80 answers of run estimate {value:.2f} labels an item ({lower:.2f} to {upper:.2f}): the prior of this"
        " training; labels that came since (mauve) have the share of their known positives" in notes_of(added)
    )
    assert "audit: probabilities are calibrated" in notes_of(added)
    assert added.rule_source.startswith("matched to the audit's prior")
    model = load(tmp_path / "added" / "model")
    plain = load(tmp_path / "next" / "model")
    assert list(model.label_names_) == [*NAMES, "mauve"]
    np.testing.assert_allclose(model.prior_[:4], plain.prior_, atol=1e-6)
    assert model.prior_[4] == pytest.approx(5 / N)
    # A run begun so hands the estimates on; a training without an audited label uses none.
    third = train(settings(folder, answers=str(tmp_path / "added")), tmp_path / "third")
    assert "labels that came since (mauve)" in notes_of(third)
    found = estimate.checked(Annotations(np.full((3, 1), -1, np.int8), ("red",)))
    assert "this training lacks labels that were audited (blue, green, grey)" in found.words(
        prior_given=False
    )
