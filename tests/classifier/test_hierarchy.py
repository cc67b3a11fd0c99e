"""``hierarchy``: labels closed before training, coherent scores and sets, the coherent loss, the model directory."""

import json

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, load, simulate
from labelwise.annotations import Hierarchy
from labelwise.errors import UserError
from labelwise.metrics import PerLabelThreshold, TopK, decide

RANDOM = np.random.default_rng(0)
NAMES = ["cat", "dog", "animal", "car", "thing"]
GIVEN = {"cat": "animal", "dog": ["animal"], "animal": "thing", "car": "thing"}
X = RANDOM.standard_normal((400, 8)).astype(np.float32)
LEAVES = X[:, :3] + RANDOM.standard_normal((400, 3)) > 1.0
T = np.zeros((400, 5), dtype=np.int8)
T[:, [0, 1, 3]] = LEAVES
T = np.maximum(T, Hierarchy.of(GIVEN, NAMES).close(np.where(T == 1, 1, -1)).matrix).astype(np.int8)
PARTIAL = simulate.random_partial(T[:300], 0.6, seed=0)


def model(method="ridge", **options):
    steps = {} if method in ("ridge", "auto") else {"epochs": 2}
    return MultiLabelClassifier(method, device="cpu", **{"hierarchy": GIVEN, **steps, **options})


def coherent(values):
    names = {name: k for k, name in enumerate(NAMES)}
    return all(
        (values[:, names[p]] >= values[:, names[c]]).all()
        for c, above in GIVEN.items()
        for p in ([above] if isinstance(above, str) else above)
    )


@pytest.mark.parametrize("method", ["ridge", "an", "bam", "auto"])
@pytest.mark.parametrize("labels", [PARTIAL, simulate.single_positive(T[:300])], ids=["partial", "single"])
def test_scores_and_sets_are_coherent_and_the_model_is_saved_with_it(method, labels, tmp_path):
    fitted = model(method).fit(X[:300], labels, label_names=NAMES)
    assert coherent(fitted.decision_function(X))
    assert coherent(fitted.predict_proba(X))
    assert coherent(fitted.predict(X))
    plain = decide(fitted.rule_, fitted.decision_function(X))
    np.testing.assert_array_equal(plain, fitted.predict(X), "coherent scores and thresholds need no closing")
    assert any(note.startswith("the hierarchy filled") for note in fitted.notes_)
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    assert record["hierarchy"] == {
        "cat": ["animal"],
        "dog": ["animal"],
        "animal": ["thing"],
        "car": ["thing"],
    }
    assert again.hierarchy == GIVEN


@pytest.mark.parametrize("rule", ["auto", "micro-f1", "macro-f1", "shares", "recall", 0.4])
def test_every_rule_by_name_is_coherent_by_itself(rule):
    fitted = model(rule=rule).fit(X[:300], PARTIAL, label_names=NAMES)
    assert coherent(decide(fitted.rule_, fitted.decision_function(X)))
    assert fitted.evaluate(X[300:], T[300:])["map"] > 0.6


@pytest.mark.parametrize("rule", [TopK(1), PerLabelThreshold([0.1, 0.1, 0.9, 0.1, 0.95])])
def test_sets_of_other_rules_are_closed(rule):
    fitted = model(rule=rule).fit(X[:300], PARTIAL, label_names=NAMES)
    assert coherent(fitted.predict(X))


def test_closing_helps_the_training_as_if_the_labels_had_been_closed():
    closed = Hierarchy.of(GIVEN, NAMES).close(PARTIAL)
    assert closed.relevant
    assert closed.irrelevant
    plain = MultiLabelClassifier("ridge", device="cpu").fit(X[:300], closed.matrix, label_names=NAMES)
    fitted = model().fit(X[:300], PARTIAL, label_names=NAMES)
    np.testing.assert_array_equal(fitted.decision_scores(X), plain.decision_scores(X))
    np.testing.assert_array_equal(fitted.summary_.positives, plain.summary_.positives)


def test_the_coherent_loss_changes_the_training_of_methods_that_take_it_alone():
    def scores(**options):
        return model("ignore_unknown", epochs=3, learning_rate=0.01, **options).fit(
            X[:300], PARTIAL, label_names=NAMES
        )

    plain, coherent_ = scores(), scores(coherent_loss=True)
    assert not np.array_equal(plain.decision_scores(X), coherent_.decision_scores(X))
    with pytest.raises(
        UserError, match=r"coherent_loss: the loss of method 'bam' does not .*take one of .*\ban\b"
    ):
        model("bam", coherent_loss=True).fit(X[:300], PARTIAL, label_names=NAMES)


def test_labels_of_validation_and_evaluation_are_closed_too():
    known = np.where(T[300:] == 1, T[300:], -1)
    known[:, 2:] = -1
    known[:20] = T[300:320]
    fitted = model(validation=(X[300:], known)).fit(X[:300], T[:300], label_names=NAMES)
    assert (fitted.held_out_[0] == Hierarchy.of(GIVEN, NAMES).close(known).matrix).all()


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        ({"cat": "animal", "animal": "cat"}, T, "hierarchy has a cycle: 'cat' > 'animal' > 'cat'"),
        ({"cat": "beast"}, T, "hierarchy names no label 'beast'"),
        (
            GIVEN,
            np.where(np.arange(400)[:, None] == 7, [1, -1, 0, -1, -1], T),
            r"Y contradicts the hierarchy in 1 rows \(counted from 0\): row 7: 'cat' is relevant and 'animal'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(given, labels, message):
    with pytest.raises(UserError, match=message):
        model(hierarchy=given).fit(X, labels, label_names=NAMES)


def test_a_model_directory_with_a_cycle_is_refused(tmp_path):
    from labelwise.classifier import artifact

    model().fit(X[:300], PARTIAL, label_names=NAMES).save(tmp_path / "model")
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    record["hierarchy"] = {"cat": ["cat"]}
    record["sha256"] = artifact._checksum(record)
    (tmp_path / "model" / "model.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="entry 'hierarchy': hierarchy has a cycle"):
        load(tmp_path / "model")
