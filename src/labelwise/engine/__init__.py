"""The training loop, checkpoints, averaged weights, progress."""

from labelwise.engine.loop import Criterion, Interrupted, Result, logits, score, train
from labelwise.engine.pools import outputs_in_chunks
from labelwise.engine.progress import Progress, RichProgress, Silent
from labelwise.engine.run import Run
from labelwise.engine.settings import Settings

__all__ = [
    "Criterion",
    "Interrupted",
    "Progress",
    "Result",
    "RichProgress",
    "Run",
    "Settings",
    "Silent",
    "logits",
    "outputs_in_chunks",
    "score",
    "train",
]
