"""Training sets, and the training run that makes a model of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from labelwise import engine, metrics
from labelwise.annotations import Annotations, Hierarchy, Summary, as_groups, describe, stays_lists
from labelwise.classifier.boost import check_boost
from labelwise.classifier.callbacks import Callbacks
from labelwise.classifier.fitted import FittedModel, new_network, scaled_source
from labelwise.classifier.given import label_weights, resolve_prior
from labelwise.classifier.items import as_ids, take
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader, ReadItems
from labelwise.classifier.sources import embedded
from labelwise.classifier.unseen import ValidationResult, ValidationSet
from labelwise.classifier.warm import WarmStart
from labelwise.data import BadItem, Capabilities, is_source
from labelwise.ensemble import LabelVectors
from labelwise.errors import UserError
from labelwise.methods import Method, Problem, fitting, get
from labelwise.methods.recommendation import check_positive, recommend
from labelwise.models import (
    SCALINGS,
    FeatureScaling,
    InputScaling,
    RidgeSolution,
    Scaling,
    fit_scaling,
    fit_threads,
    is_blocks,
    solve_ridge,
)
from labelwise.targets import Hints, HintTargets

_CENTRED = ("standardise_l2", "centre_l2")
_TITLES = {"selection": "choosing on held-out rows"}


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Items and labels that a run learns from.

    Attributes:
        reader: How the items were read.
        X: N items, as the reader gives them.
        labels: (n, K) their annotations.
        full_summary: The facts of all labels of the fit, of which this may be a part.
        prior: (K,) the share of positives of each label by these facts and the options, or None.
        items: N names for messages, or None.
        truth: (n, K) true labels for an oracle, or None.
        names: Vectors of the labels' names, or None.
        skipped: The items that could not be read, each with the reason.
        hierarchy: Which labels stand above which, or None.
        groups: (n,) the number of each item's group, or None.
        hints: Soft targets (n, K) of unknown entries, or None.
        weights: (n,) the rows' weights in the loss, or None.
    """

    reader: ItemReader
    X: Any
    labels: Annotations
    full_summary: Summary
    prior: np.ndarray | None
    items: Sequence[str] | None = None
    truth: np.ndarray | None = None
    names: LabelVectors | None = None
    skipped: tuple[BadItem, ...] = ()
    hierarchy: Hierarchy | None = None
    groups: NDArray[np.int64] | None = None
    hints: HintTargets | None = None
    weights: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        options: FitOptions,
        reader: ItemReader,
        X: Any,
        labels: Annotations,
        items: Sequence[str] | None,
        truth: np.ndarray | None,
        on_read: Callable[[ReadItems], object] | None,
        names: LabelVectors | None = None,
        groups: NDArray[np.int64] | None = None,
        hints: HintTargets | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Self:
        """Read the items, and keep those that can be read."""
        read = reader.read_all(X, options, scan=True)
        if on_read is not None:
            on_read(read)
        if read.bad:
            labels, items, truth = _rows_of(labels, items, truth, read.kept)
            groups = None if groups is None else groups[read.kept]
            hints = None if hints is None else hints.take(read.kept)
            weights = None if weights is None else weights[read.kept]
        facts = describe(labels)
        prior = resolve_prior(options.prior, facts)
        hierarchy = options.hierarchy_of(labels.label_names)
        return cls(
            reader,
            read.X,
            labels,
            facts,
            prior,
            items,
            truth,
            names,
            read.bad,
            hierarchy,
            groups,
            hints,
            weights,
        )

    def rows(self, index: NDArray[np.int64]) -> Self:
        """Return these rows alone; ``full_summary`` and ``prior`` stay those of all."""
        labels, items, truth = _rows_of(self.labels, self.items, self.truth, index)
        groups = None if self.groups is None else self.groups[index]
        hints = None if self.hints is None else self.hints.take(index)
        weights = None if self.weights is None else self.weights[index]
        return replace(
            self,
            X=take(self.X, index),
            labels=labels,
            items=items,
            truth=truth,
            groups=groups,
            hints=hints,
            weights=weights,
        )

    def keeps_lists(self, method: type[Method]) -> bool:
        """Return whether a method is trained on labels that stay lists."""
        beside = (self.hierarchy, self.groups, self.hints, self.weights, self.truth)
        alone = all(value is None for value in beside)
        return alone and method.spec.pointwise and stays_lists(self.labels.states)

    def problem(self, options: FitOptions, method: type[Method]) -> Problem:
        """Return these labels as the problem that a method may know."""
        facts = describe(self.labels)
        # The prior of a selection run must not have seen the rows held out from it.
        prior = resolve_prior(None, facts) if options.prior is None else None
        return Problem(
            self.labels.states if self.keeps_lists(method) else self.labels.matrix,
            facts.setting,
            self.prior if prior is None else prior,
            options.tuning,
            options.seed,
            options.budget(method),
            self.truth,
            options.start,
            names=self.names,
            hierarchy=self.hierarchy if options.coherent_loss else None,
            item_groups=self.groups,
            group_consistency=float(options.group_consistency),
            hints=self.hints,
            sample_weight=self.weights,
        )


