"""The effects of the published protocol: what differs between the two sides of a pair, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.local import sets
from benchmarks.studies import effects
from labelwise.experiments.results import write_shard


def test_each_pair_switches_one_thing():
    pairs = list(effects.pairs(3))
    assert {effect for effect, *_ in pairs} == {*effects.PUBLISHED, *effects.SELECTION}
    for effect, setting, without, switched in pairs:
        assert (sets.KINDS[setting][0], sets.KINDS[setting][1]) == (switched.setting, switched.fraction)
        if effect == "label leak":
            assert switched.hyperparameters == {"leak_truth": True}
            assert [replace(switched, hyperparameters={}, protocol="honest")] == without
        elif effect == "second split":
            other = switched.hyperparameters["warm_up_seed"]
            assert list(switched.hyperparameters) == ["warm_up_seed"]
            honest = replace(switched, hyperparameters={}, protocol="honest")
            assert without == [honest, replace(honest, seed=other)]
        else:
            (last,) = without
            assert {**last.options, "epoch": None} == {**switched.options, "epoch": None}
            assert (last.options["epoch"], switched.options["epoch"]) == ("last", "best on test")
            assert replace(last, options={}) == replace(switched, options={})


def test_the_second_split_is_another_draw_for_each_seed_and_its_control_learns_from_that_draw():
    """One second draw for all seeds would put its luck into every pair."""
    pairs = [p for p in effects.pairs(3) if p[0] == "second split" and p[3].dataset == "scene"]
    others = {p[3].hyperparameters["warm_up_seed"] for p in pairs}
    assert len(others) == 3
    Y = (np.random.default_rng(0).random((200, 4)) < 0.4).astype(np.int8)
    for _, _, (_, control), switched in pairs:
        seen = sets.hide(Y, control)
        rows = np.flatnonzero((seen != -1).any(axis=1))
        order = np.random.RandomState(switched.hyperparameters["warm_up_seed"]).permutation(len(Y))
        assert rows.tolist() == sorted(order[: len(rows)])


def test_a_pair_is_compared_with_the_mean_of_its_controls(tmp_path):
    *_, without, switched = next(p for p in effects.pairs(1) if p[0] == "second split")
    for job, value in zip((*without, switched), (0.4, 0.5, 0.6), strict=True):
        shard = {"key": job.key, "job": job.to_dict(), "version": "0", "seconds": 1.0, "memory_mb": 9}
        measured = [{"metric": "map", "rule": "", "value": value}]
        write_shard(tmp_path, {**shard, "status": "done", "error": "", "measurements": measured, "facts": {}})
    (row,) = effects.table(tmp_path, 1)
    assert (row["effect"], row["without"], row["with"]) == ("second split", pytest.approx(0.45), 0.6)
