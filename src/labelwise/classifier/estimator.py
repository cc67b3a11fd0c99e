"""The scikit-learn face: ``MultiLabelClassifier`` and ``load``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from torch import nn

from labelwise import engine, metrics
from labelwise.annotations import Annotations, Summary, parse
from labelwise.classifier.reader import ReadItems, as_items, check_alike, in_order, read_items
from labelwise.classifier.saving import restore_model, save_model
from labelwise.classifier.steps import fit_model
from labelwise.classifier.training import scaled_source
from labelwise.data import Source, check_lengths
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.models import InputScaling, Network, Preprocessing, RidgeSolution

OnEpoch = Callable[["MultiLabelClassifier", int], object]


class NotFitted(UserError, NotFittedError):  # type: ignore[misc]
    """What scikit-learn expects of an estimator that is asked before it was fitted."""


class MultiLabelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multi-label classifier that learns from the labels you have.

    Every entry of ``Y`` is relevant (1), irrelevant (0) or unknown (-1, NaN or NA). Which entries are known decides
    the setting; one ``fit`` serves all of them. Labels with names (a frame's columns, rows of names) are matched by
    name in ``validation``, ``evaluate`` and ``score``.

    Args:
        method (str or None): A method's id (``labelwise.methods.names()``), or None for what
            ``labelwise.recommend`` says.
        backbone (str or nn.Module): ``"features"`` (rows of X are features), ``"mlp"``, ``"smallcnn"``; pretrained:
            ``"efficientnet-lite0"`` for pictures, ``"minilm"`` for texts, ``"hf/NAME"``, ``"timm/NAME"``; or a
            module from items to features.
        backbone_weights (path or None): A file of weights for the backbone: safetensors, or what ``torch.save``
            wrote of a state dict.
        image_size (int or None): Side of the pictures in pixels, instead of the backbone's own.
        max_length (int or None): Tokens that are read of a text at most, special ones included, instead of the
            backbone's own: 256 of ``"minilm"``, of others as many as they have places for, up to 512.
        hyperparameters (dict or None): The method's own; ``labelwise.methods.get(id).spec.hyperparameters`` lists
            them.
        tune ({"head", "all"} or None): Train the head alone or the whole network. None: the head for ``"features"``
            and pretrained backbones, all otherwise. With ``"head"`` every picture or text is read by the backbone
            once, and its features are kept.
        head_start ({"ridge", "random"} or None): What the head starts from: the closed form on the features as they
            are before training, or random weights. None: the closed form for ``"features"``, pretrained and frozen
            backbones; random otherwise. Methods with heads of their own (``mime``, ``drml``) always start at
            random.
        epochs (number or None): None takes the method's default for the way it tunes.
        batch_size (number or None): As ``epochs``.
        learning_rate (number or None): As ``epochs``.
        backbone_learning_rate (float or None): With ``tune="all"``. None: a tenth of ``learning_rate`` for a
            pretrained backbone, the same otherwise.
        validation ("auto", float, (X, Y) or None): What decision rule, calibration and early stopping are chosen
            on. A fraction of the labelled rows is held out; once the choices are made the model is trained again on
            everything. ``"auto"`` is .2 where negatives are known on at least 50 rows; a head leaves 10 to 49 out
            in five turns. With a pair it is trained once, on all of X.
        rule ({"auto", "micro-f1", "macro-f1", "shares"}, a rule of ``labelwise.metrics``, or float): How scores
            become label sets. ``"auto"`` learns thresholds where negatives are known, else matches ``prior`` or, as
            a lower bound, the observed shares; ``"shares"`` always matches. docs/guides/decisions.md has the
            details.
        calibrate (bool): Turn scores into calibrated probabilities where that is identified.
        prior ((K,) array, dict, float or None): The share of positives of each label, or the
            mean number of labels an item has, where the labels do not identify it; a dict holds shares by name.
        unlisted ({"unknown", "absent"} or None): What a name means that a row of names does not list, and what a
            sparse ``Y`` does not store. None: unknown for names; a sparse ``Y`` must say it.
        minus_one ({"unknown", "absent"}): What -1 means, wherever labels are given.
        empty ({"unknown", "absent"}): What NaN, None, NA, a masked entry or an empty cell means, wherever labels
            are given.
        label_weights ("balanced", (K,) array, dict by name or None): Weights of each label's known positives in
            the loss, against imbalance; ``"balanced"`` is the ratio of its other entries to them, at most 100.
        strong_view (float): Share of coordinates dropped in the strong view of features, in [0, 1).
        patience (int or None): Stop after that many epochs without a better validation score, and use the best
            epoch. None: fixed epochs.
        select ({"last", "best"}): Which epoch to use where there is validation; ``"best"`` by its mean average
            precision.
        on_bad_item ({"stop", "skip"}): What to do with a picture that cannot be read. ``"skip"`` leaves up to 5% of
            the items out (``skipped_``).
        cache (bool): Keep the features of pictures and texts on disk (``labelwise cache`` lists them), for the next
            run.
        picture_cache (path or None): A folder for decoded pictures of short side 256, for ``tune="all"``.
        accumulate (int): Batches whose gradients make one step; see ``labelwise.engine.Settings``.
        device (str): ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``; see ``labelwise.engine.Settings``.
        devices (int): Processes on each machine, one a device.
        nodes (int): Machines.
        precision (str): ``"32"``, ``"bf16"`` or ``"16"`` (autocast).
        random_state (int or None): The seed of every choice; the same seed gives the same model to the bit. None is
            0: nothing is ever drawn anew, so that a model can be trained again.
        directory (path or None): Where checkpoints and ``history.jsonl`` go. Fitting again with the same arguments
            resumes there, exactly.
        progress (bool): Show a progress bar.

    Attributes:
        method_, label_names_, n_features_in_, summary_, prior_, hyperparameters_, budget_: Facts of what was
            trained, and on which labels.
        rule_, rule_source_, calibration_, validation_, best_epoch_: The decision rule, how it was chosen, and the
            held-out ``Evaluation`` (or None).
        held_out_: Labels (m, K) and scores (m, K), before calibration, of items that the model did not see; None
            without any, and after ``load``.
        history_, notes_, seconds_, skipped_: One record an epoch; sentences on what was assumed; wall time; items
            that could not be read.
    """

    method_: str
    label_names_: tuple[str, ...]
    classes_: np.ndarray
    feature_names_in_: np.ndarray
    n_features_in_: int
    item_shape_: tuple[int, ...]
    input_shape_: tuple[int, ...]
    preprocessing_: Preprocessing | None
    _tokenizer: str | None
    tune_: Literal["head", "all"]
    head_start_: str
    summary_: Summary
    prior_: np.ndarray | None
    embedder_: nn.Module | None
    network_: Network
    trained_method_: Method
    scaling_: InputScaling | None
    solution_: RidgeSolution | None
    hyperparameters_: dict[str, Any]
    budget_: dict[str, Any]
    rule_: metrics.Rule
    rule_source_: str
    calibration_: metrics.PlattCalibration | None
    validation_: metrics.Evaluation | None
    held_out_: tuple[np.ndarray, np.ndarray] | None
    best_epoch_: int | None
    history_: list[dict[str, Any]]
    notes_: tuple[str, ...]
    seconds_: float
    skipped_: tuple[Any, ...]

    def __init__(
        self,
        method: str | None = None,
        backbone: str | nn.Module = "features",
        *,
        backbone_weights: str | Path | None = None,
        image_size: int | None = None,
        max_length: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        tune: str | None = None,
        head_start: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        backbone_learning_rate: float | None = None,
        validation: Any = "auto",
        rule: Any = "auto",
        calibrate: bool = True,
        prior: Any = None,
        unlisted: str | None = None,
        minus_one: str = "unknown",
        empty: str = "unknown",
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
        self.max_length = max_length
        self.hyperparameters = hyperparameters
        self.tune = tune
        self.head_start = head_start
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.backbone_learning_rate = backbone_learning_rate
        self.validation = validation
        self.rule = rule
        self.calibrate = calibrate
        self.prior = prior
        self.unlisted = unlisted
        self.minus_one = minus_one
        self.empty = empty
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
        on_epoch: OnEpoch | None = None,
        on_read: Callable[[ReadItems], object] | None = None,
    ) -> Self:
        """Train on ``X`` (n items) and ``Y`` (n, K) annotations.

        ``X`` is an array (n, D) of features or (n, C, H, W) of pictures, a frame, a sparse matrix, a source, or with
        a pretrained backbone a list of texts or of pictures' paths. ``label_names`` names the columns of Y; ``items``
        (n ids) names the items in messages; ``true_labels`` (n, K) is read by oracle methods alone. ``on_epoch`` is
        called after every epoch of the final run with a classifier as it is then, which can be asked and saved like
        any (its rule is one half), and the number of epochs so far. ``on_read`` is called before any training with the
        items as they were read, which can be scored in the place of ``X``. A fit that is refused or interrupted leaves
        this classifier as it was. Raises ``UserError``, a ``ValueError``, for input that cannot be used.
        """
        fresh = self._unfitted()
        fit_model(fresh, X, Y, label_names, items, true_labels, on_epoch, on_read)
        # A single assignment: whatever interrupts it finds the old state or the new one.
        self.__dict__ = fresh.__dict__
        return self

    def _unfitted(self) -> Self:
        """Return a twin that shares the parameters and has not been fitted."""
        twin = object.__new__(type(self))
        twin.__dict__ = {name: value for name, value in vars(self).items() if not _is_fitted(name)}
        return twin

    def _labels(self, Y: Any, label_names: Sequence[str] | None) -> Annotations:
        """Return ``Y`` as annotations of these labels, by name where it has names."""
        return parse(
            Y, label_names=label_names, unlisted=self.unlisted, minus_one=self.minus_one, empty=self.empty
        )

    def decision_scores(self, X: Any) -> np.ndarray:
        """Return the method's scores (n, K) float32 in [0, 1], before calibration."""
        items = self.read(X).X
        return engine.score(self.network_, self.trained_method_, self._as_source(items))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits (n, K) float64 of ``predict_proba``, which rank items where probabilities near 1 are tied.

        A float32 probability is 1 from a logit of 16.6 on. Everything here that ranks or decides does it by these.
        """
        items = self.read(X).X
        logits = self._logits(items).astype(np.float64)
        if self.calibration_ is None or not len(logits):
            return logits
        return self.calibration_.logits(logits)

    def read(self, X: Any, *, items: Sequence[str] | None = None) -> ReadItems:
        """Return ``X`` made ready to be scored, so that pictures and texts are read by the backbone once.

        ``predict``, ``predict_proba``, ``decision_function`` and ``evaluate`` take the result in the place of ``X``,
        with one row for each item of ``result.kept``. ``items`` names the items in messages.
        """
        if isinstance(X, ReadItems):
            return X
        if not hasattr(self, "network_"):
            raise NotFitted("this MultiLabelClassifier is not fitted: call fit(X, Y) first")
        X = as_items(self, in_order(self, X), items)
        check_alike(self, X)
        return read_items(self, X)

    def _logits(self, X: Any) -> np.ndarray:
        """Return the method's logits (n, K), before calibration, of items as the network takes them."""
        return engine.logits(self.network_, self.trained_method_, self._as_source(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return scores (n, K) in [0, 1]; probabilities where ``calibration_`` is not None."""
        return np.asarray(expit(self.decision_function(X)), dtype=np.float32)

    def predict(self, X: Any) -> np.ndarray:
        """Return label sets (n, K) int8 of 0 and 1 by ``rule_``."""
        logits = self.decision_function(X)
        predicted: np.ndarray = metrics.decide(self.rule_, logits) if len(logits) else logits.astype(np.int8)
        return predicted

    def predict_names(self, X: Any) -> list[list[str]]:
        """Return the names of the predicted labels of each item, in the order of ``label_names_``."""
        names = self.label_names_
        return [[names[int(k)] for k in np.flatnonzero(row)] for row in self.predict(X)]

    def evaluate(self, X: Any, Y: Any, rule: metrics.Rule | None = None) -> metrics.Evaluation:
        """Judge the model on ``X`` and annotations ``Y``, by ``rule`` or ``rule_``.

        Rows that hold nothing but positives beside fully known ones are not judged (``labelwise.metrics.judgeable``);
        its notes say so.
        """
        labels, logits = self._judged(X, Y)
        return metrics.evaluate(
            labels,
            logits,
            self.rule_ if rule is None else rule,
            label_names=self.label_names_,
            input="logit",
            fair_rows=True,
        )

    def score(self, X: Any, Y: Any, sample_weight: None = None) -> float:
        """Return the mean average precision over the labels of which both classes are known, in [0, 1].

        Where none is, every score would look perfect: the mean of observed average precision, with unknown entries
        counted as absent, takes its place, so that models can be compared, and
        ``labelwise.metrics.ObservedAveragePrecisionWarning`` says so once. Raises ``UserError`` where no entry of ``Y``
        is known to be relevant.
        """
        return metrics.ranking_score(*self._judged(X, Y))

    def _judged(self, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return annotations ``Y`` (n, K) of items, and the logits of the items' probabilities."""
        labels = self._labels(Y, self.label_names_).matrix
        X = self.read(X)
        check_lengths(X.X, labels)
        return labels, self.decision_function(X)

    def _fitting_source(self, X: Any) -> Source:
        """Return ``X``, read where it is not yet, as the source of batches that the network takes."""
        return self._as_source(self.read(X).X)

    def _as_source(self, X: Any) -> Source:
        return scaled_source(X, self.scaling_, self.strong_view)

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


def _is_fitted(name: str) -> bool:
    """Return whether an attribute is a result of ``fit`` and no parameter."""
    return name.endswith("_") or name == "_tokenizer"


def load(path: str | Path, *, backbone: nn.Module | None = None) -> MultiLabelClassifier:
    """Return the fitted classifier of a model directory.

    ``backbone`` is needed for a model trained with a module of your own, whose code no model directory holds: an
    untrained one of the same make. Raises ``UserError`` for anything that is not a whole, unchanged model directory.
    """
    return restore_model(MultiLabelClassifier, path, backbone)
