"""Answers beside a run, and answers that join a run's table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labelwise.runs.directory import RunDirectory

if TYPE_CHECKING:
    from labelwise.completion import AnswerStore

ANSWERS = "answers.sqlite"


def run_identity(state: Mapping[str, Any]) -> str:
    """Return what tells the answers of a run from those of another: its table and its labels."""
    facts = [state.get("files", {}).get("table", ""), *sorted(state.get("label_names", ()))]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def open_answers(directory: RunDirectory) -> AnswerStore:
    """Open the answers beside a finished run, made where there are none.

    Raises:
        UserError: For a database of another run, and where it cannot be written.
    """
    from labelwise.completion import AnswerStore

    return AnswerStore.open(directory.path / ANSWERS, run_identity(directory.finished()))
