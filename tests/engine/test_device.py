"""A method's step on a device that is not the CPU, without one: on `meta`, which has shapes and no numbers.

Two tensors of different devices do not meet there, and no number can be read: so a step that runs keeps every tensor on
the device of the network, and never waits for it.
"""

from __future__ import annotations

import math
import warnings
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, load
from labelwise.data import ArraySource
from labelwise.engine import Run, Settings
from labelwise.engine.accelerator import DeviceRows, PendingLosses
from labelwise.engine.settings import make_fabric
from labelwise.errors import UserError
from labelwise.methods import Budget, Problem, get, names
from labelwise.models import MLP, Network, build_backbone
from labelwise.summaries import AngleStatistics
from labelwise.targets import ItemState, Slot

READS = {
    "ll_cp": "writes the entries it flips into the item state in each step",
    "role": "writes its label estimates into the item state in each step",
    "role_linear_init": "as role",
}
# On `meta` a copy to the device is free; on CUDA it waits.
COPIES = {
    "bce_single_positive_all_negatives": "copies the true labels of a batch to the device",
    "mime": "copies the batch's noise, a function of (seed, epoch, item), to the device",
}
META = torch.device("meta")
TRAINED = [name for name in names() if get(name).spec.passes]


def run_of(name: str, tune: str) -> Run:
    cls = get(name)
    draw = np.random.default_rng(0)
    truth = (draw.random((40, 5)) < 0.3).astype(np.int8)
    truth[:, 0] |= ~truth.any(1)
    if "semi_supervised" in cls.spec.settings:
        setting, labels = "semi_supervised", np.where(np.arange(40)[:, None] % 2, truth, np.int8(-1))
    else:
        setting, labels = "single_positive", np.full_like(truth, -1)
        labels[np.arange(40), truth.argmax(1)] = 1
    problem = Problem(labels, setting, truth.mean(0), tune, 0, Budget(2, 8, 1e-3), true_labels=truth)
    method = cls(problem, {})
    backbone = build_backbone("features", (6,)) if tune == "head" else MLP((6,), hidden=(8,))
    fabric = SimpleNamespace(device=META, world_size=1, global_rank=0, is_global_zero=True)
    source = ArraySource(draw.normal(size=(40, 6)).astype(np.float32))
    run = Run(Network(backbone, method.head(backbone.n_features)), method, source, Settings(), fabric)
    run.stage_index = len(run.plan) - 1
    run.plan = [replace(stage, ridge_start=False) for stage in run.plan]
    run.begin_stage()
    run.epoch = run.stage.epochs - 1
    return run


@pytest.fixture
def no_autocast(monkeypatch):
    # `meta` knows no autocast; where it is switched off there is nothing to do.
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_stays_on_the_device_and_reads_nothing(name, tune, no_autocast):
    run = run_of(name, tune)
    if name in READS:
        with pytest.raises((RuntimeError, NotImplementedError), match=r"item\(\)|meta tensor"):
            run.take_step(run.batches()[0])
        pytest.xfail(READS[name])
    first, *others = run.batches()[:3]
    # Statistics are looked at once, after they were refreshed.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AngleStatistics, "__post_init__", lambda self: None)
        run.take_step(first)
    for members in others:
        run.take_step(members)


# Scores of one draw each, so that no two are equal, of which torch may take either.
@pytest.mark.parametrize("count", ["share", "released"])
@pytest.mark.parametrize("seed", range(8))
def test_the_largest_losses_are_the_same_without_reading_their_number(seed, count):
    draw = torch.Generator().manual_seed(seed)
    problem = Problem(np.full((7, 5), -1, np.int8), "single_positive")
    here, there = get("ll_r")(problem, {"count": count}), get("ll_r")(problem, {"count": count})
    here.carried, there.carried = torch.tensor(0.4), torch.tensor(0.4)
    for share in (0.02, 0.33, 0.7, 1.0):
        scores = torch.randn(7, 5, generator=draw)
        among = torch.rand(7, 5, generator=draw) < 0.6
        ranked = scores.masked_fill(~among, -torch.inf).flatten()
        fixed = math.ceil(share * 35 - 1e-6) if count == "released" else None
        chosen = there._ranked_first(ranked, among.sum(), share, fixed).view_as(among)
        assert torch.equal(here.largest(scores, among, share), chosen)
        assert here.carried.item() == pytest.approx(there.carried.item(), abs=1e-6)


def test_losses_are_read_together_on_an_accelerator_and_at_once_on_the_cpu():
    together, at_once = PendingLosses(META), PendingLosses(torch.device("cpu"))
    for step in range(63):
        together.add(step, 2, torch.tensor(float(step)))
    assert not together.due
    together.add(63, 2, torch.tensor(63.0))
    assert together.due
    assert list(together.read()) == [(step, 2, float(step)) for step in range(64)]
    assert not list(together.read())
    at_once.add(0, 2, torch.tensor(1.0))
    assert at_once.due


