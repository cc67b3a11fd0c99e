"""Heads against their formulas, and their start from the ridge solution."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelwise.errors import UserError
from labelwise.metrics import PlattCalibration
from labelwise.models import (
    SCALINGS,
    CosineHead,
    FeatureScaling,
    InputScaling,
    LinearHead,
    Projection,
    probabilities,
    scores_of_start,
    solve_ridge,
    start_from_ridge,
)


@pytest.mark.parametrize("constant", [False, True])
def test_cosines_equal_a_slow_loop(constant):
    torch.manual_seed(0)
    head, z = CosineHead(5, 3, constant=constant).double(), torch.randn(4, 5, dtype=torch.float64)
    found = head(z)
    for i in range(4):
        for k in range(3):
            x = np.append(z[i].numpy(), 1.0) if constant else z[i].numpy()
            w = head.weight[k].detach().numpy()
            assert found[i, k].item() == pytest.approx(
                x @ w / np.linalg.norm(x) / np.linalg.norm(w), abs=1e-12
            )


def test_zero_vectors_have_cosine_zero_and_no_gradient():
    head = CosineHead(5, 3)
    with torch.no_grad():
        head.weight[0] = 0
    z = torch.zeros(2, 5, requires_grad=True)
    cosines = head(z)
    cosines.sum().backward()
    assert not cosines.any()
    assert not z.grad.any()
    assert not head.weight.grad.any()


def test_cosines_are_float32_under_autocast_and_within_one():
    head = CosineHead(64, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cosines = head(head.weight.detach().bfloat16())
    assert cosines.dtype == torch.float32
    assert cosines.abs().max() <= 1
    assert cosines.diagonal().min() > 0.999


def test_initial_weights_lie_within_a_sixteenth():
    torch.manual_seed(0)
    weight = CosineHead(200, 30).weight
    assert weight.abs().max() <= 1 / 16
    assert weight.abs().max() > 0.06
    assert abs(weight.mean()) < 0.002


def test_projection_is_linear_gelu_linear():
    projection, z = Projection(7), torch.randn(3, 7)
    first, last = projection[0], projection[2]
    hidden = torch.nn.functional.gelu(z @ first.weight.T + first.bias)
    torch.testing.assert_close(projection(z), hidden @ last.weight.T + last.bias)
    assert (hidden.shape[1], projection.n_features) == (512, 256)


@pytest.fixture(scope="module")
def start():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)) + 1
    Y = (X @ rng.normal(size=(6, 4)) + rng.normal(size=(80, 4)) > 1).astype(np.int8)
    solution = solve_ridge(X, Y, scalings=["standardise_l2"])
    return solution, torch.from_numpy(solution.scaling.transform(X)), solution.predict(X)


def test_linear_head_starts_at_the_ridge_logits(start):
    solution, Z, raw = start
    head = LinearHead(6, 4)
    start_from_ridge(head, solution)
    logits = head(Z).detach().numpy()
    np.testing.assert_allclose(logits, 4 * (raw - 0.5), atol=1e-5)
    np.testing.assert_array_equal(logits > 0, raw > 0.5)


def test_cosine_head_with_constant_ranks_and_decides_as_ridge(start):
    solution, Z, raw = start
    head = CosineHead(6, 4, constant=True)
    start_from_ridge(head, solution)
    cosines = head(Z).detach().numpy()
    np.testing.assert_array_equal(np.argsort(cosines, axis=0), np.argsort(raw, axis=0))
    np.testing.assert_array_equal(np.argsort(probabilities(raw), axis=0), np.argsort(raw, axis=0))
    np.testing.assert_array_equal(cosines > 0, raw > 0.5)


def test_cosine_head_without_constant_takes_the_directions(start):
    solution, Z, _ = start
    head = CosineHead(6, 4)
    start_from_ridge(head, solution)
    linear = Z.numpy() @ solution.weight.T / np.linalg.norm(solution.weight, axis=1)
    np.testing.assert_allclose(head(Z).detach().numpy(), linear, atol=1e-5)


@pytest.mark.parametrize("constant", [False, True])
def test_started_weights_are_as_long_as_fresh_ones(start, constant):
    head = CosineHead(6, 4, constant=constant)
    start_from_ridge(head, start[0])
    expected = np.sqrt((6 + constant) / 3) / 16  # the root mean square length of U(-1/16, 1/16) weights
    np.testing.assert_allclose(head.weight.detach().norm(dim=1), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [LinearHead, CosineHead])
def test_slopes_and_middles_are_those_asked_for(start, kind):
    solution, Z, raw = start
    slope, middle = torch.tensor([2.0, 5.0, 9.0, 4.0]), torch.tensor([0.1, 0.4, 0.7, -0.2])
    head = LinearHead(6, 4) if kind is LinearHead else CosineHead(6, 4, constant=True)
    start_from_ridge(head, solution, slope=slope, middle=middle)
    said = head(Z).detach().numpy()
    for k in range(4):
        for i in range(len(Z)):
            away = raw[i, k] - float(middle[k])
            if kind is LinearHead:
                expected = float(slope[k]) * away
            else:
                z = np.append(Z[i].numpy(), 1.0)
                w = np.append(solution.weight[k], solution.bias[k] - float(middle[k]))
                expected = away / (np.linalg.norm(z) * np.linalg.norm(w))
            assert said[i, k] == pytest.approx(expected, abs=2e-5)
    if kind is CosineHead:
        w = np.column_stack([solution.weight, solution.bias - middle.numpy()])
        lengths = slope.numpy() * np.linalg.norm(w, axis=1)
        np.testing.assert_allclose(head.weight.detach().norm(dim=1), lengths, rtol=1e-5)
    foreseen = scores_of_start(head, solution, torch.from_numpy(raw).double(), slope=slope, middle=middle)
    np.testing.assert_allclose(foreseen.numpy(), said, atol=2e-5)


@pytest.mark.parametrize("kind", SCALINGS)
def test_feature_scaling_is_the_fitted_scaling(kind):
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(40, 5)) * [1, 2, 0, 5, 0.1] + 3).astype(np.float32)
    scaling = InputScaling.fit(X, kind)
    module = FeatureScaling(5)
    torch.testing.assert_close(module(torch.from_numpy(X)), torch.from_numpy(X))
    module.take(scaling)
    other = FeatureScaling(5)
    other.load_state_dict(module.state_dict())
    for one in (module, other):
        np.testing.assert_allclose(one(torch.from_numpy(X)).numpy(), scaling.transform(X), atol=2e-5)
    zero = module(torch.from_numpy(scaling.mean).float()[None] if scaling.centred else torch.zeros(1, 5))
    assert torch.isfinite(zero).all()
    wide = torch.from_numpy(X).double().requires_grad_()
    assert torch.autograd.gradcheck(module.double(), wide[:3])
    with torch.autocast("cpu", torch.bfloat16):
        assert FeatureScaling(5)(torch.ones(2, 5, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_long_rows_of_half_precision_keep_their_direction(dtype):
    # the squared norm, 2048 * 300^2, is beyond float16
    module, z = FeatureScaling(2048), torch.linspace(-300, 300, 2048).to(dtype)[None]
    module.take(InputScaling.fit(z.double().numpy(), "l2"))
    with torch.autocast("cpu", dtype):
        out = module(z)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, z.float() / z.float().norm())


def test_calibration_of_the_solution_is_platts_on_its_left_out_outputs(start):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 6))
    Y = (X @ rng.normal(size=(6, 3)) + rng.normal(size=(200, 3)) > 1).astype(np.int8)
    solution = solve_ridge(X, Y)
    found = solution.calibration(Y)
    assert found == PlattCalibration.fit(Y, solution.loo_scores, input="logit")
    positives = np.where(Y == 1, Y, np.int8(-1))
    hidden = solve_ridge(X, positives)
    assert hidden.calibration(positives) == PlattCalibration.fit(Y, hidden.loo_scores, input="logit")
    one_class = np.where([[True, False, False]], Y, np.int8(-1))[:, :1].clip(1)
    assert solve_ridge(X, one_class).calibration(one_class) is None
    # a complete row beside positives alone: only it is fair to both classes, and it holds one
    unfair = np.where(np.arange(len(Y))[:, None] == 0, np.int8(0), positives)
    unfair[(unfair == 1).all(1), 0] = -1
    assert solve_ridge(X, unfair).calibration(unfair) is None


def test_a_label_without_a_direction_keeps_its_weights(start):
    solution = replace(start[0], weight=np.where(np.arange(4)[:, None] == 2, 0, start[0].weight))
    head = CosineHead(6, 4)
    before = head.weight[2].clone()
    start_from_ridge(head, solution)
    assert torch.equal(head.weight[2], before)


def test_a_head_of_another_size_is_refused(start):
    with pytest.raises(UserError, match="4 labels and 6 features, the head 3 and 6"):
        start_from_ridge(LinearHead(6, 3), start[0])
