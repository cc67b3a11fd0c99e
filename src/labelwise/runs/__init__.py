"""Runs: configuration, progress and results of one training, in one directory.

``run.toml`` is the configuration, which ``train --config`` reads back; ``state.json`` says where the run stands
and which columns the model expects; ``checkpoints/`` is what an interrupted run resumes from (gone once it is
finished); ``history.jsonl``, ``model/``, ``evaluation.json`` and ``report.html`` are the results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory

if TYPE_CHECKING:
    from labelwise.runs.auditing import Audit, audit
    from labelwise.runs.comparing import TableComparison, compare
    from labelwise.runs.completing import Completed, complete
    from labelwise.runs.describing import Description, describe
    from labelwise.runs.embedding import EmbeddedFolder, embed
    from labelwise.runs.evaluating import Judgement, TableEvaluation, evaluate
    from labelwise.runs.label_issues import LabelIssues, issues
    from labelwise.runs.outcome import Outcome
    from labelwise.runs.predicting import Predictions, predict
    from labelwise.runs.refreshing import Refreshed, refresh
    from labelwise.runs.registry import method_record, method_records
    from labelwise.runs.reporting import report
    from labelwise.runs.training import Stopped, resume, train

_NAMES = {
    "Audit": "auditing",
    "Completed": "completing",
    "Description": "describing",
    "EmbeddedFolder": "embedding",
    "Judgement": "evaluating",
    "LabelIssues": "label_issues",
    "Outcome": "outcome",
    "Predictions": "predicting",
    "Refreshed": "refreshing",
    "Stopped": "training",
    "TableComparison": "comparing",
    "TableEvaluation": "evaluating",
    "audit": "auditing",
    "compare": "comparing",
    "complete": "completing",
    "describe": "describing",
    "embed": "embedding",
    "evaluate": "evaluating",
    "issues": "label_issues",
    "method_record": "registry",
    "method_records": "registry",
    "predict": "predicting",
    "refresh": "refreshing",
    "report": "reporting",
    "resume": "training",
    "train": "training",
}

__all__ = [
    "Audit",
    "Completed",
    "Description",
    "EmbeddedFolder",
    "Judgement",
    "LabelIssues",
    "Outcome",
    "Predictions",
    "Refreshed",
    "RunConfig",
    "RunDirectory",
    "Stopped",
    "TableComparison",
    "TableEvaluation",
    "audit",
    "compare",
    "complete",
    "describe",
    "embed",
    "evaluate",
    "issues",
    "method_record",
    "method_records",
    "predict",
    "refresh",
    "report",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    # The configuration alone (--print-config) needs neither pandas nor torch.
    if name in _NAMES:
        import importlib

        return getattr(importlib.import_module(f"labelwise.runs.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