def test_item_state_is_kept_on_the_device_from_the_second_step_without_a_change():
    state = ItemState({"target": Slot("int8")}, 4, 3)
    rows = DeviceRows(np.zeros((4, 3), np.int8), ArraySource(np.zeros((4, 2), np.float32)), state, META)
    index = np.array([2, 0])
    on_device = torch.from_numpy(index).to(META)
    state.write("target", np.ones((4, 3), np.int8))
    for kept in (False, True, True):
        assert rows.state(on_device, index)["target"].shape == (2, 3)
        assert bool(rows._slots) == kept
    state.write("target", np.zeros((4, 3), np.int8))
    rows.state(on_device, index)
    assert rows._slots_version != state.version


def test_rows_are_drawn_as_before_on_the_cpu():
    state = ItemState({"target": Slot("int8", fill=3)}, 4, 3)
    labels = np.arange(12, dtype=np.int8).reshape(4, 3)
    rows = DeviceRows(labels, ArraySource(np.zeros((4, 2), np.float32)), state, torch.device("cpu"))
    index = np.array([2, 0])
    assert rows.views == ()
    assert np.array_equal(rows.labels(torch.from_numpy(index), index), labels[index])
    for _ in range(3):
        assert (rows.state(torch.from_numpy(index), index)["target"] == 3).all()


def cuda_fit(name: str, device: str, **options):
    cls = get(name)
    draw = np.random.default_rng(3)
    x = draw.normal(size=(96, 12)).astype(np.float32)
    truth = (x[:, :5] + 0.3 * draw.normal(size=(96, 5)) > 0.4).astype(np.int8)
    truth[:, 0] |= ~truth.any(1)
    if "semi_supervised" in cls.spec.settings:
        labels = np.where(np.arange(96)[:, None] % 2, truth, np.int8(-1))
    else:
        labels = np.full_like(truth, -1)
        labels[np.arange(96), truth.argmax(1)] = 1
    model = MultiLabelClassifier(
        method=name, epochs=3, batch_size=16, device=device, random_state=0, **options
    )
    prior = truth.mean(0) if "prior" in cls.spec.needs else None
    extra = {"true_labels": truth} if "true_labels" in cls.spec.needs else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(prior=prior).fit(x, labels, **extra)
    return model.predict_proba(x)


@pytest.fixture
def cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.cuda
@pytest.mark.parametrize("name", TRAINED)
def test_a_head_trained_on_cuda_scores_as_one_trained_on_the_cpu(name, cuda):
    np.testing.assert_allclose(cuda_fit(name, "cuda"), cuda_fit(name, "cpu"), atol=2e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("name", TRAINED)
def test_a_network_trained_on_cuda_scores_as_one_trained_on_the_cpu(name, cuda):
    options = {"tune": "all", "backbone": "mlp"}
    if get(name).spec.id in {"mime"}:
        pytest.skip("reads maps")
    np.testing.assert_allclose(cuda_fit(name, "cuda", **options), cuda_fit(name, "cpu", **options), atol=2e-2)


@pytest.mark.cuda
@pytest.mark.parametrize("name", [name for name in TRAINED if name not in READS | COPIES])
def test_a_step_on_cuda_waits_for_nothing(name, cuda):
    source = ArraySource(np.random.default_rng(1).normal(size=(96, 12)).astype(np.float32))
    cls = get(name)
    truth = (np.random.default_rng(2).random((96, 5)) < 0.3).astype(np.int8)
    truth[:, 0] |= ~truth.any(1)
    if "semi_supervised" in cls.spec.settings:
        setting, labels = "semi_supervised", np.where(np.arange(96)[:, None] % 2, truth, np.int8(-1))
    else:
        setting, labels = "single_positive", np.full_like(truth, -1)
        labels[np.arange(96), truth.argmax(1)] = 1
    problem = Problem(labels, setting, truth.mean(0), "head", 0, Budget(2, 16, 1e-3), true_labels=truth)
    method = cls(problem, {})
    settings = Settings(device="cuda")
    network = Network(build_backbone("features", (12,)), method.head(12))
    run = Run(network, method, source, settings, make_fabric(settings))
    run.stage_index = len(run.plan) - 1
    run.begin_stage()
    if run.stage.refresh:
        run.refresh()
    first, second, *others = run.batches()
    # Item state goes to the device in the second step after it changed, once an epoch.
    run.take_step(first)
    run.take_step(second)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for members in others:
            run.take_step(members)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    run.read_losses()


@pytest.mark.cuda
def test_a_loss_that_is_no_number_is_refused_on_cuda_with_its_step(cuda):
    x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    with pytest.raises(UserError, match=r"not a number|not numbers"):
        MultiLabelClassifier(
            method="an",
            tune="all",
            backbone="mlp",
            epochs=2,
            batch_size=16,
            device="cuda",
            learning_rate=1e18,
        ).fit(x, (x[:, :3] > 0).astype(int))


@pytest.mark.cuda
def test_pictures_train_in_bf16_on_cuda_and_the_model_is_saved(cuda, tmp_path):
    draw = np.random.default_rng(0)
    x = draw.integers(0, 255, size=(48, 16, 16), dtype=np.uint8)
    y = (x.mean((1, 2))[:, None] > [120, 128]).astype(int)
    model = MultiLabelClassifier(
        method="an", tune="all", backbone="smallcnn", epochs=2, device="cuda", precision="bf16"
    ).fit(x, y)
    model.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict_proba(x), model.predict_proba(x), atol=1e-3)
