"""What labels mean, and which they are: codes by the parameters, labels by their names."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise import MultiLabelClassifier, load
from labelwise.annotations import Annotations, parse
from labelwise.classifier import artifact
from labelwise.errors import UserError
from labelwise.metrics import TopK

pd = pytest.importorskip("pandas")

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((90, 6)).astype(np.float32)
T = (X @ RANDOM.standard_normal((6, 3)) + 0.3 * RANDOM.standard_normal((90, 3)) > 0.3).astype(np.int8)
NAMES = ["ant", "bee", "cat"]
FRAME = pd.DataFrame(T, columns=NAMES)
ROWS = [[name for name, one in zip(NAMES, row, strict=True) if one] for row in T]
TURNED = ["cat", "ant", "bee"]


def ridge(**options):
    return MultiLabelClassifier("ridge", device="cpu", **options)


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"minus_one": "absent"}, np.where(T == 1, 1, -1)),
        ({"empty": "absent"}, np.where(T == 1, 1.0, np.nan)),
        ({"empty": "absent"}, np.ma.masked_equal(T, 0)),
        ({"unlisted": "absent"}, sp.csr_matrix(T)),
        ({"unlisted": "absent"}, sp.coo_array(T)),
        ({"unlisted": "absent"}, ROWS),
        ({"empty": "absent"}, FRAME.astype(object).where(T == 1, None)),
    ],
)
def test_codes_mean_what_the_parameters_say(options, labels):
    names = None if labels is ROWS else NAMES
    want = ridge().fit(X, T, label_names=NAMES)
    model = ridge(**options, validation=(X, labels)).fit(X, labels, label_names=names)
    assert model.label_names_ == tuple(NAMES)
    np.testing.assert_array_equal(model.decision_scores(X), want.decision_scores(X))
    assert model.score(X, labels) == want.score(X, T)
    assert model.evaluate(X, labels).to_dict()["metrics"] == model.evaluate(X, FRAME).to_dict()["metrics"]
    assert not [note for note in model.notes_ if note.startswith("not used")]


@pytest.mark.parametrize("name", ["fit", "score", "evaluate", "validation", "true_labels"])
def test_a_sparse_matrix_must_say_what_it_does_not_store(name):
    model, sparse = ridge().fit(X, T), sp.csr_matrix(T)
    calls = {
        "validation": lambda: ridge(validation=(X, sparse)).fit(X, T),
        "true_labels": lambda: model.fit(X, T, true_labels=sparse),
    }
    call = calls.get(name, lambda: getattr(model, name)(X, sparse))
    with pytest.raises(UserError, match="unlisted='absent'"):
        call()


@pytest.mark.parametrize("name", ["unlisted", "minus_one", "empty"])
@pytest.mark.parametrize("value", ["no", 0, ["absent"], np.array(["absent"])])
def test_what_a_code_cannot_mean_is_refused(name, value):
    with pytest.raises(UserError, match=name):
        ridge(**{name: value}).fit(X, T)


def test_codes_that_cannot_matter_are_named():
    told = ridge(unlisted="absent").fit(X, T).notes_
    assert "not used: unlisted, since every entry of the labels is listed" in told
    told = ridge(unlisted="absent", minus_one="absent").fit(X, parse(FRAME)).notes_
    assert "not used: unlisted, minus_one, since the labels are annotations, whose states are known" in told
    joined = [";".join(row) or None for row in ROWS]
    polars = pytest.importorskip("polars")
    for rows in (ROWS, pd.Series(joined), polars.Series(joined), sp.csr_matrix(T)):
        assert not [n for n in ridge(unlisted="absent").fit(X, rows).notes_ if n.startswith("not used")]


def test_what_was_guessed_of_the_labels_is_kept():
    labels = Annotations(T, tuple(NAMES), ("guessed: a separator",))
    model = ridge().fit(X, labels)
    assert "guessed: a separator" in model.notes_
    assert model.summary_.notes == ("guessed: a separator",)


@pytest.mark.parametrize("kind", ["pandas", "polars", "annotations", "rows of names"])
def test_labels_are_matched_by_name_and_never_by_place(kind):
    turned = {
        "pandas": lambda: FRAME[TURNED],
        "polars": lambda: pytest.importorskip("polars").DataFrame(
            {name: FRAME[name].to_list() for name in TURNED}
        ),
        "annotations": lambda: parse(FRAME[TURNED]),
        "rows of names": lambda: [row[::-1] for row in ROWS],
    }[kind]()
    options = {"unlisted": "absent"} if kind == "rows of names" else {}
    model = ridge(**options).fit(X, FRAME)
    assert model.score(X, turned) == model.score(X, FRAME)
    assert model.evaluate(X, turned).to_dict() == model.evaluate(X, FRAME).to_dict()
    held = ridge(validation=(X[:40], turned[:40] if kind != "annotations" else parse(FRAME[TURNED][:40])))
    held = held.set_params(**options).fit(X, FRAME)
    straight = ridge(validation=(X[:40], FRAME[:40])).fit(X, FRAME)
    assert held.validation_.to_dict() == straight.validation_.to_dict()


def test_labels_that_are_not_there_are_refused_by_name():
    model = ridge().fit(X, FRAME)
    for other in (FRAME[["ant", "bee"]], FRAME.rename(columns={"cat": "Cat"})):
        with pytest.raises(UserError, match="'cat'"):
            model.evaluate(X, other)
        with pytest.raises(UserError, match="'cat'"):
            model.score(X, other)
        with pytest.raises(UserError, match="'cat'"):
            ridge(validation=(X, other)).fit(X, FRAME)


def test_true_labels_are_matched_by_name():
    single = FRAME.mask(FRAME == 0)
    one = MultiLabelClassifier("bce_single_positive_all_negatives", epochs=1, device="cpu")
    scores = one.fit(X, single, true_labels=FRAME).decision_scores(X)
    np.testing.assert_array_equal(one.fit(X, single, true_labels=FRAME[TURNED]).decision_scores(X), scores)


def test_columns_of_items_are_matched_by_name_in_validation():
    items = pd.DataFrame(X, columns=list("uvwxyz"))
    straight = ridge(validation=(items[:40], T[:40])).fit(items, T)
    turned = ridge(validation=(items[list("zyxwvu")][:40], T[:40])).fit(items, T)
    assert turned.validation_.to_dict() == straight.validation_.to_dict()
    with pytest.raises(UserError, match="validation"):
        ridge(validation=(items[list("uvwxy")], T)).fit(items, T)
    with pytest.raises(UserError, match="validation"):
        ridge(validation=(X[:, :4], T)).fit(items, T)


def test_a_loaded_model_reads_labels_as_the_one_that_was_saved(tmp_path):
    model = ridge(minus_one="absent", unlisted="absent").fit(X, np.where(T == 1, 1, -1))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for labels in (np.where(T == 1, 1, -1), sp.csr_matrix(T)):
        assert again.score(X, labels) == model.score(X, T)


GIVEN = {
    "prior": np.array([0.3, 0.4, 0.5]),
    "label_weights": {"label_0": 2.0},
    "rule": TopK(1),
    "calibrate": False,
    "validation": 0.25,
    "on_bad_item": "skip",
    "cache": False,
    "random_state": np.int64(7),
    "epochs": 1,
    "batch_size": np.int32(16),
    "learning_rate": 1e-3,
    "patience": 1,
    "select": "best",
    "strong_view": 0.5,
    "accumulate": 2,
    "precision": "bf16",
    "minus_one": "absent",
}


def test_a_loaded_model_has_the_parameters_it_was_saved_with(tmp_path):
    model = MultiLabelClassifier("an", device="cpu", directory=tmp_path / "run", **GIVEN).fit(X, T)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for name, value in GIVEN.items():
        kept = getattr(again, name)
        assert kept == (value.tolist() if isinstance(value, np.ndarray | np.generic) else value), name
    assert (again.directory, again.device) == (None, "auto")
    assert str(tmp_path) not in (tmp_path / "model" / "model.json").read_text()
    again.set_params(device="cpu").fit(X, T)
    np.testing.assert_array_equal(again.decision_scores(X), model.decision_scores(X))


def test_items_given_for_validation_do_not_go_into_a_model(tmp_path):
    ridge(validation=(X, T)).fit(X, T).save(tmp_path / "model")
    assert "validation" not in json.loads((tmp_path / "model" / "model.json").read_text())["parameters"]
    assert load(tmp_path / "model").validation == "auto"


def test_a_model_of_an_earlier_version_loads(tmp_path):
    model = ridge(prior=[0.3, 0.4, 0.5]).fit(X, T)
    model.save(tmp_path / "model")
    config, arrays = artifact.read(tmp_path / "model")
    del config["parameters"], config["sha256"]
    artifact.write(tmp_path / "old", config, arrays)
    again = load(tmp_path / "old")
    assert again.prior is None
    np.testing.assert_array_equal(again.decision_scores(X), model.decision_scores(X))
    config["parameters"] = {"prior": None, "of_a_later_version": 3}
    artifact.write(tmp_path / "later", config, arrays)
    assert load(tmp_path / "later").prior is None
    config["parameters"] = [1]
    artifact.write(tmp_path / "bad", config, arrays)
    with pytest.raises(UserError, match="parameters"):
        load(tmp_path / "bad")
