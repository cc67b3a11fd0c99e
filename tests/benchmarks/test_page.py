"""Marked regions of pages hold what the committed results say; the prose of the benchmark names no other figure."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmarks import pages
from benchmarks.common import LOCAL, read_rows
from benchmarks.local import baselines, page, sets
from benchmarks.local.grid import GRIDS, SLOW
from benchmarks.studies import end_to_end, raw_items, sources
from labelwise.methods import names

PAGE = page.PAGES[0]
PROTOCOL = {
    "10": "C of the logistic regressions",
    "2,000": "unlabelled rows that scikit-learn's learners read",
    "95%": "level of the intervals",
    "1e-3": "learning rate of whole networks",
    "40": "epochs of the papers' networks",
    "0": "no effect, and the tuned floor's share",
    "+100": "the tuned ceiling's share",
    "7": "volume of JMLR",
    "2006": "year of Demsar's paper",
    "82,081": "rows of COCO",
    "80": "labels of COCO",
    "5,717": "rows of VOC",
    "20": "labels of VOC",
    "64": "dimensions of the simulated features",
    "10%": "labelled rows at the papers' size",
    "8,208": "labelled rows of COCO there",
}


def prose(text):
    """Return a page without code, links, hand-written tables and marked regions."""
    text = re.sub(r"``.*?``", "", pages.REGION.sub("", text), flags=re.DOTALL)
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)
    return "\n".join(line for line in text.splitlines() if not line.startswith("|"))


def numbers(text):
    return re.findall(r"(?<![\w.])[+−-]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?%?(?![\w-])", text.replace(",\n", " \n"))


def test_the_pages_hold_what_the_committed_results_say():
    assert {path.name for path in page.PAGES} == {"benchmark.md", "README.md"}
    assert all(pages.REGION.search(path.read_text(encoding="utf-8")) for path in page.PAGES)
    stale = [path.name for path in page.stale_pages()]
    assert not stale, f"{stale}: run python -m benchmarks.local.page --write"


def test_every_region_that_is_made_stands_on_a_page():
    marks = [
        name for path in page.PAGES for _, name in pages.REGION.findall(path.read_text(encoding="utf-8"))
    ]
    assert {*marks} == {*page.regions(page.read(LOCAL))}


@pytest.mark.parametrize("study", [end_to_end, raw_items, sources])
def test_the_pages_of_the_studies_hold_what_their_results_say(study):
    text, made = study.PAGE.read_text(encoding="utf-8"), study.regions(read_rows(study.TABLE))
    assert pages.fill(text, made) == text
    assert {name for _, name in pages.REGION.findall(text)} == {*made}


def test_every_table_of_the_benchmark_and_every_figure_of_its_prose_is_generated():
    text = PAGE.read_text(encoding="utf-8")
    found = [number.rstrip(",") for number in numbers(prose(text))]
    unknown = [number for number in found if number not in PROTOCOL]
    assert not unknown
    assert {*PROTOCOL} - {*found} == set()
    for lines in re.findall(r"(?:^\|.*\n)+", pages.REGION.sub("", text), re.MULTILINE):
        assert lines.startswith("| set | labels | features |")


def test_figures_of_the_protocol_are_those_of_the_code():
    assert baselines.model().C == 10
    assert f"{baselines.UNLABELLED:,}" == "2,000"
    assert f"a keyed sample of {sets.GOEMOTIONS_ROWS:,} of its" in PAGE.read_text(encoding="utf-8")
    grid = GRIDS["default"]
    assert (len(grid.sets), grid.seeds, grid.methods) == (5, 3, None)
    assert SLOW == ("mime", "drml")


def test_what_the_page_says_in_words_is_what_the_tables_say():
    found = page.read(LOCAL)
    ranks, figures = page.rank_table(found["ranks"]), page.figures(found)
    assert ranks[-2:] == [
        "| significantly better than it | none | none |",
        "| significantly worse | none | none |",
    ]
    assert figures["third-of-gap"].startswith("0 of ")
    assert figures["runs-missing"] == "0"
    assert page.missing(found["missing"]) == []
    assert {*page.EFFECTS} == {*found["effects"]["effect"]}
    assert {*found["runs"]["set"]} == {*sets.SETS}


def test_a_method_has_committed_runs_or_is_named_as_one_without(monkeypatch):
    found = page.read(LOCAL)
    without = page.figures(found)["methods-without-runs"]
    assert {*names()} - {*found["runs"]["method"]} == {*re.findall(r"`(\w+)`", without)}
    monkeypatch.setattr(page, "method_names", lambda: ["ridge", "newest"])
    assert page.figures(found)["methods-without-runs"] == "`newest`"


def test_a_mark_at_the_beginning_of_a_line_would_be_a_block_of_html():
    for path in (*page.PAGES, end_to_end.PAGE, raw_items.PAGE):
        assert not re.search(
            r"^\s*(<!-- figure|<!-- end -->.)", path.read_text(encoding="utf-8"), re.MULTILINE
        )


def test_regions_are_filled_again_and_again_with_the_same():
    made = {"a": "| x |\n|---|", "b": "1.0", "empty": ""}
    text = "t <!-- figure: b --><!-- end -->.\n\n<!-- table: a -->\n<!-- end -->\n"
    text += "<!-- table: empty -->old<!-- end -->\n"
    once = pages.fill(text, made)
    assert once == (
        "t <!-- figure: b -->1.0<!-- end -->.\n\n<!-- table: a -->\n\n| x |\n|---|\n\n<!-- end -->\n"
        "<!-- table: empty -->\n\n<!-- end -->\n"
    )
    assert pages.fill(once, made) == once
    with pytest.raises(SystemExit, match="there is no table 'c'"):
        pages.fill("<!-- table: c --><!-- end -->", made)


def test_paired_differences_are_to_the_better_regression_of_the_same_seed():
    rows = [
        {
            "set": "ohsumed",
            "setting": "5% labelled",
            "method": m,
            "seed": seed,
            "map": value,
            "status": "done",
        }
        for m, values in {
            "logistic": (0.2, 0.3),
            "logistic_l2": (0.3, 0.4),
            "ridge": (0.4, 0.48),
            "bam": (0.3, 0.3),
            "cap": (0.3, 0.4),
            "bbam": (0.3, 0.4),
            "hml": (0.3, 0.4),
        }.items()
        for seed, value in enumerate(values)
    ]
    (*_, line) = page.paired(pd.DataFrame(rows))
    error = 100 * np.std([0.1, 0.08], ddof=1) / np.sqrt(2)
    assert line.startswith(f"| Ohsumed, 5% labelled | 35.0 | +9.0 ± {error:.1f} | −5.0 ± 5.0 | +0.0 ± 0.0 |")


def test_a_page_without_a_mark_for_a_region_is_told(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("# P\n\nx <!-- figure: a -->0<!-- end -->\n")
    pages.fill_page(path, {"a": "1", "b": "2"})
    assert path.read_text() == "# P\n\nx <!-- figure: a -->1<!-- end -->\n"
    assert capsys.readouterr().out == f"{path} has no mark for b\n"
