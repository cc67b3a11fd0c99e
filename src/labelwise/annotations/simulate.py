"""Simulation of missing labels, by the rules of the papers.

Each function takes a ``Y`` that ``labelwise.annotations.as_matrix`` reads, without an unknown entry
(UserError otherwise), and returns a new (n, K) int8 matrix: each entry that stays known keeps its value, the
rest is -1.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.annotations.codes import check_seed, share_of
from labelwise.annotations.matrix import as_matrix
from labelwise.annotations.readers import Matrix, is_sparse
from labelwise.errors import UserError, near, shown

__all__ = [
    "biased_positives",
    "fixed_per_class",
    "partial",
    "partial_positives",
    "random_partial",
    "semi_supervised",
    "single_positive",
]

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


def random_partial(Y: Any, hidden: float, seed: int = 0) -> Matrix:
    """Hide each entry with one probability, independently of all others.

    It is the random partial setting of Ben-Baruch et al. (CVPR 2022), which ``partial`` draws with an exact number
    of entries. With one seed, what stays known at a larger ``hidden`` stays known at a smaller one.

    ``hidden`` in [0, 1); a UserError where not one entry would stay known.
    """
    known = _fully_known(Y)
    probability = 0.0 if _is_zero(hidden) else share_of("hidden", hidden)
    stays = generator(check_seed(seed), "random_partial").random(known.shape) >= probability
    if not stays.any():
        raise UserError(f"hidden={hidden!r} leaves none of {known.size} entries known: give a smaller one")
    return np.where(stays, known, np.int8(-1))


def fixed_per_class(Y: Any, positives: int, negatives: int | None = None, seed: int = 0) -> Matrix:
    """Keep some positives and some negatives of each label.

    They are min(positives, those there are) and min(negatives, those there are) of each column, drawn alike; all else
    becomes unknown. It is the fixed per class setting of Ben-Baruch et al. (CVPR 2022). With one seed, larger numbers
    keep the entries of smaller ones besides others.

    ``positives`` and ``negatives`` are whole numbers from 0, not both 0; None stands for as many negatives as
    positives.
    """
    known = _fully_known(Y)
    kept = {1: _count_of("positives", positives)}
    kept[0] = kept[1] if negatives is None else _count_of("negatives", negatives)
    if not any(kept.values()):
        raise UserError("positives=0 and negatives=0 leave no entry known: give one of them a number above 0")
    # One order of all rows for each label serves both signs.
    keys = generator(check_seed(seed), "fixed_per_class").random(known.shape)
    hidden = np.full_like(known, -1)
    for state, count in kept.items():
        order = np.argsort(np.where(known == state, keys, np.inf), axis=0, kind="stable")[:count]
        chosen = np.take_along_axis(known, order, axis=0) == state
        rows, columns = np.nonzero(chosen)
        hidden[order[rows, columns], columns] = state
    return hidden


def biased_positives(Y: Any, weights: Any = None, positives: int = 1, seed: int = 0) -> Matrix:
    """Keep some positives of each row, those of large weight more often.

    People note what is frequent, large or striking. The positives of a row are drawn one after the other without
    replacement, each with a probability in proportion to its weight among those that are left.

    Args:
        Y: wholly known labels (n, K).
        weights: (K,) a number for each label, or (n, K) one for each entry, such as an object's share of the picture;
            finite and at least 0, where 0 says never. None: each label's share of the rows, so that frequent labels
            are noted more often.
        positives: the most that stay known in a row, from 1.
        seed: of the draw.

    Raises:
        UserError: weights of another shape, or that are no finite numbers of at least 0.
    """
    known = _fully_known(Y)
    weight = known.mean(axis=0) if weights is None else _weights_of(weights, known.shape)
    count = _count_of("positives", positives)
    if not count:
        raise UserError("positives=0 leaves no entry known: give a whole number from 1")
    random = generator(check_seed(seed), "biased_positives")
    with np.errstate(divide="ignore"):
        # The largest of log(u) / w are a draw without replacement by weight (Efraimidis and Spirakis, 2006).
        keys = np.log(1 - random.random(known.shape)) / weight
    keys[(known != 1) | np.broadcast_to(weight == 0, known.shape)] = -np.inf
    order = np.argsort(-keys, axis=1, kind="stable")[:, :count]
    rows, places = np.nonzero(np.take_along_axis(keys, order, axis=1) > -np.inf)
    hidden = np.full_like(known, -1)
    hidden[rows, order[rows, places]] = 1
    return hidden


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _count_of(argument: str, value: Any) -> int:
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < 0:
        raise UserError(f"{argument} must be a whole number from 0, not {shown(value)}")
    return count


def _weights_of(weights: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        weight = np.asarray(weights, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        weight = np.empty(0)
    if weight.shape not in (shape, shape[1:]):
        raise UserError(
            f"weights={shown(weights)}: give one number for each of {shape[1]} labels, or an array {shape} with one"
            " for each entry"
        )
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise UserError(
            "weights hold a number that is negative or not finite: give finite numbers of at least 0"
        )
    return weight


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
