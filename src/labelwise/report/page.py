"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from labelwise._files import write
from labelwise.errors import printable
from labelwise.report.content import ReportContent


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

    from labelwise import __version__, plots

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _template("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("report.html").render(
        title=content.title,
        lead=list(content.lead),
        key_figures=list(content.key_figures),
        style=Markup(plots.stylesheet() + _template("style.css")),
        script=Markup(script),
        digest=digest,
        version=__version__,
        **_views(content),
    )


def _printable(value: Any) -> Any:
    """Return a text as a page can hold it; what is marked as HTML was made here."""
    return printable(value) if type(value) is str else value


def _views(content: ReportContent) -> dict[str, Any]:
    from labelwise.report import figures, sections, shown

    return {
        "labels": content.summary and sections.labels_view(content.summary, content.summary_words),
        "comparison": content.comparison and figures.comparison_view(content.comparison),
        "examples": [sections.example_view(example, i) for i, example in enumerate(content.examples)],
        "examples_words": list(content.examples_words),
        "results": content.results and figures.results_view(content.results),
        "results_words": list(content.results_words),
        "decision": content.decision and not content.results and shown.decision_view(content.decision),
        "learnt": content.learnt and shown.learnt_view(content.learnt),
        "missing": content.missing and shown.missing_view(content.missing),
        "skipped": [(bad.item, f"{bad.row + 1:,}", bad.reason) for bad in content.skipped],
        "training": content.training and sections.training_view(content.training),
        "curves": sections.curves_view(content.history),
    }


def _template(name: str) -> str:
    return files("labelwise.report").joinpath("templates", name).read_text(encoding="utf-8")
