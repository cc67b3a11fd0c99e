"""Every section is a file with its block of the page beside it, installed with the package."""

import tomllib
from importlib.resources import files
from pathlib import Path

from labelwise.report import ReportContent
from labelwise.report.content import SECTIONS

FOLDER = files("labelwise.report").joinpath("sections")


def test_each_file_is_a_section_with_its_template_and_stands_in_the_page_once():
    names = {path.name for path in FOLDER.iterdir()} - {"__init__.py", "__pycache__"}
    assert names == {f"{section.name}.{ending}" for section in SECTIONS for ending in ("py", "html")}


def test_each_field_of_the_content_is_in_one_section():
    shown = [name for section in SECTIONS for name in section.fields]
    fields = set(ReportContent.__dataclass_fields__) - {"title", "lead", "key_figures"}
    assert sorted(shown) == sorted(fields)


def test_templates_are_packaged():
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = {path for pattern in patterns["labelwise"] for path in (root / "src/labelwise").glob(pattern)}
    needed = [
        path for path in (root / "src/labelwise/report").rglob("*") if path.suffix in (".html", ".css", ".js")
    ]
    assert needed
    assert packaged.issuperset(needed)
