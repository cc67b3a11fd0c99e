"""How a head starts from the closed form: where its method's own loss leaves it in peace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from labelwise._random import generator
from labelwise.methods import Batch
from labelwise.models import Outputs, RidgeSolution, scores_of_start, start_from_ridge

if TYPE_CHECKING:
    from labelwise.engine.run import Run

__all__ = ["start_head"]

_ROWS = 20_000
_WIDTH, _HALVINGS = 1.5, 30


def start_head(run: Run) -> None:
    """Set the head of ``run`` to the closed-form solution, at intercepts that suit what is trained.

    A head alone trains in steps so small that it stays by its start: its intercepts match the count of positives. A
    backbone is moved by whatever pulls all scores of a label one way, and unlearns what it knows: before a whole
    network is trained, slopes are calibrated and intercepts such that the method's loss, over the rows of its first
    stage, has no gradient in them.
    """
    solution, head = run.pool("raw").ridge(), run.network.head
    matched = torch.from_numpy(solution.thresholds)
    if run.method.problem.tune == "head":
        start_from_ridge(head, solution, middle=matched)  # type: ignore[arg-type]
        return
    calibration = solution.calibration(run.method.start_labels())
    slope, middle = torch.full_like(matched, 4.0).double(), matched.double()
    if calibration is not None:
        slope = torch.tensor(calibration.slope, dtype=torch.float64)
        middle = -torch.tensor(calibration.offset, dtype=torch.float64) / slope
    middle = _balanced(run, solution, slope, middle)
    start_from_ridge(head, solution, slope=slope.float(), middle=middle.float())  # type: ignore[arg-type]


def _balanced(run: Run, solution: RidgeSolution, slope: Tensor, middle: Tensor) -> Tensor:
    """Return the ``middle`` (K,) at which the loss pulls a label's scores up as much as down, by bisection.

    The scores are those of rows left out in turn. Labels whose pull has one sign throughout keep their ``middle``;
    so do all where the first stage draws several groups or views, whose loss is not that of single rows.
    """
    stage = run.stage
    group, *others = stage.mixture
    view, *more = stage.views.get(group, ("weak",))
    rows = run.method.problem.groups[group]
    if others or more or not stage.epochs or not len(rows):
        return middle
    if len(rows) > _ROWS:
        rows = np.sort(generator(run.settings.seed, "start").permutation(rows)[:_ROWS])
    raw = torch.from_numpy(np.asarray(solution.loo_scores[rows])).double()

    def pull(at: Tensor) -> Tensor:
        scores = scores_of_start(run.network.head, solution, raw, slope=slope, middle=at)  # type: ignore[arg-type]
        leaf = scores.float().to(run.fabric.device).requires_grad_()
        outputs = Outputs(leaf.new_zeros(len(rows), 1), leaf)
        loss = run.method.loss(_batch(run, rows, view, outputs))
        return torch.autograd.grad(loss, leaf)[0].sum(0).double().cpu()

    low, high = middle - _WIDTH, middle + _WIDTH
    turns = (pull(low) > 0) & (pull(high) < 0)
    for _ in range(_HALVINGS):
        centre = (low + high) / 2
        down = pull(centre) > 0
        low, high = torch.where(down, centre, low), torch.where(down, high, centre)
    return torch.where(turns, (low + high) / 2, middle)


def _batch(run: Run, rows: np.ndarray, view: str, outputs: Outputs) -> Batch:
    """Return ``rows`` as one batch whose scores are known; what the loss writes is forgotten."""
    device = run.fabric.device

    def forget(slot: str, values: Any) -> None:
        pass

    return Batch(
        index=torch.from_numpy(rows),
        labels=torch.from_numpy(run.labels[rows]).to(device),
        state={name: value.to(device) for name, value in run.state.take(rows).items()},
        inputs={},
        rows={view: slice(0, len(rows))},
        stage=run.stage.name,
        epoch=1,
        label_weights=run.label_weights,
        write=forget,
        outputs={view: outputs},
    )
