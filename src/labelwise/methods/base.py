"""Interface of a method: plan, item state, refresh, loss, step, score.

A method says how unknown entries get a target and a weight, and which loss reads them. Everything else (devices,
batches, checkpoints, resuming) is the engine's, which knows no method by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.annotations import Hierarchy
from labelwise.errors import UserError
from labelwise.losses import coherent, reduce, soft_targets
from labelwise.methods.group_term import GroupConsistency
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_mean, ranks
from labelwise.methods.spec import Budget, MethodSpec
from labelwise.models import CosineHead, LinearHead, Network, Outputs, RidgeSolution
from labelwise.summaries import AngleStatistics
from labelwise.targets import HintTargets, ItemState, Slot

if TYPE_CHECKING:
    from labelwise.ensemble import Explanation


@dataclass(frozen=True)
class Optimiser:
    """Optimiser over some or all parameters.

    Attributes:
        learning_rate: the constant rate, or the peak of one cycle.
        name: ``"adamw"``, ``"adam"`` or ``"adamax"``.
        weight_decay: of weights, not of biases and gains.
        schedule: ``"constant"``, or ``"one_cycle"``, whose peak is reached after ``warm_up`` of the steps.
        warm_up: share of the steps.
        cycle: the epochs that one cycle is made for, at least those of the stage; None: those of the stage.
        rates: multiples of the learning rate for the parameters whose name begins with a key (``{"backbone": .1}``).
        parameters: beginnings of the names of the parameters; all of them when empty.
    """

    learning_rate: float
    name: Literal["adamw", "adam", "adamax"] = "adamw"
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle"] = "constant"
    warm_up: float = 0.2
    rates: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    cycle: int | None = None


@dataclass(frozen=True)
class Stage:
    """Stage of a plan.

    Attributes:
        name: of the stage, as checkpoints and logs have it.
        epochs: passes over the last group of ``mixture``; a stage of zero epochs calls the method's ``fit``.
        mixture: how many items of each group stand in a batch. Groups: ``all``; ``labelled`` (some entry known) and
            ``unlabelled`` (none); ``complete`` (every entry known) and ``incomplete``; ``fair`` (known entries that
            are a fair sample of both signs: the complete rows where all others show positives only, otherwise those
            with a known entry, and none where no negative is known) and ``unfair``. An epoch is one pass over the
            *last* group named; the others are cycled. A group without items leaves its places to the others.
        optimisers: by name.
        views: the views drawn for each group (one forward pass each).
        ridge_start: whether the head is set to the closed-form solution first.
        refresh: whether the method's ``refresh`` is called before every epoch.
        ema: the decay of the averaged weights kept beside the raw ones, or None.
        start: which weights of the stage before this one starts from, where averaged ones were kept.
    """

    name: str
    epochs: int
    mixture: Mapping[str, int]
    optimisers: Mapping[str, Optimiser]
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ridge_start: bool = False
    refresh: bool = False
    ema: float | None = None
    start: Literal["raw", "averaged"] = "raw"


class BlockSums:
    """What the losses of a batch's blocks of labels are divided by in the end."""

    def __init__(self) -> None:
        self._total: float | Tensor = 0.0
        self._tiny = 0.0

    def add(self, values: Tensor, weights: Tensor | None, over: Literal["entries", "weights"]) -> Tensor:
        """Return the weighted sum of a block's losses, and count its entries or weights."""
        self._tiny = torch.finfo(values.dtype).tiny
        if weights is None or over == "entries":
            self._total += values.numel()
        else:
            self._total = self._total + weights.detach().sum()
        return (values if weights is None else values * weights).sum()

    @property
    def divisor(self) -> float | Tensor:
        """Number of entries, or sum of their weights; never 0."""
        total = self._total
        return total.clamp(min=self._tiny) if isinstance(total, Tensor) else max(total, self._tiny)


