"""One training run: what it learns from, how it is carried out, and the model that it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from labelwise import engine, metrics
from labelwise.annotations import Annotations, Summary, describe
from labelwise.classifier.fitted import FittedModel, new_network, scaled_source
from labelwise.classifier.options import FitOptions, label_weights, resolve_prior
from labelwise.classifier.reader import ItemReader, ReadItems, embedded, take
from labelwise.data import Capabilities, is_source
from labelwise.errors import UserError
from labelwise.methods import Method, Problem, fitting, get
from labelwise.methods.recommendation import check_positive, recommend
from labelwise.models import SCALINGS, FeatureScaling, InputScaling, Network, RidgeSolution, solve_ridge

_CENTRED = ("standardise_l2", "centre_l2")
_TITLES = {"selection": "choosing on held-out rows"}


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Items that a run does not learn from, as the reader gives them, and their labels (m, K)."""

    X: Any
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a run learns from.

    Attributes:
        X: N items, as the reader gives them.
        labels: (n, K) their annotations.
        whole: The facts of all labels of the fit, of which this may be a part.
        prior: (K,) the share of positives of each label by these facts and the options, or None.
        items: N names for messages, or None.
        truth: (n, K) true labels for an oracle, or None.
    """

    X: Any
    labels: Annotations
    whole: Summary
    prior: np.ndarray | None
    items: Sequence[str] | None = None
    truth: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        options: FitOptions,
        read: ReadItems,
        labels: Annotations,
        items: Sequence[str] | None,
        truth: np.ndarray | None,
    ) -> Self:
        """Return the items that could be read, with their rows of what was given for all."""
        if read.bad:
            labels, items, truth = _rows_of(labels, items, truth, read.kept)
        facts = describe(labels)
        return cls(read.X, labels, facts, resolve_prior(options.prior, facts), items, truth)

    def rows(self, index: NDArray[np.int64]) -> Self:
        """Return these rows alone; ``whole`` and ``prior`` stay those of all."""
        labels, items, truth = _rows_of(self.labels, self.items, self.truth, index)
        return replace(self, X=take(self.X, index), labels=labels, items=items, truth=truth)

    def problem(self, options: FitOptions, method: type[Method]) -> Problem:
        """Return what the method may know of these labels."""
        facts = describe(self.labels)
        # The prior of a selection run must not have seen the rows held out from it.
        own = resolve_prior(None, facts) if options.prior is None else None
        return Problem(
            self.labels.matrix,
            facts.setting,
            self.prior if own is None else own,
            options.tuning,
            options.seed,
            options.budget(method),
            self.truth,
            options.start,
        )


def read_labels(
    options: FitOptions, Y: Any, label_names: Sequence[str] | None, true_labels: Any
) -> tuple[Annotations, np.ndarray | None]:
    """Return ``Y`` as annotations, and the true labels (n, K) of the same names and shape where they were given."""
    if Y is None:
        raise UserError("fit requires y to be passed, but the target y is None: give (n, K) annotations")
    labels = options.labels(Y, label_names)
    if true_labels is None:
        return labels, None
    truth = options.labels(true_labels, labels.label_names).matrix
    if truth.shape != labels.matrix.shape:
        whose = "give" if options.method is None else f"method {options.method!r} needs"
        raise UserError(f"true_labels has shape {truth.shape}: {whose} that of Y, {labels.matrix.shape}")
    return labels, truth


def choose_method(options: FitOptions, labels: Annotations) -> type[Method]:
    """Return the method that was asked for, or the recommended one, if it accepts these labels."""
    facts = describe(labels.matrix, labels.label_names)
    check_positive(facts)
    method = get(options.method or recommend(facts, options.tuning).method)
    method.spec.accept(facts.setting, fitting(facts.setting))
    return method


def train(
    options: FitOptions,
    reader: ItemReader,
    training_set: TrainingSet,
    method_class: type[Method],
    *,
    part: str,
    held_out: ValidationSet | None = None,
    epochs: int | None = None,
    scaling: str | None = None,
    on_epoch: Callable[[FittedModel, int], None] | None = None,
) -> FittedModel:
    """Train once and return the model.

    Args:
        part: The run's name among those of one fit: ``"selection"`` or ``"final"``.
        held_out: Is judged after every epoch.
        epochs: After how many to end; None for all of the method's plan.
        scaling: How to scale features; None lets the closed form choose.
        on_epoch: Is told the model as it is and the number of epochs so far.
    """
    X, labels = training_set.X, training_set.labels
    method = method_class(training_set.problem(options, method_class), options.hyperparameters)
    input_scaling, solution = None, None
    if not is_source(X) and X.ndim == 2:
        if reader.fixed_features(options):
            solution = _solve(X, method, scaling)
        input_scaling = solution.scaling if solution else InputScaling.fit(X, "standardise")
    source = scaled_source(X, input_scaling, options.strong_view)
    network = new_network(options, reader, source.shape, method, seed=options.seed)
    if isinstance(network.neck, FeatureScaling):
        # No name for the features: they would lie in memory until the training ends.
        solution = _solve(embedded(options, network.backbone, source).features, method, scaling)
        network.neck.take(solution.scaling)

    def reached(
        network: Network, history: list[dict[str, Any]], best_epoch: int | None = None
    ) -> FittedModel:
        return FittedModel(
            network,
            method,
            training_set.whole,
            training_set.prior,
            tuple(source.shape),
            input_scaling,
            solution,
            history,
            asdict(method.budget),
            best_epoch,
        )

    def tell(run: engine.Run) -> None:
        if on_epoch is not None:
            on_epoch(reached(run.evaluated, run.history.records), len(run.history.records))

    with options.bar(_TITLES.get(part.partition("-")[0], method.spec.id)) as bar:
        result = engine.train(
            network,
            method,
            source,
            options.settings(part, chooses=held_out is not None),
            criterion=_criterion(options, held_out, input_scaling),
            solution=solution,
            label_weights=label_weights(options.label_weights, training_set.whole),
            fingerprint=fingerprint(options.identity, X, labels.matrix, method.problem.true_labels, part),
            progress=bar,
            stop_after=epochs,
            items=training_set.items,
            on_epoch=tell,
        )
    return reached(result.network, result.history, result.best_epoch)


def _rows_of(
    labels: Annotations, items: Sequence[str] | None, truth: np.ndarray | None, index: NDArray[np.int64]
) -> tuple[Annotations, Sequence[str] | None, np.ndarray | None]:
    # True labels of another length are left for the method to refuse.
    if truth is not None and len(truth) == len(labels.matrix):
        truth = truth[index]
    items = None if items is None else [items[i] for i in index]
    return (
        Annotations(np.ascontiguousarray(labels.matrix[index]), labels.label_names, labels.notes),
        items,
        truth,
    )


def _solve(features: Any, method: Method, chosen: str | None) -> RidgeSolution:
    """Return the closed form of what ``method`` believes at first, on ``features`` (n, D).

    ``chosen`` is the scaling that the run on fewer rows took, which thresholds and calibration rest on. Cosines
    take centred features: those of features that share a direction differ too little for a margin.
    """
    choices = _CENTRED if method.spec.head == "cosine" else SCALINGS
    scalings = [
        InputScaling.in_unit(features) if kind == "none" else kind
        for kind in ([chosen] if chosen else choices)
    ]
    return solve_ridge(features, method.start_labels(), scalings=scalings)


def _criterion(
    options: FitOptions, held_out: ValidationSet | None, scaling: InputScaling | None
) -> engine.Criterion | None:
    """Return how well a network ranks the held-out items; None without any, and where their labels cannot tell."""
    if held_out is None:
        return None
    source, labels = scaled_source(held_out.X, scaling), held_out.labels
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
    """Return a digest of everything that a run is a function of, so that no run resumes another's."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a digest: arrays by their bytes, modules by make and weights, anything else by its words."""
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
        digest.update(f"[{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif hasattr(value, "__array__") and np.asarray(value).dtype != object:
        array = np.asarray(value)
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    elif hasattr(value, "__array__"):
        _feed(digest, np.asarray(value).tolist())
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