def read_labels(
    options: FitOptions,
    Y: Any,
    label_names: Sequence[str] | None,
    items: Sequence[str] | None,
    true_labels: Any,
) -> tuple[Annotations, Sequence[str] | None, np.ndarray | None]:
    """Return annotations, item names and true labels (n, K)."""
    if Y is None:
        raise UserError("fit requires y to be passed, but the target y is None: give (n, K) annotations")
    labels, truth = options.annotations(Y, label_names), None
    if true_labels is not None:
        truth = options.annotations(true_labels, labels.label_names).matrix
        if truth.shape != labels.states.shape:
            demand = "give" if options.method is None else f"method {options.method!r} needs"
            raise UserError(f"true_labels has shape {truth.shape}: {demand} that of Y, {labels.states.shape}")
    return labels, None if items is None else as_ids(items, labels.n_items), truth


def read_hints(hints: Any, labels: Annotations) -> HintTargets | None:
    """Return the soft targets that hints give unknown entries, or None."""
    return None if hints is None else Hints.of(hints).targets(labels.matrix)


def read_groups(groups: Any, labels: Annotations) -> NDArray[np.int64] | None:
    """Return the number of each item's group, None where no two items share one."""
    if groups is None:
        return None
    codes = as_groups(groups, labels.n_items)
    if not codes.any() and len(codes) > 1:
        raise UserError("groups: all items are of one group, so none can be left out; leave groups out")
    return None if len(np.unique(codes)) == len(codes) else codes


def choose_method(
    options: FitOptions,
    labels: Annotations,
    *,
    hinted: bool = False,
    weighted: bool = False,
) -> type[Method]:
    """Return the method asked for or recommended, if it accepts the labels, hints and weights."""
    facts = describe(labels)
    check_positive(facts)
    entrywise = hinted or options.takes_entries
    advice = recommend(facts, options.tuning, weighted=weighted, entrywise=entrywise)
    method = get(options.method or advice.method)
    method.spec.accept(facts.setting, fitting(facts.setting))
    if hinted and not (method.spec.pointwise or method.spec.reads_hints):
        specs = [get(name).spec for name in fitting(facts.setting)]
        others = [spec.id for spec in specs if spec.pointwise or spec.reads_hints]
        raise UserError(
            f"hints: method {method.spec.id!r} has no soft targets; take one of {', '.join(others)}"
        )
    if weighted and not method.spec.takes_sample_weight:
        others = [name for name in fitting(facts.setting) if get(name).spec.takes_sample_weight]
        raise UserError(
            f"sample_weight: method {method.spec.id!r} cannot weigh rows; take one of {', '.join(others)}"
        )
    if options.coherent_loss and options.hierarchy:
        check_pointwise(method, "coherent_loss", facts.setting)
    if options.positive_boost is not None:
        check_boost(options, method)
    check_compile(options, method)
    return method


def check_compile(options: FitOptions, method: type[Method]) -> None:
    """Refuse, before any work, to compile where nothing can be, or where no step is taken."""
    if not options.compile:
        return
    if not (method.spec.passes or (method.spec.teaches and options.tuning == "all")):
        raise UserError(
            f"compile: method {method.spec.id!r} is solved in closed form, without training steps; leave it out, or"
            " name a method that trains"
        )
    engine.check_compiler(options.device)


