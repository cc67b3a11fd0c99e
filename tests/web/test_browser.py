"""The page in a browser: the whole way by keyboard, what it stores, and that everybody can use it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

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
        self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def in_a_thread(run: Path):
    """Serve a run's review in this process, for tests to which a process of its own shows nothing; yield its page."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    from uvicorn.server import Server as Plain

    from labelwise.web import serve, server

    started, seen = threading.Event(), {}

    class Kept(Plain):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            seen["server"] = self

    def show(address, _) -> None:
        seen["url"] = address.url
        started.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        # Signals are the main thread's.
        patch.setattr(server, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=signal.SIGTERM))
        thread = threading.Thread(
            target=serve, args=(run,), kwargs={"port": 0, "on_start": show}, daemon=True
        )
        thread.start()
        assert started.wait(60)
        try:
            yield seen["url"]
        finally:
            seen["server"].should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def server(digits_run):
    made = Server(digits_run)
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture
def here(digits_run):
    with in_a_thread(digits_run) as url:
        yield url


@pytest.fixture(scope="module")
def shared(digits, tmp_path_factory):
    """A page that tests share which do not look at what is stored."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    with in_a_thread(Path(shutil.copytree(digits / "run", folder))) as url:
        yield url


@contextmanager
def opened(browser, url):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    page.wait_for_selector(".card.marked")
    yield page
    context.close()


@pytest.fixture
def tab(browser, server):
    with opened(browser, server.url) as page:
        yield page


@pytest.fixture
def tab_here(browser, here):
    with opened(browser, here) as page:
        yield page


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


def test_mouse_sheet_item_mode_search_and_a_new_label(tab_here):
    tab_here.locator(".card .yes").nth(2).click()
    saved(tab_here)
    assert "yes" in tab_here.locator(".card").nth(2).get_attribute("class")
    tab_here.keyboard.press("d")
    tab_here.wait_for_selector("#sheet[open] .line")
    assert tab_here.locator("#sheet .line").count() == 10
    tab_here.locator("#sheet .line .no").nth(1).click()
    saved(tab_here)
    tab_here.keyboard.press("Escape")
    tab_here.keyboard.press("m")
    tab_here.wait_for_selector("#cards .sheet .line.marked")
    first = tab_here.inner_text("#cards .item-name")
    tab_here.keyboard.press("ArrowDown")
    tab_here.keyboard.press("y")
    saved(tab_here)
    tab_here.keyboard.press("Enter")
    tab_here.wait_for_selector(f"#cards .item-name:not(:text-is({json.dumps(first)}))")
    tab_here.fill("#search", "0017.png")
    tab_here.wait_for_selector("#cards .item-name:has-text('0017.png')")
    tab_here.fill("#search", "")
    tab_here.wait_for_timeout(600)
    tab_here.fill("#label-name", "smudged")
    tab_here.keyboard.press("Enter")
    tab_here.wait_for_selector("#question b:text-is('smudged')")
    tab_here.wait_for_selector(".card:nth-child(24) .chance.none")
    assert tab_here.errors == []


@pytest.mark.parametrize("width", [390, 768, 1280, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_nothing_serious(browser, shared, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(shared)
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


def test_a_thumb_answers_on_a_phone(browser, here, digits_run):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(here)
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
def test_the_certificate_asks_and_says_what_ten_more_would_bring(tab_here, digits):
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    tab_here.click("#mode-certify", timeout=60_000)
    tab_here.wait_for_selector(".card-label")
    tab_here.wait_for_selector("#left:has-text('answers calibrate the ranking first')")
    words = tab_here.inner_text(".box:has(h2:text-is('Certified'))")
    assert "at least" in words
    assert "Ten more" in words
    for _ in range(5):
        card = tab_here.locator(".card.marked")
        label = card.locator(".card-label").inner_text().rstrip("?")
        item = card.locator(".name").get_attribute("title")
        tab_here.keyboard.press("y" if truth.loc[item, label] else "n")
    saved(tab_here)
    tab_here.keyboard.press("u")
    tab_here.wait_for_selector(".toast:has-text('Undone')")
    assert tab_here.errors == []


@pytest.mark.slow
def test_certifying_goes_on_where_answers_must_be_counted_before_more_is_asked(tab_here, digits):
    """The pilot asks in parts: the next cards come by themselves when the answers before are counted."""
    truth = pd.read_csv(digits / "truth.csv").set_index("item")
    tab_here.click("#mode-certify", timeout=60_000)
    tab_here.wait_for_selector(".card-label")
    for _ in range(45):
        if not tab_here.locator(".card:not(.yes):not(.no)").count():
            tab_here.keyboard.press("Enter")
            tab_here.wait_for_selector(".card:not(.yes):not(.no)")
        card = tab_here.locator(".card.marked")
        label = card.locator(".card-label").inner_text().rstrip("?")
        item = card.locator(".name").get_attribute("title")
        tab_here.keyboard.press("y" if truth.loc[item, label] else "n")
    saved(tab_here)
    assert tab_here.errors == []
