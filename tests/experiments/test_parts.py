"""Experiments in parts: what is whose, devices, and several folders of results as one."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.errors import UserError
from labelwise.experiments import Job, collect, merge_results, part_of, run_experiment, run_jobs
from labelwise.experiments import experiment as _experiment
from labelwise.experiments.results import read_shards
from labelwise.experiments.runner import visible_devices
from tests.data.datasets.folders import write_learnable_bag
from tests.experiments import runner_cases as cases

SPEC = """
title = "Two rows"
paper = "P"
code = "cap"
datasets = ["Ohsumed"]
settings = [{ name = "full" }]
seeds = [0, 1, 2]
metrics = ["map"]

[rows.ridge]
method = "ridge"
source = "s"

[rows.bce]
method = "bce"
source = "s"
"""


@pytest.fixture
def tree(tmp_path):
    write_learnable_bag(tmp_path / "ohsumed.npz")
    (tmp_path / "mine.toml").write_text(SPEC)
    return tmp_path


@given(st.integers(1, 30), st.integers(1, 12))
def test_parts_are_disjoint_whole_and_of_like_size(count, parts):
    jobs = cases.jobs(count)
    jobs += [Job("scene", "full", "an", seed=0, row="the same run in another row")]
    found = [part_of(jobs, f"{place}/{parts}") for place in range(1, parts + 1)]
    keys = [{job.key for job in part} for part in found]
    assert sum(map(len, keys)) == len(set.union(*keys)) == count
    assert {job.key for part in found for job in part} == {job.key for job in jobs}
    assert sum(map(len, found)) == len(jobs), "jobs of one run stay together"
    assert max(map(len, keys)) - min(map(len, keys)) <= 1
    assert [part_of(jobs[::-1], f"1/{parts}")[::-1]] == found[:1], "whatever the order"


@pytest.mark.parametrize(
    "part", ["0/2", "3/2", "1/0", "1", "1/2/3", "-1/2", "a/b", "", "1.0/2", "9" * 5000 + "/1"]
)
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(UserError, match="give two whole numbers"):
        part_of(cases.jobs(), part)


def told(out):
    """Return what results say, without times and memory."""
    frame = collect(out).drop(columns=["seconds", "memory_mb", "facts"])
    return frame.sort_values(["key", "metric", "rule"]).reset_index(drop=True)


def test_parts_that_are_merged_hold_what_the_whole_holds(tmp_path):
    jobs = cases.jobs(5)
    run_jobs(jobs, cases.of_seed, tmp_path / "whole", workers=1)
    for place in (1, 2):
        run_jobs(part_of(jobs, f"{place}/2"), cases.of_seed, tmp_path / f"part-{place}", workers=1)
    merge_results([tmp_path / "part-1", tmp_path / "part-2"], tmp_path / "merged")
    assert told(tmp_path / "merged").equals(told(tmp_path / "whole"))


@pytest.mark.slow
def test_an_experiment_that_was_shared_has_the_table_of_one_that_was_not(tree, monkeypatch):
    monkeypatch.setattr(_experiment, "_MEASURE", "tests.experiments.runner_cases:of_seed")
    spec = str(tree / "mine.toml")
    whole = run_experiment(spec, tree, tree / "whole", workers=1)
    parts = [
        run_experiment(spec, tree, tree / f"part-{place}", workers=1, shard=f"{place}/2") for place in (1, 2)
    ]
    assert [part.tally.done for part in parts] == [3, 3]
    merged = run_experiment(spec, None, tree / "merged", merge=[tree / "part-1", tree / "part-2"])
    assert vars(merged.tally) == {"before": 6, "done": 0, "capped": 0, "failed": 0, "left": 0}
    assert merged.rows == whole.rows
    assert told(tree / "merged").equals(told(tree / "whole"))
    assert (tree / "merged" / "table.md").read_text() == (tree / "whole" / "table.md").read_text()
    again = run_experiment(spec, None, tree / "merged", merge=[tree / "part-2"])
    assert again.rows == whole.rows, "what is there and equal is passed over"
    less = run_experiment(spec, None, tree / "less", merge=[tree / "part-1"])
    assert less.tally.left == 3
    assert "not run" in (tree / "less" / "table.md").read_text()
    with pytest.raises(UserError, match="give one of them"):
        run_experiment(spec, None, tree / "x", merge=[tree / "part-1"], shard="1/2")


def test_a_part_has_a_folder_of_its_own(tree, monkeypatch):
    monkeypatch.chdir(tree)
    found = run_experiment(str(tree / "mine.toml"), tree, shard="2/2", limit=0)
    assert found.files[0] == Path("experiments", "mine-2-of-2", "results.parquet")


def results(folder, jobs, execute=cases.constant):
    run_jobs(jobs, execute, folder, data=folder, workers=1)
    return folder


def test_duplicates_and_conflicts_are_refused_before_anything_is_written(tmp_path):
    first = results(tmp_path / "first", cases.jobs(2))
    second = results(tmp_path / "second", cases.jobs(4)[1:])
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"second and .*first both have the run scene-full-an-s1"):
        merge_results([first, second], out)
    assert not out.exists()
    merge_results([first], out)
    path = next((out / "shards").glob("*-s1-*"))
    shard = json.loads(path.read_text())
    shard["measurements"][0]["value"] = 0.25
    path.write_text(json.dumps(shard))
    with pytest.raises(
        UserError, match=r"out has another result of the run scene-full-an-s1.* than .*second"
    ):
        merge_results([second], out)
    assert len(list((out / "shards").iterdir())) == 2
    for wrong, words in ((tmp_path, "holds no results"), (out, "merged into itself")):
        with pytest.raises(UserError, match=words):
            merge_results([wrong], out)


def test_a_run_that_failed_is_replaced(tmp_path):
    out = results(tmp_path / "out", cases.jobs(2), cases.raise_on_one)
    assert merge_results([results(tmp_path / "later", cases.jobs(2)[1:])], out) == {
        job.key: "done" for job in cases.jobs(2)
    }


SPOILT = {
    "half": lambda text: text[:40],
    "nothing": lambda text: "",
    "deep": lambda text: "[" * 100_000,
    "a list": lambda text: "[1]",
    "no job": lambda text: text.replace('"job": {', '"job": {"dataset": 5}, "jab": {'),
    "another run": lambda text: text.replace('"seed": 1', '"seed": 7'),
    "another name": lambda text: text.replace('"key": "scene', '"key": "../../scene'),
    "no figures": lambda text: text.replace('"value": 0.5', '"value": "0.5"'),
}


@pytest.mark.parametrize("damage", SPOILT)
def test_a_damaged_result_is_named_and_not_left_out(tmp_path, damage):
    first = results(tmp_path / "first", cases.jobs(2))
    path = next((first / "shards").glob("*-s1-*"))
    changed = SPOILT[damage](path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UserError, match=r"s1-.*\.json cannot be read: delete it"):
        merge_results([first], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if damage != "another run":
        assert run_jobs(cases.jobs(2), cases.constant, first, workers=1).done == 1, "and it is run again"


def test_links_in_a_part_are_refused(tmp_path):
    first = results(tmp_path / "first", cases.jobs(1))
    (first / "shards" / "more.json").symlink_to(next((first / "shards").glob("*.json")))
    with pytest.raises(UserError, match="is a link"):
        merge_results([first], tmp_path / "out")


def test_columns_of_a_figure_come_along(tmp_path):
    first = results(tmp_path / "first", cases.jobs(1))
    (first / "columns").mkdir()
    name = f"{cases.jobs(1)[0].key}.csv"
    (first / "columns" / name).write_text("low\n1\n")
    merge_results([first], tmp_path / "out")
    assert (tmp_path / "out" / "columns" / name).read_text() == "low\n1\n"


def test_each_worker_sees_a_device_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    run_jobs(cases.jobs(2), cases.seen, tmp_path / "a", devices=["cuda:2", "cuda:0"])
    assert set(collect(tmp_path / "a").value) == {0, 2}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7,6")
    run_jobs(cases.jobs(1), cases.seen, tmp_path / "b", devices=["cuda:1"])
    assert set(collect(tmp_path / "b").value) == {7}
    run_jobs(cases.jobs(1), cases.seen, tmp_path / "c", devices=["cpu"])
    assert set(collect(tmp_path / "c").value) == {-1}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5, 7,6"
    assert visible_devices("cuda") == "5"


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("gpu", "give 'cpu', 'cuda' or 'cuda:N'"),
        ("cuda:-1", "give 'cpu'"),
        ("cuda:3", "there are 3, counted from 0"),
        ("cuda:" + "9" * 5000, "give 'cpu'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch, device, words):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    with pytest.raises(UserError, match=words):
        run_jobs(cases.jobs(1), cases.seen, tmp_path / "out", devices=[device])
    assert not (tmp_path / "out").exists()


VALUES = [
    None,
    -1,
    0,
    5.5,
    "5",
    True,
    [],
    [5],
    {},
    {"a": 1},
    2**70,
    float("inf"),
    "\x1b[2J",
    "../..",
    "9" * 300,
]


def fuzz(tmp_path, rounds):
    """Change a result at random: it is read as it is, refused in one line, or run again."""
    random, job = np.random.default_rng(0), cases.jobs(1)[0]
    whole = {
        "format": 1,
        "key": job.key,
        "job": job.to_dict(),
        "version": "1",
        "status": "done",
        "error": "",
        "measurements": [{"metric": "map", "rule": "", "value": 0.5}],
        "facts": {"notes": ["a note"]},
        "seconds": 1.5,
        "memory_mb": 70,
        "time_cap": None,
    }
    path = tmp_path / "part" / "shards" / f"{job.key}.json"
    path.parent.mkdir(parents=True)
    for _ in range(rounds):
        shard = json.loads(json.dumps(whole))
        place = [shard, shard["job"], shard["facts"], shard["measurements"][0]][random.integers(4)]
        name = str(random.choice(list(place)))
        if random.integers(4):
            place[name] = VALUES[random.integers(len(VALUES))]
        else:
            del place[name]
        content = bytearray(json.dumps(shard).encode())
        if not random.integers(3):
            for at in random.integers(0, len(content), random.integers(1, 4)).tolist():
                content[at] = int(random.integers(256))
        path.write_bytes(content)
        with suppress(UserError):
            for read in read_shards(tmp_path / "part"):
                assert Job.from_dict(read["job"])
        with suppress(UserError):
            merge_results([tmp_path / "part"], tmp_path / "out")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert not list(tmp_path.parent.glob("*.json"))


def test_results_changed_at_random_raise_the_librarys_error_alone(tmp_path):
    fuzz(tmp_path / "in", 300)


@pytest.mark.long
@pytest.mark.slow
def test_results_changed_at_random_raise_the_librarys_error_alone_at_length(tmp_path):
    fuzz(tmp_path / "in", 20_000)


@pytest.mark.parametrize("asked", [{"shard": "1/2"}, {"merge": ["a"]}])
def test_a_figure_without_runs_has_no_parts(tmp_path, asked):
    with pytest.raises(UserError, match="without any run"):
        run_experiment("bbam-theory", None, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()
