"""How a head starts from the closed form: where its method's own loss leaves it in peace."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from labelwise._random import generator
from labelwise.methods import Batch
from labelwise.models import Outputs, RidgeSolution, StartsFromRidge

if TYPE_CHECKING:
    from labelwise.engine.run import Run

_ENTRIES = 1 << 22  # labels of items that a loss is asked about at once: some 300 MB
_STEPS, _SHORTER = 60, 0.75


def start_head(run: Run) -> None:
    """Set the head of ``run`` to the closed-form solution, at intercepts that suit what is trained.

    A head alone trains in steps so small that it stays by its start: its intercepts match the count of positives. A
    backbone is moved by whatever pulls all scores of a label one way, and unlearns what it knows: before a whole
    network is trained, slopes are calibrated and intercepts such that the method's loss, over the rows of its first
    stage and as their first step finds it, has no gradient in them.
    """
    solution, head = run.pool("raw").ridge(), cast(StartsFromRidge, run.network.head)
    middle = torch.from_numpy(solution.thresholds)
    if run.method.problem.tune == "head":
        head.start_from_ridge(solution, middle=middle)
        return
    slope, calibration = torch.full_like(middle, 4.0), solution.calibration(run.method.start_labels())
    if calibration is not None:
        slope, offset = torch.tensor(calibration.slope), torch.tensor(calibration.offset)
        middle = -offset / slope
    # A refresh, which the balance may need, asks the head.
    head.start_from_ridge(solution, slope=slope, middle=middle)
    middle = _balanced(run, solution, slope, middle)
    head.start_from_ridge(solution, slope=slope, middle=middle)


def _balanced(run: Run, solution: RidgeSolution, slope: Tensor, middle: Tensor) -> Tensor:
    """Return the ``middle`` (K,) at which the loss pulls a label's scores up as much as down.

    The scores are those of rows left out in turn. Each step goes against a label's pull and is shorter than the last,
    by less than half, so that later ones can undo it: a loss may couple the labels. Labels whose pull never turns keep
    their ``middle``; so do all where the first stage draws several groups or views, whose loss is not that of single
    rows.
    """
    stage, head, device = run.stage, cast(StartsFromRidge, run.network.head), run.fabric.device
    group, *others = stage.mixture
    view, *more = stage.views.get(group, ("weak",))
    rows = run.method.problem.groups[group]
    if others or more or not stage.epochs or not len(rows):
        return middle
    if stage.refresh:
        run.refresh()
    many = max(1, _ENTRIES // len(middle))
    if len(rows) > many:
        rows = np.sort(generator(run.settings.seed, "start").permutation(rows)[:many])
    batch = _batch(run, rows, view)
    raw = torch.from_numpy(solution.loo_scores[rows]).to(device)

    def pull(at: Tensor) -> Tensor:
        leaf = head.scores_of_start(solution, raw, slope=slope.to(device), middle=at.to(device))
        leaf.requires_grad_()
        batch.outputs[view] = Outputs(leaf.new_zeros(len(rows), 1), leaf)
        return torch.autograd.grad(run.method.loss(batch), leaf)[0].sum(0).cpu()

    at, step = head.search_of_middle(solution, slope=slope, middle=middle)
    fell, rose = (torch.zeros(len(middle), dtype=torch.bool) for _ in range(2))
    for _ in range(_STEPS):
        pulled = pull(at)
        fell, rose = fell | (pulled > 0), rose | (pulled < 0)
        at, step = at + step * pulled.sign().nan_to_num(), step * _SHORTER
    return torch.where(fell & rose, at, middle)


def _batch(run: Run, rows: np.ndarray, view: str) -> Batch:
    """Return ``rows`` as one batch without inputs; what the loss writes is forgotten."""
    device = run.fabric.device
    return Batch(
        index=torch.from_numpy(rows),
        labels=torch.from_numpy(run.labels[rows]).to(device),
        state={name: value.to(device) for name, value in run.state.take(rows).items()},
        inputs={},
        rows={view: slice(0, len(rows))},
        stage=run.stage.name,
        epoch=1,
        label_weights=run.label_weights,
        write=lambda slot, values: None,
    )
