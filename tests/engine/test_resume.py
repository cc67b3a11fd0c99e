"""Interrupted at any step and resumed from new objects, a run ends as if it had never stopped, to the bit."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from labelwise import engine, methods
from labelwise.engine import Run, checkpoint
from labelwise.errors import UserError
from tests.engine.cases import Stop, assert_same, assert_same_items, course, run, steps_of, stop_at

TRAINED = [m for m in methods.names() if methods.get(m).spec.passes]


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.parametrize("method", TRAINED)
def test_resume_after_a_kill_at_a_random_step(method, tune, tmp_path):
    options = {"make_options": {"tune": tune}}
    whole, last = run(method, **options)
    total = steps_of(method, **options)
    random = np.random.default_rng([ord(c) for c in method + tune])
    for trial in range(3):
        stop = int(random.integers(2, total + 1))
        saved = int(random.integers(1, stop))
        folder = tmp_path / str(trial)
        with pytest.raises(Stop):
            run(method, folder, on_step=stop_at(stop, saved), **options)
        again, resumed = run(method, folder, **options)
        assert_same(whole, again)
        assert_same_items(last, resumed)


@pytest.mark.parametrize("method", TRAINED)
def test_resume_at_every_step_in_turn(method, tmp_path):
    """A process that is killed after each single step still arrives at the same weights."""
    options = {"make_options": {"tune": "all", "epochs": 3}, "settings": {"checkpoint_seconds": 0.0}}
    whole, _ = run(method, **options)
    for _ in range(200):
        try:
            again, _ = run(method, tmp_path, on_step=_one_more(), **options)
            break
        except Stop:
            continue
    assert_same(whole, again)


def _one_more():
    """Stop in the second step of this process; the first was saved before."""
    return stop_at(2)


def test_ridge_resumes(tmp_path):
    whole, _ = run("ridge")
    first, _ = run("ridge", tmp_path)
    again, _ = run("ridge", tmp_path)
    assert_same(whole, first)
    assert_same(whole, again)


@pytest.mark.parametrize("method", ["an", "bbam", "em_apl", "hml"])
def test_resuming_a_finished_run_changes_nothing(method, tmp_path):
    first, _ = run(method, tmp_path)
    before = checkpoint.latest(tmp_path)

    def fail(_):
        raise AssertionError("a step was taken")

    again, _ = run(method, tmp_path, on_step=fail)
    assert_same(first, again)
    after = checkpoint.latest(tmp_path)
    assert all(torch.equal(before.tensors[k], after.tensors[k]) for k in before.tensors)
    for name, values in before.items.items():
        np.testing.assert_array_equal(values, after.items[name])
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(lines) == len(first.history)


@pytest.mark.parametrize("accumulate", [2, 3])
@pytest.mark.parametrize("stop", range(2, 16, 3))
def test_resume_while_gradients_are_accumulated(accumulate, stop, tmp_path):
    options = {
        "settings": {"accumulate": accumulate, "checkpoint_seconds": 0.0},
        "make_options": {"tune": "all"},
    }
    whole, _ = run("an", **options)
    with pytest.raises(Stop):
        run("an", tmp_path, on_step=stop_at(stop), **options)
    again, _ = run("an", tmp_path, **options)
    assert_same(whole, again)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("tune", ["head", "all"])
def test_resume_under_mixed_precision(tune, accumulate, tmp_path):
    options = {"settings": {"precision": "bf16", "accumulate": accumulate}, "make_options": {"tune": tune}}
    whole, _ = run("cap", **options)
    with pytest.raises(Stop):
        run("cap", tmp_path, on_step=stop_at(11, 6), **options)
    again, _ = run("cap", tmp_path, **options)
    assert_same(whole, again)


def test_item_state_and_features_past_the_budget_are_the_same(tmp_path):
    """Memory-mapped item state and features give what memory gives, over a resume too."""
    for method, hyperparameters in (("em_apl", None), ("bbam", {"statistics_from": "raw"}), ("cap", None)):
        options = {"make_options": {"tune": "all", "hyperparameters": hyperparameters}}
        whole, last = run(method, **options)
        small = {"settings": {"memory": 10}, **options}
        folder = tmp_path / method
        mapped, state = run(method, folder, **small)
        assert state.state.mapped
        assert isinstance(state.state[next(iter(state.state))], np.memmap)
        assert list(folder.glob("features-*.npy"))
        assert_same(whole, mapped)
        assert_same_items(last, state)
        with pytest.raises(Stop):
            run(method, tmp_path / f"{method} 2", on_step=stop_at(6, 4), **small)
        again, state = run(method, tmp_path / f"{method} 2", **small)
        assert_same(whole, again)
        assert_same_items(last, state)


def test_ctrl_c_saves_and_goes_on(tmp_path):
    whole, _ = run("bbam")
    seen = []

    def interrupt(state):
        seen.append(state.step)
        if len(seen) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(engine.Interrupted, match="resume") as caught:
        run("bbam", tmp_path, on_step=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(seen) == 7
    assert isinstance(caught.value, KeyboardInterrupt)
    again, _ = run("bbam", tmp_path)
    assert_same(whole, again)


def test_ctrl_c_between_accumulated_gradients_waits_for_the_update(tmp_path):
    options = {"settings": {"accumulate": 3}}
    whole, _ = run("an", **options)
    seen = []

    def interrupt(state):
        seen.append(state.step)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(engine.Interrupted):
        run("an", tmp_path, on_step=interrupt, **options)
    assert len(seen) == 3
    again, _ = run("an", tmp_path, **options)
    assert_same(whole, again)


def test_ctrl_c_without_a_directory_says_that_nothing_was_saved():
    with pytest.raises(engine.Interrupted, match="nothing was saved"):
        run("an", on_step=lambda _: os.kill(os.getpid(), signal.SIGINT))


def test_ctrl_c_in_a_closed_form_is_not_lost(tmp_path, monkeypatch):
    method = methods.get("ridge")
    whole, _ = run("ridge")
    real = method.fit
    with monkeypatch.context() as patch:
        patch.setattr(
            method, "fit", lambda self, pool: os.kill(os.getpid(), signal.SIGINT) or real(self, pool)
        )
        with pytest.raises(engine.Interrupted):
            run("ridge", tmp_path)
    again, _ = run("ridge", tmp_path)
    assert_same(whole, again)


def test_another_run_is_refused(tmp_path):
    run("an", tmp_path, fingerprint="one")
    with pytest.raises(UserError, match="other data, labels or settings"):
        run("an", tmp_path, fingerprint="another")
    with pytest.raises(UserError, match="other data, labels or settings"):
        run("bbam", tmp_path, fingerprint="one")


def test_history_of_a_run_that_died_before_its_first_checkpoint_is_not_kept(tmp_path):
    with pytest.raises(Stop):
        run("an", tmp_path, on_step=stop_at(6))
    assert (tmp_path / "history.jsonl").read_text()
    result, _ = run("an", tmp_path)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == len(result.history)


def test_early_stopping_resumes(tmp_path):
    norms = []
    options = {"make_options": {"epochs": 12}}
    run("an", criterion=lambda network, _: norms.append(_norm(network)) or 0.0, **options)
    options |= {"criterion": lambda network, _: -abs(_norm(network) - norms[4]), "settings": {"patience": 2}}
    whole, _ = run("an", **options)
    assert whole.best_epoch == 5
    assert len(whole.history) == 7
    for stop in (5, 9, 14, 28):
        folder = tmp_path / str(stop)
        with pytest.raises(Stop):
            run("an", folder, on_step=stop_at(stop, stop - 1), **options)
        again, _ = run("an", folder, **options)
        assert_same(whole, again)
        assert again.best_epoch == whole.best_epoch
    again, _ = run("an", folder, **options)
    assert course(again) == course(whole)


def _norm(network):
    return float(network.head.weight.detach().norm())


def test_a_checkpoint_that_still_holds_torchs_generators_is_read(tmp_path, monkeypatch):
    """Earlier versions kept their state; each step now starts them from its own place in the run."""
    take = Run.snapshot

    def as_before(state, finished):
        tensors, meta = take(state, finished)
        return tensors | {"random.cpu": torch.get_rng_state()}, meta

    options = {"make_options": {"tune": "all"}}
    whole, _ = run("an", **options)
    monkeypatch.setattr(Run, "snapshot", as_before)
    with pytest.raises(Stop):
        run("an", tmp_path, on_step=stop_at(5, 4), **options)
    before = torch.get_rng_state()
    again, _ = run("an", tmp_path, **options)
    assert_same(whole, again)
    assert torch.equal(torch.get_rng_state(), before)