@dataclass
class Batch:
    """Inputs, outputs and item state of one step.

    Attributes:
        index: (B,) int64 item ids.
        labels: (B, K) int8.
        state: the batch's rows of every slot of the item state.
        inputs: by view.
        rows: by view, the slice of the batch that the view covers.
        stage: name of the stage.
        epoch: counts from 1 inside the stage.
        label_weights: (K,) the user's weights of the labels' positives, or None.
        write: ``write(slot, values)`` changes the batch's rows of the item state.
        outputs: by view, once ``forward`` was called.
        hierarchy: of the labels, where the loss is to be coherent.
        columns: the block of labels that this is of a batch, or None.
        sums: of its blocks, where it is one.
    """

    index: Tensor
    labels: Tensor
    state: Mapping[str, Tensor]
    inputs: dict[str, Tensor]
    rows: dict[str, slice]
    stage: str
    epoch: int
    label_weights: Tensor | None = None
    write: Callable[[str, Tensor], None] | None = None
    outputs: dict[str, Outputs] = field(default_factory=dict)
    hierarchy: Hierarchy | None = None
    columns: slice | None = None
    sums: BlockSums | None = None

    @property
    def scores(self) -> Tensor:
        """Outputs (B, K) of the batch's only view, logits or cosines.

        With a hierarchy the coherent ones.
        """
        (outputs,) = self.outputs.values()
        if self.hierarchy is not None:
            return coherent(outputs.scores, self.labels, self.hierarchy)
        return outputs.scores


