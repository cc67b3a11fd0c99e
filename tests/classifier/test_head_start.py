"""What the head of a whole network starts from."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import labelwise as lw
from labelwise import engine
from labelwise.classifier import artifact
from labelwise.classifier import training as _training
from labelwise.engine import starts
from labelwise.errors import UserError
from labelwise.models import FeatureScaling, LinearHead, Outputs, Projection

N, D, K = 160, 10, 4
RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((N, D)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((D, K)) + 0.5 * RANDOM.standard_normal((N, K)) > 1.0).astype(np.int8)
POSITIVES = np.where((Y == 1) & (RANDOM.random(Y.shape) < 0.7), Y, np.int8(-1))


class Backbone(nn.Module):
    def __init__(self, inputs=D, width=16):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.body = nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Tanh())
        self.n_features = width

    def forward(self, x):
        return self.body(x)


def model(method="an", **options):
    given = {"tune": "all", "head_start": "ridge", "epochs": 2, "batch_size": 16, "validation": None}
    return lw.MultiLabelClassifier(method, device="cpu", **{"backbone": Backbone(), **given, **options})


def scores_left_out(head, solution):
    """The logits or cosines (n, K) that a started head would give to rows left out, read off its weights."""
    weight, w = head.weight.detach().double().numpy(), solution.weight.astype(float)
    linear = isinstance(head, LinearHead)
    bias = head.bias.detach().double().numpy() if linear else weight[:, -1]
    slope = (weight[:, : w.shape[1]] * w).sum(1) / (w**2).sum(1)
    away = solution.loo_scores - solution.bias + bias / slope
    return slope * away if linear else away / np.sqrt(2 * ((w**2).sum(1) + (bias / slope) ** 2))


def pull_of_the_first_step(fit, monkeypatch):
    """What the loss over all rows of the first stage, as the first step finds them, asks of each label: in [-1, 1]."""
    found = []

    def measure(run, members):
        if not found:
            (group,) = run.stage.mixture
            batch = run.batch({group: run.method.problem.groups[group]})
            scores = scores_left_out(run.network.head, run.solution)[batch.index.numpy()]
            leaf = torch.tensor(scores, dtype=torch.float32, requires_grad=True)
            batch.outputs = {view: Outputs(leaf, leaf) for view in batch.rows}
            gradient = torch.autograd.grad(run.method.loss(batch), leaf)[0]
            found.append((gradient.sum(0) / gradient.abs().sum(0)).numpy())
        take_step(run, members)

    take_step = engine.Run.take_step
    monkeypatch.setattr(engine.Run, "take_step", measure)
    fit()
    return found[0]


def test_parameter_is_checked():
    with pytest.raises(UserError, match="head_start='zero': give 'ridge', 'random' or None"):
        model(head_start="zero").fit(X, Y)


def test_default_is_the_closed_form_where_features_are_known_to_be_good():
    fixed = lw.MultiLabelClassifier("an", epochs=1, device="cpu").fit(X, Y)
    own = model(head_start=None, epochs=1).fit(X, Y)
    frozen = model(head_start=None, tune="head", epochs=1).fit(X, Y)
    assert (fixed.head_start_, own.head_start_, frozen.head_start_) == ("ridge", "random", "ridge")
    assert own.solution_ is None


@pytest.mark.parametrize("labels", [Y, POSITIVES])
def test_mean_probability_at_the_start_is_the_share_of_positives(labels):
    # the gradient of cross-entropy in an intercept is sum_i (p_i - y_i)
    fitted = model(epochs=1, learning_rate=1e-12).fit(X, labels)
    p = 1 / (1 + np.exp(-scores_left_out(fitted.network_.head, fitted.solution_)))
    np.testing.assert_allclose(p.mean(0), (labels == 1).mean(0), atol=1e-4)


def test_heavier_positives_raise_the_start():
    plain, heavy = (
        model(epochs=1, learning_rate=1e-12, label_weights=w).fit(X, Y) for w in (None, [5.0, 1, 1, 1])
    )
    p = 1 / (1 + np.exp(-scores_left_out(heavy.network_.head, heavy.solution_)))
    y = Y[:, 0]
    # sum_i w_i (p_i - y_i) = 0 with weight 5 on positives
    assert (np.where(y == 1, 5.0, 1.0) * (p[:, 0] - y)).sum() == pytest.approx(0, abs=0.05)
    assert heavy.network_.head.bias[0] > plain.network_.head.bias[0]
    torch.testing.assert_close(heavy.network_.head.bias[1:], plain.network_.head.bias[1:], atol=1e-4, rtol=0)


def test_a_margin_is_met_at_the_start():
    fitted = model("hml_fixed", epochs=1, learning_rate=1e-12).fit(X, Y)
    theta = np.arccos(np.clip(scores_left_out(fitted.network_.head, fitted.solution_), -1, 1))
    s, m = 20.0, 0.3
    p = 1 / (1 + np.exp(-s * np.cos(theta + m)))
    # the loss's pull on a cosine: (p - y) s sin(theta + m) / sin(theta)
    pull = ((p - Y) * np.sin(theta + m) / np.sin(theta)).sum(0)
    assert (np.abs(pull) < 0.02 * Y.sum(0)).all(), pull


@pytest.mark.parametrize("noise", [0.1, 30.0])
@pytest.mark.parametrize("method", ["an", "hml", "bam"])
def test_clear_and_dim_labels_are_left_in_peace(method, noise, monkeypatch):
    # the clearer a label, the longer its weights, and the further off lie the raw outputs of the same angle
    random = np.random.default_rng(4)
    wide = random.standard_normal((300, 80)).astype(np.float32)
    raw = wide @ random.standard_normal((80, K)) + noise * random.standard_normal((300, K))
    options = {"backbone": Backbone(80, 100)}
    pull = pull_of_the_first_step(
        lambda: model(method, **options).fit(wide, (raw > 3).astype(np.int8)), monkeypatch
    )
    assert (np.abs(pull) < 0.01).all(), pull


@pytest.mark.parametrize("labels", [Y, POSITIVES])
@pytest.mark.parametrize("method", ["epr", "role", "em", "asl", "hml", "label_smoothing_linear_init"])
def test_many_labels_are_left_in_peace_together(method, labels, monkeypatch):
    # the expected number of positives couples the labels, and ROLE draws its estimates before the first epoch
    few = np.where(np.arange(N)[:, None] % 8 == 0, labels, np.minimum(labels, labels.min()))
    many = np.hstack([labels, few, labels[:, ::-1], few])
    prior = {"prior": (many == 1).mean(0)} if method in ("epr", "role") else {}
    pull = pull_of_the_first_step(lambda: model(method, **prior).fit(X, many), monkeypatch)
    assert (np.abs(pull) < 0.01).all(), pull


def test_complete_rows_of_one_class_cannot_calibrate():
    labels = POSITIVES.copy()
    labels[0] = 0
    assert np.isfinite(model("em").fit(X, labels).predict_proba(X)).all()


def test_intercepts_are_found_without_float64(monkeypatch):
    """Apple's devices have none."""

    class NoDoubles(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            assert not (isinstance(out, torch.Tensor) and out.dtype == torch.float64), function
            return out

    def guarded(*given):
        with NoDoubles():
            return balanced(*given)

    balanced = starts._balanced
    monkeypatch.setattr(starts, "_balanced", guarded)
    for method in ("an", "hml"):
        model(method).fit(X, Y)


def test_features_of_the_start_are_not_kept_through_training(monkeypatch):
    features, kept = [], []

    def watched(*given):
        found = embedded(*given)
        features.append(weakref.ref(found.features))
        return found

    embedded = _training.embedded
    monkeypatch.setattr(_training, "embedded", watched)
    model().fit(X, Y, on_epoch=lambda fitted, epoch: kept.append(features[0]() is not None))
    assert kept == [False, False]


def test_labels_of_one_class_keep_their_calibrated_start():
    labels = Y.copy()
    labels[:, 1] = 0
    fitted = model(epochs=1, learning_rate=1e-12).fit(X, labels)
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert fitted.predict_proba(X)[:, 1].max() < 0.1


def test_many_rows_are_sampled(monkeypatch):
    whole = model(epochs=1, learning_rate=1e-12).fit(X, Y).network_.head.bias
    monkeypatch.setattr(starts, "_ENTRIES", 120 * K)
    part = model(epochs=1, learning_rate=1e-12).fit(X, Y).network_.head.bias
    again = model(epochs=1, learning_rate=1e-12).fit(X, Y).network_.head.bias
    assert torch.equal(part, again)
    assert not torch.equal(part, whole)
    torch.testing.assert_close(part, whole, atol=1.0, rtol=0)


def test_batch_norm_keeps_its_statistics_behind_a_closed_form_alone():
    before = Backbone().body[1].running_mean
    kept = model().fit(X, Y).network_.backbone.body[1]
    moved = model(head_start="random").fit(X, Y).network_.backbone.body[1]
    assert torch.equal(kept.running_mean, before)
    assert not torch.equal(moved.running_mean, before)
    assert not torch.equal(kept.weight, Backbone().body[1].weight)


def test_a_last_batch_of_one_item_needs_no_company_where_statistics_are_kept():
    fitted = model(batch_size=N - 1, epochs=1).fit(X, Y)
    assert np.isfinite(fitted.predict_proba(X)).all()


def test_the_projection_belongs_to_a_random_start():
    closed, random = (model("bam", head_start=start).fit(X, Y).network_.neck for start in ("ridge", "random"))
    assert isinstance(closed, FeatureScaling)
    assert isinstance(random, Projection)


def test_whole_network_keeps_what_the_closed_form_knows():
    closed = model("ridge").fit(X, Y)
    whole = model("hml", epochs=3, learning_rate=1e-3).fit(X, Y)
    assert closed.score(X, Y) > 0.6
    assert whole.score(X, Y) > closed.score(X, Y) - 0.01


def test_held_out_rows_choose_by_networks_of_the_same_scaling():
    fitted = model(validation=0.3, epochs=2).fit(X, Y)
    assert fitted.validation_ is not None
    assert fitted.solution_.scaling.kind in {"standardise_l2", "centre_l2", "l2", "standardise", "none"}


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("method", ["hml", "cap", "role", "label_smoothing_linear_init"])
def test_resume_is_exact(method, at, tmp_path):
    class Stop(Exception):
        pass

    def stop(fitted, epoch):
        if epoch == at:
            raise Stop

    labels = np.where(np.arange(N)[:, None] < 80, Y, np.int8(-1))
    options = {"epochs": 4, "learning_rate": 1e-3, "prior": Y.mean(0)}
    options |= {"hyperparameters": {"linear_share": 0.5}} if "linear" in method else {}
    options |= {"hyperparameters": {"warm_up": 0.5}} if method == "cap" else {}
    whole = model(method, **options).fit(X, labels)
    with pytest.raises(Stop):
        model(method, directory=tmp_path, **options).fit(X, labels, on_epoch=stop)
    resumed = model(method, directory=tmp_path, **options).fit(X, labels)
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, resumed.network_.state_dict()[name]), name


