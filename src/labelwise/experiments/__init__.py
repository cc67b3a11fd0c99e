"""The papers' tables and figures: published numbers, experiments as data, and the runner that measures them."""

from labelwise.experiments.comparison import Compared, compare
from labelwise.experiments.costs import RATES, Cost, estimate
from labelwise.experiments.experiment import Outcome, run_experiment
from labelwise.experiments.hiding import hide, spml_split
from labelwise.experiments.jobs import Job, Measured, Measurement
from labelwise.experiments.loading import load_spec, parse_spec, spec_names
from labelwise.experiments.parts import merge_results, part_of
from labelwise.experiments.publications import DATASETS, Published, published, tables
from labelwise.experiments.rendering import to_html, to_markdown
from labelwise.experiments.results import collect, read_results
from labelwise.experiments.runner import Tally, run_jobs
from labelwise.experiments.spec import Spec
from labelwise.experiments.workers import Execute

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
