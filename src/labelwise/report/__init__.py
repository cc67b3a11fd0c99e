"""The HTML report of a run: one self-contained file that says what was known, done and found."""

from labelwise.report._content import (
    Column,
    Comparison,
    ComparisonRow,
    Example,
    ReportContent,
    Results,
    Training,
)
from labelwise.report._model import content_of
from labelwise.report._page import write_report

__all__ = [
    "Column",
    "Comparison",
    "ComparisonRow",
    "Example",
    "ReportContent",
    "Results",
    "Training",
    "content_of",
    "write_report",
]
