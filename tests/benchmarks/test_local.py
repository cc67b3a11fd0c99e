"""The local benchmark's grid and baselines, on small drawn sets."""

import numpy as np
import pytest

from benchmarks.local import baselines, grid, run, sets
from labelwise import methods

METRICS = {"map", "one_error", "micro_f1", "macro_f1", "hamming_loss"}


@pytest.fixture
def drawn(monkeypatch):
    random = np.random.default_rng(0)
    Y = (random.random((160, 4)) < 0.4).astype(np.int8)
    X = (Y @ random.normal(size=(4, 12)) + random.normal(size=(160, 12))).astype(np.float32)
    part = (X[:100], Y[:100], X[100:], Y[100:])
    monkeypatch.setattr(sets, "read", lambda *_: part)
    run.read.cache_clear()
    yield part
    run.read.cache_clear()


def test_the_default_grid_holds_every_method_in_every_setting_it_accepts(drawn, tmp_path):
    jobs = grid.GRIDS["default"].jobs(tmp_path)
    assert len({job.key for job in jobs}) == len(jobs)
    for setting in sets.SETTINGS:
        kind, fraction = sets.KINDS[setting]
        for name in sets.SETS:
            for seed in range(3):
                found = {
                    job.method
                    for job in jobs
                    if (job.dataset, job.setting, job.fraction, job.seed) == (name, kind, fraction, seed)
                }
                assert found == {*methods.fitting(kind), *baselines.applicable(kind)}
    assert {(job.dataset, job.method) for job in jobs if job.setting == "full"} == {
        (name, method) for name in sets.SETS for method in grid.CEILING
    }


def test_slow_methods_are_left_out_of_wide_sets_and_come_later(drawn, monkeypatch, tmp_path):
    jobs = grid.GRIDS["default"].jobs(tmp_path)
    first_slow = next(i for i, job in enumerate(jobs) if job.method in grid.SLOW)
    assert {job.seed for job in jobs[:first_slow]} == {0, 1}
    assert all(job.method in grid.SLOW for job in jobs[first_slow:] if job.seed < 2)
    X, Y, X_test, Y_test = drawn
    wide = (X, np.tile(Y, 8), X_test, np.tile(Y_test, 8))
    monkeypatch.setattr(sets, "read", lambda *_: wide)
    assert not {job.method for job in grid.GRIDS["default"].jobs(tmp_path)} & set(grid.SLOW)


@pytest.mark.parametrize("setting", sets.SETTINGS)
def test_baselines_score_every_test_row_from_known_labels_alone(drawn, setting):
    X, Y, X_test, Y_test = drawn
    seen = sets.hide(Y, sets.job("scene", setting, "logistic", 0, None))
    for name in baselines.applicable(sets.KINDS[setting][0]):
        scores = baselines.BASELINES[name](X, seen, X_test, seed=0)
        assert scores.shape == Y_test.shape
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.std() > 0


@pytest.mark.parametrize("setting", sets.KINDS)
def test_hidden_labels_are_true_and_follow_the_seed(drawn, setting):
    Y = drawn[1]
    first, again, other = (sets.hide(Y, sets.job("scene", setting, "an", seed, None)) for seed in (0, 0, 1))
    assert (first[first >= 0] == Y[first >= 0]).all()
    assert (first == again).all()
    assert (first != other).any() == (setting != "all labels")


def test_a_run_has_every_metric_by_its_rule_and_keeps_its_replicates(drawn, tmp_path):
    job = sets.job("scene", "single positive", "cap", 0, None)
    found = run.run(job, str(tmp_path))
    assert {m.metric for m in found.measurements if m.rule in ("", "own")} == METRICS
    assert {m.rule for m in found.measurements} == {"", "own", "half", "oracle_count"}
    assert found.facts["prior"] == pytest.approx(drawn[1].sum(1).mean(), abs=5e-4)
    kept = np.load(tmp_path / "replicates" / f"{job.key}.npy")
    assert kept.shape == (run.REPLICATES,)
    value = next(m.value for m in found.measurements if m.metric == "map")
    assert abs(kept.mean() - value) < 0.05
