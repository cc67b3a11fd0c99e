"""The parts of a fitted classifier: what each knows, and what the attributes show of them."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from sklearn.utils.validation import validate_data

from labelwise import MultiLabelClassifier, load
from labelwise.classifier import Decision, FitOptions, FittedModel, ItemReader
from labelwise.metrics import TopK

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((1_500, 6)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((6, 3)) > 0).astype(np.int8)


@pytest.fixture(scope="module", params=["bam", "ridge", "softmatch"])
def model(request):
    labels = np.where(np.arange(len(Y))[:, None] < 300, Y, np.int8(-1))
    return MultiLabelClassifier(request.param, epochs=1).fit(X, labels, label_names=["a", "b", "c"])


def test_the_parts_are_those_that_are_named(model):
    kinds = type(model.reader_), type(model.fitted_), type(model.decision_)
    assert kinds == (ItemReader, FittedModel, Decision)
    assert model.network_ is model.fitted_.network
    assert model.trained_method_ is model.fitted_.method
    assert model.summary_ is model.fitted_.labels
    assert model.preprocessing_ is model.reader_.preprocessing is None
    assert model.rule_ is model.decision_.rule


def test_a_pass_in_chunks_gives_every_score_once(model):
    passes = list(model.fitted_.outputs(model.read(X).X))
    assert [rows.start for rows, _ in passes] == [0, *(rows.stop for rows, _ in passes[:-1])]
    assert len(passes) > 1
    scores = np.concatenate([model.fitted_.method.score(outputs).float().numpy() for _, outputs in passes])
    np.testing.assert_array_equal(scores, model.decision_scores(X))
    np.testing.assert_array_equal(model.fitted_.scores(X), model.decision_scores(X))


def test_a_decision_can_be_changed_and_the_rest_cannot(model, tmp_path):
    changed = copy.deepcopy(model)
    changed.rule_ = TopK(2)
    assert (changed.predict(X).sum(1) == 2).all()
    changed.save(tmp_path / "model")
    assert load(tmp_path / "model").rule_ == TopK(2)
    for name in ("network_", "trained_method_", "scaling_", "summary_", "preprocessing_", "history_"):
        with pytest.raises(AttributeError, match="read-only"):
            setattr(changed, name, None)


def test_each_part_writes_entries_of_its_own(model, tmp_path):
    (trained, weights), (read, frozen) = model.fitted_.record(), model.reader_.record()
    records = [trained, read, model.decision_.record(), FitOptions(**model.get_params()).record()]
    names = [name for record in records for name in record]
    assert len(names) == len(set(names))
    model.save(tmp_path / "model")
    kept = json.loads((tmp_path / "model" / "model.json").read_text())
    facts = {"labelwise", "format", "best_epoch", "notes", "seconds", "sha256", "weights_sha256"}
    assert set(kept) == facts | set(names)
    assert not frozen
    assert {name.partition(".")[0] for name in weights} <= {"network", "method", "scaling"}


def test_copies_and_pickles_score_alike(model):
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        assert again.get_params() == model.get_params()


def test_before_a_fit_there_are_no_fitted_attributes():
    model = MultiLabelClassifier()
    names = [name for name in dir(MultiLabelClassifier) if name.endswith("_") and not name.startswith("_")]
    assert "network_" in names
    assert not [name for name in names if hasattr(model, name)]


def test_what_is_missing_before_a_fit_is_called_by_its_own_name():
    unfitted = MultiLabelClassifier()
    for name in ("network_", "rule_", "n_features_in_", "feature_names_in_"):
        with pytest.raises(
            AttributeError, match=f"^'MultiLabelClassifier' object has no attribute '{name}'$"
        ):
            getattr(unfitted, name)
    for ask in (unfitted.predict_names, lambda X: unfitted.score(X, X)):
        with pytest.raises(
            AttributeError, match=r"no attribute 'label_names_'|is not fitted: call fit\(X, Y\)"
        ):
            ask(X)


def test_what_a_fit_refuses_to_replace_is_called_by_its_own_name(model):
    with pytest.raises(AttributeError, match=r"^label_names_ \(fitted_.labels\.label_names\) .* read-only"):
        copy.deepcopy(model).label_names_ = ("a", "b", "c")


def test_a_subclass_may_check_its_input_as_estimators_do():
    class Checked(MultiLabelClassifier):
        def fit(self, X, Y, **given):
            X = validate_data(self, X)
            return super().fit(X, Y, **given)

    X, Y = np.random.default_rng(0).normal(size=(30, 4)), np.tile([[1, 0], [0, 1]], (15, 1))
    model = Checked("ridge")
    for columns in (4, 3):
        assert model.fit(X[:, :columns], Y).n_features_in_ == columns
    assert model.predict(X[:, :3]).shape == (30, 2)
