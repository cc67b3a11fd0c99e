"""The papers' tables and figures: published numbers, experiments as data, and the runner that measures them."""

from labelwise.experiments._job import Job, Measured, Measurement
from labelwise.experiments._results import collect, read_results
from labelwise.experiments._runner import Tally, run_jobs
from labelwise.experiments._worker import Execute

__all__ = ["Execute", "Job", "Measured", "Measurement", "Tally", "collect", "read_results", "run_jobs"]
