"""Numbers that are given for labels and for rows: priors, label weights, sample weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Summary
from labelwise.classifier.options import series_as_dict
from labelwise.errors import UserError, listed, near, shown
from labelwise.targets import expected_prior


def read_sample_weight(given: Any, n_items: int) -> NDArray[np.float64] | None:
    """Return the weight of each row, (n,) float64, or None where all are alike.

    Raises:
        UserError: For another number of weights, one that is no finite number of at least 0, and for none above 0.
    """
    if given is None:
        return None
    try:
        weights = np.asarray(given, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        raise UserError(f"sample_weight={shown(given)}: give {n_items} numbers, one for each row") from None
    if weights.shape != (n_items,):
        raise UserError(f"sample_weight has shape {weights.shape}: give {n_items} numbers, one for each row")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise UserError(
            f"sample_weight of row {bad[0]} (counted from 0) is {weights[bad[0]]}: give a finite number of at least 0"
        )
    if not weights.any():
        raise UserError(
            "sample_weight is zero for every row, so there is nothing to learn from: weigh some more"
        )
    return None if (weights == weights[0]).all() else weights


def resolve_prior(prior: Any, summary: Summary) -> np.ndarray | None:
    """Return each label's share of positives (K,): given, identified, or None.

    Shares with names, in a mapping or a Series, are matched by them. One number is a cardinality, spread over the
    labels as their known positives are.
    """
    identified = summary.priors()
    prior = _by_name("prior", prior, summary.label_names)
    if isinstance(prior, str | bytes | bool | set | frozenset):
        raise UserError(f"prior={shown(prior)}: give {summary.n_labels} shares, or one cardinality")
    if prior is None:
        return None if identified is None else np.nan_to_num(identified, nan=0.0)
    try:
        values: np.ndarray = np.asarray(prior, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        raise UserError(f"prior={shown(prior)}: give {summary.n_labels} shares, or one cardinality") from None
    if values.ndim == 0:
        if not 0 < values <= summary.n_labels:
            raise UserError(
                f"prior={shown(prior)} labels an item: give a number above 0 and at most {summary.n_labels}, the labels"
                " there are"
            )
        if identified is None:
            return expected_prior(summary.positives, float(values), summary.n_items)
        shares = np.nan_to_num(identified, nan=0.0)
        # No share may be above 1, so the sum can stay below the cardinality.
        return np.asarray(np.clip(shares * float(values) / max(shares.sum(), 1e-12), 0.0, 1.0))
    if values.shape != (summary.n_labels,):
        raise UserError(f"prior has shape {values.shape}: give {summary.n_labels} shares, or one cardinality")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        name = summary.label_names[bad[0]]
        raise UserError(f"prior of label {name!r} is {values[bad[0]]}: give a share in [0, 1]")
    return values


def _by_name(parameter: str, given: Any, label_names: Sequence[str], unnamed: float | None = None) -> Any:
    """Return named values as a list in the order of the labels.

    Values without names are returned as they are.

    Args:
        unnamed: The value of a label that is not named; None refuses it.
    """
    given = series_as_dict(given)
    if not isinstance(given, Mapping):
        return given
    for name in given:
        if name not in label_names:
            raise UserError(f"{parameter} names no label {shown(name)}: {near(str(name), label_names)}")
    missing = [name for name in label_names if name not in given]
    if missing and unnamed is None:
        raise UserError(
            f"{parameter} has no number for {listed(map(repr, missing))}: give one for every label"
        )
    return [given.get(name, unnamed) for name in label_names]


def label_weights(given: Any, summary: Summary) -> np.ndarray | None:
    """Return the weights (K,) of the labels' known positives.

    A label that is not named has 1. "balanced" is the number of a label's other entries (known negatives, or where
    none is known, all others) over that of its known positives, between 1 and 100.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise UserError(
                f"label_weights={shown(given)}: {near(given, ['balanced'])} Or give one weight a label"
            )
        others = summary.negatives if summary.negatives_known else summary.n_items - summary.positives
        weights = np.clip(others / np.maximum(summary.positives, 1), 1.0, 100.0)
    if not isinstance(given, str):
        given = _by_name("label_weights", given, summary.label_names, unnamed=1.0)
        try:
            weights = np.array(given, dtype=np.float64)
        except Exception:  # an object's own __array__ may raise anything
            raise UserError(
                f"label_weights={shown(given)}: give 'balanced', {summary.n_labels} numbers, or numbers by label"
            ) from None
    if weights.shape != (summary.n_labels,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise UserError(f"label_weights must be {summary.n_labels} finite numbers of at least 0")
    return np.asarray(weights)
