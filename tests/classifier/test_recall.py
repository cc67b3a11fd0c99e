"""``rule="recall"``: thresholds from held-out positives, in every setting."""

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, load, simulate
from labelwise.errors import UserError

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2400, 6)).astype(np.float32)
T = (X @ RANDOM.standard_normal((6, 4)) + RANDOM.standard_normal((2400, 4)) > 0.5).astype(np.int8)
SINGLE = simulate.single_positive(T[:1200], seed=0)
PARTIAL = simulate.random_partial(T[:1200], 0.5, seed=0)


def model(method="ridge", **options):
    steps = {} if method == "ridge" else {"epochs": 2}
    return MultiLabelClassifier(method, device="cpu", rule="recall", **{**steps, **options})


@pytest.mark.parametrize("method", ["ridge", "an"])
@pytest.mark.parametrize("labels", [SINGLE, PARTIAL, T[:1200]], ids=["single", "partial", "full"])
def test_it_keeps_the_recall_of_new_positives_without_a_known_negative(method, labels, tmp_path):
    fitted = model(method, recall=0.8).fit(X[:1200], labels)
    assert fitted.rule_.name == "recall(0.8)"
    assert "keep 0.8 of the known positives" in fitted.rule_source_
    assert any("positives drawn like the known ones" in note for note in fitted.notes_)
    kept = fitted.predict(X[1200:])[T[1200:] == 1].mean()
    assert 0.72 < kept < 0.93
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.recall == 0.8


def test_a_given_pair_of_positives_is_used_where_the_closed_form_has_scores_of_its_own():
    fitted = model(validation=(X[:1200], SINGLE)).fit(X[1200:], T[1200:])
    assert "1200 rows that the model did not see" in fitted.rule_source_
    assert not any("exact for the model" in note for note in fitted.notes_)


def test_labels_with_too_few_positives_are_told_and_predicted_for_every_item():
    labels = SINGLE.copy()
    shown = np.flatnonzero(labels[:, 3] == 1)
    labels[shown[5:], 3] = -1
    fitted = model().fit(X[:1200], labels, label_names=list("abcd"))
    note = next(note for note in fitted.notes_ if note.startswith("predicted for every item"))
    assert "takes 9 held-out positives of a label: d" in note
    assert fitted.predict(X[1200:])[:, 3].all()


@pytest.mark.parametrize(
    ("options", "labels", "why"),
    [
        ({"method": "an", "validation": None}, SINGLE, "validation=None"),
        ({"method": "an"}, np.where(np.arange(1200)[:, None] < 40, SINGLE, -1), "too few rows have one"),
        ({"method": "an", "validation": (X[:9], T[:9] * 0)}, SINGLE, "those held out show none"),
    ],
)
def test_it_is_refused_where_no_positive_is_held_out(options, labels, why):
    with pytest.raises(UserError, match=rf"no row with a known positive is held out \({why}\); give"):
        model(**options).fit(X[:1200], labels)
