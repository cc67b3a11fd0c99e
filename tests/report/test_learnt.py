"""The report's sections on training: angles, correlations, missing labels, reliability; and that all can read it."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import labelwise as lw
from labelwise import plots
from labelwise.report import content_of, peak_memory, write_report

HOSTILE = "<script>alert(1)</script> & {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8)).astype(np.float32)
    weights = rng.normal(size=(8, 5))
    weights[:, 1] = weights[:, 0] + 0.3 * weights[:, 1]
    Y = (X @ weights > 1).astype(np.int8)
    G = np.where(rng.random(200)[:, None] < 0.5, Y, -1).astype(np.int8)
    return X, G, Y, [HOSTILE, "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def reported(data, tmp_path_factory):
    """A model with angles, its report's content and its page."""
    X, G, Y, names = data
    folder = tmp_path_factory.mktemp("pictures")
    paths = [str(folder / f"{i}.png") for i in range(len(X))]
    for path in paths:
        Image.new("RGB", (400, 300), "red").save(path)
    model = lw.MultiLabelClassifier("bbam", epochs=5, validation=(X[:60], Y[:60])).fit(
        X[60:], G[60:], label_names=names
    )
    content = content_of(
        model,
        X=X[60:],
        Y=G[60:],
        items=[f"{HOSTILE} {i}" for i in range(140)],
        contents=paths[60:],
        kind="image",
        held_out=(Y[:60], model.decision_scores(X[:60])),
        configuration={"table": HOSTILE, "hyperparameters": {"a": 1.5}, "epochs": None},
        skipped=[SimpleNamespace(row=2, item=HOSTILE, reason="is damaged")],
        memory=512 << 20,
    )
    return model, content, write_report(content, folder / "report.html")


def test_every_section_is_there(reported):
    source = reported[2].read_text(encoding="utf-8")
    assert re.findall('<section id="([a-z]+)"', source) == [
        "labels", "results", "learnt", "missing", "use", "training", "skipped",
    ]  # fmt: skip
    assert "512 MiB at most" in source
    assert "before balancing" in source
    assert "a = 1.5" in source
    assert source.count("<article") == source.count("data:image/jpeg;base64,") == 12
    assert "<script>alert" not in source


def test_held_out_rows_give_intervals_around_the_validation(reported):
    _, content, _ = reported
    low, high = content.results.map_interval
    assert low <= content.results.evaluation["map"] <= high
    assert [title for title, _ in content.results.reliability] == ["Before calibration", "After calibration"]
    assert all(found.counts.sum() == 300 for _, found in content.results.reliability)


def test_thumbnails_are_small_and_broken_files_have_none(tmp_path):
    import base64
    import io

    from labelwise.report.formats import thumbnail

    Image.new("CMYK", (900, 300)).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail(tmp_path / "a.jpg").partition(",")[2])))
    assert small.size == (480, 160)
    assert thumbnail(tmp_path / "b.jpg") is None
    assert thumbnail(tmp_path / "gone.jpg") is None


def test_texts_are_escaped_and_cut_short(data, tmp_path):
    X, G, _, names = data
    model = lw.MultiLabelClassifier("ridge").fit(X, G, label_names=names)
    content = content_of(model, X=X, Y=G, contents=[HOSTILE * 40] * len(X), kind="text")
    assert content.learnt.angles is None
    assert content.learnt.correlation.learnt_from == "predictions"
    source = write_report(content, tmp_path / "r.html").read_text(encoding="utf-8")
    assert source.count("<blockquote>") == 12
    assert all(len(text) < 800 for text in re.findall("<blockquote>(.*?)</blockquote>", source, re.S))


def test_single_positives_are_reported_with_their_assumption(data, tmp_path):
    X, _, Y, names = data
    single = lw.simulate.single_positive(Y[Y.any(1)], seed=0)
    model = lw.MultiLabelClassifier("hml", epochs=2).fit(X[Y.any(1)], single, label_names=names)
    source = write_report(content_of(model, X=X[Y.any(1)], Y=single), tmp_path / "r.html").read_text()
    assert "unknown entries counted as negatives" in source
    assert "<h3>Decision rule</h3>" in source


def test_thresholds_of_a_matched_prior_have_a_table(data, tmp_path):
    X, _, Y, names = data
    single = lw.simulate.single_positive(Y[Y.any(1)], seed=0)
    model = lw.MultiLabelClassifier("an", epochs=2, prior=1.5).fit(X[Y.any(1)], single, label_names=names)
    content = content_of(model)
    assert list(content.decision.thresholds) == list(model.rule_.values)
    assert 'aria-label="Thresholds"' in write_report(content, tmp_path / "r.html").read_text()


def test_peak_memory_is_at_least_what_is_held():
    pytest.importorskip("resource")
    held = np.ones(1 << 20)
    assert held.nbytes < peak_memory() < 1 << 40


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_colours_meet_wcag_aa(reported, theme):
    """4.5 for text on every ground it stands on, 3 for what figures are made of (their numbers stand beside)."""
    style = re.search("<style>(.*?)</style>", reported[2].read_text(), re.S)[1]
    colours = {}
    for dark, block in re.findall(r"(prefers-color-scheme: ?dark\)\s*\{\s*)?:root\s*\{(.*?)\}", style, re.S):
        if theme == "dark" or not dark:
            colours |= dict(re.findall(r"--([a-z-]+): ?(#[0-9a-f]{6})", block))
    plot = {name: colours[f"plot-{name}"] for name in plots.PALETTE}
    page, panel = colours["page"], colours["panel"]
    text = [(plot[ink], ground) for ink in ("ink", "muted", "blue") for ground in (page, panel)]
    text += [(plot["orange"], page), (plot["ink"], plot["grey"]), (colours["on-blue"], plot["blue"])]
    assert min(contrast(*pair) for pair in text) >= 4.5
    assert min(contrast(plot[role], page) for role in ("blue", "orange", "slate", "pale")) >= 3


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_page_fits_and_asks_for_nothing(reported, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems, requests = [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(reported[2].resolve().as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [reported[2].resolve().as_uri()]
    page.close()


def test_page_is_whole_without_script_and_prints_light(reported, browser):
    page = browser.new_page(color_scheme="dark", java_script_enabled=False)
    page.goto(reported[2].resolve().as_uri())
    assert page.locator("thead button").count() == 0
    assert page.locator("section").count() == 7
    page.emulate_media(media="print")
    assert len(page.pdf(format="A4")) > 10_000
    page.close()
    page = browser.new_page(color_scheme="dark")
    page.goto(reported[2].resolve().as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = "e => getComputedStyle(e).maxHeight"
    assert page.locator(".tall").first.evaluate(heights) == "none"
    page.close()
