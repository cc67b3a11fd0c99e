"""A run's state as tensors and plain data, and back: all that the rest of the run depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from labelwise._files import entries_under
from labelwise.engine.checkpoint import Checkpoint
from labelwise.errors import UserError

if TYPE_CHECKING:
    from labelwise.engine.run import Run


def take(run: Run, finished: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the plain data of a run between two updates; the item state is apart."""
    tensors = {f"network.{k}": v for k, v in run.network.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in run.method.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in run.best.items()}
    meta: dict[str, Any] = {
        "fingerprint": run.fingerprint,
        "items_version": run.state.version,
        "finished": finished,
        "position": [run.stage_index, run.epoch, run.step],
        "partial": [run.loss_sum, run.loss_items],
        "best": [float(run.best_score), run.stale],
        "history": run.history.records,
        "precision": run.fabric.strategy.precision.state_dict(),
        "optimisers": {},
        "schedules": {k: _plain(s.state_dict()) for k, s in run.schedules.items()},
    }
    if run.averaged:
        tensors |= {f"averaged.{k}": v for k, v in run.averaged.network.state_dict().items()}
        meta["averaged_updates"] = run.averaged.updates
    for name, optimiser in run.optimisers.items():
        record = optimiser.state_dict()
        meta["optimisers"][name] = record["param_groups"]
        for number, values in record["state"].items():
            tensors |= {f"optimiser.{name}.{number}.{k}": torch.as_tensor(v) for k, v in values.items()}
    return tensors, meta


def restore_run(run: Run, found: Checkpoint) -> None:
    """Set network, method, item state, history and position; ``UserError`` when it is another run's checkpoint."""
    another = UserError(
        f"the run in {run.settings.directory} was started with other data, labels or settings: give another "
        "output directory, or start it again with the same ones"
    )
    if found.meta.get("fingerprint") != run.fingerprint:
        raise another
    try:
        run.network.load_state_dict(entries_under(found.tensors, "network."))
        run.method.load_state_dict(entries_under(found.tensors, "method."))
        run.state.restore(found.items, int(found.meta["items_version"]))
    except (RuntimeError, LookupError, TypeError, ValueError):
        raise another from None
    with _readable(run):
        run.best = entries_under(found.tensors, "best.")
        run.stage_index, run.epoch, run.step = map(int, found.meta["position"])
        loss_sum, loss_items = found.meta["partial"]
        run.loss_sum, run.loss_items = float(loss_sum), int(loss_items)
        best_score, stale = found.meta["best"]
        run.best_score, run.stale = float(best_score), int(stale)
        records = [dict(record) for record in found.meta["history"]]
        if not (0 <= run.stage_index < len(run.plan) and min(run.epoch, run.step) >= 0):
            raise ValueError("a position outside the plan")
    run.history.replace(records)


def restore_stage(run: Run, found: Checkpoint) -> None:
    """Set what a stage builds at its beginning: optimisers, schedules, the average."""
    with _readable(run):
        _restore_stage(run, found)


@contextmanager
def _readable(run: Run) -> Iterator[None]:
    """Turn what a checkpoint that was tampered with does to those who read it into one line."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"the checkpoint in {run.settings.directory} does not hold what a run needs ({error!s:.120}): delete the"
            " folder and train again"
        ) from None


def _restore_stage(run: Run, found: Checkpoint) -> None:
    for name, optimiser in run.optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in entries_under(found.tensors, f"optimiser.{name}.").items():
            number, field = key.split(".", 1)
            state.setdefault(int(number), {})[field] = value
        optimiser.load_state_dict({"state": state, "param_groups": found.meta["optimisers"][name]})
    for name, schedule in run.schedules.items():
        schedule.load_state_dict(found.meta["schedules"][name])
    if run.averaged:
        run.averaged.network.load_state_dict(entries_under(found.tensors, "averaged."))
        run.averaged.updates = found.meta["averaged_updates"]
    run.fabric.strategy.precision.load_state_dict(found.meta["precision"])


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold: a schedule's numbers, not its functions."""
    return {k: v for k, v in state.items() if isinstance(v, int | float | str | bool | list)}
