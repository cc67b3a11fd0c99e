"""The demo: the same hidden labels for every method, figures that can be recomputed, a report that opens."""

import json

import numpy as np
import pytest

import labelwise as lw
from labelwise.runs import demo


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return demo.run(tmp_path_factory.mktemp("demo") / "out", quick=True, progress=False)


def test_rows_stand_beside_the_reference_and_below_the_ceiling(result):
    assert [row["method"] for row in result.rows] == [
        "an",
        "ridge",
        "ridge",
        "auto",
        "em_apl",
        "hml",
        "bbam",
        "bce",
    ]
    reference = result.rows[0]
    assert [row["role"] == "reference" for row in result.rows] == [row is reference for row in result.rows]
    assert [row["role"] == "ceiling" for row in result.rows] == [False] * 7 + [True]
    assert reference["map_gain"] is None
    for row in result.rows:
        if row is reference:
            continue
        assert row["map_gain"] == pytest.approx(row["map"] - reference["map"])
        assert row["map_low"] <= row["map"] <= row["map_high"]
        assert row["map_gain_low"] <= row["map_gain_high"]


def test_results_file_holds_what_the_run_returned(result):
    stored = json.loads(result.results.read_text())
    assert stored == result.to_dict()
    assert stored["relevant_hidden"] < stored["relevant"]


@pytest.mark.parametrize("seed", [0, 3])
def test_hidden_labels_are_as_the_report_says(seed):
    _, truth, _ = lw.data.digits_canvases(200, seed=seed)
    given = demo._hide(truth, seed)
    complete = (given >= 0).all(axis=1)
    assert complete.sum() == int(demo.LABELLED * len(truth))
    assert (given[complete] == truth[complete]).all()
    tagged = (given[~complete] == 1).sum(axis=1)
    assert tagged.sum() == int((demo.LABELLED + demo.TAGGED) * len(truth)) - complete.sum()
    assert tagged.max() == 1
    assert not (given[~complete] == 0).any()
    assert (truth[given == 1] == 1).all()


def test_report_shows_every_method_and_picture(result):
    text = result.report.read_text(encoding="utf-8")
    for row in result.rows:
        assert row["title"] in text
        assert f"{row['map']:.3f}" in text
    assert text.count("<article") == text.count('<img src="data:image/png;base64,')
    assert text.count("<article") == 9


def test_same_seed_gives_the_same_figures(result, tmp_path):
    again = demo.run(tmp_path, quick=True, progress=False)
    for one, other in zip(result.rows, again.rows, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(lw.UserError, match="is a file"):
        demo.run(tmp_path / "file", quick=True, progress=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 720, 1200])
def test_report_fits_the_page_without_errors(result, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems, requests = [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(result.report.resolve().as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [result.report.resolve().as_uri()]
    page.close()


def test_label_table_sorts_by_a_column_and_back(result, browser):
    page = browser.new_page()
    page.goto(result.report.resolve().as_uri())
    table = page.locator("table.sortable")
    column = "rows => rows.map(r => Number(r.cells[3].dataset.sort))"
    button = table.locator("thead button").nth(3)
    button.click()
    values = table.locator("tbody tr").evaluate_all(column)
    assert values == sorted(values, reverse=True)
    button.click()
    assert table.locator("tbody tr").evaluate_all(column) == sorted(values)
    assert table.locator("thead th").nth(3).get_attribute("aria-sort") == "ascending"
    assert len(np.unique(values)) > 1
    page.close()


def test_the_run_to_review_opens_with_its_pictures_and_is_left_alone_the_next_time(result):
    from labelwise.runs.reviewing import open_for_review

    data = open_for_review(result.review)
    assert data.kind == "image"
    assert len(data.items) == 300
    assert ((data.given == 1).sum(axis=1) == 1).all()
    assert not (data.given == 0).any()
    assert np.isfinite(data.scores).all()
    before = (result.review / "state.json").read_bytes()
    assert demo._run_to_review(result.review.parent, True, 7) == result.review
    assert (result.review / "state.json").read_bytes() == before
