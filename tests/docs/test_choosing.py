"""The page on choosing a method says what ``recommend`` answers, and its figures are those of the committed tables."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import labelwise as lw

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def choosing():
    spec = importlib.util.spec_from_file_location("make_choosing", DOCS / "make_choosing.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def page():
    return (DOCS / "choosing.md").read_text(encoding="utf-8")


def cells(page):
    """Yield the rows of the page's table of recommendations."""
    region = re.search(r"<!-- table: recommended -->(.*?)<!-- end -->", page, re.DOTALL)[1]
    for line in region.strip().splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(cell):
    return re.findall(r"`(\w+)`", cell)


def test_figures_are_those_of_the_committed_tables(choosing, page):
    assert page == choosing.page(), "docs/choosing.md is old: python docs/make_choosing.py"


def test_the_table_says_what_is_recommended(choosing, page):
    rows = list(cells(page))
    assert {(row[0], row[2]) for row in rows} == {
        (look, what) for look in choosing.LABELS for what in ("a head on fixed features", "the whole network")
    }
    for look, setting, what, first, one_by_one, others in rows:
        summary = lw.describe(choosing.LABELS[look])
        assert names(setting) == [summary.setting]
        tune = "all" if "network" in what else "head"
        advice = lw.recommend(summary, tune)
        assert names(first) == [advice.method]
        assert names(others) == [name for name, _ in advice.alternatives]
        instead = lw.recommend(summary, tune, entrywise=True).method
        assert names(one_by_one) == ([] if instead == advice.method else [instead])


def test_what_is_recommended_can_be_had(page):
    for _, setting, what, first, one_by_one, others in cells(page):
        for name in names(first) + names(one_by_one) + names(others):
            spec = lw.methods.get(name).spec
            assert names(setting)[0] in spec.settings, name
            assert "true_labels" not in spec.needs
        if "network" in what:
            assert all(lw.methods.get(name).spec.passes for name in names(first) + names(one_by_one))
        for name in names(one_by_one):
            assert lw.methods.get(name).spec.pointwise


def test_every_method_that_the_page_names_exists(page):
    known = set(lw.methods.names())
    for line in page.splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            for name in names(line.split("|")[-2] + line.split("|")[1]):
                assert name in known or name in {"boost"}, name
