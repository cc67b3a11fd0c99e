"""Prediction, judgement and display by a fitted classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from torch import nn

from labelwise import metrics
from labelwise._html import facts_table
from labelwise.annotations import Annotations, ListedStates, Summary, row_blocks
from labelwise.classifier.attributes import Fitted, check_fitted
from labelwise.classifier.decision import Decision
from labelwise.classifier.distilling import Distillation
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.given import read_sample_weight
from labelwise.classifier.options import FitOptions
from labelwise.classifier.output import check_kind, in_form, index_of
from labelwise.classifier.reader import ItemReader, ReadItems
from labelwise.data import BadItem, check_lengths, check_same_order
from labelwise.ensemble import Explanation
from labelwise.errors import UserError, listed, shown
from labelwise.methods import Method
from labelwise.models import Network, Preprocessing, RidgeSolution, Scaling

_FIGURES = ("map", "micro_f1", "macro_f1")


@cache
def documentation_site() -> str:
    """Return the site of the documentation that the installed package names, "" without one."""
    try:
        named = metadata("labelwise").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    sites = {name: site for name, _, site in (str(one).partition(", ") for one in named)}
    return sites.get("Documentation", "").rstrip("/")


class Predictor(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What a fitted classifier is and can be asked.

    ``MultiLabelClassifier`` is one, and lists the attributes.
    """

    distillation_: Distillation
    reader_: ItemReader
    fitted_: FittedModel
    decision_: Decision
    classes_: np.ndarray
    held_out_: tuple[np.ndarray, np.ndarray] | None
    best_epoch_: int | None
    notes_: tuple[str, ...]
    seconds_: float
    skipped_: tuple[BadItem, ...]

    tune_ = Fitted[Literal["head", "all"]]("reader_.tune")
    n_features_in_ = Fitted[int]("reader_.n_features", replaceable=True, optional=True)
    feature_names_in_ = Fitted[np.ndarray]("reader_.columns", replaceable=True, optional=True)
    item_shape_ = Fitted[tuple[int, ...]]("reader_.item_shape")
    preprocessing_ = Fitted[Preprocessing | None]("reader_.preprocessing")
    embedder_ = Fitted[nn.Module | None]("reader_.embedder")

    method_ = Fitted[str]("fitted_.method.spec.id")
    hyperparameters_ = Fitted[dict[str, Any]]("fitted_.method.hyperparameters")
    label_names_ = Fitted[tuple[str, ...]]("fitted_.labels.label_names")
    summary_ = Fitted[Summary]("fitted_.labels")
    prior_ = Fitted[np.ndarray | None]("fitted_.prior")
    network_ = Fitted[Network]("fitted_.network")
    trained_method_ = Fitted[Method]("fitted_.method")
    input_shape_ = Fitted[tuple[int, ...]]("fitted_.input_shape")
    scaling_ = Fitted[Scaling | None]("fitted_.scaling")
    solution_ = Fitted[RidgeSolution | None]("fitted_.solution")
    head_start_ = Fitted[str]("fitted_.head_start")
    budget_ = Fitted[dict[str, Any]]("fitted_.budget")
    history_ = Fitted[list[dict[str, Any]]]("fitted_.history")
    explanation_ = Fitted[Explanation]("fitted_.explanation", optional=True)

    rule_ = Fitted[metrics.Rule]("decision_.rule", replaceable=True)
    rule_source_ = Fitted[str]("decision_.source", replaceable=True)
    calibration_ = Fitted[metrics.PlattCalibration | None]("decision_.calibration", replaceable=True)
    validation_ = Fitted[metrics.Evaluation | None]("decision_.evaluation", replaceable=True)

    def _options(self) -> FitOptions:
        """Return the parameters as options, not yet checked."""
        raise NotImplementedError

    def read(self, X: Any, *, items: Sequence[str] | None = None) -> ReadItems:
        """Read items once, so that they can be scored again and again.

        ``predict``, ``predict_proba``, ``decision_function`` and ``evaluate`` take the result in the place of ``X``,
        with one row for each item of ``result.kept``. ``items`` names the items in messages.
        """
        if isinstance(X, ReadItems):
            return X
        check_fitted(self)
        return self.reader_.read(X, self._options(), items)

    def set_output(self, *, predict: str | None = None) -> Self:
        """Choose what ``predict``, ``predict_proba`` and the scores come as.

        It is a setting of the object, which ``clone`` copies and a model directory does not hold.

        Args:
            predict: ``"pandas"`` or ``"polars"`` for a frame with a column for each label by name, and with the rows'
                names of a pandas frame X; ``"default"`` for arrays. None leaves the setting as it is.
        """
        if predict is not None:
            # The name that scikit-learn's clone copies.
            self._sklearn_output_config = {"predict": check_kind(predict)}
        return self

    def _formed(self, values: np.ndarray, X: Any, read: ReadItems) -> np.ndarray:
        """Return values (n, K) of items in the form that ``set_output`` chose."""
        kind = getattr(self, "_sklearn_output_config", {}).get("predict", "default")
        formed: np.ndarray = in_form(kind, values, self.label_names_, index_of(X, read.kept))
        return formed

    def decision_scores(self, X: Any) -> np.ndarray:
        """Return the method's scores (n, K) float32 in [0, 1], before calibration."""
        read = self.read(X)
        return self._formed(self.fitted_.scores(read.X), X, read)

    def _logits(self, read: ReadItems) -> np.ndarray:
        """Return the calibrated logits (n, K) float64 of read items."""
        return self.decision_.logits(self.fitted_.logits(read.X).astype(np.float64))

    def _logits_of(self, read: ReadItems) -> Callable[[NDArray[np.int64]], np.ndarray]:
        """Return a function that makes the calibrated logits (b, K) of some rows (b,) of read items."""
        return lambda rows: self._logits(read.rows(rows))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits (n, K) float64 of ``predict_proba``.

        They rank items where probabilities near 1 are tied. A float32 probability is 1 from a logit of 16.6 on.
        Everything here that ranks or decides does it by these.
        """
        read = self.read(X)
        return self._formed(self._logits(read), X, read)

    def predict_top(self, X: Any, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Return each item's ``k`` labels of the highest probabilities, and these.

        They are places in ``label_names_`` (n, k) int64, the best first, and float32 (n, k). Items are scored in
        blocks: the probabilities of all labels are never held at once.

        Raises:
            UserError: For a ``k`` below 1.
        """
        if not isinstance(k, int) or k < 1:
            raise UserError(f"k={shown(k)}: give the number of labels of an item, from 1")
        read = self.read(X)
        n_items, n_labels = len(read.kept), len(self.label_names_)
        k = min(k, n_labels)
        places, values = np.empty((n_items, k), np.int64), np.empty((n_items, k), np.float32)
        logits_of = self._logits_of(read)
        for rows in row_blocks(n_items, n_labels, 1 << 23):
            logits = logits_of(np.arange(rows.start, rows.stop))
            places[rows] = metrics.top_labels(logits, k)
            values[rows] = expit(np.take_along_axis(logits, places[rows], axis=1))
        return places, values

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return scores (n, K) float32 in [0, 1].

        They are probabilities where ``calibration_`` is not None.
        """
        read = self.read(X)
        return self._formed(np.asarray(expit(self._logits(read)), dtype=np.float32), X, read)

    def predict(self, X: Any) -> np.ndarray:
        """Return label sets (n, K) int8 of 0 and 1 by ``rule_``."""
        read = self.read(X)
        return self._formed(self.decision_.sets(self._logits(read)), X, read)

    def predict_names(self, X: Any) -> list[list[str]]:
        """Return the names of each item's predicted labels, ordered as ``label_names_``."""
        names, read = self.label_names_, self.read(X)
        return [
            [names[int(k)] for k in np.flatnonzero(row)] for row in self.decision_.sets(self._logits(read))
        ]

    def evaluate(self, X: Any, Y: Any, rule: metrics.Rule | None = None) -> metrics.Evaluation:
        """Judge the model on ``X`` and annotations ``Y``, by ``rule`` or ``rule_``.

        Rows that hold nothing but positives beside fully known ones are not judged (``labelwise.metrics.judgeable``);
        its notes say so. Of 1,000 labels or more there are also nDCG of the highest labels and, by the counts of the
        training labels, precision and nDCG weighted by propensity (``labelwise.metrics.top_metrics``). Where ``Y`` are
        lists or a sparse matrix with more than 16,777,216 entries, items are scored in blocks, to the same figures.
        """
        (read, labels), rule = self._read_both(X, Y), self.rule_ if rule is None else rule
        many = len(self.label_names_) >= metrics.MANY_LABELS
        training = (self.summary_.positives, self.summary_.n_items) if many else None
        if isinstance(labels.states, ListedStates) and metrics.decides_by_row(rule):
            return metrics.evaluate_in_blocks(
                labels.states,
                self._logits_of(read),
                rule,
                label_names=self.label_names_,
                input="logit",
                training=training,
            )
        return metrics.evaluate(
            labels.matrix,
            self._logits(read),
            rule,
            label_names=self.label_names_,
            input="logit",
            fair_rows=True,
            training=training,
        )

    def observed_average_precision(self, X: Any, Y: Any) -> np.ndarray:
        """Return ``labelwise.metrics.observed_average_precision`` of each label (K,), NaN without a positive."""
        read, labels = self._read_both(X, Y)
        if isinstance(labels.states, ListedStates):
            return metrics.observed_in_blocks(labels.states, self._logits_of(read))
        return metrics.observed_average_precision(labels.matrix, self._logits(read))

    def score(self, X: Any, Y: Any, sample_weight: Any = None) -> float:
        """Return the mean average precision over the known entries, in [0, 1].

        It is the mean over the labels of which both classes are known. Where none is, every score would look perfect:
        the mean of observed average precision, with unknown entries counted as absent, takes its place, so that
        models can be compared, and ``labelwise.metrics.ObservedAveragePrecisionWarning`` says so once.

        Args:
            X: Items like those of the fit.
            Y: (n, K) annotations; unknown entries are left out.
            sample_weight: (n,) numbers of at least 0: how often each row counts. None or equal ones: once.

        Raises:
            UserError: Where no entry of ``Y`` is known to be relevant.
        """
        read, labels = self._read_both(X, Y)
        weights = read_sample_weight(sample_weight, labels.n_items)
        return metrics.ranking_score(labels.matrix, self._logits(read), sample_weight=weights)

    def _read_both(self, X: Any, Y: Any) -> tuple[ReadItems, Annotations]:
        """Return items and their annotations, read."""
        check_same_order(X, Y)
        read, labels = self.read(X), self._options().annotations(Y, self.label_names_)
        check_lengths(read.X, labels.states)
        return read, labels

    _doc_link_module = "labelwise"

    @property
    def _doc_link_template(self) -> str:
        """The address of this class's page, for scikit-learn's drawings; empty where the package names no site."""
        site = documentation_site()
        return f"{site}/reference/classifier/" if site else ""

    def _html_repr(self) -> str:
        """Return the parameters that are no defaults and, once fitted, what came of them, as a table."""
        name = type(self).__name__
        if hasattr(self, "fitted_"):
            return facts_table(name, facts_of(self), self.notes_)
        options = self._options()
        given = [(option, getattr(options, option)) for option in sorted(options.given)]
        return facts_table(f"{name}, not fitted", [(option, shown(value)) for option, value in given])

    # scikit-learn 1.6 asks for its own drawing by name in these two.
    def _repr_html_inner(self) -> str:
        return self._html_repr()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        plain = {"text/plain": repr(self)}
        diagram = get_config()["display"] == "diagram"
        return plain | ({"text/html": self._html_repr()} if diagram else {})

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        tags.target_tags.two_d_labels = True
        tags.target_tags.multi_output, tags.target_tags.single_output = True, False
        return tags


def facts_of(model: Predictor) -> list[tuple[str, object]]:
    """Return what a reader asks of a fitted classifier first, as (name, value)."""
    facts: list[tuple[str, object]] = [
        ("method", model.method_),
        ("labels", f"{len(model.label_names_):,}: {listed(model.label_names_)}"),
        ("setting", model.summary_.setting),
        ("items", f"{model.summary_.n_items:,}"),
        ("rule", f"{model.rule_.name}, {model.rule_source_}"),
        ("calibrated", "yes" if model.calibration_ is not None else "no"),
    ]
    figures: Mapping[str, float] = model.validation_ or {}
    return facts + [(metrics.TITLES.get(name, name), figures[name]) for name in _FIGURES if name in figures]