class Trainer(Protocol):
    """Interface of the engine's side of a step."""

    network: Network

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The stage's optimisers by name."""

    def forward(self, batch: Batch) -> None:
        """Fill ``batch.outputs`` with one forward pass for each view."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""

    def update(self, *names: str) -> None:
        """Step optimisers by name, or all, and clear every gradient."""


def head_rate(trainer: Trainer) -> float:
    """Return the present learning rate of the head.

    A backbone and a method's own parameters may have others.
    """
    groups = [group for optimiser in trainer.optimisers.values() for group in optimiser.param_groups]
    head = {id(parameter) for parameter in trainer.network.head.parameters()}
    for group in groups:
        if any(id(parameter) in head for parameter in group["params"]):
            return float(group["lr"])
    # A stage may train no parameter of the head.
    return float(groups[0]["lr"])


class Pool(Protocol):
    """All training items as one network in evaluation mode sees them.

    Its features are stored ones of the weak view.
    """

    network: Network
    state: ItemState
    epoch: int

    @property
    def features(self) -> np.ndarray:
        """The features (n, D) float32 that the head sees."""

    @property
    def inputs(self) -> Any:
        """The rows (n, D) that a head with ``spec.reads_rows`` sees.

        As they were given (dense, CSR or ``FeatureBlocks``, float32) where nothing stands before the head; its
        features otherwise.
        """

    @property
    def backbone_features(self) -> np.ndarray:
        """The features (n, D) float32 as the backbone gives them, before a neck changes them."""

    def outputs(self) -> Iterator[tuple[slice, Outputs]]:
        """Yield (rows, outputs) in chunks over all items, on the network's device."""

    def scores(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (rows, head outputs (b, K)) in chunks over all items."""

    def ridge(self) -> RidgeSolution:
        """Return the closed-form solution on these features, solved once."""


class Method(nn.Module):
    """Base of all methods: one subclass a file, with its ``spec``.

    ``spec`` is its registry entry.

    Buffers of the module are statistics that inference needs; its parameters are learnable scalars, which optimisers
    know as ``method.<name>``. Both are saved with the model.
    """

    spec: ClassVar[MethodSpec]

    left_out: np.ndarray | None = None
    """(n, K) logits of the training items by models that did not see them, once ``fit`` has them; None: a closed
    form's are those of the ridge solution."""
    explanation: Explanation | None = None
    """What ``fit`` found, and what it chose by; None of a method that has nothing to choose."""

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.problem = problem
        if problem.sample_weight is not None and not self.spec.takes_sample_weight:
            raise UserError(f"sample_weight: method {self.spec.id!r} cannot weigh rows; leave it out")
        self.hyperparameters = self.spec.resolve(hyperparameters)
        self.hp = SimpleNamespace(**self.hyperparameters)
        self.group_term: GroupConsistency | None = None
        if problem.item_groups is not None and problem.group_consistency:
            self.group_term = GroupConsistency(problem.item_groups, problem.labels, problem.seed)

    @property
    def reads_truth(self) -> bool:
        """Whether this method reads the true labels of unknown entries.

        Its results are then no honest ones.
        """
        return "true_labels" in self.spec.needs

    def truth(self) -> np.ndarray:
        """Return the true labels (n, K), or raise ``UserError``.

        It is raised where there are none.
        """
        return self.problem.truth(self.spec.id)

    @property
    def starts_from_ridge(self) -> bool:
        """Whether the head starts as the closed-form solution on scaled features."""
        start = self.problem.head_start or ("ridge" if self.problem.tune == "head" else "random")
        return self.spec.can_start_from_ridge(self.problem.tune) and start == "ridge"

    # The name of earlier versions, which methods of users may read.
    starts_closed = starts_from_ridge

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the training found, for the notes of a fit."""
        return ()

    @property
    def unshown_labels(self) -> str:
        """In words, the scores of labels that no item is known to have."""
        return "their scores mean nothing"

    @property
    def angles(self) -> AngleStatistics | None:
        """Statistics by which this method balances angles, or None.

        None for one that does not.
        """
        return None

    @property
    def budget(self) -> Budget:
        """Training budget: the problem's, or the method's default.

        The default is for the way it tunes.
        """
        default = self.spec.head_budget if self.problem.tune == "head" else self.spec.full_budget
        return self.problem.budget or default

    def head(self, n_features: int) -> nn.Module:
        """Return a new head, from features (B, D) to outputs (B, K).

        The outputs are logits or cosines.
        """
        if self.spec.head == "cosine":
            # A cosine has no intercept, and the closed form does: a constant coordinate carries it.
            constant = self.problem.tune == "head" or self.starts_from_ridge
            return CosineHead(n_features, self.problem.n_labels, constant=constant)
        return LinearHead(n_features, self.problem.n_labels)

    def plan(self) -> list[Stage]:
        """Return the stages; by default one.

        It is over the rows whose unknown entries may count as negative.
        """
        return [self.stage("train", self.budget.epochs)]

    def stage(self, name: str, epochs: int, **changes: Any) -> Stage:
        """Return a stage with the budget's batches and optimiser.

        It is over the rows of ``assumed_negative_group``, and changed as given.
        """
        settings: dict[str, Any] = {
            "mixture": {self.problem.assumed_negative_group: self.budget.batch_size},
            "optimisers": {"main": self.optimiser()},
            "ridge_start": self.starts_from_ridge,
            "views": {},
        }
        return Stage(name, epochs, **{**settings, **changes})

    def optimiser(self, **changes: Any) -> Optimiser:
        """Return the default optimiser at the budget's rates.

        ``rates`` join them; all else is changed as given.
        """
        rate = self.budget.backbone_rate
        rates = ({} if rate == 1.0 else {"backbone": rate}) | changes.pop("rates", {})
        return Optimiser(**{"learning_rate": self.budget.learning_rate, "rates": rates, **changes})

    def start_labels(self) -> np.ndarray:
        """Return the labels (n, K) for the closed-form start.

        They are what the method believes at first.
        """
        return self.problem.labels

    def first_labels(self) -> np.ndarray:
        """Return the start labels (n, K), with unknown entries as hints have them."""
        labels, hints = self.start_labels(), self.problem.hints
        return labels if hints is None or not self.spec.pointwise else hints.filled(labels)

    def slots(self) -> dict[str, Slot]:
        """Declare the item state."""
        return {}

    def fit(self, pool: Pool) -> None:
        """Fit in closed form (stages of zero epochs)."""

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Change the item state before an epoch.

        Features and scores come from ``pools("averaged")`` or ``pools("raw")``.
        """

    def loss(self, batch: Batch) -> Tensor:
        """Return the scalar loss of a batch whose outputs are filled."""
        raise NotImplementedError

    @property
    def takes_terms(self) -> bool:
        """Whether its step adds further terms to its loss."""
        return type(self).step is Method.step

    def with_terms(self, loss: Tensor, batch: Batch) -> Tensor:
        """Return the loss with the terms that stand beside any loss."""
        if self.group_term is None:
            return loss
        terms = [
            self.group_term(self.logits(outputs), batch.index[batch.rows[view]])
            for view, outputs in batch.outputs.items()
        ]
        return loss + self.problem.group_consistency * torch.stack(terms).mean()

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take one optimisation step and return the loss, detached."""
        trainer.forward(batch)
        loss = self.with_terms(self.loss(batch), batch)
        trainer.backward(loss)
        trainer.update()
        return loss.detach()

    def after_step(self, network: nn.Module) -> None:
        """Hold parameters within their bounds after an update."""

    def logits(self, outputs: Outputs) -> Tensor:
        """Return the logits (B, K) of the scores.

        They order items where float32 scores near 1 are tied.
        """
        if type(self).score is not Method.score:
            # A score of 0 or 1 has no logit.
            return torch.logit(self.score(outputs).double(), eps=1e-15)
        return outputs.scores.float()

    def translated(self, logits: np.ndarray, earlier: Method) -> np.ndarray:
        """Return an earlier run's logits (n, K) in the terms of this one.

        Thresholds and calibration are learnt on rows that a run did not see, and used after another on all rows. Where
        logits rest on learnt numbers beside the head, those of both runs differ.
        """
        return logits

    def score(self, outputs: Outputs) -> Tensor:
        """Return scores (B, K) in [0, 1] for the decision rules."""
        return torch.sigmoid(self.logits(outputs))

    def mean(
        self,
        values: Tensor,
        batch: Batch,
        weights: Tensor | None = None,
        over: Literal["entries", "weights"] = "entries",
    ) -> Tensor:
        """Reduce (B, K) losses to their mean.

        The mean is over all entries of the batch, or over the sum of the weights.

        ``weights`` (B, K) mask or weigh entries; the user's label weights multiply those of known positives, and those
        of rows (``Problem.row_weights``) all of a row's. The batch is the undivided one: over several processes every
        one of them has to call this.
        """
        if self.problem.hints is not None and self.spec.pointwise:
            values, weights = self._with_hints(self.problem.hints, values, weights, batch)
        if batch.label_weights is not None:
            by_label = torch.where(batch.labels == 1, batch.label_weights.to(values.dtype), 1.0)
            weights = by_label if weights is None else weights * by_label
        if self.problem.row_weights is not None:
            by_row = torch.from_numpy(self.problem.row_weights[batch.index.cpu().numpy()])
            by_row = by_row.to(values.device, values.dtype).unsqueeze(1)
            weights = by_row.expand_as(values) if weights is None else weights * by_row
        if batch.sums is not None:
            return batch.sums.add(values, weights, over)
        if ranks() == 1:
            # The order of sums of one process, which several equal to rounding alone.
            return reduce(values, weights, how="mean" if over == "entries" else "weighted")
        if over == "weights":
            return batch_mean(values, weights)
        return batch_mean(values if weights is None else values * weights)

    @staticmethod
    def _with_hints(
        hints: HintTargets, values: Tensor, weights: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor | None]:
        """Return losses and weights (B, K), those of hinted entries in the place of the method's own."""
        given = hints.values[batch.index.cpu().numpy()]
        targets = torch.from_numpy(given if batch.columns is None else given[:, batch.columns]).to(
            values.device
        )
        hinted = ~torch.isnan(targets)
        soft = hints.weight * soft_targets(batch.scores, torch.nan_to_num(targets))
        values = torch.where(hinted, soft.to(values.dtype), values)
        return values, weights if weights is None else weights.masked_fill(hinted, 1.0)