def check_pointwise(method: type[Method], option: str, setting: str) -> None:
    """Refuse an option that needs a loss of entries one by one."""
    spec = method.spec
    if spec.pointwise or not spec.passes:
        return
    others = [name for name in fitting(setting) if get(name).spec.pointwise]
    raise UserError(
        f"{option}: the loss of method {spec.id!r} does not take entries one by one; leave it out, or take one of"
        f" {', '.join(others)}"
    )


Rest = ParamSpec("Rest")


def _on_few_threads(
    run: Callable[Concatenate[FitOptions, TrainingSet, Rest], FittedModel],
) -> Callable[Concatenate[FitOptions, TrainingSet, Rest], FittedModel]:
    def on_few(
        options: FitOptions, training_set: TrainingSet, /, *args: Rest.args, **given: Rest.kwargs
    ) -> FittedModel:
        with fit_threads(training_set.X):
            return run(options, training_set, *args, **given)

    return update_wrapper(on_few, run)


@_on_few_threads
def train(
    options: FitOptions,
    training_set: TrainingSet,
    method_class: type[Method],
    *,
    part: str,
    held_out: ValidationSet | None = None,
    after: ValidationResult | None = None,
    on_epoch: Callable[[FittedModel, int], None] | None = None,
    warm: WarmStart | None = None,
    solved: RidgeSolution | None = None,
    callbacks: Callbacks | None = None,
) -> FittedModel:
    """Train once and return the model.

    Args:
        part: The run's name among those of one fit: ``"selection"`` or ``"final"``.
        held_out: Is judged after every epoch.
        after: What rows held out from an earlier run say: where to end, how to scale.
        on_epoch: Is told the model as it is and the number of epochs so far.
        warm: The earlier model whose weights the training starts from.
        solved: The closed form on rows of features, of which these are some; None solves it on these.
        callbacks: Are told of steps and epochs.
    """
    told = callbacks or Callbacks(None)
    X, reader, after = training_set.X, training_set.reader, after or ValidationResult()
    problem = training_set.problem(options, method_class)
    method = method_class(problem, options.hyperparameters)
    input_scaling: Scaling | None = None
    solution: RidgeSolution | None = None
    if not is_source(X) and X.ndim == 2:
        # Of labels that stay lists no closed form is solved: it would hold their leave-one-out scores.
        fixed = reader.fixed_features(options) and isinstance(problem.labels, np.ndarray)
        # Weights go with the scaling that they were trained in.
        earlier = None if warm is None else warm.scaling
        if fixed:
            solution = solved or _solve(X, method, after.scaling if earlier is None else earlier)
        if not (fixed and method.spec.reads_rows):
            input_scaling = solution.scaling if solution else earlier or fit_scaling(X, "standardise")
    source = scaled_source(X, input_scaling, options.strong_view)
    network = new_network(options, reader, source.shape, method, seed=options.seed)
    between = None if warm is None else warm.take_body(network)
    if isinstance(network.neck, FeatureScaling):
        # No name for the features: they would lie in memory until the training ends.
        chosen = after.scaling if between is None else between
        solution = _solve(embedded(options, network.backbone, source).features, method, chosen)
        assert isinstance(solution.scaling, InputScaling)
        network.neck.take(solution.scaling)

    model_of = partial(
        FittedModel,
        method=method,
        labels=training_set.full_summary,
        prior=training_set.prior,
        input_shape=tuple(source.shape),
        scaling=input_scaling,
        solution=solution,
        budget=asdict(method.budget),
    )

    def report_epoch(run: engine.Run) -> None:
        history = run.history.records
        told.epoch(part, history)
        if on_epoch is not None:
            on_epoch(model_of(network=run.evaluated, history=history), len(history))

    # What came later counts where it is given, so that runs begun before it can be resumed.
    later: list[Any] = [] if training_set.groups is None else ["groups", training_set.groups]
    if training_set.hints is not None:
        read = [training_set.hints.scores] if method.spec.reads_hints else []
        later += ["hints", training_set.hints.identity, *read]
    later += [] if training_set.weights is None else ["sample_weight", training_set.weights]
    later += [] if solved is None else ["solved", solved.weight, solved.bias]
    with options.bar(_TITLES.get(part.partition("-")[0], method.spec.id)) as bar:
        result = engine.train(
            network,
            method,
            source,
            options.settings(part, chooses=held_out is not None),
            criterion=_criterion(options, held_out, input_scaling),
            solution=solution,
            label_weights=label_weights(options.label_weights, training_set.full_summary),
            fingerprint=fingerprint(
                *(options.identity, X, problem.labels, problem.true_labels, part, *later),
                *(() if warm is None else warm.identity),
            ),
            progress=told.beside(bar, part),
            stop_after=after.epochs,
            items=training_set.items,
            on_start=None if warm is None else warm.take_head,
            on_epoch=report_epoch,
        )
    return model_of(network=result.network, history=result.history, best_epoch=result.best_epoch)


