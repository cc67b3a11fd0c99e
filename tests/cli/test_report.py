"""``labelwise report``: the report of a finished run, built anew."""

import json

import pytest


@pytest.fixture(scope="module")
def trained(tables, tmp_path_factory):
    from typer.testing import CliRunner

    from labelwise.cli import app

    folder = tmp_path_factory.mktemp("report")
    table = folder / "table.csv"
    table.write_bytes(tables.semi.read_bytes())
    done = CliRunner().invoke(app, ["train", str(table), "--method", "ridge", "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder, table


def test_report_comes_back_with_what_the_table_shows(trained, lw):
    folder, _ = trained
    (folder / "run" / "report.html").unlink()
    said = lw("report", folder / "run", "--json")
    assert said.exit_code == 0, said.output
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert json.loads(said.stdout)["report"] == str(folder / "run" / "report.html")
    assert 'id="missing"' in page
    assert "ridge on table.csv" in page


def test_another_place_may_be_named(trained, lw, refused):
    folder, _ = trained
    assert lw("report", folder / "run", "--out", folder / "mine.html").exit_code == 0
    assert (folder / "mine.html").is_file()
    assert "ends in .html" in refused("report", folder / "run", "--out", folder / "mine.pdf")


def test_a_table_that_changed_or_went_is_named(trained, lw):
    folder, table = trained
    content = table.read_bytes()
    table.write_bytes(content + b"\n")
    assert "has changed" in lw("report", folder / "run").stderr
    table.unlink()
    assert "is gone" in lw("report", folder / "run").stderr
    table.write_bytes(content)
