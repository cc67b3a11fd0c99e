"""Runs on folders of Parquet: the model of the same rows in memory, judged, saved, used in fragments."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from labelwise import MultiLabelClassifier, load, runs
from labelwise.annotations import listed
from labelwise.data.tables import stream as fragments
from labelwise.errors import UserError
from labelwise.models.ridge import passes, streaming
from labelwise.runs.streaming import is_streamed

NAMES = np.array(["cat", "dog", "fox"])


def rows(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).astype(np.float32)
    Y = X[:, :3] + 0.5 * rng.normal(size=(n, 3)) > 0.5
    lists = pa.array([list(NAMES[row]) for row in Y], pa.list_(pa.string()))
    ids = pa.array([f"item {seed}-{i}" for i in range(n)])
    return X, pa.table(
        {"id": ids, "emb": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6), "tags": lists}
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of two files, the same rows in one file, and a finished run on the folder."""
    place = tmp_path_factory.mktemp("given")
    parts = [rows(n, seed)[1] for seed, n in enumerate((70, 50))]
    (place / "folder").mkdir()
    for number, part in enumerate(parts):
        parquet.write_table(part, place / "folder" / f"{number}.parquet")
    parquet.write_table(pa.concat_tables(parts), place / "whole.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragments, "FRAGMENT_ROWS", 32)
        outcome = runs.train(config(place / "folder"), place / "run")
    return place, outcome


@pytest.fixture(autouse=True)
def short_fragments(monkeypatch):
    monkeypatch.setattr(fragments, "FRAGMENT_ROWS", 32)


def config(table, **settings):
    return runs.RunConfig.build(
        {"table": str(table), "labels_column": "tags", "unlisted": "absent", "device": "cpu", **settings}
    )


def test_the_run_is_that_of_the_rows_in_memory(given, tmp_path):
    place, outcome = given
    whole = runs.train(config(place / "whole.parquet", method="ridge"), tmp_path / "run")
    assert (outcome.method, outcome.n_items, outcome.n_labels) == ("ridge", 120, 3)
    assert "all rows in memory" in outcome.reason
    assert any("120 rows were read in passes" in note for note in outcome.notes)
    assert outcome.rule_source == whole.rule_source
    for name, value in whole.figures["metrics"].items():
        assert outcome.figures["metrics"][name] == pytest.approx(value, abs=1e-6), name
    X, _ = rows(40, 7)
    one, other = load(place / "run" / "model"), load(tmp_path / "run" / "model")
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-6)
    assert "120 rows were read in passes" in (place / "run" / "report.html").read_text()
    judged = runs.evaluate(place / "run", place / "whole.parquet").to_dict()
    assert judged["figures"]["metrics"]["map"] > 0.7


def test_a_single_file_is_streamed_where_it_is_asked_for_or_too_large(given, tmp_path):
    place, _ = given
    asked = runs.train(config(place / "whole.parquet", stream=True), tmp_path / "asked")
    assert any("read in passes" in note for note in asked.notes)
    for settings, large in (
        ({}, False),
        ({"memory": 1e-6}, True),
        ({"memory": 1e-6, "method": "bbam"}, False),
    ):
        assert is_streamed(config(place / "whole.parquet", **settings)) is large


def test_rows_without_labels_and_lists_of_positives(given, tmp_path):
    place, _ = given
    outcome = runs.train(config(place / "folder", unlisted="unknown"), tmp_path / "run")
    assert outcome.setting == "partial_positive"
    assert outcome.figures is None
    assert outcome.rule == "prior_matched"


