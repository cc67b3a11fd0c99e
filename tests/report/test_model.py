"""content_of: what a fitted or loaded classifier reports of itself."""

import numpy as np
import pytest

import labelwise as lw
from labelwise.report import content_of, write_report


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(160, 6)).astype(np.float32)
    Y = (X @ rng.normal(size=(6, 3)) > 0.3).astype(np.int8)
    given = np.where(rng.random(Y.shape) < 0.4, -1, Y).astype(np.int8)
    model = lw.MultiLabelClassifier("an", epochs=2).fit(X[:120], given[:120], label_names=["x", "y", "z"])
    return model, X[120:], Y[120:]


def test_held_out_figures_are_the_default(fitted, tmp_path):
    model, _, _ = fitted
    content = content_of(model)
    assert content.results.evaluation is model.validation_
    assert list(content.history) == model.history_
    assert content.training.method == "an"
    text = write_report(content, tmp_path / "r.html").read_text()
    assert f"{model.validation_['map']:.3f}" in text


def test_labels_and_scores_give_intervals_around_the_figures(fitted):
    model, X, Y = fitted
    results = content_of(model, labels=Y, scores=model.predict_proba(X)).results
    ap = results.evaluation.per_label.average_precision
    assert results.evaluation["map"] == pytest.approx(model.evaluate(X, Y)["map"])
    assert np.all(np.array(results.low) <= ap)
    assert np.all(ap <= np.array(results.high))
    assert results.map_interval[0] <= results.evaluation["map"] <= results.map_interval[1]


def test_loaded_model_reports_the_same(fitted, tmp_path):
    model, _, _ = fitted
    model.save(tmp_path / "model")
    again = lw.load(tmp_path / "model")
    again.held_out_ = model.held_out_  # items that no model directory holds
    pages = [write_report(content_of(m), tmp_path / "r.html").read_text() for m in (model, again)]
    assert pages[0] == pages[1]


def test_notes_do_not_repeat_what_labels_cannot_tell(fitted):
    content = content_of(fitted[0])
    assert not set(content.training.notes) & set(content.summary.not_identified)
