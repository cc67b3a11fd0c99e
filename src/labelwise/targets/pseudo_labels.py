"""Class-aware pseudo-labels, and the prior that counts them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import TopScores, as_array
from labelwise.targets.chunks import Chunks, matrix_chunks


def expected_prior(
    observed_counts: ArrayLike | torch.Tensor, cardinality: float, n: int
) -> NDArray[np.float64]:
    """Return each label's prior from observed positives and a cardinality.

    The priors (K,) are float64; the cardinality is the expected number of labels per item.

    ``prior_k = cardinality count_k / sum_j count_j``, as if an item's observed positives were drawn evenly
    from its relevant labels. A prior that would exceed 1 becomes 1, and what it loses goes to the other
    labels in proportion to their counts, again and again, so that the priors sum to the cardinality.

    Args:
        observed_counts: (K,) positives observed of each label among n items, at least 0.
        cardinality: expected number of relevant labels per item, above 0; at least ``sum(counts) / n``, and
            at most the number of labels observed at all.
        n: number of items.
    """
    counts = as_array(observed_counts).astype(np.float64)
    if counts.ndim != 1 or not ((counts >= 0) & (counts <= n)).all():
        raise UserError(f"observed_counts must be one number per label, each between 0 and the {n} items.")
    observed = np.count_nonzero(counts)
    if not 0 < cardinality <= observed:
        raise UserError(
            f"cardinality is {cardinality}: give a number above 0, at most the {observed} labels observed."
        )
    if counts.sum() > cardinality * n * (1 + 1e-9):
        raise UserError(
            f"cardinality is {cardinality}, but {counts.sum():g} positives are observed on {n} items: "
            f"give at least {counts.sum() / n:g}."
        )
    full = np.zeros(len(counts), np.bool_)
    while True:
        rest = np.where(full, 0.0, counts)
        left = cardinality - np.count_nonzero(full)
        prior: NDArray[np.float64] = np.where(full, 1.0, rest * (left / max(rest.sum(), 1.0)))
        over = prior > 1
        if not over.any():
            return prior
        # Each round cuts one prior more to 1, so that the loop ends.
        full |= over


def class_aware_pseudo_labels(
    scores: ArrayLike | torch.Tensor,
    prior: ArrayLike | torch.Tensor,
    positive_share: float = 1.0,
    negative_share: float = 1.0,
) -> NDArray[np.int8]:
    """Return class-aware pseudo-labels (CAP), (n, K) int8.

    They are 1 for a label's highest scores, 0 for its lowest, -1 between.

    CAP's class-aware thresholds, by rank: label k makes ``n_k = int(prior_k n)`` positives, of which the
    first ``int(positive_share prior_k n)`` are kept; of the ``n - n_k`` others the last
    ``int(negative_share (n - n_k))`` are kept as negatives. A count of zero means no positives, never all.
    Exactly these many: items are ranked by score, ties by the lower row. Shares of 1 mask nothing.

    Args:
        scores: (n, K), any monotone score of relevance (probability, logit, cosine); no NaN.
        prior: (K,) in [0, 1], each label's expected share of positives.
        positive_share: the most certain share of positives to keep, in [0, 1] (CAP's eta+, 1).
        negative_share: the most certain share of negatives to keep, in [0, 1] (CAP's eta-, released as .998).

    Raises:
        UserError: a prior or share outside [0, 1], a shape that does not fit, NaN.
    """
    chunks = matrix_chunks(scores)
    ((rows, _),) = chunks()
    return pseudo_labels_from_chunks(chunks, rows.stop, prior, positive_share, negative_share)


def pseudo_labels_from_chunks(
    chunks: Chunks,
    n: int,
    prior: ArrayLike | torch.Tensor,
    positive_share: float = 1.0,
    negative_share: float = 1.0,
    *,
    labels: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """Return class-aware pseudo-labels, reading the scores in chunks, once.

    Beyond the result, memory is that of the entries selected or masked.

    Args:
        chunks: a callable; each call yields ``(slice, scores (b, K))`` over all n items afresh.
        n: number of items.
        prior: as above.
        positive_share: as above.
        negative_share: as above.
        labels: (n, K) int8 in {1, 0, -1}, or None. Known entries keep their label, and only unknown ones (-1)
            are ranked and counted: ``n_k = int(prior_k #unknown_k)``.
    """
    share = _shares("prior", prior)
    if share.ndim != 1:
        raise UserError(f"prior has shape {share.shape}: give one share per label.")
    for name, value in (("positive_share", positive_share), ("negative_share", negative_share)):
        _shares(name, value)
    n_labels = len(share)
    if labels is not None and labels.shape != (n, n_labels):
        raise UserError(f"labels has shape {labels.shape}: give ({n}, {n_labels}), one column per prior.")
    unknown = np.full(n_labels, n) if labels is None else np.count_nonzero(labels == -1, axis=0)
    positives = (share * unknown).astype(np.int64)
    kept_positives = (positive_share * share * unknown).astype(np.int64)
    kept_negatives = (negative_share * (unknown - positives)).astype(np.int64)

    # All but the sure negatives, the one large group: what is held in memory stays small.
    top = TopScores(unknown - kept_negatives)
    for rows, scores in chunks():
        top.update(scores, rows.start, None if labels is None else labels[rows] == -1)
    selection = top.finalize()

    result = np.zeros((n, n_labels), np.int8) if labels is None else np.maximum(labels, 0)
    for label, (ids, values) in enumerate(zip(selection.ids, selection.scores, strict=True)):
        # By rank again, so that ties go as they went above.
        first = TopScores(kept_positives[label : label + 1])
        first.update(values[:, None], ids)
        result[ids, label] = -1
        result[first.finalize().ids[0], label] = 1
    return result


def _shares(name: str, values: ArrayLike | torch.Tensor) -> NDArray[np.float64]:
    array = as_array(values).astype(np.float64)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        place = f" for label {int(np.flatnonzero(bad)[0])}" if array.ndim else ""
        raise UserError(f"{name} is {array[bad].ravel()[0]}{place}: give a share between 0 and 1.")
    return array
