"""Refusals and warnings of a run before its first step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labelwise.engine.compiling import check_compiler
from labelwise.engine.settings import Settings
from labelwise.errors import Notice, UserError
from labelwise.methods import Method, Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def check_method(method: Method, plan: Sequence[Stage], settings: Settings, fabric: Fabric) -> None:
    """Refuse, before any work, what the method or the machine cannot do."""
    accumulate, processes = settings.accumulate, fabric.world_size
    if settings.compile:
        if not any(stage.epochs for stage in plan):
            raise UserError(
                f"compile: method {method.spec.id!r} is solved in closed form, without training steps; leave it out, or"
                " name a method that trains"
            )
        check_compiler(fabric.device)
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


def warn_of_batch_norm() -> None:
    """Say that batch norm in several processes is not that of one."""
    warnings.warn(
        Notice(
            "batch norm takes its statistics from each process's part of a batch: what is trained differs from what one"
            " process trains; use devices=1, a large batch_size, or head_start='ridge', which keeps the statistics of a"
            " pretrained backbone"
        ),
        stacklevel=3,
    )
