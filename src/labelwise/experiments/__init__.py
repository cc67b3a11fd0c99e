"""The papers' tables and figures: printed numbers, specs and their runner."""

from labelwise.experiments.comparison import Compared, compare, to_html, to_markdown
from labelwise.experiments.experiment import Outcome, run_experiment
from labelwise.experiments.jobs import (
    RATES,
    Cost,
    Job,
    Measured,
    Measurement,
    estimate,
    hide,
    part_of,
    spml_split,
)
from labelwise.experiments.loading import load_spec, parse_spec, spec_names
from labelwise.experiments.publications import DATASETS, Published, published, tables
from labelwise.experiments.results import collect, merge_results, read_results, read_shards
from labelwise.experiments.runner import Execute, Progress, Tally, run_jobs
from labelwise.experiments.spec import Spec

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
    "Progress",
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
    "read_shards",
    "run_experiment",
    "run_jobs",
    "spec_names",
    "spml_split",
    "tables",
    "to_html",
    "to_markdown",
]