def test_judged_rows_are_a_sample_of_many(given, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "_LEAST_JUDGED", 60)
    monkeypatch.setitem(streaming.solve_stream.__kwdefaults__, "most_judged", 180)
    place, _ = given
    outcome = runs.train(config(place / "folder"), tmp_path / "run")
    assert any("a keyed sample of 60 of the 120 rows" in note for note in outcome.notes)
    assert "on 60 of 120 labelled rows, each scored as if" in outcome.rule_source
    assert outcome.figures["n_items"] == 60
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["result"]["n_items"] == 120
    X, _ = rows(40, 7)
    few, all_ = load(tmp_path / "run" / "model"), load(place / "run" / "model")
    assert few.summary_.to_dict() == all_.summary_.to_dict()
    assert np.corrcoef(few.predict_proba(X).ravel(), all_.predict_proba(X).ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "bbam"}, "method 'bbam' needs all rows in memory"),
        ({"method": "auto"}, "method 'auto' needs all rows in memory"),
        ({"backbone": "mlp"}, "are features; leave --backbone out"),
        ({"validation": 0.2}, "--validation: these need all rows in memory"),
        ({"hints": "a.csv", "hierarchy": "b.json"}, "--hierarchy, --hints: these need all rows in memory"),
        ({"devices": 2}, "by one process"),
        ({"rule": "nothing"}, "is none that can be chosen"),
    ],
)
def test_what_needs_all_rows_is_refused_and_leaves_nothing(given, tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        runs.train(config(given[0] / "folder", **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_killed_run_begins_anew_to_the_same_bits(given, tmp_path, monkeypatch):
    place, _ = given
    monkeypatch.setattr(
        MultiLabelClassifier, "fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(runs.Stopped, match="begins anew"):
        runs.train(config(place / "folder"), tmp_path / "run")
    monkeypatch.undo()
    monkeypatch.setattr(fragments, "FRAGMENT_ROWS", 32)
    runs.resume(tmp_path / "run")
    for name in ("model/weights.safetensors", "evaluation.json"):
        assert (tmp_path / "run" / name).read_bytes() == (place / "run" / name).read_bytes()
    assert runs.resume(tmp_path / "run").already_finished


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_predictions_are_written_in_fragments_and_go_on(given, tmp_path, monkeypatch):
    from labelwise.runs import predicting

    place, _ = given
    whole = tmp_path / "whole.parquet"
    runs.predict(place / "run", place / "whole.parquet", whole, keep=["tags"])
    found = runs.predict(place / "run", place / "folder", tmp_path / "out", keep=["tags"])
    names = [f"{number:06d}-{part}.parquet" for number, part in enumerate((0, 0, 0, 1, 1))]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == names
    tables = [parquet.read_table(tmp_path / "out" / name) for name in names]
    one, other = pa.concat_tables(tables).to_pandas(), parquet.read_table(whole).to_pandas()
    # Products of other numbers of rows may round otherwise.
    np.testing.assert_allclose(one[list(NAMES)], other[list(NAMES)], rtol=1e-5)
    for name in ("item", "tags", "predicted"):
        assert list(map(str, one[name])) == list(map(str, other[name]))
    assert found.n_items == 120
    writer, calls = predicting._write_parquet, []

    def killed(*given):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(given)
        writer(*given)

    monkeypatch.setattr(predicting, "_write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.predict(place / "run", place / "folder", tmp_path / "again", keep=["tags"])
    monkeypatch.setattr(predicting, "_write_parquet", writer)
    rest = runs.predict(place / "run", place / "folder", tmp_path / "again", keep=["tags"])
    assert rest.n_items == 120 - 3 * 32 + 32 - 6
    assert any("3 of 5 fragments were there already" in note for note in rest.notes)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_a_folder_of_other_predictions_is_refused(given, tmp_path):
    place, _ = given
    runs.predict(place / "run", place / "folder", tmp_path / "out", top=2)
    with pytest.raises(UserError, match="holds predictions of other rows"):
        runs.predict(place / "run", place / "folder", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        runs.predict(place / "run", place / "folder", tmp_path / "full")
    with pytest.raises(UserError, match="the folder of the rows itself"):
        runs.predict(place / "run", place / "folder", place / "folder")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        runs.predict(place / "run", place / "folder", tmp_path / "file")


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_the_highest_labels_of_each_item(given, tmp_path, ending):
    import pandas as pd

    place, _ = given
    runs.predict(place / "run", place / "whole.parquet", tmp_path / f"top.{ending}", top=2)
    runs.predict(place / "run", place / "whole.parquet", tmp_path / "all.parquet")
    if ending == "jsonl":
        found = pd.read_json(tmp_path / "top.jsonl", lines=True)
    else:
        found = pd.read_parquet if ending == "parquet" else pd.read_csv
        found = found(tmp_path / f"top.{ending}")
    assert list(found.columns) == ["item", "top_labels", "top_probabilities", "predicted"]
    scores = pd.read_parquet(tmp_path / "all.parquet")[list(NAMES)]
    for row in (0, 50, 119):
        order = scores.iloc[row].sort_values(ascending=False)
        names, values = found["top_labels"][row], found["top_probabilities"][row]
        if ending == "csv":
            names, values = json.loads(names), json.loads(values)
        assert list(names) == list(order.index[:2])
        np.testing.assert_allclose(values, order.to_numpy()[:2], rtol=1e-6)
    with pytest.raises(UserError, match=r"top \(--top\) is 0"):
        runs.predict(place / "run", place / "whole.parquet", tmp_path / "none.parquet", top=0)


def test_the_report_of_a_folder_is_written_again(given, tmp_path):
    place, _ = given
    first = (place / "run" / "report.html").read_text()
    again = runs.report(place / "run", tmp_path / "again.html").read_text()
    for words in ("120 rows were read in passes", "Reliability", "macro F1"):
        assert (words in again) == (words in first)
    parquet.write_table(rows(50, 9)[1], place / "folder" / "1.parquet")
    try:
        with pytest.raises(UserError, match="has changed"):
            runs.report(place / "run", tmp_path / "again.html")
    finally:
        parquet.write_table(rows(50, 1)[1], place / "folder" / "1.parquet")


def test_a_file_that_lists_thousands_of_labels_is_read_in_passes(given, tmp_path, monkeypatch):
    place, _ = given
    assert not is_streamed(config(place / "whole.parquet"))
    monkeypatch.setattr(listed, "MATRIX_LABELS", 3)
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 359)
    assert is_streamed(config(place / "whole.parquet"))
    assert not is_streamed(config(place / "whole.parquet", method="bbam"))
    assert not is_streamed(config(place / "whole.parquet", max_rows=50))
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 360)
    assert not is_streamed(config(place / "whole.parquet"))


def test_labels_that_chose_are_told(given, tmp_path, monkeypatch):
    place, _ = given
    monkeypatch.setattr(streaming, "_TOO_MANY", 100)
    monkeypatch.setattr(streaming, "_CHOSEN_BY", 240)
    outcome = runs.train(config(place / "folder"), tmp_path / "run")
    assert any(
        "scaling was chosen by a keyed sample of 2 of 3 labels, and lambda by 3" in n for n in outcome.notes
    )


def test_a_footer_tells_that_few_labels_are_listed(tmp_path, monkeypatch):
    from labelwise.runs import streaming as ours

    monkeypatch.setattr(listed, "MATRIX_LABELS", 4)
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 10)

    def listing(name, rows, group=100):
        parquet.write_table(pa.table({"tags": pa.array(rows)}), tmp_path / name, row_group_size=group)
        return tmp_path / name

    names = listing("names.parquet", [["a", "b"], ["c"], ["d"], None, []], 2)
    assert ours._many_listed(names, "tags")
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 20)
    assert not ours._many_listed(names, "tags")
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 10)
    read = []
    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", lambda *given, **_: read.append(given))
    assert not ours._many_listed(listing("few.parquet", [["a"], ["b"], ["c"]]), "tags")
    assert not ours._many_listed(listing("numbers.parquet", [[1, 2], [3, 1]] * 50), "tags")
    assert not read


@pytest.mark.parametrize("top", [None, 2])
def test_predictions_in_blocks_are_those_of_all_at_once(given, tmp_path, monkeypatch, top):
    from labelwise.runs import predicting
    from labelwise.runs import streaming as ours

    place, _ = given
    for name in ("whole", "blocks"):
        runs.predict(place / "run", place / "whole.parquet", tmp_path / f"{name}.parquet", top=top)
        runs.predict(place / "run", place / "folder", tmp_path / name, top=top)
        monkeypatch.setattr(predicting, "_BLOCK", 10)
        monkeypatch.setattr(ours, "_ENTRIES", 10)

    def columns(path):
        return parquet.read_table(path).to_pydict()

    def alike(one, other):
        assert one.keys() == other.keys()
        for name, values in one.items():
            if isinstance(values[0], float) or name == "top_probabilities":
                np.testing.assert_allclose(values, other[name], rtol=1e-5)
            else:
                assert values == other[name]

    alike(columns(tmp_path / "whole.parquet"), columns(tmp_path / "blocks.parquet"))
    for path in (tmp_path / "whole").glob("*.parquet"):
        alike(columns(path), columns(tmp_path / "blocks" / path.name))
