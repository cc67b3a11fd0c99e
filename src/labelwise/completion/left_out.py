"""Scores of models that did not see the row, for the rows of a training table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from labelwise.annotations import split
from labelwise.classifier import FitOptions, MultiLabelClassifier, NotFitted
from labelwise.data import check_lengths, is_source, select_rows
from labelwise.errors import UserError

LEAVE_ONE_OUT = "each row scored as if the model had not seen it (leave-one-out)"
_FIT_ONCE = {"validation": None, "rule": 0.5, "calibrate": False, "progress": False, "directory": None}


@dataclass(frozen=True, eq=False)
class LeftOutScores:
    """Scores of a table's rows by models that did not see the row.

    Attributes:
        logits: (n, K) float64, through the model's calibration; NaN in rows whose item could not be read.
        how: How they were made, in words.
        calibrated: Whether ``scores`` are calibrated probabilities.
        unreadable: The reason for each row whose item could not be read.
    """

    logits: NDArray[np.float64]
    how: str
    calibrated: bool
    unreadable: Mapping[int, str] = field(default_factory=dict)

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores (n, K) float32 in [0, 1]."""
        return np.asarray(expit(self.logits), np.float32)


def left_out_scores(
    model: MultiLabelClassifier, X: Any, Y: Any, *, folds: int = 5, seed: int = 0
) -> LeftOutScores:
    """Return scores of rows by models that did not see the row.

    A closed form on fixed features has them from one fit, each row left out in turn: at once where ``model`` was just
    fitted to these labels, else from one more fit. Other methods are trained ``folds`` times, each time without one
    part of the rows, stratified over the labels; a clone trains as the model did but for validation, rule and
    calibration. What comes out goes through the calibration of ``model``.

    Args:
        model: A fitted classifier.
        X: N items, as ``fit`` takes them.
        Y: (n, K) annotations, which the clones learn from.
        folds: Parts for methods that train, at least 2.
        seed: Of the parts.

    Raises:
        UserError: For a model that is not fitted, an oracle, and what ``fit`` refuses.
    """
    if not hasattr(model, "fitted_"):
        raise NotFitted("this MultiLabelClassifier is not fitted: call fit(X, Y) first")
    options = FitOptions(**model.get_params(deep=False))
    labels = options.annotations(Y, model.label_names_).matrix
    if not is_source(X) and not hasattr(X, "columns"):
        check_lengths(X, labels)
    elif len(X) != len(labels):
        raise UserError(f"X has {len(X)} items but Y has {len(labels)} rows: give one row of labels an item")
    fitted = model.fitted_
    if fitted.method.spec.passes == 0 and model.reader_.fixed_features(options):
        (logits, unreadable), how = _leave_one_out(model, X, labels), LEAVE_ONE_OUT
    else:
        if folds < 2:
            raise UserError(f"folds is {folds}: give at least 2")
        logits, unreadable = _of_folds(model, X, labels, folds, seed)
        how = f"each row scored by a model trained on the other {folds - 1} of {folds} parts"
    read = ~np.isnan(logits).any(axis=1)
    calibrated = np.full(logits.shape, np.nan)
    calibrated[read] = model.decision_.logits(logits[read])
    return LeftOutScores(calibrated, how, model.calibration_ is not None, unreadable)


def _leave_one_out(
    model: MultiLabelClassifier, X: Any, labels: NDArray[np.int8]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Return leave-one-out logits (n, K), NaN where an item was left out, and the reasons."""
    left_out, seen = model.fitted_.left_out_logits, model.fitted_.method.problem.labels
    if left_out is None or model.skipped_ or not np.array_equal(seen, labels):
        model = _clone(model).fit(X, labels, label_names=model.label_names_)
        left_out = model.fitted_.left_out_logits
    assert left_out is not None
    logits = np.full(labels.shape, np.nan)
    logits[np.setdiff1d(np.arange(len(labels)), [item.row for item in model.skipped_])] = left_out
    return logits, {item.row: item.reason for item in model.skipped_}


def _of_folds(
    model: MultiLabelClassifier, X: Any, labels: NDArray[np.int8], folds: int, seed: int
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Return logits (n, K) of clones trained without the row's part, and why some are NaN."""
    logits, unreadable = np.full(labels.shape, np.nan), dict[int, str]()
    for rows in split(labels, [1 / folds] * folds, seed=seed):
        train_rows = np.setdiff1d(np.arange(len(labels)), rows)
        clone = _clone(model).fit(rows_of(X, train_rows), labels[train_rows], label_names=model.label_names_)
        read = clone.read(rows_of(X, rows))
        logits[rows[read.kept]] = clone.fitted_.logits(read.X)
        unreadable |= {int(rows[bad.row]): bad.reason for bad in read.bad}
    return logits, unreadable


def _clone(model: MultiLabelClassifier) -> MultiLabelClassifier:
    """Return an unfitted twin that learns from states and trains once."""
    # The labels are states by now: what their codes meant must not be asked a second time.
    states = {"unlisted": None, "minus_one": "unknown", "empty": "unknown"}
    settings = {**model.get_params(deep=False), **_FIT_ONCE, **states}
    if settings["patience"] is not None or settings["select"] == "best":
        settings["validation"] = model.validation
    return type(model)(**settings)


def rows_of(X: Any, index: NDArray[np.int64]) -> Any:
    """Return some items of what ``fit`` takes: array, frame, list, sparse matrix or source."""
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if is_source(X):
        return select_rows(X, index)
    if hasattr(X, "tocsr"):
        return X.tocsr()[index]
    if isinstance(X, list | tuple):
        return [X[i] for i in index]
    return X[index]
