"""One training run of a classifier: what it learns from, how it is carried out, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise import engine, metrics
from labelwise._random import seed_of
from labelwise.annotations import Annotations, describe
from labelwise.classifier.choices import Choice, fingerprint
from labelwise.classifier.networks import has_fixed_features, network_for
from labelwise.classifier.options import budget_of, label_weights, resolve_prior
from labelwise.classifier.reader import embedded, take
from labelwise.data import Source, as_source, is_source
from labelwise.errors import UserError
from labelwise.methods import Method, Problem
from labelwise.models import (
    SCALINGS,
    FeatureScaling,
    InputScaling,
    Network,
    RidgeSolution,
    logits,
    solve_ridge,
)

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

Held = tuple[Any, np.ndarray]
"""Items that a run does not learn from, as the model takes them, and their labels (m, K)."""

_CENTRED = ("standardise_l2", "centre_l2")
_TITLES = {"selection": "choosing on held-out rows"}
_UNTOLD = ("directory", "progress", "cache", "picture_cache", "on_bad_item")
_CODES = {"unlisted": None, "minus_one": "unknown", "empty": "unknown"}


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a run learns from.

    Attributes:
        X: N items, as the model takes them.
        labels: (n, K) their annotations.
        items: N names for messages, or None.
        truth: (n, K) true labels for an oracle, or None.
    """

    X: Any
    labels: Annotations
    items: Sequence[str] | None = None
    truth: np.ndarray | None = None

    def rows(self, index: NDArray[np.int64], X: Any = None) -> Lesson:
        """Return these rows of the lesson; ``X`` are their items where they were taken already."""
        truth = self.truth
        # True labels of another length are left for the method to refuse.
        if truth is not None and len(truth) == len(self.labels.matrix):
            truth = truth[index]
        return Lesson(
            take(self.X, index) if X is None else X,
            Annotations(
                np.ascontiguousarray(self.labels.matrix[index]), self.labels.label_names, self.labels.notes
            ),
            None if self.items is None else [self.items[i] for i in index],
            truth,
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """A run after an epoch or at its end, and what it takes to score items by it.

    Attributes:
        shape: Of one input of the network.
        solution: The closed form on the training items: where the features are fixed, or were before training.
        history: One record an epoch.
        best_epoch: The epoch that was taken, where one was chosen.
    """

    network: Network
    method: Method
    shape: tuple[int, ...]
    scaling: InputScaling | None
    solution: RidgeSolution | None
    history: list[dict[str, Any]]
    best_epoch: int | None = None

    def logits(self, X: Any) -> np.ndarray:
        """Return the logits of the scores (n, K) of items as the model takes them."""
        return engine.logits(self.network, self.method, scaled_source(X, self.scaling))

    @property
    def left_out_logits(self) -> np.ndarray | None:
        """The logits (n, K) of the training items, each as if it had not been seen; None unless in closed form."""
        if self.solution is None or self.history:
            return None
        return logits(self.solution.loo_scores)


def truth_of(model: MultiLabelClassifier, true_labels: Any, labels: Annotations) -> np.ndarray:
    """Return the true labels (n, K), of the labels' names and shape."""
    truth = model._labels(true_labels, labels.label_names).matrix
    if truth.shape != labels.matrix.shape:
        whose = "give" if model.method is None else f"method {model.method!r} needs"
        raise UserError(f"true_labels has shape {truth.shape}: {whose} that of Y, {labels.matrix.shape}")
    return truth


def train(
    model: MultiLabelClassifier,
    lesson: Lesson,
    method_class: type[Method],
    *,
    part: str,
    held: Held | None = None,
    choice: Choice | None = None,
    on_epoch: Callable[[Trained, int], None] | None = None,
) -> Trained:
    """Train once, by the parameters of ``model`` and what its ``fit`` has found of the items; ``model`` stays as is.

    ``part`` names the run among those of one ``fit``: ``"selection"`` or ``"final"``. ``held`` is judged after every
    epoch. ``choice`` says where to end and how to scale. ``on_epoch`` is told the run and the number of its epochs.
    """
    seed, choice = seed_of(model.random_state), choice or Choice()
    problem = _problem(model, lesson, method_class, seed)
    method = method_class(problem, model.hyperparameters)
    scaling, solution = _scale(model, lesson.X, method, choice.scaling)
    source = scaled_source(lesson.X, scaling, model.strong_view)
    network = network_for(model, source.shape, method, seed=seed)
    if isinstance(network.neck, FeatureScaling):
        # No name for the features: they would lie in memory until the training ends.
        solution = _solve(embedded(model, network.backbone, source).features, method, choice.scaling)
        network.neck.take(solution.scaling)
    # Parameters of later versions at their defaults leave the fingerprints of earlier ones as they were.
    told = {
        k: v
        for k, v in model.get_params().items()
        if k not in _UNTOLD and (k not in _CODES or v != _CODES[k])
    }

    def reached(network: Network, history: list[dict[str, Any]], best_epoch: int | None = None) -> Trained:
        return Trained(network, method, tuple(source.shape), scaling, solution, history, best_epoch)

    def tell(run: engine.Run) -> None:
        if on_epoch is not None:
            on_epoch(reached(run.evaluated, run.history.records), len(run.history.records))

    title = _TITLES.get(part.partition("-")[0], method_class.spec.id)
    with engine.RichProgress(title) if model.progress else nullcontext() as bar:
        result = engine.train(
            network,
            method,
            source,
            _settings(model, seed, part, chooses=held is not None),
            criterion=_criterion(model, held, scaling),
            solution=solution,
            label_weights=label_weights(model.label_weights, model.summary_),
            fingerprint=fingerprint(told, lesson.X, lesson.labels.matrix, problem.true_labels, part),
            progress=bar,
            stop_after=choice.epochs,
            items=lesson.items,
            on_epoch=tell,
        )
    return reached(result.network, result.history, result.best_epoch)


def scaled_source(X: Any, scaling: InputScaling | None, strong_view: float | None = None) -> Source:
    """Return items as batches; ``strong_view`` matters to training only."""
    if scaling is None:
        return as_source(X)
    options = {} if strong_view is None else {"strong_view": strong_view}
    return as_source(X, scaling=scaling, **options)


def _problem(model: MultiLabelClassifier, lesson: Lesson, method_class: type[Method], seed: int) -> Problem:
    facts = describe(lesson.labels)
    # The prior of a selection run must not have seen the rows held out from it.
    own = resolve_prior(None, facts) if model.prior is None else None
    return Problem(
        lesson.labels.matrix,
        facts.setting,
        model.prior_ if own is None else own,
        model.tune_,
        seed,
        budget_of(model, method_class),
        lesson.truth,
        model.head_start_,  # type: ignore[arg-type]
    )


def _scale(
    model: MultiLabelClassifier, X: Any, method: Method, chosen: str | None
) -> tuple[InputScaling | None, RidgeSolution | None]:
    """Scale features as the closed-form solution chooses on the known entries; pictures need no scaling."""
    if is_source(X) or X.ndim != 2:
        return None, None
    if has_fixed_features(model):
        solution = _solve(X, method, chosen)
        return solution.scaling, solution
    return InputScaling.fit(X, "standardise"), None


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


def _settings(model: MultiLabelClassifier, seed: int, part: str, *, chooses: bool) -> engine.Settings:
    return engine.Settings(
        seed=seed,
        device=model.device,
        devices=model.devices,
        nodes=model.nodes,
        precision=model.precision,
        accumulate=model.accumulate,
        patience=model.patience if chooses else None,
        keep_best=model.select == "best" and chooses,
        directory=None if model.directory is None else Path(model.directory) / part,
    )


def _criterion(
    model: MultiLabelClassifier, held: Held | None, scaling: InputScaling | None
) -> engine.Criterion | None:
    """Return how well a network ranks the held-out items; None without any, and where their labels cannot tell."""
    if held is None:
        return None
    source, labels = scaled_source(held[0], scaling), held[1]
    try:
        metrics.ranking_score(labels, np.zeros(labels.shape), warn=False)
    except UserError as error:
        if model.patience is not None or model.select == "best":
            raise UserError(f"the validation rows cannot choose an epoch: {error}") from None
        return None
    return lambda network, method: metrics.ranking_score(
        labels, engine.logits(network, method, source), warn=False
    )
