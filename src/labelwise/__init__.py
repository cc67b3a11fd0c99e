"""Train, judge and ship multi-label classifiers from the labels you have."""

import importlib
from typing import TYPE_CHECKING, Any

from labelwise._version import __version__

_ROOMS = (
    "annotations",
    "comparison",
    "completion",
    "data",
    "losses",
    "methods",
    "metrics",
    "models",
    "summaries",
    "targets",
)
_NAMES = {
    "audit": "completion",
    "compare": "comparison",
    "complete": "completion",
    "describe": "annotations",
    "simulate": "annotations",
    "split": "annotations",
    "find_label_issues": "completion",
    "UserError": "errors",
    "MultiLabelClassifier": "classifier",
    "load": "classifier",
    "recommend": "methods.recommendation",
}

__all__ = [
    "MultiLabelClassifier",
    "UserError",
    "__version__",
    "annotations",
    "audit",
    "compare",
    "comparison",
    "complete",
    "completion",
    "data",
    "describe",
    "find_label_issues",
    "load",
    "losses",
    "methods",
    "metrics",
    "models",
    "recommend",
    "simulate",
    "split",
    "summaries",
    "targets",
]

if TYPE_CHECKING:
    from labelwise import (
        annotations,
        comparison,
        completion,
        data,
        losses,
        methods,
        metrics,
        models,
        summaries,
        targets,
    )
    from labelwise.annotations import describe, simulate, split
    from labelwise.classifier import MultiLabelClassifier, load
    from labelwise.comparison import compare
    from labelwise.completion import audit, complete, find_label_issues
    from labelwise.errors import UserError
    from labelwise.methods.recommendation import recommend


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that start-up stays fast."""
    if name in _NAMES:
        value = getattr(importlib.import_module(f"labelwise.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"labelwise.{name}")
    raise AttributeError(f"module 'labelwise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
