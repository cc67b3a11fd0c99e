"""The estimator, its options and what it learns: from items and labels to a fitted model, and to disk and back."""

from labelwise.classifier.decision import Decision
from labelwise.classifier.estimator import MultiLabelClassifier, NotFitted, OnEpoch, load
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader, ReadItems

__all__ = [
    "Decision",
    "FitOptions",
    "FittedModel",
    "ItemReader",
    "MultiLabelClassifier",
    "NotFitted",
    "OnEpoch",
    "ReadItems",
    "load",
]
