"""``describe``, ``evaluate``, ``predict``, ``methods`` and ``demo``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from labelwise import load, methods, metrics


def columns_turned(source: Path, target: Path, drop: tuple[str, ...] = ()) -> Path:
    """Write a table with its columns in the opposite order, some left out."""
    frame = pd.read_csv(source)
    frame[[name for name in frame.columns[::-1] if name not in drop]].to_csv(target, index=False)
    return target


def test_describe_says_facts_judgement_and_method(lw, answer, tables):
    text = lw("describe", tables.single).stdout
    assert "setting: single_positive" in text
    assert "No negative is known" in text
    description = answer("describe", tables.semi)
    assert description["labels"]["setting"] == "semi_supervised"
    assert description["judgeable"]["n_items"] == 70
    assert description["recommended"]["method"] in methods.names()


def test_describe_reads_a_column_of_names(answer, tmp_path):
    (tmp_path / "t.csv").write_text("id,f0,tags\na,0.5,cat;dog\nb,0.1,\nc,0.2,dog\n")
    description = answer("describe", tmp_path / "t.csv", "--labels-column", "tags", "--unlisted", "absent")
    assert description["labels"]["setting"] == "semi_supervised"
    assert description["labels"]["positives"] == [1, 2]


@pytest.mark.parametrize("name", ["missing.csv", "data.xyz", "empty.csv"])
def test_describe_names_a_file_that_is_no_table(refused, tmp_path, name):
    if name != "missing.csv":
        (tmp_path / name).write_text("")
    assert name in refused("describe", tmp_path / name)


def test_evaluate_is_the_models_own_evaluation(answer, trained, tables):
    result = answer("evaluate", trained, tables.test)
    truth = load(trained / "model").evaluate(tables.X[140:].astype(np.float32).round(5), tables.Y[140:])
    assert result["figures"]["rule"] == truth.rule
    for name, value in truth.items():
        # What cannot be measured is NaN in Python and null in JSON.
        shown = result["figures"]["metrics"][name]
        assert (shown is None and np.isnan(value)) or shown == pytest.approx(value, abs=1e-6), name


def test_evaluate_takes_columns_in_any_order(answer, trained, tables, tmp_path):
    turned = columns_turned(tables.test, tmp_path / "turned.csv")
    assert (
        answer("evaluate", trained, turned)["figures"] == answer("evaluate", trained, tables.test)["figures"]
    )


def test_evaluate_shows_rule_and_labels_and_writes(lw, trained, tables, tmp_path):
    out = tmp_path / "found.json"
    result = lw("evaluate", trained, tables.test, "--rule", "0.3", "--per-label", "--out", out)
    assert result.exit_code == 0, result.stderr
    for said in ("threshold(0.3)", "map", "cat", "average_precision"):
        assert said in result.stdout
    assert json.loads(out.read_text())["figures"]["rule"] == "threshold(0.3)"


def test_one_row_with_positives_alone_ranks_nothing(lw, answer, trained, tmp_path, tables):
    head, first = tables.test.read_text().splitlines()[:2]
    row = [*first.split(",")[:-3], "1", "", ""]
    (tmp_path / "one.csv").write_text(f"{head}\n{','.join(row)}\n")
    result = lw("evaluate", trained, tmp_path / "one.csv")
    assert (result.exit_code, "nan" in result.output) == (0, False)
    assert "so nothing can be ranked" in result.output
    assert answer("evaluate", trained, tmp_path / "one.csv")["observed"]["map"] is None


def test_evaluate_on_positives_only_gives_observed_ap(lw, answer, trained, tables):
    result = answer("evaluate", trained, tables.single)
    assert result["figures"] is None
    Y = pd.read_csv(tables.single)[["cat", "dog", "sea"]].fillna(-1).to_numpy(dtype=np.int8)
    X = pd.read_csv(tables.single)[[f"f{i}" for i in range(5)]].to_numpy(dtype=np.float32)
    truth = metrics.observed_average_precision(Y, load(trained / "model").decision_scores(X))
    assert list(result["observed"]["average_precision"].values()) == pytest.approx(truth)
    text = lw("evaluate", trained, tables.single, "--per-label").stdout
    assert f"{np.nanmean(truth):.4f}" in text
    assert "biased" in text


def test_evaluate_refuses_what_it_cannot_judge(refused, trained, tables, tmp_path):
    columns = columns_turned(tables.test, tmp_path / "no_f3.csv", drop=("f3",))
    assert "'f3'" in refused("evaluate", trained, columns)
    assert "'dog'" in refused(
        "evaluate", trained, columns_turned(tables.test, tmp_path / "no_dog.csv", drop=("dog",))
    )
    blank = pd.read_csv(tables.test)
    blank[["cat", "dog", "sea"]] = np.nan
    blank.to_csv(tmp_path / "blank.csv", index=False)
    assert "blank.csv" in refused("evaluate", trained, tmp_path / "blank.csv")
    assert "run directory" in refused("evaluate", trained / "model", tables.test)
    assert "no such run" in refused("evaluate", tmp_path / "nowhere", tables.test)
    assert ".json" in refused("evaluate", trained, tables.test, "--out", tmp_path / "found.txt")
    assert "best" in refused("evaluate", trained, tables.test, "--rule", "best")


@pytest.mark.parametrize("damage", ["missing", "extra", "tampered"])
def test_a_damaged_model_is_refused(refused, trained, tables, tmp_path, damage):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = run / "model" / "weights.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "extra":
        (run / "model" / "more.pkl").write_bytes(b"")
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    line = refused("predict", run, tables.test, "--out", tmp_path / "p.csv")
    assert {"missing": "weights.safetensors", "extra": "more.pkl", "tampered": "checksum"}[damage] in line
    assert not (tmp_path / "p.csv").exists()


def read_predictions(path: Path) -> tuple[list[str], np.ndarray, list[list[str]]]:
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.open()))
        names = [row["predicted"].split(";") if row["predicted"] else [] for row in rows]
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        names = [row["predicted"] for row in rows]
    else:
        frame = pd.read_parquet(path)
        rows, names = frame.to_dict("records"), [list(row) for row in frame["predicted"]]
    scores = np.array(
        [[float(row[name]) for name in ("cat", "dog", "sea")] for row in rows], dtype=np.float32
    )
    return [row["item"] for row in rows], scores, names


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_predictions_are_the_models_to_the_bit(answer, trained, tables, tmp_path, ending):
    out = tmp_path / f"p.{ending}"
    unlabelled = columns_turned(tables.test, tmp_path / "new.csv", drop=("cat", "dog", "sea"))
    predictions = answer("predict", trained, unlabelled, "--out", out)
    model = load(trained / "model")
    X = pd.read_csv(tables.test)[[f"f{i}" for i in range(5)]].to_numpy(dtype=np.float32)
    items, scores, names = read_predictions(out)
    assert items == [f"i{i}" for i in range(140, 200)]
    assert np.array_equal(scores, model.predict_proba(X))
    assert names == [
        [label for label, on in zip(model.label_names_, row, strict=True) if on] for row in model.predict(X)
    ]
    assert predictions["n_items"] == 60
    assert predictions["labels_per_item"] == pytest.approx(np.mean([len(row) for row in names]))


def test_predict_says_what_it_wrote(lw, trained, tables, tmp_path):
    result = lw("predict", trained, tables.test, "--out", tmp_path / "p.csv")
    assert result.exit_code == 0, result.stderr
    assert "60 items" in result.stdout
    assert "p.csv" in result.stdout


def test_predict_refuses_outputs_and_tables_that_it_cannot_use(refused, trained, tables, tmp_path):
    table = shutil.copy(tables.test, tmp_path / "new.csv")
    before = Path(table).read_bytes()
    assert "table itself" in refused("predict", trained, table, "--out", table)
    assert ".parquet" in refused("predict", trained, table, "--out", tmp_path / "p.xlsx")
    assert "no folder" in refused("predict", trained, table, "--out", tmp_path / "no" / "p.csv")
    assert "'f2'" in refused(
        "predict",
        trained,
        columns_turned(tables.test, tmp_path / "x.csv", drop=("f2",)),
        "--out",
        tmp_path / "p.csv",
    )
    assert Path(table).read_bytes() == before
    assert not (tmp_path / "p.csv").exists()


def test_methods_lists_the_registry(lw, answer):
    assert [record["id"] for record in answer("methods")] == methods.names()
    text = lw("methods").stdout
    for name in methods.names():
        assert name in text


def test_each_method_shows_its_hyperparameters(lw, answer):
    for name in methods.names():
        spec = methods.get(name).spec
        assert {h["name"]: h["default"] for h in answer("methods", name)["hyperparameters"]} == {
            key: value.default for key, value in spec.hyperparameters.items()
        }
        result = lw("methods", name)
        assert result.exit_code == 0, result.stderr
        assert spec.title in result.stdout


def test_an_unknown_method_has_neighbours(refused):
    assert "'hml'" in refused("methods", "hlm")


def test_demo_hands_its_options_on_and_prints_the_comparison(monkeypatch, lw, answer, tmp_path):
    called = {}

    def run(out: Path, **options: object) -> SimpleNamespace:
        called.update(options, out=out)
        rows = [
            {"method": "an", "title": "missing = no", "map": 0.5, "map_low": 0.25, "map_high": 0.75}
            | {"map_gain": None, "map_gain_low": None, "map_gain_high": None}
            | {"micro_f1": 0.375, "hidden_found": None, "seconds": 1.0},
            {"method": "hml", "title": "Learning", "map": 0.625, "map_low": 0.5, "map_high": 0.75}
            | {"map_gain": 0.125, "map_gain_low": 0.0, "map_gain_high": 0.25}
            | {"micro_f1": 0.5, "hidden_found": 0.875, "seconds": 2.0},
        ]
        return SimpleNamespace(
            report=out / "report.html", review=out / "run", rows=rows, to_dict=lambda: {"rows": rows}
        )

    monkeypatch.setattr("labelwise.runs.demo.run", run)
    result = lw("demo", "--out", tmp_path, "--quick", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    for said in ("missing = no", "0.625", "+0.125 (+0.000 to +0.250)", "88%"):
        assert said in result.stdout
    assert str(tmp_path / "report.html") in result.stdout
    assert f"labelwise review {tmp_path / 'run'}" in result.stdout
    assert called == {"out": tmp_path, "quick": True, "open_report": False, "seed": 3, "progress": True}
    assert answer("demo", "--out", tmp_path)["rows"][0]["map"] == 0.5


def test_labels_that_a_model_does_not_know_are_left_out_and_said(lw, answer, tmp_path):
    rows = "\n".join(f"{i},{i % 2 - 0.5},{-(i % 2) + 0.5},{'cat' if i % 2 else 'dog'}" for i in range(60))
    (tmp_path / "train.csv").write_text(f"id,f0,f1,tags\n{rows}\n")
    (tmp_path / "test.csv").write_text("id,f0,f1,tags\na,.5,-.5,cat;cow\nb,-.5,.5,dog\nc,.5,-.5,cat\n")
    tags = ("--labels-column", "tags", "--unlisted", "absent")
    out = tmp_path / "run"
    assert lw("train", tmp_path / "train.csv", *tags, "--out", out, "--device", "cpu").exit_code == 0
    result = answer("evaluate", out, tmp_path / "test.csv")
    assert result["figures"]["metrics"]["map"] == 1.0
    assert any("does not know them: cow" in sentence for sentence in result["words"])
