"""A fit that is refused or interrupted leaves the classifier as it was."""

from __future__ import annotations

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, load
from labelwise.errors import UserError

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((120, 8)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((8, 4)) > 0).astype(np.int8)
OTHER = Y[:, ::-1]


class Stopped(Exception):
    """Anything that ends a fit from outside."""


def fitted(**options):
    return MultiLabelClassifier("bam", epochs=2, validation=0.3, **options).fit(
        X, Y, label_names=list("abcd")
    )


def stop(*_, **__):
    raise KeyboardInterrupt


def same(model, before):
    now = vars(model)
    assert set(now) == set(before)
    for name, value in before.items():
        assert now[name] is value, name
    assert model.label_names_ == tuple("abcd")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"on_read": stop}, KeyboardInterrupt),
        ({"on_epoch": stop}, KeyboardInterrupt),
        ({"true_labels": Y[:5, :2]}, UserError),
        ({"label_names": list("abc")}, UserError),
    ],
)
def test_a_fit_that_ends_early_changes_nothing(given, error):
    model = fitted()
    before, scores = dict(vars(model)), model.decision_scores(X)
    with pytest.raises(error):
        model.fit(X, OTHER, **{"label_names": list("dcba"), **given})
    same(model, before)
    assert (model.decision_scores(X) == scores).all()


@pytest.mark.parametrize("change", [{"learning_rate": -1.0}, {"prior": [2.0] * 4}, {"rule": "best"}])
def test_a_parameter_found_wrong_anywhere_changes_nothing(change):
    model = fitted().set_params(**change)
    before = dict(vars(model))
    with pytest.raises(UserError):
        model.fit(X, OTHER, label_names=list("dcba"))
    same(model, before)


def test_whatever_step_of_a_fit_fails_the_state_is_the_old_one(monkeypatch):
    model = fitted()
    before = dict(vars(model))
    for name in (
        "options.parse",
        "training.describe",
        "estimator.ItemReader.of",
        "estimator.ValidationPlan.of",
        "estimator.validate",
        "estimator.train",
        "estimator.learn_decision",
        "estimator.all_notes",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"labelwise.classifier.{name}", stop)
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, OTHER, label_names=list("dcba"))
        same(model, before)


def test_an_estimator_that_was_never_fitted_stays_so(tmp_path):
    model = MultiLabelClassifier("bam", epochs=2)
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, on_epoch=stop)
    assert vars(model) == before
    with pytest.raises(UserError, match="not fitted"):
        model.save(tmp_path / "model")


def test_an_interrupted_fit_goes_on_from_its_directory(tmp_path):
    straight = fitted()
    model = MultiLabelClassifier("bam", epochs=2, validation=0.3, directory=tmp_path / "run")

    def once(now, epoch):
        if epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        model.fit(X, Y, on_epoch=once, label_names=list("abcd"))
    model.fit(X, Y, label_names=list("abcd"))
    assert (model.decision_scores(X) == straight.decision_scores(X)).all()


def test_an_epoch_is_seen_by_a_whole_classifier_and_the_model_in_hand_stays_the_old_one(tmp_path):
    model = fitted()
    old, seen = model.decision_scores(X), []

    def look(now, epoch):
        seen.append(now.label_names_)
        assert now.predict(X).shape == Y.shape
        assert tuple(now.evaluate(X, OTHER).to_dict()["per_label"]["name"]) == now.label_names_
        now.save(tmp_path / f"epoch-{epoch}")
        assert load(tmp_path / f"epoch-{epoch}").label_names_ == tuple("dcba")
        assert (model.decision_scores(X) == old).all()

    model.fit(X, OTHER, label_names=list("dcba"), on_epoch=look)
    assert seen == [tuple("dcba")] * 2
    assert model.label_names_ == tuple("dcba")


def test_what_is_no_result_of_a_fit_survives_one():
    model = fitted()
    model.remark = "mine"
    model.fit(X, Y)
    assert model.remark == "mine"
