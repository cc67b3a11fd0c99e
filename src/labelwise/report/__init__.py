"""The HTML report of a run: one self-contained file that says what was known, done and found."""

from labelwise.report.content import (
    Column,
    Comparison,
    ComparisonRow,
    Decision,
    Example,
    Learnt,
    Missing,
    MissingExample,
    ReportContent,
    Results,
    Skipped,
    Training,
)
from labelwise.report.memory import peak_memory
from labelwise.report.model import content_of
from labelwise.report.page import write_report

__all__ = [
    "Column",
    "Comparison",
    "ComparisonRow",
    "Decision",
    "Example",
    "Learnt",
    "Missing",
    "MissingExample",
    "ReportContent",
    "Results",
    "Skipped",
    "Training",
    "content_of",
    "peak_memory",
    "write_report",
]
