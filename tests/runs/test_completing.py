"""From a run to a filled table: audit, answers, certificate, file."""

import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.completion import Answer, Answers, AnswerStore
from labelwise.completion.entries import Entries
from labelwise.runs.auditing import audit
from labelwise.runs.completing import complete
from labelwise.runs.scoring import ScoredTable
from tests.refusals import refused, refused_command

NAMES = ["red", "green", "blue"]
WITH_ANSWERS = {
    "audit": ("audit", "RUN"),
    "audit, to ask": ("audit", "RUN", "--out", "OUT"),
    "audit, answered": ("audit", "RUN", "--answers", "MINE"),
    "audit, to fill": ("audit", "RUN", "--aim", "fill"),
    "complete": ("complete", "RUN", "--out", "OUT"),
    "complete, answered": ("complete", "RUN", "--answers", "MINE"),
    "train": ("train", "TABLE", "--method", "ridge", "--answers", "RUN", "--out", "OUT"),
    "review": ("review", "RUN", "--port", "0"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, its table, and the truth of all entries."""
    folder = tmp_path_factory.mktemp("completing")
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 6)).round(3)
    truth = (X @ random.normal(size=(6, 3)) * 3 + random.normal(size=(300, 3)) > 0).astype(int)
    labels = np.where(random.random((300, 3)) < 0.3, truth.astype(object), "")
    labels = np.where(labels == 1, "yes", np.where(labels == 0, "no", labels))
    frame = pd.DataFrame(X, columns=[f"x_{i}" for i in range(6)])
    frame.insert(0, "id", [f"item{i}" for i in range(300)])
    table = pd.concat([frame, pd.DataFrame(labels, columns=NAMES)], axis=1)
    table.to_csv(folder / "table.csv", index=False)
    command("train", folder / "table.csv", "--out", folder / "run", "--method", "ridge")
    return folder, truth


def command(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def answer(path, truth):
    """Fill the column answer from the truth."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = [int(item.removeprefix("item")) for item in frame["item"]]
    frame["answer"] = [
        str(truth[row, NAMES.index(label)]) for row, label in zip(rows, frame["label"], strict=True)
    ]
    frame.to_csv(path, index=False)
    return frame


def test_audit_asks_reads_and_estimates(made, tmp_path):
    folder, truth = made
    run, ask = folder / "run", tmp_path / "ask.csv"
    text = command("audit", run, "--out", ask, "--size", 40)
    assert "no answers to this draw yet" in text
    frame = answer(ask, truth)
    assert len(frame) == 40
    assert (frame["probability"].astype(float) > 0).all()
    result = json.loads(command("audit", run, "--answers", ask, "--json"))
    assert result["read"] == 40
    assert result["estimate"]["answers"] == 40
    for bounds in (result["estimate"]["cardinality"], *result["estimate"]["prevalence"].values()):
        assert bounds["lower"] <= bounds["value"] <= bounds["upper"]
    again = tmp_path / "more.csv"
    command("audit", run, "--out", again, "--size", 30)
    more = pd.read_csv(again)
    assert len(more) == 30
    asked = set(zip(frame["item"], frame["label"], strict=True))
    assert not asked & set(zip(more["item"], more["label"], strict=True))
    # A file that is read twice is there once.
    command("audit", run, "--answers", ask)
    assert len(Answers.read(run).latest()) == 40
    # Rows without an answer say nothing.
    assert json.loads(command("audit", run, "--answers", again, "--json"))["read"] == 0


def test_complete_ranks_certifies_and_fills(made, tmp_path):
    folder, truth = made
    run, ask, ranked = folder / "run", tmp_path / "ask.csv", tmp_path / "ranked.csv"
    command("complete", run, "--out", ranked)
    table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    frame = pd.read_csv(ranked)
    assert len(frame) == int((table[NAMES] == "").sum().sum())
    assert frame["probability"].is_monotonic_decreasing
    answers = tmp_path / "all.csv"
    parts = []
    for _ in range(3):
        done = audit(run, ask, size=40, aim="fill", seed=5)
        if not len(done.asked):
            break
        parts.append(answer(ask, truth))
        audit(run, answers=ask, aim="fill", seed=5)
    pd.concat(parts).to_csv(answers, index=False)
    out = tmp_path / "filled.csv"
    done = complete(run, out=out, fill=0.9, seed=5)
    assert done.completion.certificate.inferred > 0
    filled = pd.read_csv(out, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(filled.drop(columns=NAMES), table.drop(columns=NAMES))
    before, after = table[NAMES].to_numpy(), filled[NAMES].to_numpy()
    assert (after[before != ""] == before[before != ""]).all()
    new = (before == "") & (after == "yes")
    assert new.sum() == done.filled
    assert truth[new].mean() >= 0.9
    # The table as another file, which the model is taken not to have seen: answers count by item and label.
    (tmp_path / "other.csv").write_bytes((folder / "table.csv").read_bytes())
    other = complete(run, tmp_path / "other.csv", answers=answers)
    assert "has not seen" in " ".join(other.notes)
    assert len(other.completion.plan.entries.answered.places) >= 40


def test_scores_are_kept_beside_the_run(made):
    folder, _ = made
    first = ScoredTable.open(folder / "run", None, progress=False, given={})
    path = folder / "run" / "left_out_scores.npz"
    assert path.is_file()
    second = ScoredTable.open(folder / "run", None, progress=False, given={})
    np.testing.assert_array_equal(first.logits, second.logits)
    path.write_bytes(b"damaged")
    third = ScoredTable.open(folder / "run", None, progress=False, given={})
    np.testing.assert_array_equal(first.logits, third.logits)


def test_answers_that_the_model_learnt_from_are_given_and_no_evidence(made, tmp_path):
    """Its scores depend on them: counted as a sample they would certify what they have chosen."""
    folder, truth = made
    run, ask = tmp_path / "run", tmp_path / "ask.csv"
    shutil.copytree(folder / "run", run, ignore=shutil.ignore_patterns("answers.sqlite*"))
    audit(run, ask, aim="fill", size=30, seed=7)
    asked = answer(ask, truth)
    audit(run, answers=ask, aim="fill", seed=7)
    before = complete(run, seed=7).completion
    assert len(before.plan.entries.answered.places) == 30
    # The order is that of the seed as long as no answer chose the scores.
    assert ScoredTable.open(run, None, progress=False, given={}).seed(7) == 7
    command("train", folder / "table.csv", "--method", "ridge", "--answers", run, "--out", tmp_path / "again")
    out = tmp_path / "filled.csv"
    audit(tmp_path / "again", ask, aim="fill", size=5)
    answer(ask, truth)
    done = complete(tmp_path / "again", answers=ask, fill=0.9, out=out, seed=7)
    places = done.completion.plan.entries.answered.places
    assert len(places) == 5
    assert not np.isin(places, before.plan.entries.answered.places).any()
    assert "30 answers joined this run's labels" in " ".join(done.notes)
    assert ScoredTable.open(tmp_path / "again", None, progress=False, given={}).seed(7) != 7
    # They are in the table all the same.
    filled = pd.read_csv(out, dtype=str, keep_default_na=False).set_index("id")
    for row in asked.itertuples():
        assert filled.loc[row.item, row.label] == ("yes" if row.answer == "1" else "no")


def test_answers_to_an_added_label_are_told_apart(made, tmp_path):
    folder, _ = made
    run = shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("answers*"))
    rows = [Answer("item1", "mauve", 1), Answer("item2", "mauve", 0), Answer("item1", "mavue", 1)]
    for path in (run / "answers.sqlite", tmp_path / "other.sqlite"):
        Answers(tuple(rows)).write(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE labels (name TEXT PRIMARY KEY, reviewer TEXT NOT NULL)")
            name = "mauve" if path.stem == "answers" else "mavue"
            connection.execute("INSERT INTO labels VALUES (?, 'Ann')", (name,))
    for done in (complete(run), audit(run, aim="fill")):
        notes = " ".join(done.notes)
        assert "2 answers are of labels that reviewers added (mauve), which the model does not know" in notes
        assert "1 answers are of no item and label of the table (item1 / mavue)" in notes
    # A file of answers names what was added where it comes from.
    both = complete(run, answers=tmp_path / "other.sqlite")
    assert "3 answers are of labels that reviewers added (mauve, mavue)" in " ".join(both.notes)
    done = complete(run, out=tmp_path / "filled.csv", fill=0.9, answers=tmp_path / "other.sqlite")
    filled = pd.read_csv(tmp_path / "filled.csv", dtype=str, keep_default_na=False).set_index("id")
    assert [filled.loc["item1", name] for name in ("mauve", "mavue")] == ["yes", "yes"]
    assert filled.loc["item2", "mauve"] == "no"
    table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    labels = np.where(table[NAMES] == "yes", 1, np.where(table[NAMES] == "no", 0, -1))
    scores = np.full(labels.shape, 0.5)
    alone = Entries.of(
        scores, labels, tmp_path / "other.sqlite", items=table["id"].tolist(), label_names=NAMES
    )
    assert "that reviewers added (mavue)" in alone.answered.notes[0]


@pytest.mark.parametrize("words", WITH_ANSWERS.values(), ids=WITH_ANSWERS)
def test_answers_that_came_with_another_run_are_refused_wherever_they_are_read(made, tmp_path, words):
    """A database that was copied from elsewhere is left as it is, and nothing is reckoned or asked by it."""
    folder, _ = made
    run, out, mine = tmp_path / "run", tmp_path / "out.csv", tmp_path / "mine.csv"
    shutil.copytree(folder / "run", run, ignore=shutil.ignore_patterns("answers.sqlite*"))
    with AnswerStore.open(run / "answers.sqlite", "another run") as store:
        store.append([Answer("item1", "red", 1, draw="score-0")])
    Answers((Answer("item2", "red", 1),)).write(mine)
    before = Answers.read(run)
    places = {"RUN": run, "OUT": out, "MINE": mine, "TABLE": folder / "table.csv"}
    line = refused_command(CliRunner().invoke(app, [str(places.get(word, word)) for word in words]))
    assert "answers.sqlite holds the answers of another run: move it away" in line
    assert not out.exists()
    assert Answers.read(run) == before


def test_what_is_not_certified_is_not_filled(tmp_path):
    random = np.random.default_rng(1)
    X = random.normal(size=(120, 3))
    Y = np.where(random.random((120, 2)) < 0.3, "1", "")
    table = pd.concat(
        [pd.DataFrame(X, columns=["x_0", "x_1", "x_2"]), pd.DataFrame(Y, columns=["a", "b"])], axis=1
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    command("train", tmp_path / "t.csv", "--out", tmp_path / "run", "--method", "ridge")
    out = tmp_path / "filled.csv"
    message = refused(
        lambda: complete(tmp_path / "run", out=out, fill=0.9), "more answers are needed", "audit"
    )
    assert "\n" not in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["complete", "RUN", "--fill", "0.9"], "--out"),
        (["complete", "RUN", "--fill", "1.5", "--out", "f.csv"], "precision"),
        (["complete", "RUN", "--fill", "0.9", "--out", "f.parquet"], ".csv"),
        (["complete", "RUN", "--answers", "nothing.csv"], "no such file"),
        (["audit", "RUN", "--aim", "guess"], "estimate"),
        (["audit", "RUN", "--by", "place"], "label"),
        (["audit", "RUN", "--out", "ask.txt"], ".csv"),
    ],
)
def test_mistakes_are_told_in_one_line(made, monkeypatch, tmp_path, words, say):
    folder, _ = made
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [str(folder / "run") if word == "RUN" else word for word in words])
    assert say in refused_command(result)
