"""``labelwise review``: what cannot be reviewed is refused in one line, and no answer is touched."""

from __future__ import annotations

import json
import shutil
import socket
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from labelwise.completion import Answer, Answers, AnswerStore, left_out_scores
from labelwise.runs import RunConfig, RunDirectory, train
from labelwise.runs.reviewing import SAW_ROWS, open_for_review, training_arguments
from labelwise.web import Review, ReviewStore
from labelwise.web.certifying import Certifier
from labelwise.web.files import table_file
from tests.cli.conftest import LABELS


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def served(monkeypatch):
    """The server's own part, which would wait for requests, left out; what it was given is kept."""
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)


def test_it_says_where_the_page_is(lw, run, served):
    result = lw("review", run, "--port", 0, "--no-browser")
    assert result.exit_code == 0, result.output
    assert "140 items, 3 labels; 0 answers so far" in result.stdout
    assert "http://127.0.0.1:" in result.stdout


def test_others_need_a_token(lw, answer, run, served):
    said = answer("review", run, "--port", 0, "--host", "0.0.0.0")
    assert len(said["token"]) > 16
    assert said["token"] in said["url"]
    assert answer("review", run, "--port", 0)["token"] is None
    assert answer("review", run, "--port", 0, "--token", "my-own-token")["url"].endswith(
        "?token=my-own-token"
    )


