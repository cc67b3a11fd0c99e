"""What a user of scikit-learn would run: one logistic regression a label.

Each function takes X and the hidden labels (n, K) in {1, 0, -1}; it returns what maps new rows to probabilities (n, K).
A label is fitted on its own known entries. Where no 0 is known anywhere, an unknown entry of a row with a known one
counts as absent. A label of one class there is scored by its share. Texts come as TF-IDF of the labelled ones' words.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

Scorer = Callable[[Any], np.ndarray]


def logistic(X: Any, seen: np.ndarray) -> Scorer:
    """scikit-learn's usual pipeline: `StandardScaler`, then `LogisticRegression` with its default C = 1."""
    from sklearn.preprocessing import StandardScaler

    if isinstance(X, list):
        return of_texts(X, seen, C=1.0)
    # Sparse words are divided by their deviations and not centred, as the pipeline does with sparse input.
    scale = StandardScaler(with_mean=not sp.issparse(X)).fit(X[labelled(seen)])
    return one_vs_rest(X, seen, scale.transform, C=1.0)


def logistic_l2(X: Any, seen: np.ndarray) -> Scorer:
    """Logistic regression on rows of unit length, C = 10, which suits words and embeddings better."""
    from sklearn.preprocessing import normalize

    if isinstance(X, list):
        return of_texts(X, seen, C=10.0)
    return one_vs_rest(X, seen, normalize, C=10.0)


LEARNERS = {"logistic": logistic, "logistic_l2": logistic_l2}


def of_texts(texts: list[str], seen: np.ndarray, C: float) -> Scorer:
    """Return what scores texts by their words: `TfidfVectorizer`, whose rows have unit length, and no other scaling."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer().fit([texts[i] for i in np.flatnonzero(labelled(seen))])
    fitted = one_vs_rest(sp.csr_array(words.transform(texts)), seen, lambda rows: rows, C)
    return lambda new: fitted(sp.csr_array(words.transform(new)))


def labelled(seen: np.ndarray) -> np.ndarray:
    """Return the mask of rows with a known entry."""
    return np.asarray((seen != -1).any(axis=1))


def one_vs_rest(X: Any, seen: np.ndarray, scaled: Callable[[Any], Any], C: float) -> Scorer:
    """Return what scores new rows by one classifier a label."""
    rows = labelled(seen)
    scaled_rows, known = scaled(X[rows]), seen[rows]
    known = known if (known == 0).any() else np.maximum(known, 0)
    models = [one_label(scaled_rows, y, C) for y in known.T]
    return lambda new: scores_of(models, scaled(new))


def one_label(X: Any, y: np.ndarray, C: float) -> Any:
    """Return a label's classifier, or the share of positives where its known entries are of one class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known = y != -1
    if not ((y == 1).any() and (y == 0).any()):
        return float(y[known].mean()) if known.any() else 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=C, max_iter=1000).fit(X[known], y[known])


def scores_of(models: list[Any], X: Any) -> np.ndarray:
    """Return each label's probabilities of scaled rows."""
    constant = np.ones(X.shape[0])
    columns = [m * constant if isinstance(m, float) else m.predict_proba(X)[:, 1] for m in models]
    return np.stack(columns, axis=1)
