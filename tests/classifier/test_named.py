"""Numbers of labels that have names are matched by them, never by their place."""

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, load, metrics
from labelwise.annotations import parse, simulate
from labelwise.errors import UserError

pd = pytest.importorskip("pandas")

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((80, 5)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((5, 3)) > [0.0, 0.8, 1.5]).astype(np.int8)
NAMES = list("abc")
SINGLE = simulate.single_positive(Y, seed=0)
SHARES = {"c": 0.1, "b": 0.3, "a": 0.5}


def fit(labels=SINGLE, method="ridge", **options):
    return MultiLabelClassifier(method, device="cpu", **options).fit(X, labels, label_names=NAMES)


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_a_prior_with_names(kind, tmp_path):
    model = fit(prior=kind(SHARES))
    np.testing.assert_array_equal(model.prior_, [0.5, 0.3, 0.1])
    np.testing.assert_array_equal(model.predict(X), fit(prior=[0.5, 0.3, 0.1]).predict(X))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.get_params()["prior"] == SHARES
    np.testing.assert_array_equal(again.fit(X, SINGLE, label_names=NAMES).prior_, model.prior_)


def test_a_series_without_names_goes_by_place():
    np.testing.assert_array_equal(fit(prior=pd.Series([0.5, 0.3, 0.1])).prior_, [0.5, 0.3, 0.1])


@pytest.mark.filterwarnings("error")
def test_weights_with_names():
    weights = {"c": 9.0, "a": 1.0, "b": 3.0}
    expected = fit(Y, "bce", epochs=2, label_weights=[1.0, 3.0, 9.0]).predict_proba(X)
    for kind in (dict, pd.Series):
        found = fit(Y, "bce", epochs=2, label_weights=kind(weights)).predict_proba(X)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ({"a": 0.1, "b": 0.2}, "no number for 'c'"),
        ({**SHARES, "d": 0.1}, "names no label 'd'"),
        (pd.Series([0.1, 0.2, 0.3], index=["a", "b", "b"]), "names label 'b' twice"),
        ({"a": "much", "b": 0.1, "c": 0.2}, "give 3 shares"),
    ],
)
def test_names_that_do_not_match_are_refused(prior, words):
    with pytest.raises(UserError, match=words):
        fit(prior=prior)


def test_scores_with_names():
    scores = pd.DataFrame(RANDOM.random(Y.shape), columns=NAMES)
    turned = scores[["c", "a", "b"]]
    frame = pd.DataFrame(Y, columns=NAMES)
    for truth, names in ((frame, None), (Y, NAMES), (parse(frame), None), (frame[["b", "c", "a"]], NAMES)):
        found = metrics.evaluate(truth, turned, label_names=names)
        expected = metrics.evaluate(Y, scores.to_numpy(), label_names=NAMES)
        assert sorted(found.per_label.f1) == sorted(expected.per_label.f1)
        assert found["map"] == pytest.approx(expected["map"])
    assert metrics.mean_average_precision(frame, turned) == metrics.mean_average_precision(
        Y, scores.to_numpy()
    )
    with pytest.raises(UserError, match="scores has the columns a, b, d, and the labels are a, b, c"):
        metrics.mean_average_precision(frame, scores.rename(columns={"c": "d"}))
    # Other names altogether say nothing of the labels.
    named = scores.add_prefix("score_")
    assert metrics.mean_average_precision(frame, named) == metrics.mean_average_precision(
        Y, scores.to_numpy()
    )


def test_masked_scores_are_refused():
    scores = np.ma.array(RANDOM.random(Y.shape), mask=Y == 0)
    with pytest.raises(UserError, match="scores masks entries"):
        metrics.mean_average_precision(Y, scores)
    assert metrics.mean_average_precision(Y, np.ma.array(scores.data)) > 0


def test_rows_of_two_frames_in_different_orders_are_refused():
    frame, labels = pd.DataFrame(X), pd.DataFrame(Y, columns=NAMES)
    turned = labels.iloc[::-1]
    model = MultiLabelClassifier("ridge", device="cpu").fit(frame, labels)
    for call in (
        lambda: MultiLabelClassifier("ridge", device="cpu").fit(frame, turned),
        lambda: MultiLabelClassifier("ridge", device="cpu", validation=(frame, turned)).fit(frame, labels),
        lambda: model.evaluate(frame, turned),
        lambda: model.score(frame, turned),
    ):
        with pytest.raises(UserError, match=r"same index in different orders.* Y\.loc\[X\.index\]"):
            call()
    again = model.evaluate(frame, turned.loc[frame.index])["map"]
    assert (
        again == model.evaluate(frame, turned.reset_index(drop=True).iloc[::-1].reset_index(drop=True))["map"]
    )
    # A part of the rows by another count, and rows that repeat, say nothing of the order.
    model.evaluate(frame, turned.iloc[::-1].set_index(np.arange(1000, 1080)))
    model.evaluate(frame.set_index(np.zeros(80)), labels)
