"""``labelwise compare``: a table, figures on disk, the best saved as a run, and what is refused."""

from __future__ import annotations

import json

import pytest

from labelwise import load

BASE = ("--methods", "ridge,an", "--epochs", 2, "--folds", 2, "--device", "cpu")


@pytest.fixture(scope="module")
def compared(tables, tmp_path_factory):
    from typer.testing import CliRunner

    from labelwise.cli import app

    out = tmp_path_factory.mktemp("compared") / "best"
    arguments = ["compare", tables.semi, *BASE, "--out", out]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return out, result.stdout


def test_the_table_names_methods_and_says_what_it_rests_on(compared):
    out, text = compared
    words = " ".join(text.split())
    for part in (
        "ridge",
        "an",
        "logistic",
        "mAP",
        "70 held out in turn, 2 folds",
        "p (Holm)",
        "Nadeau and Bengio",
    ):
        assert part in words
    assert f"saved {out}" in words


def test_the_best_is_a_run_on_all_rows_and_the_figures_lie_beside_it(compared):
    out, _ = compared
    folder = out.with_name("best-comparison")
    record = json.loads((folder / "comparison.json").read_text())
    best = next(one["name"] for one in record["methods"] if one["name"] != "logistic")
    model = load(out / "model")
    assert model.method_ == best
    assert json.loads((out / "state.json").read_text())["result"]["n_items"] == 140
    assert (folder / "comparison.csv").read_text().startswith("method,value")
    page = (folder / "comparison.html").read_text()
    assert "Methods on semi.csv" in page
    assert "logistic" in page
    # Once for a wide screen and once for a narrow one: both references are drawn.
    assert page.count("difference, with its interval") == 4


def test_the_same_command_again_trains_nothing(compared, tables, answer):
    out, _ = compared
    record = answer("compare", tables.semi, *BASE, "--out", out)
    assert record["run"]["already_finished"]
    assert record["saved"] == record["run"]["method"]
    assert {one["name"] for one in record["comparison"]["methods"]} == {"ridge", "an", "logistic"}


def test_without_out_nothing_is_written(tables, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = answer("compare", tables.single, "--methods", "ridge,bce", "--folds", 2)
    assert record["comparison"]["metric"] == "observed_map"
    assert "bce" in record["comparison"]["left_out"]
    assert record["run"] is None
    assert not list(tmp_path.iterdir())


def test_hyper_parameters_are_a_methods_own(tables, answer, refused):
    answer("compare", tables.semi, "--methods", "bam", "--folds", 2, "--epochs", 1, "--set", "bam.scale=5.0")
    assert "METHOD.KEY=VALUE" in refused("compare", tables.semi, "--set", "scale=5")
    assert "takes part" in refused("compare", tables.semi, "--methods", "an", "--set", "bam.scale=5.0")


def test_what_would_spoil_a_comparison_is_refused(tables, refused, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('warm_start = "earlier"\n')
    assert "held out here" in refused("compare", tables.semi, "--config", config)
    config.write_text('method = "bam"\n')
    assert "--methods" in refused("compare", tables.semi, "--config", config)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert "taken" in refused("compare", tables.semi, *BASE, "--out", tmp_path / "taken")
    assert "ridge" in refused("compare", tables.semi, "--methods", "ridg")
