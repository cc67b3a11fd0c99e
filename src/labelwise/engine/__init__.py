"""The training loop, checkpoints, averaged weights, progress."""

from labelwise.engine.compiling import check_compiler
from labelwise.engine.loop import Criterion, Interrupted, Result, logits, score, train
from labelwise.engine.pools import outputs_in_chunks
from labelwise.engine.progress import (
    LineProgress,
    Pace,
    Progress,
    RichProgress,
    Silent,
    counted,
    shown_progress,
)
from labelwise.engine.run import Run
from labelwise.engine.settings import Settings

__all__ = [
    "Criterion",
    "Interrupted",
    "LineProgress",
    "Pace",
    "Progress",
    "Result",
    "RichProgress",
    "Run",
    "Settings",
    "Silent",
    "check_compiler",
    "counted",
    "logits",
    "outputs_in_chunks",
    "score",
    "shown_progress",
    "train",
]
