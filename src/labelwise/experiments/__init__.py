"""The papers' tables and figures: published numbers, experiments as data, and the runner that measures them."""

from labelwise.experiments._compare import Compared, compare
from labelwise.experiments._cost import RATES, Cost, estimate
from labelwise.experiments._experiment import Outcome, run_experiment
from labelwise.experiments._hidden import hide, spml_split
from labelwise.experiments._job import Job, Measured, Measurement
from labelwise.experiments._load import load_spec, parse_spec, spec_names
from labelwise.experiments._parts import merge_results, part_of
from labelwise.experiments._published import DATASETS, Published, published, tables
from labelwise.experiments._results import collect, read_results
from labelwise.experiments._runner import Tally, run_jobs
from labelwise.experiments._spec import Spec
from labelwise.experiments._tables import to_html, to_markdown
from labelwise.experiments._worker import Execute

__all__ = [
    "DATASETS",
    "RATES",
    "Compared",
    "Cost",
    "Execute",
    "Job",
    "Measured",
    "Measurement",
    "Outcome",
    "Published",
    "Spec",
    "Tally",
    "collect",
    "compare",
    "estimate",
    "hide",
    "load_spec",
    "merge_results",
    "parse_spec",
    "part_of",
    "published",
    "read_results",
    "run_experiment",
    "run_jobs",
    "spec_names",
    "spml_split",
    "tables",
    "to_html",
    "to_markdown",
]
