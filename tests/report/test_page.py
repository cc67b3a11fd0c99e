"""The report: everything given is shown, nothing is executed or fetched, every section may be left out."""

import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

import labelwise as lw
from labelwise.errors import CONTROLS
from labelwise.report import (
    Column,
    Comparison,
    ComparisonRow,
    Example,
    ReportContent,
    Results,
    Skipped,
    Training,
    content_of,
    write_report,
)

HOSTILE = '<img src=x onerror="alert(1)"> & "quoted" {{ 7 * 7 }}'
VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    names = (HOSTILE, "b", "c")
    Y = (rng.random((40, 3)) < 0.4).astype(np.int8)
    Y[:, 2] = 0
    Y[rng.random(Y.shape) < 0.3] = -1
    scores = rng.random((40, 3))
    return ReportContent(
        title=f"Title {HOSTILE}",
        lead=(f"Lead {HOSTILE}",),
        key_figures=(("figure", "0.123"),),
        summary=lw.describe(Y, names),
        comparison=Comparison(
            [
                ComparisonRow("reference", {"map": 0.25, "one_error": 0.5}, {"map": (0.2, 0.3)}, "reference"),
                ComparisonRow(HOSTILE, {"map": 0.5, "one_error": None}, {"map": (0.4, 0.6)}),
                ComparisonRow("ceiling", {"map": 0.75, "one_error": 0.125}, {"map": (0.7, 0.8)}, "ceiling"),
            ],
            [Column("map", "mAP"), Column("one_error", "one-error", better="low")],
            words=(HOSTILE,),
        ),
        examples=(
            Example(
                ("a",), ("b", "c"), {"method": ("b", "wrong")}, "first", picture=np.zeros((8, 8), np.uint8)
            ),
            Example((), (), {HOSTILE: ()}, text=HOSTILE * 30),
        ),
        examples_words=(HOSTILE,),
        results=Results(
            lw.metrics.evaluate(Y, scores, label_names=names),
            judged_on=HOSTILE,
            thresholds=(0.5, np.inf, 0.25),
            known_positives=(1, 2, 3),
            low=(0.1, 0.2, float("nan")),
            high=(0.3, 0.4, float("nan")),
        ),
        training=Training(
            "an", HOSTILE, hyperparameters={"alpha": 0.5}, help={"alpha": HOSTILE}, notes=(HOSTILE,)
        ),
        history=[
            {"stage": HOSTILE, "epoch": 1, "loss": 1.0},
            {"stage": "b", "epoch": 1, "loss": 0.5, "validation": 0.5},
        ],
    )


@pytest.fixture
def written(content, tmp_path):
    return write_report(content, tmp_path / "new" / "report.html")


def test_given_text_is_shown_and_never_executed(written):
    source = written.read_text(encoding="utf-8")
    page = Page(source)
    assert HOSTILE in page.text
    assert "49" not in page.text
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert len(page.all("script")) == 1
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in page.all("img"))