def _rows_of(
    labels: Annotations, items: Sequence[str] | None, truth: np.ndarray | None, index: NDArray[np.int64]
) -> tuple[Annotations, Sequence[str] | None, np.ndarray | None]:
    # True labels of another length are left for the method to refuse.
    if truth is not None and len(truth) == labels.n_items:
        truth = truth[index]
    items = None if items is None else [items[i] for i in index]
    return labels.take(index), items, truth


def _solve(features: Any, method: Method, chosen: str | Scaling | None) -> RidgeSolution:
    """Return the closed form on features (n, D), by start labels.

    ``chosen`` is the scaling that the run on fewer rows took, which thresholds and calibration rest on, or a fitted one
    in which earlier weights were trained. Cosines
    take centred features: those of features that share a direction differ too little for a margin.
    """
    choices = _CENTRED if method.spec.head == "cosine" else SCALINGS
    kinds = [chosen] if chosen else choices
    # Blocks are brought to one unit whatever their scaling.
    in_unit = not is_blocks(features)
    scalings = [InputScaling.in_unit(features) if kind == "none" and in_unit else kind for kind in kinds]
    problem = method.problem
    return solve_ridge(
        features,
        method.first_labels(),
        scalings=scalings,
        groups=problem.item_groups,
        weights=problem.row_weights,
    )


def _criterion(
    options: FitOptions, held_out: ValidationSet | None, scaling: Scaling | None
) -> engine.Criterion | None:
    """Return a function that scores a network on the held-out items.

    None without any, and where their labels cannot tell.
    """
    if held_out is None:
        return None
    source, labels = scaled_source(held_out.X, scaling), held_out.labels
    # Asked before the training, since no later score could be computed either.
    try:
        metrics.ranking_score(labels, np.zeros(labels.shape), warn=False)
    except UserError as error:
        if options.patience is not None or options.select == "best":
            raise UserError(f"the validation rows cannot choose an epoch: {error}") from None
        return None
    return lambda network, method: metrics.ranking_score(
        labels, engine.logits(network, method, source), warn=False
    )


def fingerprint(*parts: Any) -> str:
    """Return a digest of everything that a run is a function of.

    It keeps a run from resuming another's checkpoints.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a digest.

    Arrays count by their bytes, modules by make and weights, anything else by its words.
    """
    if isinstance(value, nn.Module):
        value = [repr(value), dict(value.state_dict())]
    elif is_source(value):
        digests = Capabilities(value).digests
        content = (tuple(value.shape), len(value)) if digests is None else (list(digests()),)
        value = [type(value).__name__, *content]
    elif hasattr(value, "indptr"):
        value = [value.shape, value.data, value.indices, value.indptr]
    elif is_dataclass(value) and not isinstance(value, type):
        value = [type(value).__name__, vars(value)]
    if isinstance(value, Mapping):
        value = sorted(((str(k), v) for k, v in value.items()), key=lambda pair: pair[0])
    if isinstance(value, list | tuple):
        # The length, so that lists side by side differ from one list of both.
        digest.update(f"[{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif hasattr(value, "__array__") and np.asarray(value).dtype != object:
        array = np.asarray(value)
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    # The bytes of an array of objects are addresses, which differ from run to run.
    elif hasattr(value, "__array__"):
        _feed(digest, np.asarray(value).tolist())
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
