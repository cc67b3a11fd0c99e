"""Check of what the labels at hand let one measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import ListedStates, States, as_matrix, both_signs_known, known_rows
from labelwise.errors import UserError
from labelwise.metrics.checks import Labels, Meanings


@dataclass(frozen=True, eq=False)
class Judgeable:
    """Measures that a label matrix allows; ``str()`` says it in words."""

    average_precision: bool
    """AP and every other metric of ``evaluate``: some label has both classes known."""
    thresholds: bool
    """Per-label thresholds can be learnt (``learn_thresholds``)."""
    calibration: bool
    """Scores can be turned into calibrated probabilities (``PlattCalibration``)."""
    prior: bool
    """The share of positives of some label is identified."""
    observed_average_precision: bool
    """Only AP with unknown counted as absent is left (``observed_average_precision``)."""
    labels: NDArray[np.bool_]
    """(K,) labels with both classes known on ``rows``."""
    rows: NDArray[np.bool_]
    """(n,) items to measure on: the fully known ones where all others hold nothing but positives."""
    words: tuple[str, ...]
    """The same in sentences."""

    def __str__(self) -> str:
        return "\n".join(self.words)


def check_negatives(Y: Labels, argument: str = "Y_true") -> None:
    """Refuse labels with known positives and no known negative.

    Every score would look perfect on them.
    """
    if (Y == 1).any() and not (Y == 0).any():
        code = ", or minus_one='absent' where -1 says that a label does not apply" if (Y == -1).any() else ""
        raise UserError(
            f"{argument} has no known negative (0), so every score would look perfect: give fully labelled items"
            f"{code}, or use observed_average_precision"
        )


def check_judgeable(Y: Labels, argument: str = "Y_true") -> None:
    """Refuse labels of which no positive, or no negative, is known."""
    if not (Y == 1).any():
        raise UserError(
            f"{argument} has no known positive (1), so nothing can be judged: give labelled items"
        )
    check_negatives(Y, argument)


def positives_alone(Y: Labels) -> NDArray[np.bool_]:
    """Return the labels (K,) of which positives alone are known.

    That is on items with a known entry, while other entries are unknown.

    Their precision, F1 and calibration would look perfect; those of a label that is positive in every item are true.
    """
    judged = Y[(Y >= 0).any(axis=1)]
    negative, unknown = (judged == 0).any(axis=0), (judged == -1).any(axis=0)
    return np.asarray((judged == 1).any(axis=0) & ~negative & unknown)


def judgeable(Y: ArrayLike | ListedStates, **meanings: Unpack[Meanings]) -> Judgeable:
    """Return what can be measured on ``Y`` (n, K).

    Its entries are 1, 0 and -1, or lists of what is relevant; ``meanings`` say what other codes mean.

    Where every known entry is positive, AP, F1, thresholds and calibration on known entries mean nothing:
    only observed AP is left, under its assumption. Where fully known items stand beside items with positives
    only, the fully known ones are a fair sample of both classes and the others are not, so only the former
    are measured on.
    """
    labels = Y if isinstance(Y, ListedStates) else as_matrix(Y, **meanings)
    n, n_labels = labels.shape
    full: NDArray[np.bool_]
    known: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    if isinstance(labels, ListedStates):
        full, known = labels.whole, known_rows(labels)
        negative = full & (labels.counts < n_labels)
        positive = bool(labels.counts.any())
    else:
        entries = labels >= 0
        full, known = np.asarray(entries.all(axis=1)), np.asarray(entries.any(axis=1))
        negative, positive = np.asarray((labels == 0).any(axis=1)), bool((labels == 1).any())
    # Rows of positives alone beside full ones tell by their form that negatives were not written down.
    only_full = bool(full.any() and negative.any() and not (negative & ~full).any())
    rows: NDArray[np.bool_] = full if only_full else known
    both = _both_signs(labels, rows)
    some, observed = bool(both.any()), positive and not both.any()
    words = []
    if some:
        kind = "fully labelled items" if only_full else "items with known labels"
        words.append(
            f"AP, F1, thresholds, calibration and priors can be measured on {rows.sum()} of {n} items"
            f" ({kind}), for {both.sum()} of {n_labels} labels."
        )
        if not full[rows].all():
            words.append("This assumes that, label by label, entries are known at random.")
        elif (known & ~full).any():
            words.append("The other items hold nothing but positives and are not measured on.")
    elif observed:
        missing = "No negative is known" if not negative.any() else "No label has both classes known"
        words.append(
            f"{missing}: AP, F1, thresholds, calibration and the share of positives of a label cannot be"
            " measured."
        )
        words.append(
            "Observed AP (unknown counted as absent) can rank models if positives are observed at random"
            " given the label; its level is biased."
        )
    else:
        words.append("No positive is known: nothing can be measured.")
    return Judgeable(some, some, some, some, observed, both, rows, tuple(words))


def _both_signs(Y: States, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the labels (K,) with known positives and known negatives on some rows."""
    if not isinstance(Y, ListedStates):
        return both_signs_known(Y[rows])
    positives = np.bincount(Y.positives[rows].indices, minlength=Y.shape[1])
    whole = rows & Y.whole
    said = np.bincount(Y.positives[whole].indices, minlength=Y.shape[1])
    return np.asarray((positives > 0) & (said < whole.sum()))
