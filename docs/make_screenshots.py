"""Takes the pictures of the pages in ``docs/assets``: ``python docs/make_screenshots.py [FOLDER] [NAME]``.

It writes the digits, trains on them, serves the review's page and answers as two reviewers would, and asks the page of
a served model, in headless Chromium. Nothing is fetched. The pictures are WebP of at most 200 kB. NAME is ``review`` or
``serve``; by default both are taken.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).with_name("assets")
PROGRAM = "from labelwise.cli import main; main()"
MOST_BYTES = 200_000


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    from labelwise.runs import RunConfig, train
    from labelwise.runs.digits import write_digits

    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
    which = sys.argv[2:] or ["review", "serve"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        if "review" in which:
            table = write_digits(Path(folder, "digits"), n=1000, filters=256)
            run = Path(folder, "runs", "digits")
            train(RunConfig.build({"table": str(table), "method": "ridge", "device": "cpu"}), run)
            with (table.parent / "truth.csv").open(newline="") as file:
                truth = {row["item"]: row for row in csv.DictReader(file)}
            with served("review", run) as url:
                take(browser, url, truth, out)
        if "serve" in which:
            with served("serve", tickets(Path(folder))) as url:
                take_serving(browser, url, out)
        browser.close()


def tickets(folder: Path) -> Path:
    """Return a run on made-up messages to a help desk."""
    import random

    from labelwise.runs import RunConfig, train

    parts = {
        "billing": ["my card was charged twice", "the invoice shows a wrong amount"],
        "delivery": ["the parcel has not arrived", "shipping takes too long"],
        "login": ["I cannot sign in", "my account is locked"],
        "refund": ["I want my money back", "please refund me"],
        "praise": ["you are very kind", "I love the new page"],
    }
    draw = random.Random(0)
    with (folder / "tickets.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", *parts])
        for i in range(200):
            about = [draw.random() < 0.4 for _ in parts]
            said = [draw.choice(parts[label]) for label, there in zip(parts, about, strict=True) if there]
            rows.writerow([i, f"Hello, {' and '.join(said) or 'thank you'}.", *map(int, about)])
    table = str(folder / "tickets.csv")
    run = folder / "runs" / "tickets"
    train(RunConfig.build({"table": table, "method": "ridge", "backbone": "words", "device": "cpu"}), run)
    return run


def take_serving(browser: Any, url: str, out: Path) -> None:
    """Ask the page of a served model for the labels of a text."""
    context = browser.new_context(viewport={"width": 1280, "height": 640}, device_scale_factor=1.5)
    page = context.new_page()
    page.goto(url)
    page.fill("#text", "Hello, my card was charged twice and I cannot sign in. Please refund me.")
    page.click("#send")
    page.wait_for_selector("#scores li")
    shoot(page, out / "serve-page.webp")
    context.close()


def take(browser: Any, url: str, truth: dict[str, dict[str, str]], out: Path) -> None:
    """Answer as two reviewers, and take the pictures on the way."""
    page = opened(browser, url, 1280, 860, "light", "Ann")
    answer(page, truth, 24)
    page.keyboard.press("Enter")
    page.wait_for_selector(".card:not(.yes):not(.no)")
    answer(page, truth, 7)
    shoot(page, out / "review-grid.webp")
    page.context.close()

    page = opened(browser, url, 1280, 860, "dark", "Ben")
    page.select_option("#state", "second")
    page.wait_for_timeout(800)
    answer(page, truth, 11, wrong=(2, 7))
    page.select_option("#state", "all")
    page.select_option("#by", "Ben")
    page.wait_for_selector(".votes")
    page.evaluate("scrollTo(0, 0)")
    shoot(page, out / "review-two.webp")
    page.select_option("#by", "")
    page.select_option("#state", "open")
    page.keyboard.press("Escape")
    page.click("#mode-item")
    page.wait_for_selector("#cards .line.marked")
    for key in ("y", "n", "y"):
        page.keyboard.press(key)
    shoot(page, out / "review-item.webp")
    page.context.close()

    page = opened(browser, url, 1280, 860, "light", "Ann")
    page.click("#mode-certify")
    page.wait_for_selector(".card-label")
    for _ in range(4):
        answer(page, truth, 24)
        page.wait_for_timeout(6000)
        page.keyboard.press("Enter")
        page.wait_for_timeout(1500)
    answer(page, truth, 3)
    page.wait_for_timeout(6000)
    page.evaluate("scrollTo(0, 0)")
    shoot(page, out / "review-certify.webp")
    page.context.close()

    page = opened(browser, url, 390, 844, "light", "Ann", scale=2)
    answer(page, truth, 3)
    page.evaluate("scrollTo(0, 0)")
    shoot(page, out / "review-phone.webp")
    page.context.close()


def opened(
    browser: Any, url: str, width: int, height: int, scheme: str, reviewer: str, scale: float = 1.5
) -> Any:
    """Return a page as a reviewer opens it."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".card.marked")
    page.fill("#reviewer", reviewer)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.evaluate("document.querySelectorAll('.label')[3].click()")
    page.wait_for_selector("#question b:text-is('3')")
    page.wait_for_timeout(400)
    return page


def answer(page: Any, truth: dict[str, dict[str, str]], n: int, wrong: tuple[int, ...] = ()) -> None:
    """Answer the marked card n times by what the picture was made of."""
    one_label = page.locator("#question b").count()
    for number in range(n):
        question = "#question b" if one_label else ".card.marked .card-label"
        label = page.inner_text(question).rstrip("?")
        item = page.get_attribute(".card.marked .name", "title")
        is_there = truth[item][label] == "1"
        page.keyboard.press("y" if is_there != (number in wrong) else "n")
    page.wait_for_selector("body:not(.saving)")
    page.wait_for_timeout(300)


def shoot(page: Any, path: Path) -> None:
    """Write what the page shows, small enough for a repository."""
    from PIL import Image

    page.wait_for_selector("body:not(.saving)")
    page.wait_for_timeout(400)
    page.evaluate("document.querySelector('.toast')?.remove()")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in (88, 80, 70, 60):
        image.save(path, format="WEBP", quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path.name}: {path.stat().st_size:,} bytes")


@contextlib.contextmanager
def served(name: str, run: Path) -> Iterator[str]:
    """Serve a run, and yield the page's address."""
    command = [sys.executable, "-c", PROGRAM, name, str(run), "--json", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = ""
        while not lines.endswith("}\n"):
            lines += process.stdout.readline()
        yield json.loads(lines)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


if __name__ == "__main__":
    main()
