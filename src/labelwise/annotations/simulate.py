"""Simulation of missing labels, by the rules of the papers.

Each function takes a ``Y`` that ``labelwise.annotations.as_matrix`` reads, without an unknown entry
(UserError otherwise), and returns a new (n, K) int8 matrix: each entry that stays known keeps its value, the
rest is -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labelwise._random import generator
from labelwise.annotations.codes import check_seed, share_of
from labelwise.annotations.matrix import as_matrix
from labelwise.annotations.readers import Matrix, is_sparse
from labelwise.errors import UserError, near

__all__ = ["partial", "partial_positives", "semi_supervised", "single_positive"]

_RULES = ("random", "cap")


def single_positive(Y: Any, seed: int = 1200) -> Matrix:
    """Keep one positive a row, drawn as in Cole et al.

    The result equals the published files to the bit (CVPR 2021).

    For each row in file order, ``RandomState(seed)`` shuffles the ascending positions of the positives, of
    which the first stays known, and then those of the negatives, of which none does: they are shuffled all
    the same, since that moves the generator. Rows without a positive become all unknown. The papers sample
    the whole official training file, before any split, and each of their files with a generator of its own.
    """
    known = _fully_known(Y)
    random = np.random.RandomState(check_seed(seed))
    hidden = np.full_like(known, -1)
    n_labels = known.shape[1]
    columns = np.flatnonzero(known == 1) % n_labels
    ends = np.cumsum(np.count_nonzero(known == 1, axis=1)).tolist()
    # Shuffling moves the generator by the length alone, so one scratch array stands for all negatives.
    scratch = np.empty(n_labels, dtype=np.intp)
    shuffle, start = random.shuffle, 0
    firsts = np.full(len(known), -1, dtype=np.intp)
    for row, end in enumerate(ends):
        if end > start:
            positives = columns[start:end]
            shuffle(positives)
            firsts[row] = positives[0]
        shuffle(scratch[: n_labels - (end - start)])
        start = end
    rows = np.flatnonzero(firsts >= 0)
    hidden[rows, firsts[rows]] = 1
    return hidden


def partial_positives(Y: Any, fraction: float, seed: int = 0) -> Matrix:
    """Keep a share of each row's positives, at random.

    Of a row's |y| positives these are max(1, round(fraction x |y|)); all else becomes unknown.

    ``fraction`` in (0, 1]; halves round to even. Rows without a positive become all unknown.
    """
    known = _fully_known(Y)
    fraction = share_of("fraction", fraction)
    hidden = np.full_like(known, -1)
    rows, columns = np.nonzero(known == 1)
    counts = np.count_nonzero(known == 1, axis=1)
    keys = generator(check_seed(seed), "partial_positives").random(len(rows))
    order = np.lexsort((keys, rows))
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    stay = order[rank < np.maximum(1, np.rint(fraction * counts))[rows]]
    hidden[rows[stay], columns[stay]] = 1
    return hidden


def partial(Y: Any, known_fraction: float, seed: int = 0) -> Matrix:
    """Keep a share of all entries, drawn alike whatever their sign.

    These are exactly round(known_fraction x n x K) entries.

    ``known_fraction`` in (0, 1]; halves round to even; a UserError where not one entry would stay known.
    """
    known = _fully_known(Y)
    count = round(share_of("known_fraction", known_fraction) * known.size)
    if count == 0:
        raise UserError(
            f"known_fraction={known_fraction!r} keeps none of {known.size} entries: give a larger one"
        )
    random = generator(check_seed(seed), "partial")
    # The smaller side is drawn: the numbers of most entries of a large matrix would take memory.
    fewer = min(count, known.size - count)
    drawn = random.choice(known.size, size=fewer, replace=False, shuffle=False)
    mask = np.full(known.size, fewer != count)
    mask[drawn] = fewer == count
    return np.where(mask.reshape(known.shape), known, np.int8(-1))


def semi_supervised(Y: Any, labelled_fraction: float, seed: int = 1, rule: str = "random") -> Matrix:
    """Keep all labels of some rows, and none of the others.

    A larger fraction keeps the rows of a smaller one besides others. scikit-learn's splitters draw the permutation of
    rule "cap" too: with one seed for both, all labelled rows can fall into one fold, or all into the test part.

    Args:
        Y: wholly known labels (n, K).
        labelled_fraction: in (0, 1]; int(labelled_fraction x n) rows are kept.
        seed: of the draw.
        rule: "random" draws the rows by a generator of this function's own; "cap" takes the first of
            ``RandomState(seed).permutation(n)`` (CAP: Xie et al., NeurIPS 2023), as published experiments do.

    Raises:
        UserError: not one row would stay labelled, or there is no such rule.
    """
    known = _fully_known(Y)
    n_items = len(known)
    n_labelled = int(share_of("labelled_fraction", labelled_fraction) * n_items)
    if n_labelled == 0:
        raise UserError(
            f"labelled_fraction={labelled_fraction!r} labels none of {n_items} rows: give a larger one"
        )
    if rule not in _RULES:
        raise UserError(f"rule={rule!r} does not exist; {near(str(rule), _RULES)}")
    hidden = np.full_like(known, -1)
    random = (
        np.random.RandomState(check_seed(seed))
        if rule == "cap"
        else generator(check_seed(seed), "semi_supervised")
    )
    # The start of one permutation, so that a larger fraction keeps these rows too.
    rows = random.permutation(n_items)[:n_labelled]
    hidden[rows] = known[rows]
    return hidden


def _fully_known(Y: Any) -> Matrix:
    if is_sparse(Y):
        raise UserError(
            "Y is a sparse matrix, and an entry that it does not store may be unknown: give Y.toarray() where it means"
            " that the label is absent"
        )
    matrix = as_matrix(Y)
    unknown = matrix == -1
    if unknown.any():
        row, column = divmod(int(unknown.argmax()), matrix.shape[1])
        raise UserError(
            f"Y has an unknown entry at row {row} (counted from 0), label {column}: "
            "simulate from wholly known labels"
        )
    return matrix
