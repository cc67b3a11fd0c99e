"""Refusals of a run: what a method cannot do, and numbers that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from labelwise.errors import UserError, listed
from labelwise.methods import Method, Stage


def check_method(method: Method, plan: Sequence[Stage], accumulate: int, processes: int) -> None:
    """Refuse, before any work, what the method cannot do."""
    if method.group_term is not None and not method.takes_terms and plan[-1].epochs:
        raise UserError(
            f"group_consistency: method {method.spec.id!r} takes steps of its own, without further terms; leave it"
            " out, or take another method"
        )
    if method.group_term is not None and processes > 1:
        raise UserError("group_consistency: its memory is that of one process; leave out devices and nodes")
    if "prior" in method.spec.needs:
        method.problem.unknown_prior(method.spec.id)
    if method.reads_truth:
        method.truth()
    if accumulate > 1 and (method.spec.whole_batch or any(len(s.optimisers) > 1 for s in plan)):
        why = "its loss sums over the whole batch" if method.spec.whole_batch else "it has several optimisers"
        raise UserError(
            f"accumulate={accumulate}: gradients of method {method.spec.id!r} cannot be accumulated, since {why}; "
            "raise batch_size instead"
        )


def not_finite_words(
    what: str,
    where: str,
    state: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    rows: np.ndarray,
    items: Sequence[str] | None,
    *,
    precision: str,
) -> str:
    """Return the line on what is not finite, where, and what helps.

    Args:
        what: What was found.
        where: The place in the run.
        state: Tensors of network and method.
        inputs: The batch's, by view.
        rows: (b,) the batch's items.
        items: Names of all items, or None.
        precision: That of the run.
    """
    bad = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    views = {view: ~torch.isfinite(x.flatten(1)).all(1).cpu().numpy() for view, x in inputs.items()}
    fault = np.concatenate(list(views.values())) if len(views) == 1 else np.zeros(len(rows), np.bool_)
    index = rows[fault] if fault.any() else rows
    names = [items[i] for i in index] if items is not None else index.tolist()
    advice = "lower learning_rate"
    if any(view.any() for view in views.values()):
        advice, bad = "mend or drop these items", [*bad, "inputs"]
    elif precision != "32":
        advice += f", or use precision='32' instead of {precision!r}"
    found = f"not finite: {listed(bad)}" if bad else "weights, statistics and inputs are still finite"
    return f"{what} in {where} (items {listed(names, 8)}; {found}): {advice}"