@pytest.mark.parametrize("method", ["mime", "drml"])
def test_heads_of_their_own_cannot_be_asked_for_the_closed_form(method):
    with pytest.raises(UserError, match=f"head_start='ridge': method '{method}' has a head of its own"):
        model(method).fit(X, Y)
    assert model(method, head_start=None).fit(X, Y).solution_ is None


@pytest.mark.parametrize("method", ["an", "hml", "ridge"])
def test_a_head_alone_can_start_at_random(method, tmp_path):
    options = {"tune": "head", "epochs": 1, "learning_rate": 1e-9}
    closed, random = (
        lw.MultiLabelClassifier(method, head_start=start, device="cpu", **options).fit(X, Y)
        for start in ("ridge", "random")
    )
    same = torch.allclose(closed.network_.head.weight, random.network_.head.weight, atol=1e-3)
    assert same == (method == "ridge")
    random.save(tmp_path / "model")
    np.testing.assert_array_equal(lw.load(tmp_path / "model").predict_proba(X), random.predict_proba(X))


def test_the_closed_form_itself_reads_a_whole_network():
    closed, random = (model("ridge", head_start=start).fit(X, Y) for start in ("ridge", "random"))
    assert closed.score(X, Y) > 0.6
    assert random.score(X, Y) > 0.6


def test_a_directory_that_does_not_say_how_its_head_started_is_refused(tmp_path):
    model().fit(X, Y).save(tmp_path / "model")
    config, arrays = artifact.read(tmp_path / "model")
    artifact.write(tmp_path / "model", {k: v for k, v in config.items() if k != "head_start"}, arrays)
    with pytest.raises(UserError, match="has no entry 'head_start'"):
        lw.load(tmp_path / "model", backbone=Backbone())


def test_a_head_of_its_own_kind_says_that_it_began_at_random(tmp_path):
    fitted = lw.MultiLabelClassifier("mime", epochs=1, device="cpu").fit(X, Y)
    assert fitted.head_start_ == "random"
    fitted.save(tmp_path / "model")
    again = clone(lw.load(tmp_path / "model"))
    assert again.fit(X, Y).head_start_ == "random"
