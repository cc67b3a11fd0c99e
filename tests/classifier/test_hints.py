"""``hints`` in ``fit``: the loss, what they may not touch, what they gain, and the command line's form."""

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, load, simulate
from labelwise.ensemble import Pool
from labelwise.ensemble.hinted import HintScores
from labelwise.errors import UserError
from labelwise.methods import Batch, Problem, get, names
from labelwise.models import MLP, Outputs
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


@pytest.mark.parametrize("method", ["ridge", "bam", "role"])
def test_methods_without_soft_targets_refuse_hints(method):
    with pytest.raises(
        UserError, match=rf"hints: method '{method}' has no soft targets; take one of auto, .*\bem\b"
    ):
        MultiLabelClassifier(method, device="cpu").fit(X[:300], SINGLE, hints=ORACLE[:300])


# Few rows have labels, so that hints of all tell more.
ROWS = RANDOM.standard_normal((700, 24)).astype(np.float32)
TRUE = (ROWS @ RANDOM.standard_normal((24, 4)) + 2 * RANDOM.standard_normal((700, 4)) > 2).astype(np.int8)
FEW = np.where((np.arange(300) % 6 == 0)[:, None], TRUE[:300], -1).astype(np.int8)
NOISY = np.clip(TRUE[:300] + 0.4 * RANDOM.standard_normal((300, 4)), 0, 1)
WITH_HOLES = np.where(RANDOM.random((300, 4)) < 0.6, NOISY, np.nan)


def auto(hints=None, labels=FEW, **options):
    return MultiLabelClassifier("auto", device="cpu", **options).fit(ROWS[:300], labels, hints=hints)


def reached(model):
    return model.evaluate(ROWS[300:], TRUE[300:])["map"]


def gate_of(model):
    return next(gate for gate in model.explanation_.gates if gate.name == "hints")


@pytest.fixture(scope="module")
def plain():
    return auto()


@pytest.fixture(scope="module")
def hinted():
    return auto(WITH_HOLES)


def test_good_hints_are_a_member_of_auto_which_needs_none_at_prediction(plain, hinted, tmp_path):
    assert reached(hinted) > reached(plain) + 0.01
    assert gate_of(hinted).share > 0.2
    member = next(m for m in hinted.explanation_.members if m.name.startswith("hints."))
    assert member.weight > 0.05
    assert "hints learnt from: " in str(hinted.explanation_)
    assert sum(m.weight for m in hinted.explanation_.members) == pytest.approx(1)
    assert any(gain.name == "hints" and gain.gain > 0 for gain in hinted.explanation_.gains)
    assert any(note.startswith("the gate of the hints is open") for note in hinted.notes_)
    hinted.save(tmp_path / "model")
    np.testing.assert_allclose(
        load(tmp_path / "model").decision_scores(ROWS), hinted.decision_scores(ROWS), atol=1e-6
    )


def test_hints_of_noise_change_no_score_of_auto(plain):
    noise = auto(np.random.default_rng(1).random((300, 4)))
    assert gate_of(noise).share == 0
    assert any(note.startswith("the gate of the hints is closed") for note in noise.notes_)
    np.testing.assert_array_equal(noise.decision_scores(ROWS), plain.decision_scores(ROWS))


def test_settings_of_soft_targets_are_named_where_auto_reads_the_scores(plain, hinted):
    nothing = auto(Hints(np.full((300, 4), 0.5), 0.7, at_most=2))
    np.testing.assert_array_equal(nothing.decision_scores(ROWS), plain.decision_scores(ROWS))
    notes = " ".join(nothing.notes_)
    assert "hints tell no item from another" in notes
    assert "not used: hints_yes_above, hints_at_most, since method 'auto' reads the scores" in notes
    assert not any(note.startswith("not used: hints") for note in hinted.notes_)


def test_a_row_s_own_hints_are_left_out_of_its_score_exactly():
    labels = np.where(np.isnan(WITH_HOLES), 0.5, WITH_HOLES)[:40].astype(np.float32)
    pool = Pool.fit(ROWS[:40], names=("c", "p", "w"))
    learnt = HintScores.fit(pool, labels)
    member = learnt.part.member
    features = learnt.part.features.of(pool).astype(float)
    for row in (0, 7):
        rest = np.delete(np.arange(40), row)
        centre, mean = features[rest].mean(0), labels[rest].mean(0)
        Z = features[rest] - centre
        weight = np.linalg.solve(Z.T @ Z + member.lambda_ * np.eye(Z.shape[1]), Z.T @ (labels[rest] - mean))
        # Freed of the shift of the intercept, as all left-out scores are.
        expected = (features[row] - centre) @ weight + labels.mean(0)
        found = learnt.left_out[row] / learnt.inverse + learnt.centre
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_hints_of_auto_resume_to_the_bit_and_other_hints_start_anew(tmp_path):
    def fit(hints, **more):
        torch.manual_seed(0)  # the network begins with the same weights
        network = MultiLabelClassifier(
            "auto",
            backbone=MLP((24,), hidden=(8,)),
            tune="all",
            head_start="ridge",
            epochs=2,
            device="cpu",
            validation=None,
            **more,
        )
        return network.fit(
            ROWS[:120], FEW[:120], hints=hints[:120], on_epoch=stop if more.get("directory") else None
        )

    def stop(now, epoch):
        if epoch == 1 and not done:
            done.append(epoch)
            raise KeyboardInterrupt

    done = []
    whole = fit(NOISY)
    with pytest.raises(KeyboardInterrupt):
        fit(NOISY, directory=tmp_path)
    resumed = fit(NOISY, directory=tmp_path)
    np.testing.assert_array_equal(resumed.decision_scores(ROWS), whole.decision_scores(ROWS))
    assert str(resumed.explanation_) == str(whole.explanation_)
    assert gate_of(resumed)
    with pytest.raises(UserError, match="other data, labels or settings"):
        fit(1 - NOISY, directory=tmp_path)
