"""The two stages that self-training methods share: a warm-up on complete rows, then everything."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labelwise.methods.base import Method, Problem
from labelwise.methods.plan import Stage
from labelwise.methods.spec import Hyperparameter

__all__ = ["EMA_DECAY", "UNLABELLED_WEIGHT", "WARM_UP", "entry_weights", "two_stages", "warm_up_labels"]

WARM_UP = Hyperparameter(
    0.3,
    "share of the epochs spent on the complete rows alone",
    low=0.0,
    high=1.0,
    source="released code: 12 of 40 epochs",
)
EMA_DECAY = Hyperparameter(
    0.9997, "decay of the averaged weights", low=0.0, high=0.99999, source="released code"
)
UNLABELLED_WEIGHT = Hyperparameter(
    1.0,
    "weight of the entries of incomplete rows beside those of complete ones",
    low=0.0,
    high=100.0,
    source="released code: 1 for every entry",
)


def entry_weights(target: Tensor, labels: Tensor, unlabelled_weight: float) -> Tensor:
    """Return the weight (B, K) float32 of every entry: 0 where masked, the unlabelled weight in incomplete rows."""
    used = (target >= 0).float()
    if unlabelled_weight == 1.0:
        return used
    incomplete = (labels == -1).any(1, keepdim=True)
    return torch.where(incomplete, used * unlabelled_weight, used)


def warm_up_labels(problem: Problem) -> np.ndarray:
    """Return the labels of the complete rows alone, or where there are none, of all rows with unknown as negative."""
    complete = problem.groups["complete"]
    if not len(complete):
        return problem.assumed_negative
    labels = np.full_like(problem.labels, -1)
    labels[complete] = problem.labels[complete]
    return labels if (labels == 1).any() else problem.labels


def two_stages(method: Method) -> list[Stage]:
    """Return the warm-up and the pseudo-labelled stage.

    The warm-up trains on complete rows, or on all rows where none is complete (unknown then counts as negative). In
    the second stage complete rows take 1.25 times their share of a batch, at least 1/16 and at most half of it
    (the released codes: 4 of 64 at 5% labelled, 8 at 10%, 12 at 15%, 16 to 32 at 20%). Views are strong.
    """
    problem, size = method.problem, method.budget.batch_size
    warm = round(method.hp.warm_up * method.budget.epochs)
    complete = len(problem.groups["complete"])
    share = min(0.5, max(1 / 16, 1.25 * complete / max(problem.n_items, 1)))
    labelled = max(1, round(share * size))
    first = "complete" if complete else problem.teaching_group
    strong = ("strong",)
    stages = [
        method.stage("warm-up", warm, mixture={first: min(size, 32)}, views={first: strong}),
        method.stage(
            "pseudo-labels",
            method.budget.epochs - warm,
            mixture={"complete": labelled, "incomplete": max(1, size - labelled)},
            views={"complete": strong, "incomplete": strong},
            refresh=True,
            ema=method.hp.ema_decay,
            **({"ridge_start": False} if warm else {}),
        ),
    ]
    return [stage for stage in stages if stage.epochs]
