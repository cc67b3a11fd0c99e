"""The scikit-learn face: ``MultiLabelClassifier`` and ``load``."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from torch import nn

from labelwise import engine, metrics
from labelwise._fitting import (
    Choice,
    fingerprint,
    hold_out,
    label_weights,
    learn_decision,
    resolve_prior,
)
from labelwise._items import ReadItems, as_items, is_source, read_items, sized, take
from labelwise._saving import restore_model, save_model
from labelwise.annotations import Annotations, Summary, describe, parse
from labelwise.data import Source, as_source, check_lengths
from labelwise.errors import UserError, listed
from labelwise.methods import Budget, Method, Problem, fitting, get
from labelwise.models import (
    SCALINGS,
    InputScaling,
    Network,
    Projection,
    RidgeSolution,
    build_backbone,
    preprocessing_of,
    solve_ridge,
)
from labelwise.recommendation import recommend

__all__ = ["MultiLabelClassifier", "load"]


class NotFitted(UserError, NotFittedError):  # type: ignore[misc]
    """What scikit-learn expects of an estimator that is asked before it was fitted."""


_CENTRED = ("standardise_l2", "centre_l2")
_PRETRAINED_RATE = 0.1
_UNTOLD = ("directory", "progress", "cache", "picture_cache", "on_bad_item")


class MultiLabelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multi-label classifier that learns from the labels you have.

    Every entry of ``Y`` is relevant (1), irrelevant (0) or unknown (-1, NaN or NA). Which entries are known decides
    the setting; one ``fit`` serves all of them.

    Parameters
    ----------
    method : str or None
        A method's id (``labelwise.methods.names()``), or None for what ``labelwise.recommend`` says.
    backbone : str or nn.Module
        ``"features"`` (rows of X are features), ``"mlp"``, ``"smallcnn"``; pretrained: ``"efficientnet-lite0"`` for
        pictures, ``"minilm"`` for texts, ``"hf/NAME"``, ``"timm/NAME"``; or a module from items to features.
    backbone_weights : path or None
        A file of weights for the backbone: safetensors, or what ``torch.save`` wrote of a state dict.
    image_size : int or None
        Side of the pictures in pixels, instead of the backbone's own.
    hyperparameters : dict or None
        The method's own; ``labelwise.methods.get(id).spec.hyperparameters`` lists them.
    tune : {"head", "all"} or None
        Train the head alone or the whole network. None: the head for ``"features"`` and pretrained backbones, all
        otherwise. With ``"head"`` every picture or text is read by the backbone once, and its features are kept.
    epochs, batch_size, learning_rate : number or None
        None takes the method's default for the way it tunes.
    backbone_learning_rate : float or None
        With ``tune="all"``. None: a tenth of ``learning_rate`` for a pretrained backbone, the same otherwise.
    validation : "auto", float, (X, Y) or None
        What decision rule, calibration and early stopping are chosen on. A fraction of the labelled rows is held out;
        once the choices are made the model is trained again on everything. ``"auto"`` is .2 where negatives are
        known on at least 50 rows, otherwise None. With a pair the model is trained once, on all of X.
    rule : "auto", a rule of ``labelwise.metrics``, or float
        How scores become label sets. ``"auto"`` learns thresholds where negatives are known, matches ``prior`` where
        it is given, and takes .5 otherwise.
    calibrate : bool
        Turn scores into calibrated probabilities where that is identified.
    prior : (K,) shares, one cardinality, or None
        The share of positives of each label, or the mean number of labels an item has, where the labels do not
        identify it.
    label_weights : "balanced", (K,) weights, {name: weight} or None
        Weights of each label's known positives in the loss, against imbalance; ``"balanced"`` is the ratio of its
        other entries to them, at most 100.
    strong_view : float
        Share of coordinates dropped in the strong view of features, in [0, 1).
    patience : int or None
        Stop after that many epochs without a better validation score, and use the best epoch. None: fixed epochs.
    select : {"last", "best"}
        Which epoch to use where there is validation; ``"best"`` by its mean average precision.
    on_bad_item : {"stop", "skip"}
        What to do with a picture that cannot be read. ``"skip"`` leaves up to 5% of the items out (``skipped_``).
    cache : bool
        Keep the features of pictures and texts on disk (``labelwise cache`` lists them), for the next run.
    picture_cache : path or None
        A folder for decoded pictures of short side 256, for ``tune="all"``.
    accumulate, device, devices, nodes, precision
        See ``labelwise.engine.Settings``.
    random_state : int
        The seed of every choice; the same seed gives the same model to the bit.
    directory : path or None
        Where checkpoints and ``history.jsonl`` go. Fitting again with the same arguments resumes there, exactly.
    progress : bool
        Show a progress bar.

    Attributes
    ----------
    method_, label_names_, n_features_in_, summary_, prior_, hyperparameters_, budget_
        What was trained, on which labels.
    rule_, rule_source_, calibration_, validation_, best_epoch_
        How scores become labels, how that was chosen, and the held-out ``Evaluation`` (or None).
    held_out_
        Labels (m, K) and scores (m, K), before calibration, of items that the model did not see; None without any, and
        after ``load``.
    history_, notes_, seconds_, skipped_
        One record an epoch; sentences on what was assumed; wall time; items that could not be read.
    """

    def __init__(
        self,
        method: str | None = None,
        backbone: str | nn.Module = "features",
        *,
        backbone_weights: str | Path | None = None,
        image_size: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        tune: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        backbone_learning_rate: float | None = None,
        validation: Any = "auto",
        rule: Any = "auto",
        calibrate: bool = True,
        prior: Any = None,
        label_weights: Any = None,
        strong_view: float = 0.2,
        patience: int | None = None,
        select: str = "last",
        on_bad_item: str = "stop",
        cache: bool = True,
        picture_cache: str | Path | None = None,
        accumulate: int = 1,
        device: str = "auto",
        devices: int = 1,
        nodes: int = 1,
        precision: str = "32",
        random_state: int = 0,
        directory: str | Path | None = None,
        progress: bool = False,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.backbone_weights = backbone_weights
        self.image_size = image_size
        self.hyperparameters = hyperparameters
        self.tune = tune
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.backbone_learning_rate = backbone_learning_rate
        self.validation = validation
        self.rule = rule
        self.calibrate = calibrate
        self.prior = prior
        self.label_weights = label_weights
        self.strong_view = strong_view
        self.patience = patience
        self.select = select
        self.on_bad_item = on_bad_item
        self.cache = cache
        self.picture_cache = picture_cache
        self.accumulate = accumulate
        self.device = device
        self.devices = devices
        self.nodes = nodes
        self.precision = precision
        self.random_state = random_state
        self.directory = directory
        self.progress = progress

    def fit(
        self,
        X: Any,
        Y: Any,
        *,
        label_names: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
        true_labels: Any = None,
    ) -> Self:
        """Train on ``X`` (n items) and ``Y`` (n, K) annotations.

        ``X`` is an array (n, D) of features or (n, C, H, W) of pictures, a frame, a sparse matrix, a source, or with
        a pretrained backbone a list of texts or of pictures' paths. ``label_names`` names the columns of Y; ``items``
        (n ids) names the items in messages; ``true_labels`` (n, K) is read by oracle methods alone. Raises
        ``UserError``, a ``ValueError``, for input that cannot be used.
        """
        began = time.perf_counter()
        self._check_arguments()
        labels = parse(Y, label_names=label_names)
        columns = _columns(X)
        self._rebuild: dict[str, Any] = {}
        self._tokenizer: str | None = None
        self.preprocessing_ = sized(preprocessing_of(self.backbone), self.image_size)
        fixed = self.backbone == "features" or self.preprocessing_ is not None
        self.tune_ = self.tune or ("head" if fixed else "all")
        X = self._as_items(X, items)
        check_lengths(X, labels.matrix)
        for name in ("feature_names_in_", "n_features_in_"):
            self.__dict__.pop(name, None)
        if columns is not None:
            self.feature_names_in_ = columns
        if not is_source(X) and X.ndim == 2:
            self.n_features_in_ = int(X.shape[1])
        method = self._choose_method(describe(labels.matrix, labels.label_names))
        self._build_embedder(X, method, len(labels.label_names))
        read = self._read(X, scan=True)
        X, self.skipped_ = read.X, read.bad
        truth = None if true_labels is None else parse(true_labels, label_names=label_names).matrix
        if read.bad:
            items = None if items is None else [items[i] for i in read.kept]
            truth = truth[read.kept] if truth is not None and len(truth) == len(labels.matrix) else truth
            labels = Annotations(np.ascontiguousarray(labels.matrix[read.kept]), labels.label_names)
        self.summary_ = describe(labels.matrix, labels.label_names)
        self.label_names_ = labels.label_names
        self.best_epoch_: int | None = None
        self.classes_ = np.arange(len(labels.label_names))
        self.prior_ = resolve_prior(self.prior, self.summary_)
        notes = list(self.summary_.not_identified)
        if self.summary_.labels_without_positive:
            names = listed(self.summary_.labels_without_positive)
            notes.append(f"no positive is known of {names}: their scores mean nothing")
        if self.skipped_:
            notes.append(f"{len(self.skipped_)} items could not be read and were left out")
        self.notes_ = tuple(notes)
        choice, is_final = self._select(X, labels, method, items, truth)
        if not is_final:
            self._train(
                X,
                labels,
                method,
                items,
                truth,
                stop_after=choice.epochs,
                scaling=choice.scaling,
                part="final",
            )
        if choice.scores is None and self.solution_ is not None and not self.history_:
            choice = replace(choice, scores=self._held_out_scores(self.solution_), labels=labels.matrix)
        self._decide(choice, X)
        views = {
            view for stage in self.trained_method_.plan() for group in stage.views.values() for view in group
        }
        if self.tune_ == "head" and not is_source(X) and X.ndim == 2 and "strong" in views:
            self.notes_ += (
                f"features cannot be augmented as pictures: the strong view drops {self.strong_view:.0%} of the "
                "coordinates and adds noise",
            )
        self.seconds_ = time.perf_counter() - began
        return self

    def _choose_method(self, summary: Summary) -> type[Method]:
        advice = recommend(summary)
        method = get(self.method or advice.method)
        method.spec.accept(summary.setting, fitting(summary.setting))
        self.method_ = method.spec.id
        return method

    def _budget(self, method: type[Method]) -> Budget:
        default = method.spec.head_budget if self.tune_ == "head" else method.spec.full_budget
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        for name, value in (*given.items(), ("backbone_learning_rate", self.backbone_learning_rate)):
            kind = Real if name.endswith("learning_rate") else Integral
            if value is not None and not (isinstance(value, kind) and 0 < value < float("inf")):
                whole = "" if kind is Real else "whole "
                usual = getattr(default, name, "a tenth of learning_rate")
                raise UserError(f"{name}={value!r}: it is a {whole}number above 0 (default {usual})")
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        budget = replace(default, **changes)
        rate = self.backbone_learning_rate
        if rate is not None:
            return replace(budget, backbone_rate=rate / budget.learning_rate)
        return replace(budget, backbone_rate=1.0 if self.preprocessing_ is None else _PRETRAINED_RATE)

    def _select(
        self,
        X: Any,
        labels: Annotations,
        method: type[Method],
        items: Sequence[str] | None,
        truth: np.ndarray | None,
    ) -> tuple[Choice, bool]:
        """Train without the held-out rows and score them; nothing where there is no validation.

        Return what they say, and whether the model that was trained is the final one already: no row was held out of
        X then.
        """
        if isinstance(self.validation, tuple | list):
            X_val, Y_val = self.validation
            held = parse(Y_val, label_names=labels.label_names).matrix
            X_val = self._as_items(X_val)
            check_lengths(X_val, held)
            read = self._read(X_val)
            X_val, held = read.X, held[read.kept]
            self._train(X, labels, method, items, truth, validation=(X_val, held), part="final")
            return self._chosen(X_val, held), True
        closed = method.spec.passes == 0
        rows = hold_out(labels.matrix, self.validation, closed_form=closed, seed=self.random_state)
        if rows is None:
            self.best_epoch_ = None
            return Choice(), False
        taught, held_rows = rows
        part = Annotations(np.ascontiguousarray(labels.matrix[taught]), labels.label_names)
        X_val, Y_val = take(X, held_rows), labels.matrix[held_rows]
        names = [items[i] for i in taught] if items is not None else None
        known = truth if truth is None or len(truth) != len(labels.matrix) else truth[taught]
        self._train(take(X, taught), part, method, names, known, validation=(X_val, Y_val), part="selection")
        return self._chosen(X_val, Y_val), False

    def _chosen(self, X_val: Any, Y_val: np.ndarray) -> Choice:
        epochs = self.best_epoch_ if self.patience or self.select == "best" else None
        scaling = None if self.scaling_ is None else self.scaling_.kind
        return Choice(epochs, self._scores(X_val), Y_val, scaling)

    def _train(
        self,
        X: Any,
        labels: Annotations,
        method_class: type[Method],
        items: Sequence[str] | None,
        truth: np.ndarray | None,
        *,
        part: str,
        validation: tuple[Any, np.ndarray] | None = None,
        stop_after: int | None = None,
        scaling: str | None = None,
    ) -> None:
        seed = int(self.random_state or 0)
        facts = describe(labels.matrix, labels.label_names)
        # The prior of a selection run must not have seen the rows held out from it.
        own = resolve_prior(None, facts) if self.prior is None else None
        problem = Problem(
            labels.matrix,
            facts.setting,
            self.prior_ if own is None else own,
            self.tune_,  # type: ignore[arg-type]
            seed,
            self._budget(method_class),
            truth,
        )
        method = method_class(problem, self.hyperparameters)
        source, solution = self._source(X, method, scaling)
        network = self._network(source.shape, method, seed)
        settings = engine.Settings(
            seed=seed,
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            precision=self.precision,
            accumulate=self.accumulate,
            patience=self.patience if validation is not None else None,
            keep_best=self.select == "best" and validation is not None,
            directory=None if self.directory is None else Path(self.directory) / part,
        )
        told = {k: v for k, v in self.get_params().items() if k not in _UNTOLD}
        title = {"selection": "choosing on held-out rows", "final": method_class.spec.id}[part]
        with engine.RichProgress(title) if self.progress else nullcontext() as bar:
            result = engine.train(
                network,
                method,
                source,
                settings,
                criterion=self._criterion(validation),
                solution=solution,
                label_weights=label_weights(self.label_weights, self.summary_),
                fingerprint=fingerprint(told, X, labels.matrix, problem.true_labels, part),
                progress=bar,
                stop_after=stop_after,
                items=items,
            )
        self.network_, self.trained_method_, self.solution_ = result.network, result.method, solution
        self.input_shape_ = tuple(source.shape)
        self.hyperparameters_, self.budget_ = method.hyperparameters, asdict(method.budget)
        self.history_ = result.history
        if validation is not None:
            self.best_epoch_ = result.best_epoch

    def _source(self, X: Any, method: Method, chosen: str | None) -> tuple[Source, RidgeSolution | None]:
        """Scale the features as the closed-form solution chooses on the known entries; pictures need no scaling.

        ``chosen`` is the scaling that the run on fewer rows took, which thresholds and calibration rest on. Cosines
        take centred features: those of features that share a direction differ too little for a margin.
        """
        solution: RidgeSolution | None = None
        self.scaling_: InputScaling | None = None
        if not is_source(X) and X.ndim == 2:
            if self.tune_ == "head" and (self.backbone == "features" or self.embedder_ is not None):
                choices = _CENTRED if method.spec.head == "cosine" else SCALINGS
                solution = solve_ridge(X, method.start_labels(), scalings=(chosen,) if chosen else choices)
                self.scaling_ = solution.scaling
            else:
                self.scaling_ = InputScaling.fit(X, "standardise")
        return self._as_source(X), solution

    def _as_source(self, X: Any) -> Source:
        if self.scaling_ is None:
            return as_source(X)
        return as_source(X, scaling=self.scaling_, strong_view=self.strong_view)

    def _network(self, shape: Sequence[int], method: Method, seed: int) -> Network:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            own = self.embedder_ is None
            backbone = self._backbone(shape) if own else build_backbone("features", shape)
            width = int(backbone.n_features)  # type: ignore[arg-type]
            projection = Projection(width) if self.tune_ == "all" and method.spec.projection else None
            head = method.head(width if projection is None else projection.n_features)
        if self.tune_ == "head":
            backbone.requires_grad_(False)
        return Network(backbone, head, projection)

    def _criterion(self, validation: tuple[Any, np.ndarray] | None) -> engine.Criterion | None:
        if validation is None:
            return None
        source, held = self._as_source(validation[0]), validation[1]
        measure = (
            metrics.mean_average_precision
            if metrics.judgeable(held).average_precision
            else lambda y, s: float(np.nanmean(metrics.observed_average_precision(y, s)))
        )
        return lambda network, method: float(measure(held, engine.score(network, method, source)))

    def _held_out_scores(self, solution: RidgeSolution) -> np.ndarray:
        """Score the training rows by the leave-one-out outputs, as the method would."""
        from labelwise.models import probabilities

        return probabilities(solution.loo_scores).astype(np.float32)

    def _decide(self, choice: Choice, X: Any) -> None:
        self.held_out_: tuple[np.ndarray, np.ndarray] | None = None
        if choice.scores is not None and choice.labels is not None:
            self.held_out_ = choice.labels, choice.scores
        decision = learn_decision(
            choice,
            self.rule,
            calibrate=self.calibrate,
            prior=self.prior_ if self.prior is not None else None,
            label_names=self.label_names_,
            scores_of_all=lambda: self._scores(X),
        )
        self.rule_, self.rule_source_ = decision.rule, decision.source
        self.calibration_, self.validation_ = decision.calibration, decision.evaluation

    def decision_scores(self, X: Any) -> np.ndarray:
        """Return the method's scores (n, K) float32 in [0, 1], before calibration."""
        return self._scores(self.read(X).X)

    def read(self, X: Any, *, items: Sequence[str] | None = None) -> ReadItems:
        """Return ``X`` made ready to be scored, so that pictures and texts are read by the backbone once.

        ``predict``, ``predict_proba``, ``decision_scores`` and ``evaluate`` take the result in the place of ``X``, with
        one row for each item of ``result.kept``. ``items`` names the items in messages.
        """
        if isinstance(X, ReadItems):
            return X
        return self._read(self._fitting_items(X, items))

    def _scores(self, X: Any) -> np.ndarray:
        return engine.score(self.network_, self.trained_method_, self._as_source(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return scores (n, K) in [0, 1]; probabilities where ``calibration_`` is not None."""
        scores = self.decision_scores(X)
        if self.calibration_ is None or not len(scores):
            return scores
        return self.calibration_.apply(scores).astype(np.float32)

    def predict(self, X: Any) -> np.ndarray:
        """Return label sets (n, K) int8 of 0 and 1 by ``rule_``."""
        scores = self.predict_proba(X)
        predicted: np.ndarray = self.rule_.apply(scores) if len(scores) else scores.astype(np.int8)
        return predicted

    def evaluate(self, X: Any, Y: Any, rule: metrics.Rule | None = None) -> metrics.Evaluation:
        """Judge the model on ``X`` and annotations ``Y``, by ``rule`` or ``rule_``."""
        labels = parse(Y, label_names=self.label_names_).matrix
        X = self.read(X)
        check_lengths(X.X, labels)
        return metrics.evaluate(
            labels, self.predict_proba(X), rule or self.rule_, label_names=self.label_names_
        )

    def score(self, X: Any, Y: Any, sample_weight: None = None) -> float:
        """Return the mean average precision over labels, in [0, 1]."""
        labels = parse(Y, label_names=self.label_names_).matrix
        return float(metrics.mean_average_precision(labels, self.decision_scores(X)))

    def _fitting_source(self, X: Any) -> Source:
        """Return ``X``, read where it is not yet, as the source of batches that the network takes."""
        return self._as_source(self.read(X).X)

    def _fitting_items(self, X: Any, items: Sequence[str] | None) -> Any:
        """Return ``X`` as items, refused where they are not like those that the model was trained on."""
        if not hasattr(self, "network_"):
            raise NotFitted("this MultiLabelClassifier is not fitted: call fit(X, Y) first")
        columns, known = _columns(X), getattr(self, "feature_names_in_", None)
        X = self._as_items(X, items)
        expected = getattr(self, "n_features_in_", None)
        if expected is not None and (is_source(X) or X.ndim != 2 or X.shape[1] != expected):
            raise UserError(
                f"X has {X.shape[1]} features, but MultiLabelClassifier is expecting {expected} features as input"
            )
        if columns is not None and known is not None and list(columns) != list(known):
            wrong = next(i for i, pair in enumerate(zip(columns, known, strict=True)) if pair[0] != pair[1])
            raise UserError(
                f"column {wrong} of X is {columns[wrong]!r}, the model was trained with {known[wrong]!r} there: give "
                "the same columns in the same order"
            )
        shape, known_shape = _shape(X), tuple(self.item_shape_)
        if shape != known_shape:
            raise UserError(f"X has items of shape {shape}, the model was trained on {known_shape}")
        return X

    def _as_items(self, X: Any, items: Sequence[str] | None = None) -> Any:
        folder = None if self.picture_cache is None or self.tune_ == "head" else Path(self.picture_cache)
        return as_items(X, self.preprocessing_, items=items, picture_cache=folder, tokenizer=self._tokenizer)

    def _backbone(self, shape: Sequence[int]) -> nn.Module:
        if isinstance(self.backbone, nn.Module):
            return build_backbone(copy.deepcopy(self.backbone), shape, weights=self.backbone_weights)
        return build_backbone(self.backbone, shape, weights=self.backbone_weights, **self._rebuild)

    def _build_embedder(self, X: Any, method: type[Method], n_labels: int) -> None:
        """Set the frozen backbone that turns every item into features once; None where there is nothing to freeze.

        A head that reads maps trains behind its frozen backbone instead, since maps are too large to keep.
        """
        self.embedder_: nn.Module | None = None
        self.item_shape_ = _shape(X)
        if self.tune_ == "all" or self.backbone == "features" or len(self.item_shape_) == 1:
            return
        probe = method(Problem(np.zeros((0, n_labels), np.int8), tune="head"), self.hyperparameters)
        if hasattr(probe.head(8), "read_maps"):
            return
        with torch.random.fork_rng():
            torch.manual_seed(int(self.random_state or 0))
            self.embedder_ = self._backbone(self.item_shape_).requires_grad_(False).eval()

    def _read(self, X: Any, *, scan: bool = False) -> ReadItems:
        return read_items(
            X,
            self.embedder_,
            on_bad=self.on_bad_item,
            scan=scan,
            keep=self.cache,
            device=self.device,
            progress=self.progress,
            name=self.backbone if isinstance(self.backbone, str) else type(self.backbone).__name__,
        )

    def _check_arguments(self) -> None:
        """Refuse arguments that no part below looks at."""
        if self.tune not in (None, "head", "all"):
            raise UserError(f"tune={self.tune!r}: give 'head', 'all' or None")
        if self.select not in ("last", "best"):
            raise UserError(f"select={self.select!r}: give 'last' or 'best'")
        if self.on_bad_item not in ("stop", "skip"):
            raise UserError(f"on_bad_item={self.on_bad_item!r}: give 'stop' or 'skip'")
        seed = self.random_state
        if not (seed is None or (isinstance(seed, Integral) and seed >= 0)):
            raise UserError(f"random_state={seed!r}: give a whole number from 0")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        tags.target_tags.two_d_labels = True
        return tags

    def save(self, path: str | Path) -> None:
        """Write a model directory: weights as safetensors, everything else as JSON."""
        if not hasattr(self, "network_"):
            raise NotFitted("this MultiLabelClassifier is not fitted: call fit(X, Y) before save")
        save_model(self, path)


def load(path: str | Path, *, backbone: nn.Module | None = None) -> MultiLabelClassifier:
    """Return the fitted classifier of a model directory.

    ``backbone`` is needed for a model trained with a module of your own, whose code no model directory holds: an
    untrained one of the same make. Raises ``UserError`` for anything that is not a whole, unchanged model directory.
    """
    return restore_model(MultiLabelClassifier, path, backbone)


def _shape(X: Any) -> tuple[int, ...]:
    """Return the shape of one item."""
    return tuple(X.shape[1:]) if not is_source(X) and X.ndim == 2 else tuple(as_source(X).shape)


def _columns(X: Any) -> np.ndarray | None:
    """Return the names of a frame's columns, None where they are no names."""
    names = list(getattr(X, "columns", []))
    return np.array(names, dtype=object) if names and all(isinstance(name, str) for name in names) else None
