"""The page in a browser: the whole way by keyboard, what it stores, and that everybody can use it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from labelwise.completion import Answers

PROGRAM = "from labelwise.cli import main; main()"


class Server:
    """``labelwise review`` in a process of its own, on a free port."""

    def __init__(self, run: Path, *arguments: str) -> None:
        self.command = [sys.executable, "-c", PROGRAM, "review", str(run), "--json", *arguments]
        self.process, self.url = self.start("0")

    def start(self, port: str):
        process = subprocess.Popen(
            [*self.command, "--port", port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        lines = ""
        while (line := process.stdout.readline()) and not line.startswith("}"):
            lines += line
        assert line, process.stderr.read()
        said = json.loads(lines + line)
        self.port = str(said["port"])
        # Its port takes connections from before it says so; the answer may take its time.
        urllib.request.urlopen(said["url"] + "api/run", timeout=60).read()
        return process, said["url"]

    def kill_and_start_again(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.process, self.url = self.start(self.port)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def server(digits_run):
    made = Server(digits_run)
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture(scope="module")
def shared(digits, tmp_path_factory):
    """A server that tests share which do not look at what is stored."""
    made = Server(Path(shutil.copytree(digits / "run", tmp_path_factory.mktemp("shared") / "run")))
    yield made
    made.stop()


@pytest.fixture
def tab(browser, server):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
    page.goto(server.url)
    page.wait_for_selector(".card.marked")
    yield page
    context.close()


def saved(page) -> None:
    page.wait_for_selector("body:not(.saving)")


@pytest.mark.slow
def test_the_whole_way_by_keyboard(tab, server, digits_run, digits, tmp_path):
    """Suggest, thirty answers, undo, learn again, export."""
    tab.fill("#reviewer", "ann")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Escape")
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    label = tab.inner_text("#question b")
    given = 0
    while given < 30:
        cards = tab.locator(".card:not(.yes):not(.no)")
        if not cards.count():
            tab.keyboard.press("Enter")
            tab.wait_for_selector(".card:not(.yes):not(.no)")
            continue
        item = tab.get_attribute(".card.marked .name", "title")
        tab.keyboard.press("y" if truth.loc[item, label] else "n")
        given += 1
    saved(tab)
    counted = Answers.read(digits_run)
    assert len(counted) == 30
    assert {row.reviewer for row in counted.rows} == {"ann"}
    assert all(row.answer == truth.loc[row.item, row.label] for row in counted.rows)

    tab.keyboard.press("u")
    tab.wait_for_selector(".toast:has-text('Undone')")
    assert len(Answers.read(digits_run).latest()) == 29

    before = tab.locator(".card .name").first.get_attribute("title")
    assert before
    tab.click("#learn")
    tab.wait_for_selector(".box .good, .box .warn", timeout=90_000)
    assert tab.inner_text(".box .good").startswith("Learnt from 29 answers")
    assert (digits_run.with_name("run-2") / "model").is_dir()

    with tab.expect_download() as download:
        tab.click("#export-table")
    download.value.save_as(tmp_path / "filled.csv")
    filled, own = (
        pd.read_csv(path).set_index("item") for path in (tmp_path / "filled.csv", digits / "digits.csv")
    )
    assert list(filled.columns) == list(own.columns)
    latest = Answers.read(digits_run).latest().rows
    assert all(filled.loc[row.item, row.label] == row.answer for row in latest)
    names = [str(k) for k in range(10)]
    new = (filled[names].notna() & own[names].isna()).to_numpy().sum()
    assert new == len(latest)
    assert tab.errors == []
    assert server.stop() == 130
    assert len(Answers.read(digits_run).latest()) == 29


def test_a_killed_server_loses_nothing_and_the_page_goes_on(tab, server, digits_run):
    tab.keyboard.press("y")
    saved(tab)
    server.process.kill()
    server.process.communicate()
    tab.keyboard.press("n")
    tab.keyboard.press("y")
    tab.wait_for_selector("#banner:not([hidden])")
    assert "Not saved yet: 2 answers" in tab.inner_text("#banner")
    assert tab.locator(".card.pending").count() == 2
    server.process, server.url = server.start(server.port)
    saved(tab)
    assert tab.is_hidden("#banner")
    assert tab.locator(".card.pending").count() == 0
    assert [row.answer for row in Answers.read(digits_run).rows] == [1, 0, 1]


def test_mouse_sheet_item_mode_search_and_a_new_label(tab):
    tab.locator(".card .yes").nth(2).click()
    saved(tab)
    assert "yes" in tab.locator(".card").nth(2).get_attribute("class")
    tab.keyboard.press("d")
    tab.wait_for_selector("#sheet[open] .line")
    assert tab.locator("#sheet .line").count() == 10
    tab.locator("#sheet .line .no").nth(1).click()
    saved(tab)
    tab.keyboard.press("Escape")
    tab.keyboard.press("m")
    tab.wait_for_selector("#cards .sheet .line.marked")
    first = tab.inner_text("#cards .item-name")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("y")
    saved(tab)
    tab.keyboard.press("Enter")
    tab.wait_for_selector(f"#cards .item-name:not(:text-is({json.dumps(first)}))")
    tab.fill("#search", "0017.png")
    tab.wait_for_selector("#cards .item-name:has-text('0017.png')")
    tab.fill("#search", "")
    tab.wait_for_timeout(600)
    tab.fill("#label-name", "smudged")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#question b:text-is('smudged')")
    tab.wait_for_selector(".card:nth-child(24) .chance.none")
    assert tab.errors == []


@pytest.mark.parametrize("width", [390, 768, 1280, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_nothing_serious(browser, shared, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(shared.url)
    page.wait_for_selector(".card.marked")
    page.keyboard.press("y")
    page.keyboard.press("n")
    page.keyboard.press("s")
    saved(page)
    for step in (None, "d", "m", "?"):
        if step:
            page.keyboard.press(step)
            page.wait_for_timeout(250)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], step
        if step == "d":
            page.keyboard.press("Escape")
            page.wait_for_selector(".card.marked")
    context.close()


def test_a_thumb_answers_on_a_phone(browser, server, digits_run):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".card.marked")
    for button in ("yes", "no", "skip"):
        page.tap(f"#dock .{button}")
    saved(page)
    assert [row.answer for row in Answers.read(digits_run).rows] == [1, 0, -1]
    page.tap("#dock .undo")
    page.wait_for_selector(".toast")
    assert len(Answers.read(digits_run).latest()) == 2
    context.close()


@pytest.mark.slow
def test_the_certificate_asks_and_says_what_ten_more_would_bring(tab, digits):
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    tab.click("#mode-certify", timeout=60_000)
    tab.wait_for_selector(".card-label")
    tab.wait_for_selector("#left:has-text('answers calibrate the ranking first')")
    words = tab.inner_text(".box:has(h2:text-is('Certified'))")
    assert "at least" in words
    assert "Ten more" in words
    for _ in range(5):
        card = tab.locator(".card.marked")
        label = card.locator(".card-label").inner_text().rstrip("?")
        item = card.locator(".name").get_attribute("title")
        tab.keyboard.press("y" if truth.loc[item, label] else "n")
    saved(tab)
    tab.keyboard.press("u")
    tab.wait_for_selector(".toast:has-text('Undone')")
    assert tab.errors == []


@pytest.mark.slow
def test_certifying_goes_on_where_answers_must_be_counted_before_more_is_asked(tab, digits):
    """The pilot asks in parts: the next cards come by themselves when the answers before are counted."""
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    tab.click("#mode-certify", timeout=60_000)
    tab.wait_for_selector(".card-label")
    for _ in range(45):
        if not tab.locator(".card:not(.yes):not(.no)").count():
            tab.keyboard.press("Enter")
            tab.wait_for_selector(".card:not(.yes):not(.no)", timeout=20_000)
        card = tab.locator(".card.marked")
        label = card.locator(".card-label").inner_text().rstrip("?")
        item = card.locator(".name").get_attribute("title")
        tab.keyboard.press("y" if truth.loc[item, label] else "n")
    saved(tab)
    assert tab.errors == []
