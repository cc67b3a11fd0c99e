"""``hints`` in ``fit``: the loss, what they may not touch, what they gain, and the command line's form."""

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, simulate
from labelwise.errors import UserError
from labelwise.methods import Batch, Problem, get, names
from labelwise.models import Outputs
from labelwise.targets import Hints

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((900, 10)).astype(np.float32)
Z = X @ RANDOM.standard_normal((10, 5)) + 0.5 * RANDOM.standard_normal((900, 5))
T = (Z > 1.5).astype(np.int8)
SINGLE = simulate.single_positive(T[:300], seed=0)
ORACLE = np.where(T == 1, 0.9, 0.05).astype(np.float32)
POINTWISE = [name for name in names() if get(name).spec.pointwise]


def model(method="em", **options):
    return MultiLabelClassifier(method, device="cpu", **{"epochs": 5, "learning_rate": 0.01, **options})


@pytest.mark.parametrize("method", POINTWISE)
def test_hinted_entries_have_the_soft_loss_and_all_others_the_method_s_own(method):
    labels = np.array([[1, -1, -1, 0], [-1, -1, 1, -1]], dtype=np.int8)
    scores = np.array([[0.9, 0.9, np.nan, 0.9], [0.0, 0.95, 0.0, 0.3]], dtype=np.float32)
    hints = Hints(scores, 0.5, 0.1, weight=0.7, smoothing=0.1).targets(labels)
    if "full" in get(method).spec.settings and len(get(method).spec.settings) == 1:
        pytest.skip("a method of complete labels has no unknown entry")
    x = torch.tensor(np.random.default_rng(0).standard_normal((2, 4)), dtype=torch.float64)

    def loss(**more):
        built = get(method)(Problem(labels, "partial", **more))
        state = {name: torch.full((2, 4), torch.nan) for name in built.slots()}
        batch = Batch(torch.arange(2), torch.tensor(labels), state, {}, {"weak": slice(0, 2)}, "train", 1)
        batch.outputs["weak"] = Outputs(torch.zeros(2, 1), x)
        captured = {}
        mean = built.mean

        def spy(values, *args, **kwargs):
            captured["values"] = values
            return mean(values, *args, **kwargs)

        built.mean = spy
        return float(built.loss(batch)), captured["values"]

    plain, values = loss()
    hinted, _ = loss(hints=hints)
    t = torch.from_numpy(hints.values)
    expected, weights = 0.0, 0.0
    for i in range(2):
        for k in range(4):
            known = labels[i, k] >= 0
            if not torch.isnan(t[i, k]):
                p, target = 1 / (1 + np.exp(-float(x[i, k]))), float(t[i, k])
                expected += 0.7 * -(target * np.log(p) + (1 - target) * np.log(1 - p))
                weights += 1
            elif method == "ignore_unknown":
                expected, weights = expected + float(values[i, k]) * known, weights + known
            else:
                expected, weights = expected + float(values[i, k]), weights + 1
    assert hinted == pytest.approx(expected / weights, rel=1e-5)
    assert hinted != pytest.approx(plain, rel=1e-3)


def test_a_given_label_is_never_changed_and_hints_without_an_opinion_change_nothing():
    nothing = np.full(SINGLE.shape, np.nan)
    plain = model().fit(X[:300], SINGLE)
    np.testing.assert_array_equal(
        plain.decision_scores(X), model().fit(X[:300], SINGLE, hints=nothing).decision_scores(X)
    )
    full = T[:300]
    wrong = 1.0 - full
    a, b = (model("an").fit(X[:300], full, hints=h) for h in (None, wrong))
    np.testing.assert_array_equal(a.decision_scores(X), b.decision_scores(X))


@pytest.mark.parametrize("method", ["em", "gr", "an", "ignore_unknown"])
def test_good_hints_gain_and_are_told_and_no_judgement_reads_them(method):
    labels = SINGLE if method != "ignore_unknown" else simulate.random_partial(T[:300], 0.9, seed=0)
    hints = Hints(ORACLE[:300], 0.5, 0.1)
    plain, hinted = model(method).fit(X[:300], labels), model(method).fit(X[:300], labels, hints=hints)
    assert hinted.evaluate(X[300:], T[300:])["map"] > plain.evaluate(X[300:], T[300:])["map"]
    assert any(note.startswith("hints made") for note in hinted.notes_)
    np.testing.assert_array_equal(hinted.summary_.positives, plain.summary_.positives)
    if hinted.held_out_ is not None:
        np.testing.assert_array_equal(hinted.held_out_[0], plain.held_out_[0])


def test_hints_resume_to_the_bit_and_other_hints_start_anew(tmp_path):
    def stop(now, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    whole = model().fit(X[:300], SINGLE, hints=ORACLE[:300])
    with pytest.raises(KeyboardInterrupt):
        model(directory=tmp_path).fit(X[:300], SINGLE, hints=ORACLE[:300], on_epoch=stop)
    resumed = model(directory=tmp_path).fit(X[:300], SINGLE, hints=ORACLE[:300])
    np.testing.assert_array_equal(resumed.decision_scores(X), whole.decision_scores(X))
    with pytest.raises(UserError, match="other data, labels or settings"):
        model(directory=tmp_path).fit(X[:300], SINGLE, hints=1 - ORACLE[:300])


@pytest.mark.parametrize("method", ["ridge", "bam", "role", "auto"])
def test_methods_without_soft_targets_refuse_hints(method):
    with pytest.raises(
        UserError, match=rf"hints: method '{method}' has no soft targets; take one of .*\bem\b"
    ):
        MultiLabelClassifier(method, device="cpu").fit(X[:300], SINGLE, hints=ORACLE[:300])
