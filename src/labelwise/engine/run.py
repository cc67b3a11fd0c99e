"""A training run: its batches, steps, epochs and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labelwise._random import number, torch_seeded
from labelwise.data import Source, views_of
from labelwise.engine import checkpoint
from labelwise.engine.accelerator import DeviceRows, PendingLosses, memory_format, to_device
from labelwise.engine.batches import Prefetcher, make_batches, merge_single_item_batch, rank_share, share_of
from labelwise.engine.blocks import block_size, check_size, step_by_blocks
from labelwise.engine.compiling import CompiledNetwork
from labelwise.engine.modes import Modes
from labelwise.engine.optimisers import Averaged, build_optimiser, build_schedule, has_parameter
from labelwise.engine.pools import StoredPool, aligned
from labelwise.engine.progress import Progress, Silent
from labelwise.engine.refusals import check_method, warn_of_batch_norm
from labelwise.engine.settings import Settings
from labelwise.engine.starts import start_head
from labelwise.engine.state import RunState
from labelwise.errors import UserError, listed
from labelwise.methods import Batch, Method, head_rate
from labelwise.models import Network, RidgeSolution, StartsFromRidge

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Run(RunState):
    """A training run, which is the ``Trainer`` of a method's steps."""

    def __init__(
        self,
        network: Network,
        method: Method,
        source: Source,
        settings: Settings,
        fabric: Fabric,
        *,
        solution: RidgeSolution | None = None,
        on_start: Callable[[Network], object] | None = None,
        label_weights: np.ndarray | None = None,
        fingerprint: str = "",
        progress: Progress | None = None,
        items: Sequence[str] | None = None,
    ) -> None:
        super().__init__(network, method, settings, fabric, fingerprint)
        self.source, self.solution, self.on_start = source, solution, on_start
        # Every process of a run takes the same steps: one of them is enough to tell.
        self.progress = progress if progress is not None and fabric.is_global_zero else Silent()
        self.items = items
        self.label_weights = (
            None
            if label_weights is None
            else torch.as_tensor(label_weights, dtype=torch.float32).to(fabric.device)
        )
        self.forward_network: nn.Module = self.network
        self._fabric_wraps = False
        self._prefetcher = Prefetcher(source, settings.seed)
        self._on_device = DeviceRows(self.labels, source, self.state, fabric.device)
        self._losses = PendingLosses(fabric.device)
        self._layout = memory_format(self.network, fabric.device)
        if self._layout is torch.channels_last:
            cast(Any, self.network).to(memory_format=self._layout)
        self._stepped: dict[str, Any] = {}
        self._modes = Modes(self.network)
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
        self._batches: tuple[tuple[int, int], list[dict[str, np.ndarray]]] | None = None
        self._items_saved: tuple[int, str | None] | None = None
        self._rows = np.empty(0, np.int64)
        self._updated = False
        self._saved_at = time.monotonic()
        check_method(method, self.plan, settings, fabric)
        check_size(method, self.network, self.plan, settings.memory)
        if self._norms_batches and fabric.world_size > 1 and fabric.is_global_zero:
            warn_of_batch_norm()

    @property
    def between_updates(self) -> bool:
        """Whether no gradient is held, so that the run can be saved."""
        return self.step % self.settings.accumulate == 0 or self.step == self.steps_per_epoch()

    def begin_stage(self, restored: checkpoint.Checkpoint | None = None) -> None:
        """Start the head, and build optimisers, schedules and the average.

        The head starts from ridge where the stage says so; a restored run goes on with its own.
        """
        stage = self.stage
        if stage.start == "averaged" and self.averaged is not None and restored is None:
            self.network.load_state_dict(self.averaged.network.state_dict())
        if stage.ridge_start and restored is None:
            with self.torch_seeded("start"):
                self._start_head()
        if restored is None and self.on_start is not None and (stage.ridge_start or self.stage_index == 0):
            self.on_start(self.network)
        # After the head's start, which is then the first value of the average.
        self.averaged = Averaged(self.network, stage.ema) if stage.ema is not None else None
        specs = stage.optimisers if stage.epochs else {}
        # A stage trains what its optimisers hold; `forward` keeps the rest in evaluation mode.
        for name, parameter in self._trainable.items():
            parameter.requires_grad_(any(has_parameter(spec, name) for spec in specs.values()))
            parameter.grad = None
        self._modes = Modes(self.network)
        # In any case: a new network is in training mode, and only train() tells its batch norm to keep statistics.
        self._modes.set(self.forward_network)
        updates = -(-self.steps_per_epoch() // self.settings.accumulate)
        self.optimisers = {k: build_optimiser(spec, self._trainable) for k, spec in specs.items()}
        schedules = {
            k: build_schedule(spec, self.optimisers[k], updates * (spec.cycle or stage.epochs))
            for k, spec in specs.items()
        }
        self.schedules = {k: schedule for k, schedule in schedules.items() if schedule is not None}
        self._wrap()
        if restored is None:
            self.stale = 0
        else:
            self.restore_stage(restored)
        done = self.epoch * self.steps_per_epoch() + self.step
        self.progress.stage(stage.name, stage.epochs * self.steps_per_epoch(), done)

    def next_stage(self) -> None:
        """Move on to the first epoch of the next stage."""
        self.stage_index, self.epoch = self.stage_index + 1, 0

    def _start_head(self) -> None:
        """Start the head from ridge, on batches without inputs."""

        def batch_of(index: np.ndarray, view: str) -> Batch:
            return self._batch(index, {view: slice(0, len(index))}, {}, 1, lambda slot, values: None)

        head = self.network.head
        if not isinstance(head, StartsFromRidge):
            raise UserError(
                f"method {self.method.spec.id!r} starts its head from ridge, which {type(head).__name__} cannot: give a"
                " LinearHead or a CosineHead, or ridge_start=False in its spec"
            )
        start_head(
            head,
            self.pool("raw").ridge(),
            self.method,
            self.stage,
            batch_of=batch_of,
            refresh=self.refresh,
            seed=self.settings.seed,
        )

    def _wrap(self) -> None:
        """Wrap the network for compiling, mixed precision and data parallelism.

        One device in 32 bit without compiling needs no wrapper.
        """
        self.forward_network, self._stepped = self.network, dict(self.optimisers)
        if self.settings.compile and self.optimisers:
            # A new one each stage: other parameters train.
            self.forward_network = CompiledNetwork(self.network)
        wraps = self.fabric.world_size > 1 or self.settings.precision != "32"
        self._fabric_wraps = bool(self.optimisers) and wraps
        if self._fabric_wraps:
            if self.settings.precision == "16" and len(self.optimisers) > 1:
                raise UserError(
                    f"precision='16': method {self.method.spec.id!r} has several optimisers, whose gradients one "
                    "scale does not fit; use precision='bf16' or '32'"
                )
            first, *rest = self.optimisers.values()
            self.forward_network, *wrapped = self.fabric.setup(
                self.forward_network, first, *rest, _reapply_compile=False
            )
            self._stepped = dict(zip(self.optimisers, wrapped, strict=True))

    def finish(self) -> None:
        """Restore which parameters are trainable, and drop the gradients."""
        self._prefetcher.close()
        if self._layout is torch.channels_last:
            for network in {self.network, self.evaluated}:
                cast(Any, network).to(memory_format=torch.contiguous_format)
        for parameter in self._trainable.values():
            parameter.requires_grad_(True)
            parameter.grad = None

    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch of the stage under way."""
        return len(self.batches()) if self.stage.epochs else 0

    def batches(self) -> list[dict[str, np.ndarray]]:
        """Return the present epoch's batches, as item numbers by group."""
        epoch = self.position[:2]
        if self._batches is None or self._batches[0] != epoch:
            batches = make_batches(
                self.method.problem.groups,
                self.stage.mixture,
                seed=self.settings.seed,
                stage=self.stage_index,
                epoch=self.epoch,
            )
            if self._norms_batches:
                batches = merge_single_item_batch(batches, self.stage)
            self._batches = epoch, batches
        return self._batches[1]

    def torch_seeded(self, what: str) -> AbstractContextManager[None]:
        """Seed torch's own generators (dropout's) by the place in the run."""
        start = number(self.settings.seed, what, self.stage_index, self.epoch, self.fabric.global_rank)
        return torch_seeded(start + self.step, self.fabric.device)

    def refresh(self) -> None:
        """Let the method change its item state, from stored features."""
        with self.torch_seeded("refresh"):
            self.method.refresh(self.pool)

    def pool(self, which: str) -> StoredPool:
        """Return all items as the ``"averaged"`` or ``"raw"`` network sees them.

        Features are taken on demand.
        """
        return StoredPool(
            self.evaluated if which == "averaged" else self.network,
            self.source,
            self.method.first_labels,
            self.state,
            self.epoch + 1,
            self.fabric.device,
            name=which,
            budget=self.settings.memory,
            directory=self.settings.directory,
            solution=self.solution,
            groups=self.method.problem.item_groups,
            weights=self.method.problem.row_weights,
        )

    def batch(self, members: Mapping[str, np.ndarray]) -> Batch:
        """Build a step's batch on the device, with inputs by view."""
        index, rows = self._rank_share(members)
        position, epoch = self.position, self.position.view_epoch
        device_index = to_device(torch.from_numpy(index), self.fabric.device)
        drawn = {view: index[span] for view, span in rows.items() if view not in self._on_device.views}
        inputs = self._prefetcher.take(position, drawn, epoch) if drawn else {}
        # Begun before this batch trains: files are read while the device computes.
        if self._prefetcher.looks_ahead and self.step + 1 < len(self.batches()):
            following, spans = self._rank_share(self.batches()[self.step + 1])
            items = {view: following[span] for view, span in spans.items()}
            self._prefetcher.begin(position._replace(step=self.step + 1), items, epoch)
        on_device = {
            view: to_device(aligned(inputs[view]), self.fabric.device, self._layout)
            if view in drawn
            else self._on_device.inputs(device_index[span])
            for view, span in rows.items()
        }
        return self._batch(
            index,
            rows,
            on_device,
            self.epoch + 1,
            lambda name, values: self._write(name, index, values.cpu().numpy()),
            device_index,
        )

    def _batch(
        self,
        index: np.ndarray,
        rows: dict[str, slice],
        inputs: dict[str, Tensor],
        epoch: int,
        write: Callable[[str, Tensor], None],
        device_index: Tensor | None = None,
    ) -> Batch:
        if device_index is None:
            device_index = to_device(torch.from_numpy(index), self.fabric.device)
        return Batch(
            index=torch.from_numpy(index),
            labels=self._on_device.labels(device_index, index),
            state=self._on_device.state(device_index, index),
            inputs=inputs,
            rows=rows,
            stage=self.stage.name,
            epoch=epoch,
            label_weights=self.label_weights,
            write=write,
            hierarchy=self.method.problem.hierarchy,
        )

    def _rank_share(self, members: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, slice]]:
        return rank_share(members, self.stage, rank=self.fabric.global_rank, world=self.fabric.world_size)

    def _write(self, name: str, index: np.ndarray, values: np.ndarray) -> None:
        """Set rows of the item state, on every rank alike.

        All ranks write in the same step.
        """
        pieces: list[Any] = [(index, values)]
        if self.fabric.world_size > 1:
            pieces = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(pieces, (index, values))
        # In the order of the ranks on every rank, so that an item that two of them hold gets the same value.
        for rows, new in pieces:
            self.state.write(name, new, rows)

    def forward(self, batch: Batch) -> None:
        """Fill ``batch.outputs`` by one forward pass for each view.

        Parts that do not train stay in evaluation mode.
        """
        self._modes.keep(self.forward_network)
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
        """Add the gradients of ``loss``; refuse one that is no number.

        An accelerator's are looked at when they are read, at most some steps later.
        """
        if loss.device.type == "cpu" and not math.isfinite(loss.item()):
            raise FloatingPointError("the loss is not a number")
        # Shares, not 1 / accumulate: the last batch may be smaller, and an item must weigh the same in each.
        share = share_of(self.batches(), self.step, self.settings.accumulate)
        scaled = loss * share if share != 1.0 else loss
        if self._fabric_wraps:
            self.fabric.backward(scaled)
        else:
            scaled.backward()  # type: ignore[no-untyped-call]

    def update(self, *names: str) -> None:
        """Step optimisers, and clear every gradient.

        Without names all are stepped. While gradients are being accumulated this does nothing.
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

    def _step(self, batch: Batch) -> Tensor:
        """Let the method step on a batch, by blocks of labels where there are very many."""
        size = block_size(self.method, self.network, batch)
        if size is None or self.forward_network is not self.network:
            return self.method.step(batch, self)
        self._modes.keep(self.network)
        share = share_of(self.batches(), self.step, self.settings.accumulate)
        loss = step_by_blocks(self.method, batch, self.network, size, share)
        self.update()
        return loss

    def take_step(self, members: Mapping[str, np.ndarray]) -> None:
        """Let the method step on a batch, then move the average."""
        batch = self.batch(members)
        self._rows = batch.index.numpy()
        try:
            with self.torch_seeded("step"):
                value = self._step(batch)
            if self.fabric.world_size > 1:
                value = cast(Tensor, self.fabric.all_reduce(value, reduce_op="mean"))
        except FloatingPointError:
            raise UserError(
                self._not_finite("the loss is not a number", self.step + 1, batch.inputs)
            ) from None
        # The average moves with updates, not with batches: those whose gradients only accumulate change no weight.
        if self._updated and self.averaged:
            self.averaged.update()
        self._updated = False
        self._losses.add(self.step, sum(map(len, members.values())), value)
        self.step += 1
        if self._losses.due:
            self.read_losses()

    def read_losses(self) -> None:
        """Add the losses of the steps since the last time; refuse one that is no number."""
        for step, items, loss in self._losses.read():
            if not np.isfinite(loss) and self.fabric.device.type != "cpu":
                self._rows, rows = self._rank_share(self.batches()[step])
                views = {view: self._rows[span] for view, span in rows.items()}
                inputs = views_of(self.source, views, seed=self.settings.seed, epoch=self.position.view_epoch)
                raise UserError(self._not_finite("the loss is not a number", step + 1, inputs))
            self.loss_sum += loss * items
            self.loss_items += items
            self.progress.step(items, loss)

    def _check_finite(self) -> None:
        """Refuse weights that are not numbers, before they are saved."""
        if not all(bool(torch.isfinite(p).all()) for p in self._trainable.values()):
            raise UserError(self._not_finite("the weights are not numbers", self.step, {}))

    def _not_finite(self, what: str, step: int, inputs: Mapping[str, Tensor]) -> str:
        """Return the line on what is not finite, where, and what helps."""
        state = {**self.network.state_dict(), **self.method.state_dict(prefix="method.")}
        bad = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
        views = {view: ~torch.isfinite(x.flatten(1)).all(1).cpu().numpy() for view, x in inputs.items()}
        fault = (
            np.concatenate(list(views.values())) if len(views) == 1 else np.zeros(len(self._rows), np.bool_)
        )
        index = self._rows[fault] if fault.any() else self._rows
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
        """Record the epoch, remember the best network, begin the next epoch."""
        self._check_finite()
        record: dict[str, Any] = {"stage": self.stage.name, "epoch": self.epoch + 1}
        record["loss"] = self.loss_sum / max(self.loss_items, 1)
        record["learning_rate"] = head_rate(self)
        record["items_per_second"] = round(self.loss_items / max(seconds, 1e-9), 1)
        record["seconds"] = round(seconds, 3)
        if validation is not None:
            record["validation"] = validation
            self.stale += 1
            # Of epochs that are equally good the first is kept, which has moved least from its start.
            if validation > self.best_score:
                self.best_score, self.stale = validation, 0
                self.best = {k: v.detach().clone() for k, v in self.evaluated.state_dict().items()}
                # A method scores with statistics of its own, which belong to the same epoch.
                self.best |= {f"method.{k}": v.detach().clone() for k, v in self.method.state_dict().items()}
        self.history.add(record)
        self.progress.epoch(record)
        self.epoch, self.step, self.loss_sum, self.loss_items = self.epoch + 1, 0, 0.0, 0

    def save_if_due(self, *, force: bool = False) -> None:
        """Write a checkpoint when the last one is old enough."""
        if force or time.monotonic() - self._saved_at >= self.settings.checkpoint_seconds:
            self.save()

    def save(self, finished: bool = False) -> None:
        """Write a checkpoint, if there is a directory and no gradient held."""
        if self.settings.directory is None or not (self.between_updates and self.fabric.is_global_zero):
            return
        self.read_losses()
        self._check_finite()
        tensors, meta = self.snapshot(finished)
        # An item state that has not changed since the last checkpoint is not written again.
        version = self.state.version
        digest = self._items_saved[1] if self._items_saved and self._items_saved[0] == version else None
        digest = checkpoint.save(
            self.settings.directory, self.position, tensors, meta, self.state.arrays(), digest
        )
        self._items_saved = version, digest
        self._saved_at = time.monotonic()

    def restore(self) -> checkpoint.Checkpoint | None:
        """Restore the run from its newest checkpoint, if there is one."""
        if self.settings.directory is None:
            return None
        saved = checkpoint.latest(self.settings.directory)
        if saved is None:
            self.history.replace([])
            return None
        self.restore_run(saved)
        self._items_saved = self.state.version, saved.items_sha256
        return saved
