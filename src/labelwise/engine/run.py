"""One training run: its networks, optimisers, item state and position."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labelwise._files import check_no_links
from labelwise._random import number, torch_seeded
from labelwise.data import Source
from labelwise.engine import checkpoint, snapshot
from labelwise.engine.averaging import Averaged
from labelwise.engine.batches import compose, join_lone, lay_out
from labelwise.engine.drawing import Drawer
from labelwise.engine.history import History
from labelwise.engine.optimisers import build_optimiser, build_schedule, held_by
from labelwise.engine.pools import StoredPool, aligned
from labelwise.engine.progress import Progress, Silent
from labelwise.engine.settings import Settings
from labelwise.engine.starts import start_head
from labelwise.errors import Notice, UserError, listed
from labelwise.methods import Batch, Method, Stage, head_rate
from labelwise.models import Network, RidgeSolution
from labelwise.targets import ItemState

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
        self._drawer = Drawer(source, settings.seed)
        self.labels = np.ascontiguousarray(method.problem.labels)
        own = settings.directory
        if own is not None:
            check_no_links(own, "a folder of checkpoints")
        if own is not None and fabric.world_size > 1:
            own = own / f"rank-{fabric.global_rank}"
        self.state = ItemState(method.slots(), *self.labels.shape, budget=settings.memory, directory=own)
        self.label_weights = (
            None
            if label_weights is None
            else torch.as_tensor(label_weights, dtype=torch.float32).to(fabric.device)
        )
        self.history = History(settings.directory)
        self.averaged: Averaged | None = None
        self.best: dict[str, Tensor] = {}
        self.best_score, self.stale = -np.inf, 0
        self.stage_index = self.epoch = self.step = 0
        self.loss_sum, self.loss_items = 0.0, 0
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.schedules: dict[str, torch.optim.lr_scheduler.OneCycleLR] = {}
        self.forward_network: nn.Module = self.network
        self._stepped: dict[str, Any] = {}
        named = {
            **self.network.state_dict(keep_vars=True),
            **self.method.state_dict(prefix="method.", keep_vars=True),
        }
        self._trainable: dict[str, nn.Parameter] = {
            k: v for k, v in named.items() if isinstance(v, nn.Parameter) and v.requires_grad
        }
        self._norms_batches = any(
            isinstance(module, _BatchNorm)
            for part in self.network.children()
            if any(parameter.requires_grad for parameter in part.parameters())
            and not (part is self.network.backbone and self.network.keeps_statistics)
            for module in part.modules()
        )
        self._composed: tuple[tuple[int, int], list[dict[str, np.ndarray]]] | None = None
        self._items_saved: tuple[int, str | None] | None = None
        self._seen = np.empty(0, np.int64)
        self._updated = False
        self._saved_at = time.monotonic()
        self._check()
        if self._norms_batches and fabric.world_size > 1 and fabric.is_global_zero:
            _tell_of_batch_norm()

    def _check(self) -> None:
        """Refuse, before any work, what the method cannot do."""
        method, accumulate = self.method, self.settings.accumulate
        if "prior" in method.spec.needs:
            method.problem.unknown_prior(method.spec.id)
        if method.reads_truth:
            method.truth()
        if accumulate > 1 and (method.spec.whole_batch or any(len(s.optimisers) > 1 for s in self.plan)):
            why = (
                "its loss sums over the whole batch"
                if method.spec.whole_batch
                else "it has several optimisers"
            )
            raise UserError(
                f"accumulate={accumulate}: gradients of method {method.spec.id!r} cannot be accumulated, since {why}; "
                "raise batch_size instead"
            )

    @property
    def stage(self) -> Stage:
        """The stage under way."""
        return self.plan[self.stage_index]

    @property
    def evaluated(self) -> Network:
        """The network that validation and the finished model use: the averaged one where one is kept."""
        return self.averaged.network if self.averaged else self.network  # type: ignore[return-value]

    @property
    def between_updates(self) -> bool:
        """Whether no gradient is held, so that the run can be saved."""
        return self.step % self.settings.accumulate == 0 or self.step == self.steps_per_epoch()

    def begin_stage(self, restored: checkpoint.Checkpoint | None = None) -> None:
        """Start the head from the closed form where asked, and build optimisers, schedules and the average."""
        stage = self.stage
        if stage.ridge_start and restored is None:
            with self.torch_seeded("start"):
                start_head(self)
        self.averaged = Averaged(self.network, stage.ema) if stage.ema is not None else None
        specs = stage.optimisers if stage.epochs else {}
        for name, parameter in self._trainable.items():
            parameter.requires_grad_(any(held_by(spec, name) for spec in specs.values()))
            parameter.grad = None
        updates = -(-self.steps_per_epoch() // self.settings.accumulate) * stage.epochs
        self.optimisers = {k: build_optimiser(spec, self._trainable) for k, spec in specs.items()}
        schedules = {k: build_schedule(spec, self.optimisers[k], updates) for k, spec in specs.items()}
        self.schedules = {k: schedule for k, schedule in schedules.items() if schedule is not None}
        self._wrap()
        if restored is None:
            self.stale = 0
        else:
            snapshot.restore_stage(self, restored)
        done = self.epoch * self.steps_per_epoch() + self.step
        self.progress.stage(stage.name, stage.epochs * self.steps_per_epoch(), done)

    def _wrap(self) -> None:
        """Let Fabric wrap the network for mixed precision and data parallelism; one device in 32 bit needs none."""
        self.forward_network, self._stepped = self.network, dict(self.optimisers)
        if self.optimisers and (self.fabric.world_size > 1 or self.settings.precision != "32"):
            if self.settings.precision == "16" and len(self.optimisers) > 1:
                raise UserError(
                    f"precision='16': method {self.method.spec.id!r} has several optimisers, whose gradients one "
                    "scale does not fit; use precision='bf16' or '32'"
                )
            first, *rest = self.optimisers.values()
            self.forward_network, *wrapped = self.fabric.setup(
                self.network, first, *rest, _reapply_compile=False
            )
            self._stepped = dict(zip(self.optimisers, wrapped, strict=True))

    def finish(self) -> None:
        """Let every parameter that was trainable at the beginning be so again, and drop the gradients."""
        self._drawer.close()
        for parameter in self._trainable.values():
            parameter.requires_grad_(True)
            parameter.grad = None

    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch of the stage under way."""
        return len(self.batches()) if self.stage.epochs else 0

    def batches(self) -> list[dict[str, np.ndarray]]:
        """Return the item indices of every batch of the epoch under way, by group."""
        place = (self.stage_index, self.epoch)
        if self._composed is None or self._composed[0] != place:
            batches = compose(
                self.method.problem.groups,
                self.stage.mixture,
                seed=self.settings.seed,
                stage=self.stage_index,
                epoch=self.epoch,
            )
            self._composed = place, join_lone(batches, self.stage) if self._norms_batches else batches
        return self._composed[1]

    def torch_seeded(self, what: str) -> AbstractContextManager[None]:
        """Let torch's own generators (dropout's) start from a seed that depends on the place in the run alone."""
        place = self.stage_index, self.epoch, self.fabric.global_rank
        start = number(self.settings.seed, what, *place) + self.step
        return torch_seeded(start, self.fabric.device)

    def refresh(self) -> None:
        """Let the method change its item state from the stored features of the raw or the averaged network."""
        with self.torch_seeded("refresh"):
            self.method.refresh(self.pool)

    def pool(self, which: str) -> StoredPool:
        """Return all items as the ``"averaged"`` or the ``"raw"`` network sees them, features taken on demand."""
        return StoredPool(
            self.evaluated if which == "averaged" else self.network,
            self.source,
            self.method.start_labels,
            self.state,
            self.epoch + 1,
            self.fabric.device,
            name=which,
            budget=self.settings.memory,
            directory=self.settings.directory,
            solution=self.solution,
        )

    def batch(self, members: Mapping[str, np.ndarray]) -> Batch:
        """Build a step's batch: inputs of every view, labels and item state, on the device."""
        device = self.fabric.device
        index, rows = self._laid_out(members)
        epoch = 1000 * self.stage_index + self.epoch
        place = self.stage_index, self.epoch, self.step
        inputs = self._drawer.draw(place, {view: index[span] for view, span in rows.items()}, epoch)
        if self._drawer.looks_ahead and self.step + 1 < len(self.batches()):
            following, spans = self._laid_out(self.batches()[self.step + 1])
            wanted = {view: following[span] for view, span in spans.items()}
            self._drawer.begin((*place[:2], self.step + 1), wanted, epoch)
        return Batch(
            index=torch.from_numpy(index),
            labels=torch.from_numpy(self.labels[index]).to(device),
            state={name: value.to(device) for name, value in self.state.take(index).items()},
            inputs={view: aligned(drawn).to(device) for view, drawn in inputs.items()},
            rows=rows,
            stage=self.stage.name,
            epoch=self.epoch + 1,
            label_weights=self.label_weights,
            write=lambda name, values: self._write(name, index, values.cpu().numpy()),
        )

    def _laid_out(self, members: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, slice]]:
        return lay_out(members, self.stage, rank=self.fabric.global_rank, world=self.fabric.world_size)

    def _write(self, name: str, index: np.ndarray, values: np.ndarray) -> None:
        """Set rows of the item state on every rank; all ranks write in the same step."""
        pieces: list[Any] = [(index, values)]
        if self.fabric.world_size > 1:
            pieces = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(pieces, (index, values))
        for rows, new in pieces:
            self.state.write(name, new, rows)

    def forward(self, batch: Batch) -> None:
        """Fill ``batch.outputs``: one forward pass for each view. Parts that do not train stay in evaluation mode."""
        self.forward_network.train()
        for part in self.network.children():
            parameters = list(part.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                part.eval()
        for view, inputs in batch.inputs.items():
            try:
                batch.outputs[view] = self.forward_network(inputs)
            except ValueError as error:
                if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
                    raise
                raise UserError(
                    f"a batch holds one item of the {view!r} view, and batch norm needs more: raise batch_size, or"
                    " take more items"
                ) from None

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, after making sure that it is a number."""
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is not a number")
        share = self._share_of_update()
        scaled = loss * share if share != 1.0 else loss
        if self.forward_network is self.network:
            scaled.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(scaled)

    def _share_of_update(self) -> float:
        """The part of an update's items that the batch under way holds: 1 unless gradients are accumulated."""
        many = self.settings.accumulate
        if many == 1:
            return 1.0
        first = self.step - self.step % many
        sizes = [sum(map(len, members.values())) for members in self.batches()[first : first + many]]
        return sizes[self.step - first] / sum(sizes)

    def update(self, *names: str) -> None:
        """Step the optimisers of these names (all without any) and clear every gradient.

        While gradients are being accumulated this does nothing.
        """
        if (self.step + 1) % self.settings.accumulate and self.step + 1 < self.steps_per_epoch():
            return
        if self.fabric.world_size > 1:
            # The network's gradients are averaged by its wrapper; the method's own parameters have none.
            for parameter in self.method.parameters():
                if parameter.grad is not None:
                    parameter.grad = cast(Tensor, self.fabric.all_reduce(parameter.grad, reduce_op="mean"))
        for name in names or self.optimisers:
            try:
                self._stepped[name].step()
            except RuntimeError as error:
                if "overflow" not in str(error):
                    raise
                raise FloatingPointError("the update is not a number") from None
            if name in self.schedules:
                self.schedules[name].step()
        for parameter in self._trainable.values():
            parameter.grad = None
        self.method.after_step(self.network)
        self._updated = True

    def take_step(self, members: Mapping[str, np.ndarray]) -> None:
        """Let the method take one step on a batch, move the average, and count the step."""
        batch = self.batch(members)
        self._seen = batch.index.numpy()
        try:
            with self.torch_seeded("step"):
                value = self.method.step(batch, self)
            if self.fabric.world_size > 1:
                value = cast(Tensor, self.fabric.all_reduce(value, reduce_op="mean"))
            loss = float(value)
        except FloatingPointError:
            raise UserError(
                self._not_finite("the loss is not a number", self.step + 1, batch.inputs)
            ) from None
        if self._updated and self.averaged:
            self.averaged.update(self.network)
        self._updated = False
        self.step += 1
        items = sum(map(len, members.values()))
        self.loss_sum += loss * items
        self.loss_items += items
        self.progress.step(items, loss)

    def _check_finite(self) -> None:
        """Refuse to go on with, or to save, weights that are not numbers."""
        if not all(bool(torch.isfinite(p).all()) for p in self._trainable.values()):
            raise UserError(self._not_finite("the weights are not numbers", self.step, {}))

    def _not_finite(self, what: str, step: int, inputs: Mapping[str, Tensor]) -> str:
        """Return the line that names stage, method, items and what is not finite, and how to go on."""
        state = {**self.network.state_dict(), **self.method.state_dict(prefix="method.")}
        bad = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
        views = {view: ~torch.isfinite(x.flatten(1)).all(1).cpu().numpy() for view, x in inputs.items()}
        fault = (
            np.concatenate(list(views.values())) if len(views) == 1 else np.zeros(len(self._seen), np.bool_)
        )
        index = self._seen[fault] if fault.any() else self._seen
        names = [self.items[i] for i in index] if self.items is not None else index.tolist()
        advice = "lower learning_rate"
        if any(view.any() for view in views.values()):
            advice, bad = "mend or drop these items", [*bad, "inputs"]
        elif self.settings.precision != "32":
            advice += f", or use precision='32' instead of {self.settings.precision!r}"
        where = f"not finite: {listed(bad)}" if bad else "weights, statistics and inputs are still finite"
        place = f"stage {self.stage.name!r}, epoch {self.epoch + 1}, step {step}"
        return f"{what} in {place} of method {self.method.spec.id!r} (items {listed(names, 8)}; {where}): {advice}"

    def end_epoch(self, seconds: float, validation: float | None) -> None:
        """Record the epoch, remember the best network, and move on to the next epoch."""
        self._check_finite()
        record: dict[str, Any] = {"stage": self.stage.name, "epoch": self.epoch + 1}
        record["loss"] = self.loss_sum / max(self.loss_items, 1)
        record["learning_rate"] = head_rate(self)
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

    def save_if_due(self, *, force: bool = False) -> None:
        """Write a checkpoint when the last one is old enough."""
        if force or time.monotonic() - self._saved_at >= self.settings.checkpoint_seconds:
            self.save()

    def save(self, finished: bool = False) -> None:
        """Write all that the rest of the run depends on, if it has a directory and holds no gradients."""
        if self.settings.directory is None or not (self.between_updates and self.fabric.is_global_zero):
            return
        self._check_finite()
        tensors, meta = snapshot.take(self, finished)
        version = self.state.version
        known = self._items_saved[1] if self._items_saved and self._items_saved[0] == version else None
        position = (self.stage_index, self.epoch, self.step)
        digest = checkpoint.save(self.settings.directory, position, tensors, meta, self.state.arrays(), known)
        self._items_saved = version, digest
        self._saved_at = time.monotonic()

    def restore(self) -> checkpoint.Checkpoint | None:
        """Set network, method, item state, history and position from the newest checkpoint, if there is one."""
        if self.settings.directory is None:
            return None
        found = checkpoint.latest(self.settings.directory)
        if found is None:
            self.history.replace([])
            return None
        snapshot.restore_run(self, found)
        self._items_saved = self.state.version, found.items_sha256
        return found


def _tell_of_batch_norm() -> None:
    warnings.warn(
        Notice(
            "batch norm takes its statistics from each process's part of a batch: what is trained differs from what one"
            " process trains; use devices=1, a large batch_size, or head_start='ridge', which keeps the statistics of a"
            " pretrained backbone"
        ),
        stacklevel=3,
    )
