"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from labelwise._files import write
from labelwise.errors import printable
from labelwise.report.content import SECTIONS, ReportContent


def write_report(content: ReportContent, path: Path | str) -> Path:
    """Write the report as a self-contained HTML file, and return its path.

    Styles, drawings, pictures and the few lines of script are inside; the page's own content policy forbids
    every request. The file appears whole or not at all.
    """
    path = Path(path)
    page = render(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, page)
    return path


def render(content: ReportContent) -> str:
    """Return the report's HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    from labelwise import plots
    from labelwise._version import __version__

    # Names, texts and notes are of users: all of it is escaped, and a name that the data lack is an error.
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    blocks = []
    for section in SECTIONS:
        data = section.show(*(getattr(content, name) for name in section.fields))
        if data is not None:
            template = environment.get_template(f"sections/{section.name}.html")
            blocks.append((section, Markup(template.render(data))))
    script = _read("templates/sort.js")
    # The page's policy runs the script of this digest and no other.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("templates/page.html").render(
        title=content.title,
        lead=content.lead,
        key_figures=content.key_figures,
        sections=blocks,
        style=Markup(plots.stylesheet() + _read("templates/style.css")),
        script=Markup(script),
        digest=digest,
        version=__version__,
    )


def _printable(value: Any) -> Any:
    """Return a text without the characters that no page can hold.

    What is marked as HTML was made here.
    """
    return printable(value) if type(value) is str else value


def _read(name: str) -> str:
    return files("labelwise.report").joinpath(*name.split("/")).read_text(encoding="utf-8")
