"""The baseline from outside: one-vs-rest logistic regression on scaled features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.classifier import FitOptions, ItemReader
from labelwise.methods import get
from labelwise.models import is_blocks

BASELINE = "logistic"
"""Name of the baseline among methods."""
WORDS = (
    "logistic is scikit-learn's StandardScaler and LogisticRegression, one a label: on the rows where the label is"
    " known, and where positives alone are known, with unknown counted as absent; cut at one half."
)


class LogisticBaseline:
    """Logistic regression a label, behind a scaler; a label of one class gets its share.

    Pictures and texts are read by the frozen backbone that a head would be trained on.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in options.items() if name not in ("hyperparameters", "epochs")}
        if kept.get("tune") == "all":
            kept["tune"] = "head"
        self._options = FitOptions(**{**kept, "method": "ridge"}).checked()

    def fit(self, X: Any, labels: NDArray[np.int8]) -> LogisticBaseline:
        """Fit to items and annotations (n, K)."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._reader, X = ItemReader.of(self._options, get("ridge"), X, labels, None)
        read = self._reader.read_all(X, self._options)
        features, labels = _matrix(read.X), labels[read.kept]
        labelled = np.asarray((labels >= 0).any(axis=1))
        self._models: list[Any] = []
        for column in labels.T:
            rows, y = _problem(column, labelled)
            if len(rows) and 0 < y.sum() < len(y):
                scaler = StandardScaler(with_mean=not hasattr(features, "tocsr"))
                model = make_pipeline(scaler, LogisticRegression(max_iter=1000))
                self._models.append(model.fit(features[rows], y))
            else:
                self._models.append(float(y.mean()) if len(y) else 0.0)
        return self

    def scores(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return probabilities (m, K), and which of the items (m,) could be read."""
        read = self._reader.read(X, self._options)
        features = _matrix(read.X)
        columns = [
            np.full(features.shape[0], model)
            if isinstance(model, float)
            else model.predict_proba(features)[:, 1]
            for model in self._models
        ]
        return np.stack(columns, axis=1), read.kept


def _problem(
    column: NDArray[np.int8], labelled: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return the rows that teach a label, and its classes there."""
    both = (column == 0).any() and (column == 1).any()
    rows = np.flatnonzero(column >= 0 if both else labelled)
    return rows, (column[rows] == 1).astype(np.int8)


def _matrix(X: Any) -> Any:
    """Return read features as one array, or as a CSR matrix where a part is sparse."""
    if not is_blocks(X):
        return X if hasattr(X, "tocsr") else np.asarray(X, dtype=np.float64).reshape(X.shape[0], -1)
    parts = X.parts
    if not any(hasattr(part, "tocsr") for part in parts):
        return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=1)
    from scipy.sparse import csr_array, hstack

    return hstack([csr_array(part) for part in parts], format="csr")
