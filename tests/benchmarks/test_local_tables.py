"""Tables and page of the local benchmark from drawn results, recomputed; no grid in the place of another."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import local
import local_page
import local_tables
import local_words
import paper_size
import publish_local
import sets

from labelwise.experiments.shards import write_shard

SMALL = local.Grid(
    ("scene", "yeast"),
    ("single positive", "5% labelled", "20% labelled"),
    seeds=2,
    methods=("ridge", "bam", "cap", "mime"),
)


def write_runs(out, grid, *, value=None, without=(), failed=()):
    """Write a shard and replicates for each run of a grid; ``value(job)`` is its mAP."""
    drawn = np.random.default_rng(0)
    for job in grid.jobs(out):
        own = drawn.uniform(0.3, 0.6) if value is None else value(job)
        if job in without:
            continue
        metrics = [
            {"metric": name, "rule": rule, "value": drawn.uniform()}
            for rule in ("own", "half", "oracle_count")
            for name in ("micro_f1", "macro_f1", "hamming_loss")
        ]
        metrics += [
            {"metric": name, "rule": "", "value": v} for name, v in (("map", own), ("one_error", 0.4))
        ]
        facts = {"rule": "threshold(0.5)", "rule_source": "one half", "prior": None, "epochs": 3}
        shard = {"key": job.key, "job": job.to_dict(), "version": "0", "seconds": 1.0, "memory_mb": 9}
        if job in failed:
            write_shard(
                out, {**shard, "status": "failed", "error": "it broke", "measurements": [], "facts": {}}
            )
            continue
        write_shard(out, {**shard, "status": "done", "error": "", "measurements": metrics, "facts": facts})
        (out / "replicates").mkdir(parents=True, exist_ok=True)
        np.save(out / "replicates" / f"{job.key}.npy", own + 0.01 * drawn.standard_normal(200))


@pytest.fixture
def narrow(monkeypatch):
    """Sets of four labels that no test has to read."""
    part = np.zeros((10, 3), dtype=np.float32), np.ones((10, 4), dtype=np.int8)
    monkeypatch.setattr(sets, "read", lambda *_: (*part, *part))


@pytest.fixture
def committed(monkeypatch, tmp_path):
    """A stand-in for ``docs/results/local`` and ``docs/benchmark.md``."""
    folder = tmp_path / "docs" / "results" / "local"
    folder.mkdir(parents=True)
    for module in (local_tables, local_page):
        monkeypatch.setattr(module, "FOLDER", folder)
    return folder


def test_cells_are_recomputed_from_the_runs(narrow, tmp_path):
    jobs = SMALL.jobs(tmp_path)
    lost = [job for job in jobs if job.method == "mime" and job.seed == 1]
    write_runs(tmp_path, SMALL, without=lost)
    written = local_tables.tables(SMALL, tmp_path, tmp_path / "page")
    runs, cells = (pd.read_csv(tmp_path / "page" / f"{name}.csv") for name in ("runs", "cells"))
    full = runs[runs["setting"] == "all labels"]
    for _, cell in cells.iterrows():
        own = runs[(runs["set"] == cell["set"]) & (runs["setting"] == cell["setting"])]
        by = own.pivot(index="seed", columns="method", values="map")
        seeds = [0] if cell["method"] == "mime" else [0, 1]
        assert cell["seeds"] == len(seeds)
        floor = by.loc[seeds, "ridge"].mean()
        ceiling = full[full["set"] == cell["set"]]["map"].max()
        assert cell["gain"] == pytest.approx(by.loc[seeds, cell["method"]].mean() - floor, abs=2e-5)
        assert cell["tuned_ceiling"] == pytest.approx(ceiling, rel=1e-4)
        if ceiling - floor > 0.006:
            assert cell["share_of_gap"] == pytest.approx(cell["gain"] / (ceiling - floor), rel=2e-3, abs=2e-4)
    assert set(written["missing"]["method"]) == {"mime"}
    page = " ".join(local_page.page(tmp_path / "page", tmp_path, SMALL).split())
    assert "`mime` have fewer seeds in some cells ([What is missing](#what-is-missing))" in page
    assert "](page/gains.svg)" in page


def test_the_tuned_ceiling_is_of_the_three_that_are_named_whatever_else_saw_all_labels(narrow, tmp_path):
    grid = local.Grid(
        ("scene", "yeast"), ("single positive", "all labels"), seeds=2, methods=("ridge", "bam")
    )
    write_runs(tmp_path, grid, value=lambda job: 0.9 if job.method == "bam" else 0.5 + 0.1 * job.seed)
    cells = local_tables.tables(grid, tmp_path, tmp_path / "page")["cells"]
    assert set(cells["tuned_ceiling"]) == {0.5}
    page = local_page.page(tmp_path / "page", tmp_path / "page", grid)
    assert "| scene | single positive | 55.0 | 55.0 | 55.0 | 50.0 | 50.0 |" in page


def test_a_run_that_failed_is_said_to_have_failed(narrow, tmp_path):
    jobs = SMALL.jobs(tmp_path)
    write_runs(tmp_path, SMALL, failed=[job for job in jobs if job.method == "mime" and job.seed == 1])
    missing = local_tables.tables(SMALL, tmp_path, tmp_path / "page")["missing"]
    assert set(missing["why"]) == {"failed: it broke"}


def run_main(module, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, options)])
    module.main()


@pytest.mark.parametrize("grid", ["quick", "full"])
def test_another_grid_than_the_default_never_writes_where_the_defaults_results_are(
    narrow, committed, monkeypatch, tmp_path, grid
):
    out = tmp_path / "out"
    monkeypatch.setitem(local.GRIDS, grid, SMALL)
    write_runs(out, SMALL)
    for module in (local_tables, local_page):
        run_main(module, monkeypatch, "--grid", grid, "--out", out)
        for given in (("--folder", committed), ("--write",)):
            with pytest.raises(SystemExit, match=f"holds the default grid.*{grid}"):
                run_main(module, monkeypatch, "--grid", grid, "--out", out, *given)
    assert list(committed.iterdir()) == []
    assert not (committed.parents[1] / "benchmark.md").exists()
    assert {"runs.csv", "cells.csv", "gains.svg", "benchmark.md"} <= {
        p.name for p in (out / "page").iterdir()
    }
    text = (out / "page" / "benchmark.md").read_text()
    assert "](gains.svg)" in text
    assert f"--grid {grid}" in text
    assert "Four methods, in three label settings, on two real sets" in text
    assert "GoEmotions" not in text.partition("## Summary")[0]


def test_the_default_grid_writes_the_docs_on_request(narrow, committed, monkeypatch, tmp_path):
    monkeypatch.setitem(local.GRIDS, "default", SMALL)
    write_runs(tmp_path / "out", SMALL)
    for module in (local_tables, local_page):
        run_main(module, monkeypatch, "--out", tmp_path / "out")
        with pytest.raises(SystemExit, match="is committed: --write writes it"):
            run_main(module, monkeypatch, "--out", tmp_path / "out", "--folder", committed)
    assert list(committed.iterdir()) == []
    assert (tmp_path / "out" / "page" / "benchmark.md").exists()
    for module in (local_tables, local_page):
        run_main(module, monkeypatch, "--out", tmp_path / "out", "--write")
    assert "](results/local/gains.svg)" in (committed.parents[1] / "benchmark.md").read_text()
    assert (committed / "summary.txt").exists()


def test_no_runs_are_one_line(narrow, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"no run of the quick grid under .*local.py --grid quick --out"):
        run_main(local_tables, monkeypatch, "--grid", "quick", "--out", tmp_path)


@pytest.mark.parametrize(
    ("options", "grid", "scripts"),
    [
        ((), "default", ["local.py", "effects.py", "paper_size.py", "local_tables.py", "local_page.py"]),
        (("--write",), "default", ["local.py", "effects.py", "paper_size.py", "local_tables.py", "local_page.py"]),
        (("--quick",), "quick", ["local.py", "local_tables.py", "local_page.py"]),
        (("--grid", "quick"), "quick", ["local.py", "local_tables.py", "local_page.py"]),
        (("--grid", "full"), "full", ["local.py", "effects.py", "paper_size.py", "local_tables.py", "local_page.py"]),
    ],
)  # fmt: skip
def test_one_command_runs_each_part_in_its_own_folders(monkeypatch, tmp_path, options, grid, scripts):
    ran = []
    monkeypatch.setattr(publish_local, "run", lambda script, *given: ran.append((script, given)))
    run_main(publish_local, monkeypatch, "--out", tmp_path, *options)
    assert [script for script, _ in ran] == scripts
    given = dict(ran)
    for script in ("local.py", "local_tables.py", "local_page.py"):
        assert given[script][:4] == ("--grid", grid, "--out", str(tmp_path))
    for script in ("local_tables.py", "local_page.py"):
        assert given[script][4:] == (("--write",) if "--write" in options else ())
    for script, name in (("effects.py", "effects.csv"), ("paper_size.py", "paper_size.csv")):
        if script in scripts:
            table = ("--table", str(tmp_path / "page" / name))
            assert given[script][-1:] == ("--write",) if "--write" in options else given[script][-2:] == table
            assert str(tmp_path) in given[script][1]


def test_papers_size_keeps_its_rows_under_out_and_writes_a_table_of_them(monkeypatch, tmp_path):
    ran = []

    class Answer:
        stdout = ""

    def run(command, **_):
        ran.append(command[-2:])
        answer = Answer()
        answer.stdout = json.dumps({"set": command[-2], "method": command[-1], "status": "trained"}) + "\n"
        return answer

    monkeypatch.setattr(paper_size.subprocess, "run", run)
    table = tmp_path / "docs" / "paper_size.csv"
    options = ("--out", tmp_path / "out", "--table", table, "--sets", "voc12", "--methods", "bam", "cap")
    run_main(paper_size, monkeypatch, *options)
    assert ran == [["voc12", "bam"], ["voc12", "cap"]]
    assert table.read_text() == (tmp_path / "out" / "paper_size.csv").read_text()
    assert len(paper_size.read(table)) == 2
    table.unlink()
    run_main(paper_size, monkeypatch, *options)
    assert len(ran) == 2
    assert len(paper_size.read(table)) == 2


def cell(name, setting, method, gain, low, high, **more):
    row = {
        "set": name,
        "setting": setting,
        "method": method,
        "map": 0.4 + gain,
        "tuned_floor": 0.4,
        "gain": gain,
    }
    return {**row, "gain_low": low, "gain_high": high, "share_of_gap": np.nan, "protocol": "honest", **more}


def test_what_is_not_told_apart_is_not_called_below():
    cells = pd.DataFrame(
        [
            cell("scene", "5% labelled", "label_spreading", 0.09, 0.07, 0.1),
            cell("yeast", "5% labelled", "label_spreading", 0.01, -0.01, 0.02),
            cell("ohsumed", "5% labelled", "label_spreading", -0.04, -0.05, -0.03),
        ]
    )
    (line,) = local_words.spreading_lines(cells)
    assert "above the tuned floor in 1 of 3 cells (scene, 5% labelled: +9.0)" in line
    assert "below it in 1, and not told apart from it in 1" in line


def test_too_narrow_intervals_are_said_to_be():
    """The share of percentile intervals over five normal gains that hold their mean, by another draw."""
    random = np.random.default_rng(11)
    held = above = 0
    for _ in range(1500):
        gains = random.normal(size=5)
        low, high = np.quantile(gains[random.integers(0, 5, (1000, 5))].mean(1), [0.025, 0.975])
        held, above = held + (low <= 0 <= high), above + (low > 0)
    covered, chance = local_words.coverage(5)
    assert covered == pytest.approx(held / 1500, abs=0.03)
    assert chance == pytest.approx(above / 1500, abs=0.02)
    assert covered < 0.9


def test_learners_with_the_same_figures_everywhere_are_named():
    rows = [
        cell(name, "5% labelled", method, gain, 0, 0)
        for name, gains in (("scene", (0.1, 0.1, 0.2)), ("yeast", (0.3, 0.3, 0.3)))
        for method, gain in zip(("bce", "em", "bam"), gains, strict=True)
    ]
    assert local_words.same_everywhere(pd.DataFrame(rows)) == [["bce", "em"]]
