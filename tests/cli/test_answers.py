"""``labelwise train --answers``: answers join the labels, and are told of."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from labelwise import load
from labelwise.completion import Answer, Answers, AnswerStore
from labelwise.runs import RunConfig, RunDirectory, resume, train
from labelwise.runs.answering import open_answers
from tests.cli.conftest import LABELS


def options(tables, table="semi", **more):
    return RunConfig(
        table=str(getattr(tables, table)), item_column="id", label_columns=LABELS, method="ridge", **more
    )


@pytest.fixture(scope="module")
def run(tables, tmp_path_factory):
    """A run on a table half of whose rows are labelled, to copy."""
    folder = tmp_path_factory.mktemp("reviewed") / "run"
    train(options(tables), folder)
    return folder


@pytest.fixture
def reviewed(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def some_answers(tables, rows=60):
    """Return right answers to unknown entries."""
    known = pd.read_csv(tables.semi).set_index("id")[LABELS].notna()
    return [
        Answer(f"i{i}", LABELS[k], int(tables.Y[i, k]), "Ann")
        for i in range(rows)
        for k in range(3)
        if not known.iloc[i, k]
    ]


def test_answers_join_the_table_and_are_counted(answer, tables, reviewed, tmp_path):
    rows = some_answers(tables)
    with open_answers(RunDirectory(reviewed)) as store:
        store.append(rows)
        store.append([Answer("nobody", "cat", 1), Answer("i3", "whale", 1), Answer("i101", "cat", -1)])
        given = pd.read_csv(tables.semi).set_index("id")[LABELS].stack().dropna()
        (item, label), state = next(iter(given.items()))
        store.append([Answer(item, label, 1 - int(state))])
    found = answer(
        *("train", tables.semi, "--item-column", "id", "--method", "ridge", "--answers", reviewed),
        *(word for name in LABELS for word in ("--label-columns", name)),
        *("--out", tmp_path / "again"),
    )
    notes = " ".join(found["notes"])
    assert f"answers: {len(rows)} answers joined the labels; 0 repeat a given entry" in notes
    assert f"1 answers contradict a given entry ({item} / {label}): the given ones were kept" in notes
    assert "answers on 1 items that the table lacks were left out (nobody)" in notes
    assert "answers on 1 labels that the table lacks were left out (whale)" in notes
    # The same labels in the table itself give the same model to the bit.
    frame = pd.read_csv(tables.semi)
    for row in rows:
        frame.loc[frame["id"] == row.item, row.label] = row.answer
    frame.to_csv(tmp_path / "whole.csv", index=False)
    train(options(tables).model_copy(update={"table": str(tmp_path / "whole.csv")}), tmp_path / "whole")
    X = tables.X[140:].astype(np.float32)
    first, second = (load(tmp_path / name / "model").predict_proba(X) for name in ("again", "whole"))
    np.testing.assert_array_equal(first, second)


def test_an_answer_can_win_over_a_given_entry(answer, tables, reviewed, tmp_path):
    given = pd.read_csv(tables.semi).set_index("id")[LABELS].stack().dropna()
    (item, label), state = next(iter(given.items()))
    Answers((Answer(item, label, 1 - int(state)), *some_answers(tables))).write(tmp_path / "a.csv")
    done = train(options(tables, answers=str(tmp_path / "a.csv"), conflicts="answer"), tmp_path / "again")
    assert any("the answers won" in note for note in done.notes)
    entries = answer("issues", tmp_path / "again", "--limit", 10_000)["entries"]
    assert [entry["given"] for entry in entries if (entry["item"], entry["label"]) == (item, label)] == [
        1 - int(state)
    ]
    assert len(entries) == len(given) + len(some_answers(tables))


def test_a_run_goes_on_with_the_answers_that_it_began_with(tables, reviewed, tmp_path):
    with open_answers(RunDirectory(reviewed)) as store:
        store.append(some_answers(tables))
    settings = options(tables, answers=str(reviewed)).model_copy(update={"method": "an", "epochs": 3})
    train(settings, tmp_path / "whole")
    out = tmp_path / "stopped"
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(
            "labelwise.runs.training._finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
        )
        with pytest.raises(KeyboardInterrupt):
            train(settings, out)
    # Answers that come meanwhile are those of the next run.
    with open_answers(RunDirectory(reviewed)) as store:
        store.append([Answer("i0", LABELS[0], 1, "Bo"), Answer("i0", LABELS[0], 0, "Bo")])
    resume(out)
    X = tables.X.astype(np.float32)
    first, second = (load(path / "model").predict_proba(X) for path in (tmp_path / "whole", out))
    np.testing.assert_array_equal(first, second)
    (out / "answers_joined.csv").unlink()
    from labelwise.errors import UserError
    from labelwise.runs import report

    with pytest.raises(UserError, match=r"answers_joined\.csv.* is gone"):
        report(out)


def test_answers_of_a_run_that_had_some_come_along(tables, reviewed, tmp_path):
    first, second = some_answers(tables)[:40], some_answers(tables)[40:60]
    with open_answers(RunDirectory(reviewed)) as store:
        store.append(first)
    train(options(tables, answers=str(reviewed)), tmp_path / "two")
    with open_answers(RunDirectory(tmp_path / "two")) as store:
        store.append(second)
    done = train(options(tables, answers=str(tmp_path / "two")), tmp_path / "three")
    assert any("60 answers joined the labels" in note for note in done.notes)
    assert len(Answers.read(tmp_path / "two")) == 60


def test_labels_that_reviewers_added_become_labels_of_the_model(answer, tables, reviewed, tmp_path):
    with open_answers(RunDirectory(reviewed)) as store:
        store.append([Answer(f"i{i}", "bird", int(tables.X[i, 0] > 0)) for i in range(60)])
        store._connection.execute("CREATE TABLE labels (name TEXT PRIMARY KEY, reviewer TEXT, time TEXT)")
        store._connection.execute("INSERT INTO labels VALUES ('bird', 'Ann', '')")
    train(options(tables, answers=str(reviewed)), tmp_path / "two")
    model = load(tmp_path / "two" / "model")
    assert model.label_names_ == (*LABELS, "bird")
    birds = model.predict_proba(tables.X[60:140].astype(np.float32))[:, 3]
    assert np.corrcoef(birds, tables.X[60:140, 0] > 0)[0, 1] > 0.7
    # The table itself still has no such column.
    labels = {entry["label"] for entry in answer("issues", tmp_path / "two", "--limit", 10_000)["entries"]}
    assert labels == {*LABELS, "bird"}
    answer("evaluate", tmp_path / "two", tables.test)
    assert json.loads((tmp_path / "two" / "state.json").read_text())["added_labels"] == ["bird"]


def test_answers_that_cannot_be_used_are_refused(refused, tables, reviewed, tmp_path):
    command = ("train", tables.semi, "--item-column", "id", "--out", tmp_path / "new", "--answers")
    assert "there is no such file or run" in refused(*command, tmp_path / "none.csv")
    assert "holds no answers.sqlite" in refused(*command, reviewed)
    Answers((Answer("else", "cat", 1),)).write(tmp_path / "other.csv")
    assert "has none of their items (else)" in refused(*command, tmp_path / "other.csv")
    assert not (tmp_path / "new").exists()
    with AnswerStore.open(reviewed / "answers.sqlite", "another run"):
        pass
    from labelwise.errors import UserError

    with pytest.raises(UserError, match="the answers of another run"):
        open_answers(RunDirectory(reviewed))


def test_a_setting_without_answers_is_said_to_be_unused(tables, tmp_path):
    done = train(options(tables, conflicts="answer"), tmp_path / "run")
    assert "not used: conflicts, since no answers join the labels" in done.notes


def test_no_stays_out_where_the_table_itself_knows_no_negative(tables, tmp_path):
    first = train(options(tables, "single"), tmp_path / "one")
    refusals = [Answer(f"i{i}", LABELS[k], 0) for i in range(60) for k in range(3) if not tables.Y[i, k]]
    confirmed = [Answer(f"i{i}", LABELS[k], 1) for i in range(60) for k in (1, 2) if tables.Y[i, k]]
    Answers((*refusals, *confirmed)).write(tmp_path / "a.csv")
    done = train(options(tables, "single", answers=str(tmp_path / "a.csv")), tmp_path / "two")
    assert any(f"{len(refusals)} answers of no stay unknown in training" in note for note in done.notes)
    assert first.setting == "single_positive"
    assert done.setting == "partial_positive"
