"""The estimator, its options and what it learns: from items and labels to a fitted model, and to disk and back."""

from labelwise.classifier.estimator import MultiLabelClassifier, NotFitted, OnEpoch, load

__all__ = ["MultiLabelClassifier", "NotFitted", "OnEpoch", "load"]
