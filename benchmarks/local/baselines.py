"""Learners a user would pick instead: logistic regressions and two semi-supervised ones of scikit-learn.

Each function takes X, the hidden labels (n, K) in {1, 0, -1} and X_test, and returns scores (n_test, K) in [0, 1].
Unknown entries of a row with a known one count as absent. The semi-supervised learners read at most
`UNLABELLED` unlabelled rows, drawn by a key, and run one label against the rest; where no negative is known they have
nothing to begin with, and `label_spreading` takes the single positives as classes instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from labelwise._random import generator

UNLABELLED = 2_000
NEIGHBOURS = 20


def logistic(X: Any, seen: np.ndarray, X_test: Any, *, seed: int = 0, logits: bool = False) -> np.ndarray:
    """One-vs-rest logistic regression, C = 10, StandardScaler, on the rows with a known entry."""
    rows = (seen != -1).any(axis=1)
    X, X_test = standardised(X[rows], X_test)
    return one_vs_rest(lambda y: model(), X, (seen[rows] == 1).astype(int), X_test, logits=logits)


def logistic_l2(X: Any, seen: np.ndarray, X_test: Any, *, seed: int = 0, logits: bool = False) -> np.ndarray:
    """The same on rows of unit length, which suits sparse words and near copies better."""
    from sklearn.preprocessing import normalize

    rows = (seen != -1).any(axis=1)
    X, X_test, Y = normalize(X[rows]), normalize(X_test), (seen[rows] == 1).astype(int)
    return one_vs_rest(lambda y: model(), X, Y, X_test, logits=logits)


def self_training(X: Any, seen: np.ndarray, X_test: Any, *, seed: int = 0) -> np.ndarray:
    """`SelfTrainingClassifier` around the same logistic regression: confident rows (.9) teach, five rounds."""
    from sklearn.semi_supervised import SelfTrainingClassifier

    rows = part(seen, seed)
    X, X_test = standardised(X[rows], X_test)
    return one_vs_rest(
        lambda y: SelfTrainingClassifier(model(), threshold=0.9, max_iter=5), X, seen[rows], X_test
    )


def label_spreading(X: Any, seen: np.ndarray, X_test: Any, *, seed: int = 0) -> np.ndarray:
    """`LabelSpreading` over 20 nearest neighbours by cosine; a test row has the mean of its neighbours."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.semi_supervised import LabelSpreading

    rows = part(seen, seed)
    X, X_test = standardised(X[rows], X_test)
    index = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(X)
    graph = index.kneighbors_graph()
    graph = sp.csr_matrix(graph + graph.T)
    nearest = index.kneighbors(X_test, return_distance=False)

    def spread(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fitted = LabelSpreading(kernel=lambda a, b: graph, alpha=0.8, max_iter=50, tol=1e-3).fit(X, y)
        return fitted.classes_, fitted.label_distributions_[nearest].mean(axis=1)

    scores = np.zeros((X_test.shape[0], seen.shape[1]))
    if not (seen == 0).any():
        classes, found = spread(np.where((seen[rows] == 1).any(axis=1), seen[rows].argmax(axis=1), -1))
        scores[:, classes] = found
        return scores
    for k, y in enumerate(seen[rows].T):
        if (y == 1).any() and (y == 0).any():
            scores[:, k] = spread(y)[1][:, 1]
    return scores


BASELINES: dict[str, Callable[..., np.ndarray]] = {
    "logistic": logistic,
    "logistic_l2": logistic_l2,
    "self_training": self_training,
    "label_spreading": label_spreading,
}


def applicable(setting: str) -> list[str]:
    """Return the baselines that a setting of the registry leaves something to do."""
    if setting in ("full", "partial"):
        return ["logistic", "logistic_l2"]
    return [name for name in BASELINES if name != "self_training" or setting == "semi_supervised"]


def model() -> Any:
    """Return the logistic regression of the floor and the ceiling."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, max_iter=1000)


def part(seen: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows with a known entry and at most `UNLABELLED` of the others, ascending."""
    known = (seen != -1).any(axis=1)
    others = np.flatnonzero(~known)
    drawn = generator(seed, "unlabelled").permutation(others)[:UNLABELLED]
    return np.sort(np.concatenate([np.flatnonzero(known), drawn]))


def standardised(X: Any, X_test: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both, dense, with the mean and deviation of the first taken out."""
    from sklearn.preprocessing import StandardScaler

    X, X_test = (x.toarray() if sp.issparse(x) else np.asarray(x) for x in (X, X_test))
    scale = StandardScaler().fit(X)
    return scale.transform(X), scale.transform(X_test)


def one_vs_rest(
    build: Callable[[np.ndarray], Any], X: Any, Y: np.ndarray, X_test: Any, *, logits: bool = False
) -> np.ndarray:
    """Return the probability of each label by a classifier of its own, 0 where its labels are of one kind.

    `logits` gives decision scores instead: probabilities of confident classifiers round to 1, and are tied there.
    """
    scores = np.zeros((X_test.shape[0], Y.shape[1]))
    for k, y in enumerate(Y.T):
        if (y == 1).any() and (y == 0).any():
            fitted = build(y).fit(X, y)
            scores[:, k] = fitted.decision_function(X_test) if logits else fitted.predict_proba(X_test)[:, 1]
    return scores
