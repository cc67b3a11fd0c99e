"""``labelwise experiment``: the list, one run, and one line for every mistake."""

import json

import pytest

from tests.data.datasets.folders import write_learnable_bag

SPEC = """
title = "One row"
paper = "P"
code = "cap"
datasets = ["Ohsumed"]
settings = [{ name = "full" }]
seeds = [0]
metrics = ["map"]

[rows.ridge]
method = "ridge"
source = "s"
"""


@pytest.fixture
def labelwise(lw, monkeypatch):
    """Run ``labelwise experiment WORDS`` in this process, where no data is known by name."""
    monkeypatch.delenv("LABELWISE_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *words: lw("experiment", *words)


@pytest.fixture
def tree(tmp_path):
    write_learnable_bag(tmp_path / "ohsumed.npz")
    (tmp_path / "mine.toml").write_text(SPEC)
    return tmp_path


def test_the_list_names_every_experiment(labelwise):
    found = labelwise("--list", "--json")
    assert found.exit_code == 0, found.stderr
    records = {record["name"]: record for record in json.loads(found.stdout)}
    assert records["hml-table2"]["kind"] == "table"
    assert records["hml-table2"]["runs"] == 72
    assert records["bbam-sensitivity"]["kind"] == "figure"
    assert "bbam-images" in labelwise("--list").stdout


def test_the_theorys_figure_needs_no_data(labelwise, tmp_path):
    found = labelwise("bbam-theory", "--out", tmp_path)
    assert found.exit_code == 0, found.stderr
    assert f"written  {tmp_path / 'figure.csv'}" in found.stdout
    assert "runs" not in found.stdout


def test_help_has_an_example(labelwise):
    assert "labelwise experiment hml-table2 --data DIR" in " ".join(labelwise("--help").stdout.split())


@pytest.mark.slow
def test_a_run_writes_its_tables_and_says_so(labelwise, tree):
    out = tree / "out"
    found = labelwise(tree / "mine.toml", "--data", tree, "--out", out, "--workers", 1)
    assert found.exit_code == 0, found.stderr
    assert "1 done now" in found.stdout
    assert f"written  {out / 'table.html'}" in found.stdout
    again = labelwise(tree / "mine.toml", "--data", tree, "--out", out, "--json")
    record = json.loads(again.stdout)
    assert record["runs"] == {"before": 1, "done": 0, "capped": 0, "failed": 0, "left": 0}
    assert record["rows"][0]["state"] == "measured"
    assert record["rows"][0]["printed"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give an experiment's name; 'labelwise experiment --list' shows them"),
        (["hml-tabel2"], "there is no experiment 'hml-tabel2': did you mean 'hml-table2'"),
        (["hml-table2"], "give --data DIR, the folder with the sets"),
        (["hml-table2", "--data", "nowhere"], "--data nowhere: there is no such folder"),
        (
            ["hml-table2", "--data", ".", "--methods", "hmll"],
            "has no row or method 'hmll': did you mean 'hml'",
        ),
        (["hml-table2", "--data", ".", "--protocol", "publishd"], "did you mean 'published'"),
        (["bbam-images", "--data", ".", "--leak-truth"], "it needs --protocol published"),
        (["hml-table2", "--data", ".", "--workers", "0"], "workers=0: give a whole number from 1"),
    ],
)
def test_a_mistake_is_one_line(refused, words, message, tmp_path, monkeypatch):
    monkeypatch.delenv("LABELWISE_DATA", raising=False)
    assert message in refused("experiment", *words, *(["--out", tmp_path / "out"] if words else []))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shard", "3/2"), "give two whole numbers, such as 1/4"),
        (("--devices", "gpu"), "device 'gpu' does not exist"),
        (("--merge", "nowhere"), "nowhere holds no results"),
        (("--merge", "nowhere", "--shard", "1/2"), "give one of them"),
    ],
)
def test_parts_and_devices_that_are_wrong_are_one_line(refused, tree, options, words):
    assert words in refused("experiment", tree / "mine.toml", "--data", tree, "--out", tree / "out", *options)


@pytest.mark.slow
def test_two_parts_and_their_merge(labelwise, tree):
    for place in (1, 2):
        part = ("--shard", f"{place}/2", "--devices", "cpu", "--out", tree / f"part-{place}", "--seeds", 0)
        found = labelwise(tree / "mine.toml", "--data", tree, *part, "--seeds", 1, "--json")
        assert found.exit_code == 0, found.stderr
        assert json.loads(found.stdout)["runs"]["done"] == 1
    parts = ("--merge", tree / "part-1", "--merge", tree / "part-2", "--seeds", 0, "--seeds", 1)
    found = labelwise(tree / "mine.toml", *parts, "--out", tree / "all", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["runs"] == {"before": 2, "done": 0, "capped": 0, "failed": 0, "left": 0}
