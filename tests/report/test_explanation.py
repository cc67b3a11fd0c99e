"""The report's section on what a model is made of."""

import re

import numpy as np
import pytest

import labelwise as lw
from labelwise import methods
from labelwise.ensemble import Explanation
from labelwise.report import ReportContent, content_of, write_report
from tests.ensemble.stand_in import Combining

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def fitted(monkeypatch):
    monkeypatch.setattr(methods, "_CLASSES", dict(methods._CLASSES))
    methods.register(Combining)
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 6)).astype(np.float32)
    Y = (X[:, :4] > 0.3).astype(np.int8)
    return lw.MultiLabelClassifier("toy_combining").fit(X, Y), X, Y


def page(content, folder):
    return write_report(content, folder / "report.html").read_text(encoding="utf-8")


def test_the_section_shows_gates_members_and_gains(fitted, tmp_path):
    model, X, Y = fitted
    source = page(content_of(model, X=X, Y=Y), tmp_path)
    sections = re.findall('<section id="([a-z]+)"', source)
    assert sections.index("results") < sections.index("explanation") < sections.index("learnt")
    for words in (
        "120 of 120 training items",
        "tuned ridge solution",
        "Gaussian kernel 3: standardised",
        "+0.010",
    ):
        assert words in source
    model.save(tmp_path / "model")
    assert 'id="explanation"' in page(content_of(lw.load(tmp_path / "model")), tmp_path)


def test_methods_without_one_have_no_section(fitted, tmp_path):
    _, X, Y = fitted
    source = page(content_of(lw.MultiLabelClassifier("ridge").fit(X, Y)), tmp_path)
    assert 'id="explanation"' not in source


def test_a_closed_gate_is_told(tmp_path):
    gate = {"name": "ensemble", "t": -1.0, "gain": -0.01, "share": 0.0}
    source = page(ReportContent("a", explanation=Explanation.from_dict({"gates": [gate]})), tmp_path)
    assert "every score is that solution" in source
    assert "Closed" in source


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"members": [{"name": HOSTILE, "weight": 1.0}], "gains": [{"name": HOSTILE, "gain": -0.01}]},
        {"gates": [{"name": HOSTILE, "t": None, "gain": None, "share": 0.0}], "notes": [HOSTILE]},
        {"members": [{"name": "c", "weight": 0.0}]},
    ],
)
def test_whatever_is_missing_or_hostile_does_no_harm(record, tmp_path):
    source = page(ReportContent("a", explanation=Explanation.from_dict(record)), tmp_path)
    assert 'id="explanation"' in source
    assert HOSTILE not in source
