"""The estimator and the parts of a fit.

A fit goes from options and labels by reader, training set and validation to a fitted model and its decision; each
part writes and reads its own entries of a model directory.
"""

from labelwise.classifier.attributes import NotFitted
from labelwise.classifier.callbacks import Callback, EpochView, FitEnd, FitStart, StepView
from labelwise.classifier.decision import Decision
from labelwise.classifier.estimator import MultiLabelClassifier, OnEpoch, load
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader, ReadItems
from labelwise.classifier.sources import Contents, FrozenNetwork
from labelwise.classifier.streaming import ArrayStream, StreamedRows
from labelwise.classifier.training import fingerprint

__all__ = [
    "ArrayStream",
    "Callback",
    "Contents",
    "Decision",
    "EpochView",
    "FitEnd",
    "FitOptions",
    "FitStart",
    "FittedModel",
    "FrozenNetwork",
    "ItemReader",
    "MultiLabelClassifier",
    "NotFitted",
    "OnEpoch",
    "ReadItems",
    "StepView",
    "StreamedRows",
    "fingerprint",
    "load",
]
