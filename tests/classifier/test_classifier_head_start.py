"""What the head of a whole network starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import labelwise as lw
from labelwise.engine import starts
from labelwise.errors import UserError
from labelwise.models import FeatureScaling, Projection

N, D, K = 160, 10, 4
RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((N, D)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((D, K)) + 0.5 * RANDOM.standard_normal((N, K)) > 1.0).astype(np.int8)
POSITIVES = np.where((Y == 1) & (RANDOM.random(Y.shape) < 0.7), Y, np.int8(-1))


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.body = nn.Sequential(nn.Linear(D, 16), nn.BatchNorm1d(16), nn.Tanh())
        self.n_features = 16

    def forward(self, x):
        return self.body(x)


def model(method="an", **options):
    given = {"tune": "all", "head_start": "ridge", "epochs": 2, "batch_size": 16, "validation": None}
    return lw.MultiLabelClassifier(method, Backbone(), device="cpu", **{**given, **options})


def logits_left_out(fitted):
    """The logits that the started head would give to rows left out, read off its weights."""
    head, solution = fitted.network_.head, fitted.solution_
    weight, bias = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    slope = (weight * solution.weight).sum(1) / (solution.weight.astype(float) ** 2).sum(1)
    middle = solution.bias - bias / slope
    return slope * (solution.loo_scores - middle)


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
    p = 1 / (1 + np.exp(-logits_left_out(fitted)))
    np.testing.assert_allclose(p.mean(0), (labels == 1).mean(0), atol=1e-4)


def test_heavier_positives_raise_the_start():
    plain, heavy = (
        model(epochs=1, learning_rate=1e-12, label_weights=w).fit(X, Y) for w in (None, [5.0, 1, 1, 1])
    )
    p = 1 / (1 + np.exp(-logits_left_out(heavy)))
    y = Y[:, 0]
    # sum_i w_i (p_i - y_i) = 0 with weight 5 on positives
    assert (np.where(y == 1, 5.0, 1.0) * (p[:, 0] - y)).sum() == pytest.approx(0, abs=0.05)
    assert heavy.network_.head.bias[0] > plain.network_.head.bias[0]
    torch.testing.assert_close(heavy.network_.head.bias[1:], plain.network_.head.bias[1:], atol=1e-4, rtol=0)


def test_a_margin_is_met_at_the_start():
    fitted = model("hml_fixed", epochs=1, learning_rate=1e-12).fit(X, Y)
    solution, head = fitted.solution_, fitted.network_.head
    weight = head.weight.detach().double().numpy()
    slope = (weight[:, :-1] * solution.weight).sum(1) / (solution.weight.astype(float) ** 2).sum(1)
    middle = solution.bias - weight[:, -1] / slope
    cosine = (solution.loo_scores - middle) / (
        np.sqrt(2 * ((solution.weight.astype(float) ** 2).sum(1) + (solution.bias - middle) ** 2))
    )
    theta, s, m = np.arccos(np.clip(cosine, -1, 1)), 20.0, 0.3
    p = 1 / (1 + np.exp(-s * np.cos(theta + m)))
    # the loss's pull on a cosine: (p - y) s sin(theta + m) / sin(theta)
    pull = ((p - Y) * np.sin(theta + m) / np.sin(theta)).sum(0)
    assert (np.abs(pull) < 0.02 * Y.sum(0)).all(), pull


def test_labels_of_one_class_keep_their_calibrated_start():
    labels = Y.copy()
    labels[:, 1] = 0
    fitted = model(epochs=1, learning_rate=1e-12).fit(X, labels)
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert fitted.predict_proba(X)[:, 1].max() < 0.1


def test_many_rows_are_sampled(monkeypatch):
    whole = model(epochs=1, learning_rate=1e-12).fit(X, Y).network_.head.bias
    monkeypatch.setattr(starts, "_ROWS", 120)
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


def test_resume_is_exact(tmp_path):
    class Stop(Exception):
        pass

    def stop(fitted, epoch):
        if epoch == 2:
            raise Stop

    options = {"epochs": 4, "learning_rate": 1e-3}
    whole = model("hml", **options).fit(X, Y)
    with pytest.raises(Stop):
        model("hml", directory=tmp_path, **options).fit(X, Y, on_epoch=stop)
    resumed = model("hml", directory=tmp_path, **options).fit(X, Y)
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, resumed.network_.state_dict()[name]), name
