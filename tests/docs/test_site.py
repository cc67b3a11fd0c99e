"""The site builds strictly, fetches nothing, and leaves no page out."""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    pytest.importorskip("material")
    from mkdocs.config import load_config

    return load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path_factory.mktemp("site")))


class Warnings(logging.Handler):
    """Keeps what a build warns of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.told = []

    def emit(self, record):
        self.told.append(record.getMessage())


@pytest.fixture(scope="module")
def site(config):
    from mkdocs.commands.build import build

    warnings = Warnings()
    for name in ("mkdocs", "griffe"):
        logging.getLogger(name).addHandler(warnings)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            config.plugins.run_event("startup", command="build", dirty=False)
            build(config)
    finally:
        for name in ("mkdocs", "griffe"):
            logging.getLogger(name).removeHandler(warnings)
    assert not warnings.told, warnings.told
    return Path(config.site_dir)


class Fetched(HTMLParser):
    """Lists what a browser would fetch for a page, links that a reader may follow apart."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag != "a":
            self.addresses += [given[name] for name in ("src", "href", "srcset", "data") if given.get(name)]


def test_a_strict_build_has_no_warning_and_every_page(config, site):
    assert config.strict
    pages = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert pages <= {page.relative_to(site).as_posix() for page in site.rglob("*.html")}


def test_pages_fetch_nothing_from_the_network(site):
    for page in site.rglob("*.html"):
        reader = Fetched()
        reader.feed(page.read_text(encoding="utf-8"))
        outside = [a for a in reader.addresses if re.match(r"(https?:)?//", a)]
        assert not outside, (page.name, outside)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), (
            sheet.name
        )


def test_only_pages_and_assets_are_published(site):
    assert not [path.name for path in site.rglob("*") if path.suffix in (".py", ".csv", ".toml")]


def test_every_page_is_in_the_navigation(config):
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)
        ]

    listed = pages(config.nav)
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(listed) == there, (
        f"mkdocs.yml: nav lacks {there - set(listed)}, and names {set(listed) - there}"
    )
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    "name", ["hyperspherical", "MultiLabelClassifier", "read_table", "class_aware_pseudo_labels"]
)
def test_the_reference_has_the_docstrings(site, name):
    mark = re.compile(rf'id="labelwise\.[\w.]*{name}"')
    assert any(mark.search(page.read_text(encoding="utf-8")) for page in (site / "reference").glob("*.html"))


def test_docstrings_are_read_whole(site):
    text = "\n".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for left in (
        r":param \w",
        r":raises \w",
        r":ivar \w",
        r":(?:func|class|meth):",
        r"<p>(Args|Returns|Raises):",
    ):
        assert not re.search(left, text), left
