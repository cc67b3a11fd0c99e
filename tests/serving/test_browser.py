"""The page in a browser: asked by keyboard, at every width, light and dark, and readable for everybody."""

from __future__ import annotations

import pytest

from labelwise.serving import Limits
from tests.serving.conftest import Running


@pytest.fixture(scope="module")
def served(features_run, words_run, pictures):
    *_, folder = pictures
    one = Running([f"sights={words_run}", f"birds={features_run}", f"photos={folder}"], limits=Limits())
    yield one.address.url
    one.stop()


def opened(browser, url, width=1280, scheme="light"):
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
    own = (url, "data:")
    page.on("request", lambda one: None if one.url.startswith(own) else page.errors.append(one.url))
    page.goto(url)
    page.wait_for_selector("#text-part:not([hidden])")
    return page


def test_a_text_features_and_a_picture_are_scored(browser, served, pictures, tmp_path):
    page = opened(browser, served)
    page.fill("#text", "a cat in the sea")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#scores li")
    assert page.locator("#scores li").count() == 3
    assert page.inner_text("#status").endswith("ms.")
    assert "curl" in page.text_content("#curl")
    page.select_option("#model", "birds")
    page.wait_for_selector("#features input")
    page.fill('#features input[name="f0"]', "1.5")
    page.click("#send")
    page.wait_for_selector("#error:not([hidden])")
    assert "features.f1" in page.inner_text("#error")
    page.errors.clear()
    for i in range(6):
        page.fill(f'#features input[name="f{i}"]', str(i))
    page.click("#send")
    page.wait_for_selector("#scores li.yes, #scores li")
    page.select_option("#model", "photos")
    page.wait_for_selector("#image-part:not([hidden])")
    path = tmp_path / "a.png"
    path.write_bytes(pictures[1][0])
    page.set_input_files("#file", path)
    page.wait_for_selector("#scores li")
    assert page.is_visible("#preview")
    assert page.errors == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_nothing_serious(browser, served, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(browser, served, scheme=scheme)
    page.fill("#text", "a cat in the sea")
    page.click("#send")
    page.wait_for_selector("#scores li")
    for path, ready in ((None, "#scores li"), ("docs", ".route")):
        if path:
            page.goto(served + path)
        page.wait_for_selector(ready)
        for width in (390, 768, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.errors == []
    page.context.close()
