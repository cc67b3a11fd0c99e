"""Start from ridge, with intercepts where the loss has no gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from labelwise._random import generator
from labelwise.methods import Batch, Method, Stage
from labelwise.models import Outputs, RidgeSolution, StartsFromRidge

_ENTRIES = 1 << 22  # labels of items that a loss is asked about at once: some 300 MB
_STEPS, _SHORTER = 60, 0.75


def start_head(
    head: StartsFromRidge,
    solution: RidgeSolution,
    method: Method,
    stage: Stage,
    *,
    batch_of: Callable[[np.ndarray, str], Batch],
    refresh: Callable[[], None],
    seed: int,
) -> None:
    """Start a head from ridge, with intercepts that suit the training.

    A head alone trains in steps so small that it stays by its start: its intercepts match the count of positives. A
    backbone is moved by whatever pulls all scores of a label one way, and unlearns what it knows: before a whole
    network is trained, slopes are calibrated and intercepts such that the method's loss, over the rows of its first
    stage and as their first step finds it, has no gradient in them.

    Args:
        batch_of: Return items (b,) int64 as a batch of one view without inputs, whose writes are forgotten.
        refresh: Let the method change its item state.
    """
    middle = torch.from_numpy(solution.thresholds)
    if method.problem.tune == "head":
        head.start_from_ridge(solution, middle=middle)
        return
    slope, calibration = torch.full_like(middle, 4.0), solution.calibration(method.first_labels())
    if calibration is not None:
        slope, offset = torch.tensor(calibration.slope), torch.tensor(calibration.offset)
        middle = -offset / slope
    # A refresh, which the balance may need, asks the head.
    head.start_from_ridge(solution, slope=slope, middle=middle)
    rows, view = _first_rows(method, stage, len(middle), seed)
    if len(rows):
        if stage.refresh:
            refresh()
        middle = _balanced(head, solution, method, batch_of(rows, view), slope, middle)
    head.start_from_ridge(solution, slope=slope, middle=middle)


def _first_rows(method: Method, stage: Stage, n_labels: int, seed: int) -> tuple[np.ndarray, str]:
    """Return the rows to balance intercepts by, and their view.

    None for a stage of several groups or views, whose loss is not that of single rows.
    """
    group, *groups = stage.mixture
    view, *views = stage.views.get(group, ("weak",))
    rows = method.problem.groups[group]
    if groups or views or not stage.epochs:
        return rows[:0], view
    most = max(1, _ENTRIES // n_labels)
    if len(rows) > most:
        rows = np.sort(generator(seed, "start").permutation(rows)[:most])
    return rows, view


def _balanced(
    head: StartsFromRidge,
    solution: RidgeSolution,
    method: Method,
    batch: Batch,
    slope: Tensor,
    middle: Tensor,
) -> Tensor:
    """Return the ``middle`` (K,) at which the loss has no gradient.

    There it pulls a label's scores up as much as down. The scores are those of rows left out in turn. Labels whose
    pull never turns keep their ``middle``.
    """
    (view,) = batch.rows
    device = batch.labels.device
    raw = torch.from_numpy(solution.loo_scores[batch.index.numpy()]).to(device)

    def pull(at: Tensor) -> Tensor:
        leaf = head.scores_of_start(solution, raw, slope=slope.to(device), middle=at.to(device))
        leaf.requires_grad_()
        batch.outputs[view] = Outputs(leaf.new_zeros(len(raw), 1), leaf)
        return torch.autograd.grad(method.loss(batch), leaf)[0].sum(0).cpu()

    at, step = head.search_of_middle(solution, slope=slope, middle=middle)
    fell, rose = (torch.zeros(len(middle), dtype=torch.bool) for _ in range(2))
    # Each step goes against a label's pull. A loss may couple the labels, so that a pull can turn late: steps shrink by
    # less than half, and later ones can undo an early one, which a bisection could not.
    for _ in range(_STEPS):
        pulled = pull(at)
        fell, rose = fell | (pulled > 0), rose | (pulled < 0)
        at, step = at + step * pulled.sign().nan_to_num(), step * _SHORTER
    return torch.where(fell & rose, at, middle)
