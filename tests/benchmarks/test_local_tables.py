"""Tables and page of the local benchmark from drawn results, recomputed; no grid in the place of another."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.common import read_rows
from benchmarks.local import __main__ as local
from benchmarks.local import page, sets, tables
from benchmarks.local.grid import GRIDS, Grid
from benchmarks.studies import effects, paper_size
from labelwise.experiments.results import write_shard

SMALL = Grid(
    ("scene", "yeast"),
    ("single positive", "5% labelled", "20% labelled"),
    seeds=2,
    methods=("ridge", "bam", "cap", "mime"),
)


def write_runs(out, grid, *, value=None, without=(), failed=()):
    """Write a shard and replicates for each run of a grid; `value(job)` is its mAP."""
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
    """A stand-in for `docs/results/local` and `docs/benchmark.md`."""
    folder = tmp_path / "docs" / "results" / "local"
    folder.mkdir(parents=True)
    (tmp_path / "docs" / "benchmark.md").write_text("# Page\n\n<!-- table: summary -->\n\n<!-- end -->\n")
    monkeypatch.setattr(local, "LOCAL", folder)
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGES", (tmp_path / "docs" / "benchmark.md",))
    return folder


def written(grid, out):
    return tables.write(grid, grid.jobs(out), out, out / "page")


def test_cells_are_recomputed_from_the_runs(narrow, tmp_path):
    jobs = SMALL.jobs(tmp_path)
    lost = [job for job in jobs if job.method == "mime" and job.seed == 1]
    write_runs(tmp_path, SMALL, without=lost)
    made = written(SMALL, tmp_path)
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
    assert set(made["missing"]["method"]) == {"mime"}
    shown = page.regions(page.read(tmp_path / "page"))
    assert shown["fewer-seeds"] == "`mime`"
    assert shown["runs-missing"] == str(len(lost))
    assert "| scene | 5% labelled | not run | seed 1: mime |" in shown["missing"]


def test_the_tuned_ceiling_is_of_the_three_that_are_named_whatever_else_saw_all_labels(narrow, tmp_path):
    grid = Grid(("scene", "yeast"), ("single positive", "all labels"), seeds=2, methods=("ridge", "bam"))
    write_runs(tmp_path, grid, value=lambda job: 0.9 if job.method == "bam" else 0.5 + 0.1 * job.seed)
    cells = written(grid, tmp_path)["cells"]
    assert set(cells["tuned_ceiling"]) == {0.5}
    shown = page.regions(page.read(tmp_path / "page"))["references"]
    assert "| scene | single positive | 55.0 | 55.0 | 55.0 | 50.0 | 50.0 |" in shown


def test_a_run_that_failed_is_said_to_have_failed(narrow, tmp_path):
    jobs = SMALL.jobs(tmp_path)
    write_runs(tmp_path, SMALL, failed=[job for job in jobs if job.method == "mime" and job.seed == 1])
    missing = written(SMALL, tmp_path)["missing"]
    assert set(missing["why"]) == {"failed: it broke"}


def run_main(module, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, options)])
    module.main()


@pytest.mark.parametrize("grid", ["quick", "full"])
def test_another_grid_than_the_default_never_writes_where_the_defaults_results_are(
    narrow, committed, monkeypatch, tmp_path, grid
):
    out, hand_written = tmp_path / "out", (committed.parents[1] / "benchmark.md").read_text()
    monkeypatch.setitem(GRIDS, grid, SMALL)
    write_runs(out, SMALL)
    run_main(local, monkeypatch, "--grid", grid, "--out", out, "--no-runs")
    with pytest.raises(SystemExit, match=f"holds the default grid.*{grid}"):
        run_main(local, monkeypatch, "--grid", grid, "--out", out, "--no-runs", "--write")
    assert list(committed.iterdir()) == []
    assert (committed.parents[1] / "benchmark.md").read_text() == hand_written
    assert {"runs.csv", "cells.csv", "gains.svg", "tables.md"} <= {p.name for p in (out / "page").iterdir()}
    text = (out / "page" / "tables.md").read_text()
    assert "](gains.svg)" in text
    assert "| sets | scene, yeast |" in text
    assert "| methods | ridge, bam, cap, mime |" in text
    assert "goemotions" not in text


def test_the_default_grid_writes_the_docs_on_request(narrow, committed, monkeypatch, tmp_path):
    monkeypatch.setitem(GRIDS, "default", SMALL)
    write_runs(tmp_path / "out", SMALL)
    run_main(local, monkeypatch, "--out", tmp_path / "out", "--no-runs")
    assert list(committed.iterdir()) == []
    assert (tmp_path / "out" / "page" / "tables.md").exists()
    run_main(local, monkeypatch, "--out", tmp_path / "out", "--no-runs", "--write")
    assert "| `bam` |" in (committed.parents[1] / "benchmark.md").read_text()
    assert {"runs.csv", "cells.csv", "gains.svg", "summary.txt"} <= {p.name for p in committed.iterdir()}


def test_no_runs_are_one_line(narrow, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"no run of this grid under .*: leave --no-runs out"):
        run_main(local, monkeypatch, "--quick", "--out", tmp_path, "--no-runs")


@pytest.mark.parametrize(
    ("options", "grid", "parts"),
    [
        ((), "default", ["runs", "effects", "paper_size", "tables", "tables.md"]),
        (("--write",), "default", ["runs", "effects", "paper_size", "tables", "pages"]),
        (("--quick",), "quick", ["runs", "tables", "tables.md"]),
        (("--grid", "quick"), "quick", ["runs", "tables", "tables.md"]),
        (("--grid", "full"), "full", ["runs", "effects", "paper_size", "tables", "tables.md"]),
    ],
)
def test_one_command_runs_each_part_in_its_own_folders(
    narrow, committed, monkeypatch, tmp_path, options, grid, parts
):
    ran = {}

    def stand_in(name):
        return lambda *given, **named: ran.setdefault(name, given)

    monkeypatch.setattr(local.run, "compute", stand_in("runs"))
    monkeypatch.setattr(effects, "measure", stand_in("effects"))
    monkeypatch.setattr(paper_size, "measure", stand_in("paper_size"))
    monkeypatch.setattr(tables, "write", stand_in("tables"))
    monkeypatch.setattr(page, "write_tables", stand_in("tables.md"))
    monkeypatch.setattr(page, "fill_pages", stand_in("pages"))
    out = tmp_path / "out"
    run_main(local, monkeypatch, "--out", out, *options)
    assert list(ran) == parts
    folder = committed if "--write" in options else out / "page"
    jobs = GRIDS[grid].jobs(out)
    assert ran["runs"][:3] == (jobs, "benchmarks.local.run:run", out)
    assert ran["tables"] == (GRIDS[grid], jobs, out, folder)
    assert ran.get("tables.md", (folder,))[0] == folder == ran.get("pages", (folder,))[0]
    if "effects" in parts:
        assert ran["effects"] == (out / "effects", folder / "effects.csv")
        assert ran["paper_size"] == (out, folder / "paper_size.csv")


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
    assert len(read_rows(table)) == 2
    table.unlink()
    run_main(paper_size, monkeypatch, *options)
    assert len(ran) == 2
    assert len(read_rows(table)) == 2


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
    assert page.spreading(cells)[2:] == ["| scene | 5% labelled | +9.0 (+7.0 to +10.0) |"]
    assert [*page.spreading_figures(cells).values()] == ["1 of 3", 1, 1]


def test_too_narrow_intervals_are_said_to_be():
    """The share of percentile intervals over five normal gains that hold their mean, by another draw."""
    random = np.random.default_rng(11)
    held = above = 0
    for _ in range(1500):
        gains = random.normal(size=5)
        low, high = np.quantile(gains[random.integers(0, 5, (1000, 5))].mean(1), [0.025, 0.975])
        held, above = held + (low <= 0 <= high), above + (low > 0)
    covered, chance = page.coverage(5)
    assert covered == pytest.approx(held / 1500, abs=0.03)
    assert chance == pytest.approx(above / 1500, abs=0.02)
    assert covered < 0.9


def test_learners_with_the_same_figures_everywhere_are_named():
    rows = [
        cell(name, "5% labelled", method, gain, 0, 0)
        for name, gains in (("scene", (0.1, 0.1, 0.2)), ("yeast", (0.3, 0.3, 0.3)))
        for method, gain in zip(("bce", "em", "bam"), gains, strict=True)
    ]
    assert page.same_everywhere(pd.DataFrame(rows)) == [["bce", "em"]]
