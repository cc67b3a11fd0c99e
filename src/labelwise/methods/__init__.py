"""Methods, a file each, and their registry: ``names``, ``get``, ``register``."""

from __future__ import annotations

from importlib import import_module

from labelwise.errors import UserError, near
from labelwise.methods.base import Batch, BlockSums, Method, Optimiser, Pool, Stage, Trainer, head_rate
from labelwise.methods.group_term import GroupConsistency
from labelwise.methods.problem import Group, Problem
from labelwise.methods.ranks import batch_mean, batch_sum, joined_rows, own_rows, whole_batch
from labelwise.methods.spec import SETTINGS, Budget, Departure, Hyperparameter, MethodSpec

__all__ = [
    "SETTINGS",
    "Batch",
    "BlockSums",
    "Budget",
    "Departure",
    "Group",
    "GroupConsistency",
    "Hyperparameter",
    "Method",
    "MethodSpec",
    "Optimiser",
    "Pool",
    "Problem",
    "Stage",
    "Trainer",
    "batch_mean",
    "batch_sum",
    "fitting",
    "get",
    "head_rate",
    "joined_rows",
    "names",
    "own_rows",
    "pointwise_names",
    "register",
    "whole_batch",
]

_CLASSES: dict[str, str | type[Method]] = {
    "auto": "Auto",
    "ridge": "Ridge",
    "bce": "BinaryCrossEntropy",
    "ignore_unknown": "IgnoreUnknown",
    "an": "AssumeNegative",
    "wan": "WeakAssumeNegative",
    "label_smoothing": "LabelSmoothing",
    "negative_label_smoothing": "NegativeLabelSmoothing",
    "l1r": "L1Regularised",
    "l2r": "L2Regularised",
    "entropy_minimization": "EntropyMinimization",
    "focal": "Focal",
    "asl": "Asymmetric",
    "hill": "Hill",
    "splc": "SelfPacedCorrection",
    "gr": "GeneralizedRobust",
    "csl": "ClassAwareSelective",
    "pairwise": "Pairwise",
    "vpu": "VariationalPositiveUnlabelled",
    "epr": "ExpectedPositiveRegularisation",
    "role": "OnlineLabelEstimation",
    "role_linear_init": "OnlineLabelEstimationLinearInit",
    "label_smoothing_linear_init": "LabelSmoothingLinearInit",
    "em": "EntropyMaximization",
    "em_apl": "EntropyMaximizationWithNegatives",
    "hml_fixed": "HypersphericalMargin",
    "hml": "HypersphericalLearning",
    "bam": "BinaryAngularMargin",
    "bbam": "BalancedAngularMargin",
    "cap": "ClassAwarePseudoLabels",
    "mat": "MetricAdaptiveThresholds",
    "softmatch": "SoftMatch",
    "flatmatch": "FlatMatch",
    "mime": "MutualLabelEnhancement",
    "drml": "DualRelationLearning",
    "ll_r": "LargeLossRejection",
    "ll_ct": "LargeLossTemporaryCorrection",
    "ll_cp": "LargeLossPermanentCorrection",
    "bce_single_positive_all_negatives": "TrueNegatives",
}


def pointwise_names() -> list[str]:
    """Return the methods whose loss is one value an entry, each of one logit."""
    return [name for name in names() if get(name).spec.pointwise]


def names() -> list[str]:
    """Return the ids of all methods."""
    return list(_CLASSES)


def get(method: str) -> type[Method]:
    """Return a method's class, whose ``spec`` is its registry entry.

    ``UserError`` for an unknown id.
    """
    if method not in _CLASSES:
        raise UserError(f"there is no method {method!r}: {near(method, _CLASSES)}")
    entry = _CLASSES[method]
    if isinstance(entry, str):
        entry = _CLASSES[method] = getattr(import_module(f"labelwise.methods.{method}"), entry)
    assert not isinstance(entry, str)
    return entry


def register(method: type[Method]) -> None:
    """Add a method of your own to the registry under ``method.spec.id``."""
    if method.spec.id in _CLASSES and _CLASSES[method.spec.id] is not method:
        raise UserError(f"method id {method.spec.id!r} is taken: give yours another id")
    _CLASSES[method.spec.id] = method


def fitting(setting: str) -> list[str]:
    """Return the ids of the methods whose assumption allows a setting."""
    return [name for name in names() if setting in get(name).spec.settings]
