"""State of a run, into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labelwise._files import check_no_links, entries_under
from labelwise.annotations import ListedStates
from labelwise.engine.checkpoint import Checkpoint
from labelwise.engine.optimisers import Averaged
from labelwise.engine.progress import History
from labelwise.engine.settings import Settings
from labelwise.errors import UserError
from labelwise.methods import Method, Stage
from labelwise.models import Network
from labelwise.targets import ItemState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_EPOCHS_OF_A_STAGE = 1000


class Position(NamedTuple):
    """A place in a run, counted from 0: stage, epoch, step."""

    stage: int
    epoch: int
    step: int

    @property
    def view_epoch(self) -> int:
        """Number of the epoch by which sources draw views."""
        # A source is told one number. Past 1,000 epochs a stage repeats the views of the next one's beginning.
        return _EPOCHS_OF_A_STAGE * self.stage + self.epoch


class RunState:
    """A run between two updates: all that its rest depends on.

    Attributes:
        state: The item state: the rows that the method keeps for each item.
        averaged: The average of the weights, or None.
        best: The network's and the method's tensors of the best epoch so far, empty without a criterion.
        stale: Epochs since then.
        stage_index: Place of the stage under way in ``plan``.
        loss_sum: Sum of the losses of the epoch under way, over ``loss_items`` items.
    """

    def __init__(
        self, network: Network, method: Method, settings: Settings, fabric: Fabric, fingerprint: str
    ) -> None:
        self.network, self.method = network.to(fabric.device), method.to(fabric.device)
        self.settings, self.fabric, self.fingerprint = settings, fabric, fingerprint
        self.plan = method.plan()
        labels = method.problem.labels
        self.labels = labels if isinstance(labels, ListedStates) else np.ascontiguousarray(labels)
        folder = settings.directory
        if folder is not None:
            check_no_links(folder, "a folder of checkpoints")
        if folder is not None and fabric.world_size > 1:
            folder = folder / f"rank-{fabric.global_rank}"
        self.state = ItemState(method.slots(), *self.labels.shape, budget=settings.memory, directory=folder)
        self.history = History(settings.directory)
        self.averaged: Averaged | None = None
        self.best: dict[str, Tensor] = {}
        self.best_score, self.stale = -np.inf, 0
        self.stage_index = self.epoch = self.step = 0
        self.loss_sum, self.loss_items = 0.0, 0
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.schedules: dict[str, torch.optim.lr_scheduler.OneCycleLR] = {}

    @property
    def stage(self) -> Stage:
        """The stage under way."""
        return self.plan[self.stage_index]

    @property
    def position(self) -> Position:
        """The stage, epoch and step under way."""
        return Position(self.stage_index, self.epoch, self.step)

    @property
    def evaluated(self) -> Network:
        """The network to evaluate: the averaged one where one is kept."""
        return self.averaged.network if self.averaged else self.network  # type: ignore[return-value]

    def snapshot(self, finished: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a checkpoint's tensors and plain data, without the item state."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"method.{k}": v for k, v in self.method.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        meta: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "items_version": self.state.version,
            "finished": finished,
            "position": list(self.position),
            "partial": [self.loss_sum, self.loss_items],
            "best": [float(self.best_score), self.stale],
            "history": self.history.records,
            "precision": self.fabric.strategy.precision.state_dict(),
            "optimisers": {},
            "schedules": {k: _plain(s.state_dict()) for k, s in self.schedules.items()},
        }
        if self.averaged:
            tensors |= {f"averaged.{k}": v for k, v in self.averaged.network.state_dict().items()}
            meta["averaged_updates"] = self.averaged.updates
        for name, optimiser in self.optimisers.items():
            record = optimiser.state_dict()
            meta["optimisers"][name] = record["param_groups"]
            for number, values in record["state"].items():
                tensors |= {f"optimiser.{name}.{number}.{k}": torch.as_tensor(v) for k, v in values.items()}
        return tensors, meta

    def restore_run(self, saved: Checkpoint) -> None:
        """Set network, method, item state, history and position.

        Raises:
            UserError: For the checkpoint of another run, or one that was tampered with.
        """
        another = UserError(
            f"the run in {self.settings.directory} was started with other data, labels or settings: give another "
            "output directory, or start it again with the same ones"
        )
        if saved.meta.get("fingerprint") != self.fingerprint:
            raise another
        try:
            self.network.load_state_dict(entries_under(saved.tensors, "network."))
            self.method.load_state_dict(entries_under(saved.tensors, "method."))
            self.state.restore(saved.items, int(saved.meta["items_version"]))
        except (RuntimeError, LookupError, TypeError, ValueError):
            raise another from None
        with self._readable():
            self.best = entries_under(saved.tensors, "best.")
            self.stage_index, self.epoch, self.step = map(int, saved.meta["position"])
            loss_sum, loss_items = saved.meta["partial"]
            self.loss_sum, self.loss_items = float(loss_sum), int(loss_items)
            best_score, stale = saved.meta["best"]
            self.best_score, self.stale = float(best_score), int(stale)
            records = [dict(record) for record in saved.meta["history"]]
            if not (0 <= self.stage_index < len(self.plan) and min(self.epoch, self.step) >= 0):
                raise ValueError("a position outside the plan")
        self.history.replace(records)

    def restore_stage(self, saved: Checkpoint) -> None:
        """Set what a stage builds at its beginning: optimisers, schedules, the average."""
        with self._readable():
            # Building the schedules set every rate to that of a first update; the saved groups bring the present ones.
            for name, optimiser in self.optimisers.items():
                state: dict[int, dict[str, Tensor]] = {}
                for key, value in entries_under(saved.tensors, f"optimiser.{name}.").items():
                    number, field = key.split(".", 1)
                    state.setdefault(int(number), {})[field] = value
                groups = saved.meta["optimisers"][name]
                optimiser.load_state_dict({"state": state, "param_groups": groups})
            for name, schedule in self.schedules.items():
                schedule.load_state_dict(saved.meta["schedules"][name])
            if self.averaged:
                self.averaged.network.load_state_dict(entries_under(saved.tensors, "averaged."))
                self.averaged.updates = saved.meta["averaged_updates"]
            self.fabric.strategy.precision.load_state_dict(saved.meta["precision"])

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn errors of a tampered checkpoint into one line."""
        try:
            yield
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise UserError(
                f"the checkpoint in {self.settings.directory} does not hold what a run needs ({error!s:.120}): delete"
                " the folder and train again"
            ) from None


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold: a schedule's numbers, not its functions."""
    return {k: v for k, v in state.items() if isinstance(v, int | float | str | bool | list)}
