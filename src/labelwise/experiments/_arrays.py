"""What figures need of a trained model, kept as plain arrays beside the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.classifier import MultiLabelClassifier
from labelwise.data.datasets import Dataset
from labelwise.experiments._job import Job, Measurement

__all__ = ["gradient_difference", "keep_arrays", "wasserstein"]

Labels = NDArray[np.int8]


def gradient_difference(p: NDArray[Any], labels: Labels) -> float:
    """Return |sum over positives (1 - p) - sum over others p| an item: what HML's adaptive loss brings to 0.

    ``p`` (n, K) in [0, 1]; ``labels`` (n, K) as trained on, an unknown entry as negative.
    """
    positive = labels == 1
    return float(
        abs((1.0 - p[positive].astype(np.float64)).sum() - p[~positive].astype(np.float64).sum()) / len(p)
    )


def wasserstein(scores: NDArray[Any], labels: Labels) -> float:
    """Return the mean over labels of the distance W1 between scores of positives and negatives, (n, K) each."""
    from scipy.stats import wasserstein_distance

    pairs = ((scores[labels[:, k] == 1, k], scores[labels[:, k] == 0, k]) for k in range(labels.shape[1]))
    found = [
        wasserstein_distance(positive, negative)
        for positive, negative in pairs
        if len(positive) and len(negative)
    ]
    return float(np.mean(found)) if found else float("nan")


def keep_arrays(
    job: Job,
    model: MultiLabelClassifier,
    X: Any,
    observed: Labels,
    truth: Labels,
    test_scores: NDArray[Any],
    test_labels: Labels,
    dataset: Dataset,
    folder: str | None,
) -> list[Measurement]:
    """Write labels, scores, the head's weights, scale and margin to ``folder/KEY.npz``; return what is a number."""
    train_scores = model.decision_scores(X)
    if folder is not None:
        head = model.network_.head
        weight = getattr(head, "weight", None)
        method = model.trained_method_
        arrays: dict[str, Any] = {
            "train_scores": train_scores,
            "train_observed": observed,
            "train_labels": truth,
            "test_scores": np.asarray(test_scores, dtype=np.float32),
            "test_labels": test_labels,
            "label_names": np.array(dataset.label_names, dtype=np.str_),
        }
        if weight is not None:
            arrays["weight"] = weight.detach().cpu().numpy()
        for name in ("scale", "margin"):
            value = getattr(method, name, None) if hasattr(method, name) else getattr(method.hp, name, None)
            if value is not None:
                arrays[name] = np.float64(float(value))
        Path(folder).mkdir(parents=True, exist_ok=True)
        draft = Path(folder) / f".{job.key}.npz"
        np.savez_compressed(draft, **arrays)
        draft.replace(Path(folder) / f"{job.key}.npz")
    return [
        Measurement("gradient_difference", gradient_difference(train_scores, observed)),
        Measurement("wasserstein", wasserstein(np.asarray(test_scores), test_labels)),
    ]
