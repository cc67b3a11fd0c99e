"""The HTML report of a run, in one self-contained file."""

from labelwise.models import peak_memory
from labelwise.report.content import ReportContent, content_of
from labelwise.report.page import write_report
from labelwise.report.sections.comparison import Column, Comparison, ComparisonRow
from labelwise.report.sections.examples import Example
from labelwise.report.sections.learnt import Learnt
from labelwise.report.sections.missing import Missing, MissingExample
from labelwise.report.sections.results import Decision, Results
from labelwise.report.sections.skipped import Skipped
from labelwise.report.sections.training import Training
from labelwise.report.sections.use import Use

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
    "Use",
    "content_of",
    "peak_memory",
    "write_report",
]
