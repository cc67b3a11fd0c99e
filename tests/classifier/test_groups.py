"""``groups`` in ``fit``: no group is cut, leave-one-out leaves groups out, the consistency term."""

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, load
from labelwise.classifier.validation import folds, hold_out
from labelwise.errors import UserError
from labelwise.methods import GroupConsistency
from labelwise.metrics import ranking_score

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.standard_normal((80, 40))
GROUPS = np.repeat(np.arange(80), 5)
X = (CENTRES[GROUPS] + 0.1 * RANDOM.standard_normal((400, 40))).astype(np.float32)
# Most of a label is the group's own: single rows left out would know it from their group.
WEIGHTS = RANDOM.standard_normal((40, 3))
T = (CENTRES @ WEIGHTS + 8 * RANDOM.standard_normal((80, 3)) > 0).astype(np.int8)[GROUPS]
NAMES = [f"clip {g}" for g in GROUPS]
PARTIAL = np.where(RANDOM.random(T.shape) < 0.8, T, -1).astype(np.int8)


def model(method="ridge", **options):
    steps = {} if method in ("ridge", "auto", None) else {"epochs": 2}
    return MultiLabelClassifier(method, device="cpu", **{**steps, **options})


def cut(train, held_out):
    return set(GROUPS[train]) & set(GROUPS[held_out])


def test_held_out_rows_and_folds_cut_no_group_not_even_by_rows_that_cannot_be_judged():
    labels = T.copy()
    labels[::5] = np.where(labels[::5] == 1, 1, -1)
    assert cut(*hold_out(labels, 0.2, closed_form=False, seed=0))
    train, held_out = hold_out(labels, 0.2, closed_form=False, seed=0, groups=GROUPS)
    assert not cut(train, held_out)
    assert 0.1 < len(held_out) / 400 < 0.3
    few = np.where(np.isin(GROUPS, np.arange(9))[:, None], T, -1).astype(np.int8)
    pairs = folds(few, seed=0, groups=GROUPS)
    assert len(pairs) == 5
    assert not any(cut(*pair) for pair in pairs)
    assert folds(few, seed=0, groups=np.minimum(GROUPS, 3)) == []


@pytest.mark.parametrize("method", ["ridge", "an", "bam"])
def test_figures_are_those_of_new_groups(method):
    def figure(groups):
        fitted = model(method).fit(X, PARTIAL, groups=groups)
        return fitted.validation_["map"], fitted

    flattering, _ = figure(None)
    honest, fitted = figure(NAMES)
    assert honest < flattering - 0.03, "the labels of a group are mostly its own"
    assert not any(note.startswith("not used: groups") for note in fitted.notes_)
    if method == "ridge":
        assert fitted.rule_source_.count("nor any row of its group") == 1
        assert not fitted.solution_.exact


def test_auto_is_fooled_by_near_copies_and_not_where_their_groups_are_told():
    def fit(groups):
        fitted = model(None).fit(X[:200], T[:200], groups=groups)
        return fitted, fitted.validation_["map"], ranking_score(fresh, fitted.decision_function(new))

    random = np.random.default_rng(1)
    centres = random.standard_normal((300, 40))
    new = centres.astype(np.float32)
    fresh = (centres @ WEIGHTS + 8 * random.standard_normal((300, 3)) > 0).astype(np.int8)
    fooled, told, _ = fit(None)
    honest, told_with_groups, reached = fit(NAMES[:200])
    assert fooled.method_ == honest.method_ == "auto"
    assert told > reached + 0.2, "the label of a row is that of its near-copies"
    assert abs(told_with_groups - reached) < 0.1
    assert not any(note.startswith("not used: groups") for note in honest.notes_)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("abc", "groups='abc'"),
        (NAMES[:3], "groups has 3 entries for 400 items"),
        (["one"] * 400, "all items are of one group, so none can be left out"),
        ([[1]] * 400, "at row 0"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(groups, message):
    with pytest.raises(UserError, match=message):
        model().fit(X, PARTIAL, groups=groups)


def test_the_term_is_its_formula():
    random = np.random.default_rng(0)
    groups, labels = np.array([0, 0, 1, 2, 2]), random.integers(-1, 2, (5, 4)).astype(np.int8)
    term = GroupConsistency(groups, labels, seed=3)
    memory = term.share.double().numpy().copy()
    assert (
        (memory == 1) == np.array([[(labels[groups == g, k] == 1).any() for k in range(4)] for g in range(3)])
    ).all()
    assert ((memory == 1) | ((memory > 0.4) & (memory < 0.6))).all()
    x = torch.tensor(random.standard_normal((3, 4)), dtype=torch.float64, requires_grad=True)
    index = torch.tensor([4, 3, 0])
    loss = term(x, index)
    loss.backward()
    p = 1 / (1 + np.exp(-x.detach().numpy()))
    total = sum(
        -(memory[g, k] * np.log(p[i, k]) + (1 - memory[g, k]) * np.log(1 - p[i, k]))
        for i, g in enumerate([2, 2, 0])
        for k in range(4)
    )
    assert loss.item() == pytest.approx(total / 12, rel=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), (p - memory[[2, 2, 0]]) / 12, rtol=1e-5)
    for g, rows in ((2, [0, 1]), (0, [2])):
        kept = 0.999 ** len(rows)
        new = kept * memory[g] + (1 - kept) * p[rows].mean(0)
        np.testing.assert_allclose(term.share[g], np.where(memory[g] == 1, 1, new), rtol=1e-6)
    np.testing.assert_array_equal(term.share[1], memory[1].astype(np.float32))


@pytest.mark.parametrize("method", ["an", "l2r", "bam", "cap", "em_apl"])
def test_the_term_trains_any_method_and_resumes_to_the_bit(method, tmp_path):
    given = {"group_consistency": 2.0, "validation": None, "learning_rate": 0.01}

    def fit(**options):
        return model(method, **{**given, **options}).fit(
            X, PARTIAL, groups=NAMES, on_epoch=options.pop("stop", None)
        )

    whole = fit()
    assert not np.array_equal(whole.decision_scores(X), fit(group_consistency=0.0).decision_scores(X))

    def stop(now, epoch):
        now.save(tmp_path / "early")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(method, **given, directory=tmp_path / "run").fit(X, PARTIAL, groups=NAMES, on_epoch=stop)
    resumed = model(method, **given, directory=tmp_path / "run").fit(X, PARTIAL, groups=NAMES)
    np.testing.assert_array_equal(resumed.decision_scores(X), whole.decision_scores(X))
    whole.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").decision_scores(X), whole.decision_scores(X))
    assert np.isfinite(load(tmp_path / "early").decision_scores(X)).all()


def test_methods_with_steps_of_their_own_refuse_the_term():
    with pytest.raises(UserError, match="group_consistency: method 'flatmatch' takes steps of its own"):
        model("flatmatch", group_consistency=1.0).fit(X, PARTIAL, groups=NAMES)
