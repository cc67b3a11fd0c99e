"""Every page's code runs, and prints what the page shows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.engine import progress

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for page in DOCS.rglob("*.md")
    if "```python" in (text := page.read_text(encoding="utf-8")) or "```console" in text
)
NOT_RUN = {"datasets.md": "reads a set that is not in the repository"}


@pytest.fixture(scope="module")
def outputs():
    spec = importlib.util.spec_from_file_location("make_outputs", DOCS / "make_outputs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page, outputs, tmp_path, monkeypatch, undrawn):
    if page in NOT_RUN:
        pytest.skip(NOT_RUN[page])
    text = (DOCS / page).read_text(encoding="utf-8")
    for module in outputs.needs(text):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    for output in outputs.run(text, page):
        if output.shown is not None:
            assert outputs.same(output.shown, output.printed), (
                f"after\n{output.code}\nthe page shows\n{output.shown}\nand it printed\n{output.printed}\n"
                f"python docs/make_outputs.py docs/{page} brings the page up to date"
            )


def test_lines_of_progress_are_no_output_however_slow_the_machine_is(outputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k % 7}.5,{k % 3}.5,{k % 2},{k % 3 // 2}\n" for k in range(30))
    Path("t.csv").write_text("f0,f1,a,b\n" + rows)
    line = "labelwise train t.csv --method bce --epochs 2"
    pace = progress.Pace(0)
    monkeypatch.setattr(progress, "PACE", pace)
    assert "step 1 of" in CliRunner().invoke(app, [*line.split()[1:], "--out", "one"]).output
    printed = outputs.command(f"{line} --out two")
    assert "method" in printed
    assert "step" not in printed
    assert progress.PACE is pace


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("mAP 0.812\n", "mAP 0.83\n", True),
        ("mAP 0.812\n", "mAP 0.90\n", False),
        ("ridge 1\n", "bce 1\n", False),
        ("time 0.3 s\n", "time 12.9 s\n", True),
        ("time 0.3 s\n", "time 2 min\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\ne\n", "a\nb\nc\nd\n", False),
        ("a\n", "a\nb\n", False),
    ],
)
def test_numbers_may_differ_a_little_and_words_not(outputs, shown, printed, alike):
    assert outputs.same(shown, printed) is alike
