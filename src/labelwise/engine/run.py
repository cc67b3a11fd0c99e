"""One training run: its networks, optimisers, item state and position, and how they are saved and restored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.data import Source
from labelwise.engine import checkpoint
from labelwise.engine.averaging import Averaged
from labelwise.engine.batches import compose
from labelwise.engine.history import History
from labelwise.engine.pools import StoredPool, embed
from labelwise.engine.progress import Progress, Silent
from labelwise.engine.settings import Settings
from labelwise.errors import UserError, listed
from labelwise.methods import Batch, Method, Optimiser, Stage
from labelwise.models import Network, RidgeSolution, start_from_ridge
from labelwise.targets import ItemState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Run"]


class Run:
    """The engine's side of a method's steps (its ``Trainer``), and everything that a checkpoint holds."""

    def __init__(
        self,
        network: Network,
        method: Method,
        source: Source,
        settings: Settings,
        fabric: Fabric,
        *,
        solution: RidgeSolution | None = None,
        label_weights: np.ndarray | None = None,
        fingerprint: str = "",
        progress: Progress | None = None,
        items: Sequence[str] | None = None,
    ) -> None:
        self.network, self.method, self.source = network.to(fabric.device), method.to(fabric.device), source
        self.settings, self.fabric, self.solution = settings, fabric, solution
        self.fingerprint, self.progress, self.items = fingerprint, progress or Silent(), items
        self.plan = method.plan()
        self.labels = np.ascontiguousarray(method.problem.labels)
        self.state = ItemState(
            method.slots(), *self.labels.shape, budget=settings.memory, directory=settings.directory
        )
        self.label_weights = (
            None
            if label_weights is None
            else torch.as_tensor(label_weights, dtype=torch.float32).to(fabric.device)
        )
        self.history = History(settings.directory)
        self.averaged: Averaged | None = None
        self.best: dict[str, Tensor] = {}
        self.best_score, self.stale = -np.inf, 0
        self.stage_index = self.epoch = self.step = self.updates = self.pending = 0
        self.loss_sum, self.loss_items = 0.0, 0
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.schedules: dict[str, torch.optim.lr_scheduler.OneCycleLR] = {}
        self.forward_network: nn.Module = self.network
        self._saved_at = time.monotonic()
        if settings.accumulate > 1 and method.spec.whole_batch:
            raise UserError(
                f"accumulate={settings.accumulate}: the loss of method {method.spec.id!r} sums over the whole "
                "batch, so gradients cannot be accumulated; raise batch_size instead"
            )

    @property
    def stage(self) -> Stage:
        """The stage under way."""
        return self.plan[self.stage_index]

    @property
    def evaluated(self) -> Network:
        """The network that validation and the finished model use: the averaged one where one is kept."""
        return self.averaged.network if self.averaged else self.network  # type: ignore[return-value]

    def begin_stage(self, restored: checkpoint.Checkpoint | None = None) -> None:
        """Start the head from the closed form where asked, and build optimisers, schedules and the average."""
        stage = self.stage
        if stage.ridge_start and restored is None:
            pool = self._pool("raw")
            start_from_ridge(self.network.head, pool.ridge())  # type: ignore[arg-type]
        named = dict(self.network.named_parameters())
        named |= {f"method.{k}": v for k, v in self.method.named_parameters()}
        named = {k: v for k, v in named.items() if v.requires_grad}
        self.optimisers = (
            {k: _optimiser(o, named) for k, o in stage.optimisers.items()} if stage.epochs else {}
        )
        updates = -(-self.steps_per_epoch() // self.settings.accumulate) * stage.epochs
        self.schedules = {
            k: torch.optim.lr_scheduler.OneCycleLR(
                self.optimisers[k],
                [float(group["lr"]) for group in self.optimisers[k].param_groups],
                total_steps=max(updates, 2),
                pct_start=o.warm_up,
            )
            for k, o in stage.optimisers.items()
            if stage.epochs and o.schedule == "one_cycle"
        }
        self.averaged = Averaged(self.network, stage.ema) if stage.ema is not None else None
        if restored is not None:
            self._restore_stage(restored)
        self._wrap()
        done = self.epoch * self.steps_per_epoch() + self.step
        self.progress.stage(stage.name, stage.epochs * self.steps_per_epoch(), done)

    def _wrap(self) -> None:
        """Let Fabric wrap the network for mixed precision and data parallelism; one device in 32 bit needs none."""
        if self.fabric.world_size > 1 or self.settings.precision != "32":
            first, *rest = self.optimisers.values()
            self.forward_network, *_ = self.fabric.setup(self.network, first, *rest, _reapply_compile=False)

    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch of the stage under way."""
        return len(self.batches()) if self.stage.epochs else 0

    def batches(self) -> list[dict[str, np.ndarray]]:
        """Return the item indices of every batch of the epoch under way, by group."""
        return compose(
            self.method.problem.groups,
            self.stage.mixture,
            seed=self.settings.seed,
            stage=self.stage_index,
            epoch=self.epoch,
        )

    def refresh(self) -> None:
        """Let the method change its item state from the stored features of the raw or the averaged network."""
        self.method.refresh(self._pool)

    def _pool(self, which: str) -> StoredPool:
        network = self.evaluated if which == "averaged" else self.network
        features = embed(
            network,
            self.source,
            self.fabric.device,
            budget=self.settings.memory,
            directory=self.settings.directory,
        )
        return StoredPool(
            network, features, self.labels, self.state, self.epoch + 1, self.fabric.device, self.solution
        )

    def batch(self, members: Mapping[str, np.ndarray]) -> Batch:
        """Build a step's batch: inputs of every view, labels and item state, on the device."""
        rank, world, device = self.fabric.global_rank, self.fabric.world_size, self.fabric.device
        parts = {name: index[rank::world] for name, index in members.items()}
        index = np.concatenate(list(parts.values()))
        views: dict[str, list[tuple[int, int]]] = {}
        start = 0
        for name, part in parts.items():
            for view in self.stage.views.get(name, ("weak",)):  # type: ignore[call-overload]
                views.setdefault(view, []).append((start, start + len(part)))
            start += len(part)
        rows = {view: slice(spans[0][0], spans[-1][1]) for view, spans in views.items()}
        epoch = 1000 * self.stage_index + self.epoch
        return Batch(
            index=torch.from_numpy(index),
            labels=torch.from_numpy(self.labels[index]).to(device),
            state={name: value.to(device) for name, value in self.state.take(index).items()},
            inputs={
                view: self.source.batch(index[span], view, seed=self.settings.seed, epoch=epoch).to(device)
                for view, span in rows.items()
            },
            rows=rows,
            stage=self.stage.name,
            epoch=self.epoch + 1,
            label_weights=self.label_weights,
            write=lambda name, values: self.state.write(name, values.cpu().numpy(), index),
        )

    def forward(self, batch: Batch) -> None:
        """Fill ``batch.outputs``: one forward pass for each view."""
        self.forward_network.train()
        for view, inputs in batch.inputs.items():
            batch.outputs[view] = self.forward_network(inputs)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, after making sure that it is a number."""
        if not torch.isfinite(loss):
            raise FloatingPointError
        scaled = loss / self.settings.accumulate if self.settings.accumulate > 1 else loss
        if self.forward_network is self.network:
            scaled.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(scaled)

    def update(self) -> None:
        """Step optimisers, schedules and the average, unless gradients are still being accumulated."""
        self.pending += 1
        if self.pending < self.settings.accumulate and self.step + 1 < self.steps_per_epoch():
            return
        self.pending = 0
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        for schedule in self.schedules.values():
            schedule.step()
        self.method.after_step(self.network)
        if self.averaged:
            self.averaged.update(self.network)
        self.updates += 1

    def take_step(self, members: Mapping[str, np.ndarray]) -> None:
        """Let the method take one step on a batch, and count it."""
        batch = self.batch(members)
        try:
            loss = float(self.method.step(batch, self))
        except FloatingPointError:
            raise UserError(self._not_finite(batch)) from None
        self.step += 1
        self.loss_sum += loss * len(batch.index)
        self.loss_items += len(batch.index)
        self.progress.step(len(batch.index), loss)

    def _not_finite(self, batch: Batch) -> str:
        tensors = {**self.network.state_dict(), **dict(self.method.named_buffers()), **batch.inputs}
        bad = [k for k, v in tensors.items() if v.is_floating_point() and not torch.isfinite(v).all()]
        names = [self.items[i] for i in batch.index] if self.items is not None else batch.index.tolist()
        where = f"not finite: {listed(bad)}" if bad else "weights, statistics and inputs are still finite"
        return (
            f"the loss is not a number in stage {self.stage.name!r}, epoch {self.epoch + 1}, step {self.step + 1} of "
            f"method {self.method.spec.id!r} (items {listed(names, 8)}; {where}): lower "
            f"learning_rate, or use precision='32' if it was {self.settings.precision!r}"
        )

    def end_epoch(self, seconds: float, validation: float | None) -> None:
        """Record the epoch, remember the best network, and move on to the next epoch."""
        record: dict[str, Any] = {"stage": self.stage.name, "epoch": self.epoch + 1}
        record["loss"] = self.loss_sum / max(self.loss_items, 1)
        record["learning_rate"] = next(iter(self.optimisers.values())).param_groups[0]["lr"]
        record["items_per_second"] = round(self.loss_items / max(seconds, 1e-9), 1)
        record["seconds"] = round(seconds, 3)
        if validation is not None:
            record["validation"] = validation
            self.stale += 1
            if validation > self.best_score:
                self.best_score, self.stale = validation, 0
                self.best = {k: v.detach().clone() for k, v in self.evaluated.state_dict().items()}
                self.best |= {f"method.{k}": v.detach().clone() for k, v in self.method.state_dict().items()}
        self.history.add(record)
        self.progress.epoch(record)
        self.epoch, self.step, self.loss_sum, self.loss_items = self.epoch + 1, 0, 0.0, 0

    def save_if_due(self, *, finished: bool = False, force: bool = False) -> None:
        """Write a checkpoint when the last one is old enough (never between accumulated gradients)."""
        if self.settings.directory is None or self.pending or not self.fabric.is_global_zero:
            return
        if force or finished or time.monotonic() - self._saved_at >= self.settings.checkpoint_seconds:
            self.save(finished)

    def save(self, finished: bool = False) -> None:
        """Write everything that the rest of the run depends on."""
        assert self.settings.directory is not None
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"method.{k}": v for k, v in self.method.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.fabric.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.fabric.device)
        meta: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "items_version": self.state.version,
            "finished": finished,
            "position": [self.stage_index, self.epoch, self.step, self.updates],
            "partial": [self.loss_sum, self.loss_items],
            "best": [float(self.best_score), self.stale],
            "history": self.history.records,
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
        checkpoint.save(self.settings.directory, self._serial(), tensors, meta, self.state.arrays())
        self._saved_at = time.monotonic()

    def _serial(self) -> int:
        """A number that grows with the position, for the checkpoint's name."""
        return self.stage_index * 10**8 + self.epoch * 10**5 + self.step

    def restore(self) -> checkpoint.Checkpoint | None:
        """Set network, method, item state, history and position from the newest checkpoint, if there is one."""
        if self.settings.directory is None:
            return None
        found = checkpoint.latest(self.settings.directory)
        if found is None:
            return None
        if found.meta["fingerprint"] != self.fingerprint:
            raise UserError(
                f"the run in {self.settings.directory} was started with other data, labels or settings: give "
                "another output directory, or start it again with the same ones"
            )
        self.network.load_state_dict(_under(found.tensors, "network."))
        self.method.load_state_dict(_under(found.tensors, "method."))
        self.best = _under(found.tensors, "best.")
        self.state.restore(found.items, found.meta["items_version"])
        self.history.replace(found.meta["history"])
        self.stage_index, self.epoch, self.step, self.updates = found.meta["position"]
        self.loss_sum, self.loss_items = found.meta["partial"]
        self.best_score, self.stale = found.meta["best"]
        return found

    def _restore_stage(self, found: checkpoint.Checkpoint) -> None:
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(found.tensors, f"optimiser.{name}.").items():
                number, field = key.split(".", 1)
                state.setdefault(int(number), {})[field] = value
            optimiser.load_state_dict({"state": state, "param_groups": found.meta["optimisers"][name]})
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(found.meta["schedules"][name])
        if self.averaged:
            self.averaged.network.load_state_dict(_under(found.tensors, "averaged."))
            self.averaged.updates = found.meta["averaged_updates"]
        torch.set_rng_state(found.tensors["random.cpu"])
        if "random.cuda" in found.tensors:
            torch.cuda.set_rng_state(found.tensors["random.cuda"], self.fabric.device)


def _optimiser(spec: Optimiser, named: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimiser whose groups share a learning rate; biases and gains are not decayed."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        if spec.parameters and not name.startswith(spec.parameters):
            continue
        factor = next((f for prefix, f in spec.rates.items() if name.startswith(prefix)), 1.0)
        groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    members = [
        {
            "params": parameters,
            "lr": spec.learning_rate * factor,
            "weight_decay": spec.weight_decay if decayed else 0.0,
        }
        for (factor, decayed), parameters in groups.items()
    ]
    if spec.name == "adam":
        return torch.optim.Adam(members)
    return torch.optim.AdamW(members)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold: a schedule's numbers, not its functions."""
    return {k: v for k, v in state.items() if isinstance(v, int | float | str | bool | list)}