def test_a_port_in_use(refused, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused("review", run, "--port", taken.getsockname()[1])
    assert "cannot be had (Address already in use)" in said
    assert "--port 0" in said


def test_a_short_token_and_a_wrong_host(refused, run):
    assert "at least 8 characters" in refused("review", run, "--port", 0, "--token", "short")
    assert "cannot be had" in refused("review", run, "--port", 0, "--host", "999.1.1.1")


def test_no_run_and_one_that_is_not_finished(refused, run, tmp_path):
    assert "there is no such run" in refused("review", tmp_path / "nothing", "--port", 0)
    state = json.loads((run / "state.json").read_text())
    (run / "state.json").write_text(json.dumps({**state, "status": "training"}))
    assert "is not finished" in refused("review", run, "--port", 0)


def test_a_run_whose_model_is_gone_or_is_another_one(refused, run, tables, tmp_path):
    (run / "model" / "model.json").unlink()
    assert str(run / "model") in refused("review", run, "--port", 0)


def test_a_table_that_is_gone(refused, run, tables, tmp_path):
    gone = tmp_path / "gone.csv"
    config = RunDirectory(run).config()
    RunDirectory(run).change_config(config.model_copy(update={"table": str(gone)}))
    said = refused("review", run, "--port", 0)
    assert f"{gone}, the table of {run}, is gone" in said
    assert open_for_review(run, tables.semi).items[0] == "i0"


def test_a_table_with_other_items_is_counted_and_named(refused, run, tables, tmp_path):
    text = tables.semi.read_text().replace("\ni7,", "\nother,").replace("\ni9,", "\nelse,")
    (tmp_path / "changed.csv").write_text(text)
    said = refused("review", run, tmp_path / "changed.csv", "--port", 0)
    assert "2 of its items are missing (i7, i9)" in said
    assert "2 are not the run's (other, else)" in said
    lines = tables.semi.read_text().splitlines()
    (tmp_path / "shorter.csv").write_text("\n".join(lines[:-3]) + "\n")
    assert "3 of its items are missing" in refused("review", run, tmp_path / "shorter.csv", "--port", 0)


def test_the_answers_of_another_run_stay_as_they_are(refused, run):
    with AnswerStore.open(run / "answers.sqlite", "another run") as store:
        store.append([Answer("elsewhere", "cat", 1)])
    before = Answers.read(run)
    assert "answers of another run" in refused("review", run, "--port", 0)
    assert Answers.read(run) == before


def test_answers_to_another_table_are_counted_and_named(refused, run):
    with AnswerStore.open(run / "answers.sqlite") as store:
        store.append([Answer("elsewhere", "cat", 1), Answer("i1", "cat", 1)])
    said = refused("review", run, "--port", 0)
    assert "1 of its items are not in this table (elsewhere)" in said
    assert len(Answers.read(run)) == 2


def test_a_file_that_is_no_database(refused, run):
    (run / "answers.sqlite").write_text("not a database, but somebody's file of some length")
    assert "answers.sqlite" in refused("review", run, "--port", 0)
    assert (run / "answers.sqlite").read_text().startswith("not a database")


def test_scores_are_kept_and_damaged_ones_made_anew(run):
    first = open_for_review(run)
    kept = run / "left_out_scores.npz"
    assert kept.is_file()
    assert (open_for_review(run).scores == first.scores).all()
    kept.write_bytes(b"damaged")
    assert (open_for_review(run).scores == first.scores).all()


def test_a_table_that_was_edited_in_place_is_scored_anew(run, tables, tmp_path):
    """Of the same shape and with the same labels: its features alone have changed."""
    table = shutil.copy(tables.semi, tmp_path / "t.csv")
    before = open_for_review(run, table)
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    feature = next(name for name in frame.columns if name not in ("id", *LABELS))
    frame[feature] = frame[feature].to_numpy()[::-1]
    frame.to_csv(table, index=False)
    after = open_for_review(run, table)
    assert after.scores.shape == before.scores.shape
    assert np.abs(after.scores - before.scores).max() > 0.01
    fresh = shutil.copytree(run, tmp_path / "fresh")
    (fresh / "left_out_scores.npz").unlink()
    assert np.array_equal(after.scores, open_for_review(fresh, table).scores, equal_nan=True)


def test_labels_that_reviewers_added_are_in_the_tables_that_are_written(run, tables, lw, tmp_path):
    data = open_for_review(run)
    store = ReviewStore.of_run(run / "answers.sqlite", data.items, data.identity)
    review = Review(data, store)
    review.add_label("whale", "Ann")
    store.append([Answer("i3", "whale", 1, "Ann"), Answer("i5", "whale", 0, "Ann")])
    review.replace(data)
    name, content, _ = table_file(review)
    store.close()
    (tmp_path / name).write_bytes(content)
    before = pd.read_csv(tables.semi, dtype=str, keep_default_na=False)
    written = pd.read_csv(tmp_path / name, dtype=str, keep_default_na=False).set_index("id")
    assert list(written.columns)[: len(before.columns) - 1] == list(before.columns)[1:]
    assert written["whale"].value_counts().to_dict() == {"": 138, "1": 1, "0": 1}
    assert (written.loc["i3", "whale"], written.loc["i5", "whale"]) == ("1", "0")
    filled = tmp_path / "filled.csv"
    result = lw("complete", run, "--fill", "0.9", "--out", filled)
    assert result.exit_code == 0, result.output
    assert (
        pd.read_csv(filled, dtype=str, keep_default_na=False)
        .set_index("id")["whale"]
        .equals(written["whale"])
    )
    # A run that learnt it has it among its labels, and its table's file still has no such column.
    again = tmp_path / "again"
    assert lw(*training_arguments(data, again)).exit_code == 0
    with AnswerStore.open(again / "answers.sqlite") as store:
        store.append([Answer("i7", "whale", 1, "Ann")])
    result = lw("complete", again, "--fill", "0.9", "--out", filled)
    assert result.exit_code == 0, result.output
    last = pd.read_csv(filled, dtype=str, keep_default_na=False).set_index("id")["whale"]
    assert (last["i3"], last["i5"], last["i7"]) == ("1", "0", "1")
    # What was written is read as a table with that label.
    found = lw("train", filled, "--method", "ridge", "--out", tmp_path / "third", "--item-column", "id")
    assert found.exit_code == 0, found.output
    assert "whale" in RunDirectory(tmp_path / "third").state()["label_names"]


def test_one_file_of_scores_serves_the_page_and_the_commands(run, monkeypatch):
    from labelwise.runs import audit, complete, issues, scoring

    made = []

    def counted(*given):
        made.append(given)
        return left_out_scores(*given)

    monkeypatch.setattr(scoring, "left_out_scores", counted)
    shown = open_for_review(run)
    found = complete(run).completion.plan.entries
    audit(run)
    issues(run)
    assert len(made) == 1
    logits = np.log(shown.scores) - np.log1p(-shown.scores)
    np.testing.assert_allclose(logits[found.rows, found.columns], found.logits, atol=0.01)


def test_a_page_says_that_a_trained_model_saw_its_rows_until_other_scores_are_there(tables, tmp_path):
    settings = RunConfig(
        table=str(tables.semi), item_column="id", label_columns=LABELS, method="an", epochs=2, device="cpu"
    )
    train(settings, tmp_path / "run")
    first = open_for_review(tmp_path / "run")
    assert first.made_by.endswith(SAW_ROWS)
    review = Review(
        first, ReviewStore.of_run(tmp_path / "run" / "answers.sqlite", first.items, first.identity)
    )
    certifier = Certifier(review, opened=lambda: open_for_review(tmp_path / "run"))
    certifier.start()
    deadline = time.monotonic() + 60
    while review.certificate is None and time.monotonic() < deadline:
        time.sleep(0.02)
    certifier.stop()
    review.store.close()
    assert "a model trained on the other 4 of 5 parts" in review.data.made_by
    assert not np.array_equal(review.data.scores, first.scores)
    assert np.array_equal(review.data.scores, open_for_review(tmp_path / "run").scores)


def test_learning_again_ranks_what_is_left_no_worse_where_the_table_knows_no_negative(tables, tmp_path, lw):
    """A closed form that read the answers of no alone would forget all it knew."""
    single, out = tmp_path / "single", tmp_path / "out"
    given = ("--method", "ridge", "--device", "cpu", "--out", single)
    assert lw("train", tables.single, *given).exit_code == 0
    before = open_for_review(single)
    rows = [Answer(f"i{i}", "cat", int(tables.Y[i, 0])) for i in range(40)]
    with AnswerStore.open(single / "answers.sqlite") as store:
        store.append(rows)
    arguments = training_arguments(before, out)
    assert "--method" not in arguments
    result = lw(*arguments)
    assert result.exit_code == 0, result.output
    after = open_for_review(single, learnt=out)
    assert after.model_run == out
    assert (after.given == before.given).all()
    left = before.given == -1
    left[:40, 0] = False
    truth = tables.Y[:140]

    def ranked(data):
        return average_precision_score(truth[left], data.scores[left])

    assert ranked(after) > ranked(before) - 0.02


def test_a_method_that_does_not_take_what_answers_make_gives_way(run, tmp_path):
    config = RunDirectory(run).config()
    RunDirectory(run).change_config(config.model_copy(update={"method": "bce"}))
    data = open_for_review(run)
    arguments = training_arguments(data, tmp_path / "out", moved=True)
    assert arguments[arguments.index("--method") + 1] == "auto"
    assert arguments[1] == str(data.table)