def test_page_needs_nothing_else(written):
    source = written.read_text(encoding="utf-8")
    page = Page(source)
    assert not re.search(r"https?://", source)
    assert not page.all("link")
    assert all(attrs["href"].startswith("#") for name, attrs in page.tags if "href" in attrs)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", source))
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_structure_is_accessible(written):
    page = Page(written.read_text(encoding="utf-8"))
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(attrs["alt"] for attrs in page.all("img"))
    assert all(attrs["aria-label"] for attrs in page.all("svg"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)
    assert all("scope" in attrs for attrs in page.all("th"))


def test_figures_are_shown(written, content):
    text = Page(written.read_text(encoding="utf-8")).text
    assert f"{content.results.evaluation['map']:.3f}" in text
    assert "0.400 to 0.600" in text
    assert "never" in text
    unknown = content.results.evaluation.n_unknown
    assert f"{unknown} unknown entries were left out" in text


def test_examples_tell_found_missed_and_wrong_apart(written):
    source = written.read_text(encoding="utf-8")
    card = source[source.index("<article") : source.index("</article>")]
    chips = re.findall(r'class="chip (\w+)">.*?</span>([^<]*)</li>', card)
    assert chips == [
        ("known", "a"),
        ("hidden", "b"),
        ("hidden", "c"),
        ("found", "b"),
        ("missed", "c"),
        ("wrong", "wrong"),
    ]


def test_best_is_bold_and_never_the_ceiling(written):
    source = written.read_text(encoding="utf-8")
    assert re.findall(r"<strong>([\d.]+)</strong>", source) == ["0.500", "0.500"]


SECTIONS = {
    "summary": "labels",
    "comparison": "comparison",
    "examples": "examples",
    "results": "results",
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_may_be_left_out_or_stand_alone(content, tmp_path, name):
    empty = {"examples": ()}.get(name)
    without = dataclasses.replace(content, **{name: empty})
    alone = ReportContent("alone", **{name: getattr(content, name)})
    pages = [Page(write_report(c, tmp_path / "r.html").read_text(encoding="utf-8")) for c in (without, alone)]
    found = [{attrs["id"] for attrs in page.all("section")} for page in pages]
    assert found[0] == {"labels", "comparison", "examples", "results", "training"} - {SECTIONS[name]}
    assert found[1] == {SECTIONS[name]}


def test_title_alone_is_a_page(tmp_path):
    page = Page(write_report(ReportContent("only"), tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.all("section") == []
    assert page.text.count("only") == 2


def test_plain_data_reads_as_the_objects_do(content, written, tmp_path):
    plain = dataclasses.replace(
        content,
        summary=content.summary.to_dict(),
        results=dataclasses.replace(content.results, evaluation=content.results.evaluation.to_dict()),
    )
    assert write_report(plain, tmp_path / "plain.html").read_bytes() == written.read_bytes()


def test_many_labels_are_all_in_the_table_and_not_all_drawn(tmp_path):
    rng = np.random.default_rng(0)
    Y = (rng.random((30, 120)) < 0.5).astype(np.int8)
    evaluation = lw.metrics.evaluate(Y, rng.random(Y.shape), label_names=[f"label {k}" for k in range(120)])
    source = write_report(ReportContent("many", results=Results(evaluation)), tmp_path / "r.html").read_text()
    assert source.count('<th scope="row" data-sort="label') == 120
    assert "The 40 of 120 labels with the lowest average precision." in source


def test_thousands_of_labels_are_shown_by_the_ends_of_the_table(tmp_path):
    rng = np.random.default_rng(0)
    Y = (rng.random((12, 1_100)) < 0.5).astype(np.int8)
    Y[:, 3] = 0
    evaluation = lw.metrics.evaluate(Y, rng.random(Y.shape), label_names=[f"label {k}" for k in range(1_100)])
    results = Results(evaluation, thresholds=[0.5] * 1_100)
    path = write_report(ReportContent("many", results=results), tmp_path / "r.html")
    source = path.read_text()
    shown = re.findall(r'<th scope="row" data-sort="label (\d+)"', source)
    ap = evaluation.per_label.average_precision
    order = sorted(np.flatnonzero(~np.isnan(ap)), key=lambda k: (ap[k], k))
    assert [int(k) for k in shown] == [*order[:100], *order[-100:]]
    assert "The table has 200 of 1,100 labels: the lowest and the highest average precision." in source
    assert "evaluation.json" in source
    assert path.stat().st_size < 500_000


def test_failed_write_leaves_the_former_report(content, tmp_path, monkeypatch):
    path = write_report(ReportContent("former"), tmp_path / "r.html")
    former = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_report(content, path)
    assert path.read_bytes() == former
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


CONTROL = "a\x1b[31m\x00\x9b\u202eb\ud800\uffff $\\frac{1}{0}$ <b>\r\nc"


def test_control_characters_never_break_a_page_nor_get_into_it(fitted_by_name, tmp_path):
    model, X, Y = fitted_by_name
    names = [f"{CONTROL}{k}" for k in range(len(model.label_names_))]
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    text = json.dumps(record)
    for old, new in zip(record["label_names"], names, strict=True):
        text = text.replace(json.dumps(old), json.dumps(new))
    record = {**json.loads(text), "notes": [CONTROL], "rule_source": CONTROL}
    for epoch in record["history"]:
        epoch["stage"] = CONTROL
    del record["sha256"]
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    (tmp_path / "model" / "model.json").write_text(json.dumps(record))
    loaded = lw.load(tmp_path / "model")
    assert list(loaded.label_names_) == names
    content = content_of(
        loaded,
        title=CONTROL,
        configuration={"table": CONTROL, CONTROL: CONTROL},
        labels=Y,
        scores=loaded.predict_proba(X),
    )
    bad = [Skipped(0, CONTROL, CONTROL)]
    example = Example(names, names, {CONTROL: names}, name=CONTROL, text=CONTROL)
    content = dataclasses.replace(content, skipped=bad, examples=[example])
    text = write_report(content, tmp_path / "r.html").read_bytes().decode("utf-8")
    assert not CONTROLS.search(text)
    assert r"a\x1b[31m\x00\x9b\u202eb\ud800\uffff $\frac{1}{0}$" in Page(text).text
    assert "<b>" not in text


@pytest.fixture
def fitted_by_name(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)).astype(np.float32)
    Y = (X @ rng.normal(size=(6, 3)) > 0.3).astype(np.int8)
    model = lw.MultiLabelClassifier("an", epochs=2).fit(X, Y, label_names=["xx", "yy", "zz"])
    model.save(tmp_path / "model")
    return model, X, Y
