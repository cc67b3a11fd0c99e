"""``docs/methods.md`` says what the registry says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from labelwise import methods

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_methods", DOCS / "make_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_generated_one(maker):
    committed = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert committed == maker.page(), "docs/methods.md is old: python docs/make_methods.py"


def test_every_method_and_hyper_parameter_is_on_the_page(maker):
    text = maker.page()
    for name in methods.names():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert methods.get(name).spec.title in section
        for h in methods.get(name).spec.hyperparameters:
            assert f"| `{h}` |" in section


def test_a_finding_is_about_a_method(maker):
    assert set(maker.FINDINGS) <= set(methods.names())


def test_soft_targets_take_at_most_four_bytes_an_entry_and_a_label_estimator_twelve(maker):
    for name in methods.names():
        assert maker.bytes_per_entry(name) <= (12 if name.startswith("role") else 4), name
