"""Unknown entries, or whole items, to ask about next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.annotations import as_matrix
from labelwise.errors import UserError, near, shown

if TYPE_CHECKING:
    import pandas as pd

By = Literal["missing", "uncertain", "gain", "random"]


def next_entries(
    scores: Any,
    Y: Any,
    size: int,
    by: By | Literal["audit"] = "uncertain",
    *,
    items: bool = False,
    seed: int = 0,
    item_ids: Sequence[Any] | None = None,
    label_names: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Return the unknown entries to ask about next, the most useful first.

    With p the score of an entry:

    - ``missing``: p, the expected number of positives that the answer brings (greedy active search, Garnett et al.
      2012 with a horizon of one);
    - ``uncertain``: 1 - |2 p - 1| (uncertainty sampling, Lewis and Gale 1994; for two states least confidence, margin
      and entropy give one order). Where no negative is known scores are not calibrated, and one half is but a high
      score; it was the best there too;
    - ``gain``: the expected change of the label's average precision, 2 p (1 - p) |dAP/dp|, with AP of the label's
      scores as expected positives: ``average_precision_slopes``;
    - ``random``: by chance, each unknown entry alike;
    - ``audit``: a draw with known probabilities, ``labelwise.audit.draw``, from which estimates are unbiased. Answers
      to the others say nothing of the entries that were not asked.

    Args:
        scores: (n, K) probabilities in [0, 1] of models that did not see the row (``left_out_scores``); NaN where there
            is none, which is never asked.
        Y: (n, K) of 1, 0 and -1; only -1 is asked.
        size: Entries, or with ``items`` items, at most; fewer where there are no more.
        by: The strategy.
        items: Whether whole items are asked: those with the largest sum over their unknown entries, all of which come.
        seed: Of ``random`` and of the order of equal values.
        item_ids: n ids.
        label_names: K names.

    Returns:
        A frame with columns row, column, score and value, and item and label where their names are given.

    Raises:
        UserError: For shapes that differ, scores outside [0, 1] and an unknown ``by``.
    """
    if by == "audit":
        raise UserError(
            "by='audit': an audit knows the probability of each entry: call labelwise.audit.draw(scores, Y, size)"
        )
    if by not in get_args(By):
        raise UserError(f"there is no strategy {shown(by)}; {near(str(by), get_args(By))}")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise UserError(f"size is {shown(size)}: give a whole number from 1")
    p, open_ = _checked(scores, Y)
    values = _values(p, open_, by, seed)
    rows, columns = np.nonzero(open_)
    value = values[rows, columns]
    chance = generator(seed, "next entries").permutation(len(rows))
    if items:
        sums = np.where(open_, values, 0).sum(axis=1)
        if by == "random":
            sums = generator(seed, "next items").permutation(len(sums)).astype(np.float64)
        candidates = np.flatnonzero(open_.any(axis=1))
        best = candidates[np.argsort(-sums[candidates], kind="stable")[:size]]
        place = {int(row): rank for rank, row in enumerate(best)}
        order = np.lexsort((chance, -value, np.array([place.get(int(row), len(p)) for row in rows])))
        order = order[: int(np.isin(rows, best).sum())]
    else:
        order = np.lexsort((chance, -value))[:size]
    return _frame(rows[order], columns[order], p, values, item_ids, label_names)


def average_precision_slopes(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return dAP/dp of each entry of one label, with the scores as expected positives.

    With entries ranked by p, P = sum p and S(r) = p_1 + ... + p_r, the average precision is
    AP = 1/P sum_r p_r S(r) / r, and dAP/dp_i = 1/P [S(r_i) / r_i + sum_{r >= r_i} p_r / r - AP], where the ranking
    stays as it is.

    Args:
        scores: (n,) in [0, 1].

    Returns:
        (n,) float64.
    """
    order = np.argsort(-scores, kind="stable")
    p = scores[order]
    total = p.sum()
    if total <= 0:
        return np.zeros(len(p))
    rank = np.arange(1, len(p) + 1)
    precision = np.cumsum(p) / rank
    below = np.cumsum((p / rank)[::-1])[::-1]
    slopes = np.empty(len(p))
    slopes[order] = (precision + below - (p * precision).sum() / total) / total
    return slopes


def _values(p: NDArray[np.float64], open_: NDArray[np.bool_], by: str, seed: int) -> NDArray[np.float64]:
    """Return the value (n, K) of asking for each entry."""
    if by == "missing":
        return p
    if by == "uncertain":
        return 1 - np.abs(2 * p - 1)
    if by == "random":
        return generator(seed, "entries by chance").random(p.shape)
    values = np.zeros(p.shape)
    for k in range(p.shape[1]):
        rows = np.flatnonzero(open_[:, k])
        q = p[rows, k]
        values[rows, k] = 2 * q * (1 - q) * np.abs(average_precision_slopes(q))
    return values


def _checked(scores: Any, Y: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and the entries that can be asked."""
    matrix, p = as_matrix(Y), np.asarray(scores, np.float64)
    if p.shape != matrix.shape:
        raise UserError(f"scores has shape {p.shape} but Y {matrix.shape}: give one score an entry")
    if ((p < 0) | (p > 1)).any():
        row, k = np.argwhere((p < 0) | (p > 1))[0]
        raise UserError(f"scores holds {p[row, k]:g} at row {row}, label {k}: give probabilities in [0, 1]")
    return p, (matrix < 0) & ~np.isnan(p)


def _frame(
    rows: NDArray[Any],
    columns: NDArray[Any],
    p: NDArray[np.float64],
    values: NDArray[np.float64],
    item_ids: Sequence[Any] | None,
    label_names: Sequence[Any] | None,
) -> pd.DataFrame:
    import pandas as pd

    named: dict[str, Any] = {}
    for name, given, places, count in (
        ("item", item_ids, rows, len(p)),
        ("label", label_names, columns, p.shape[1]),
    ):
        if given is None:
            continue
        if len(given) != count:
            raise UserError(f"{len(given)} {name}s are named, and there are {count}: name each")
        named[name] = [str(given[place]) for place in places]
    numbers = {"row": rows, "column": columns, "score": p[rows, columns], "value": values[rows, columns]}
    return pd.DataFrame({**named, **numbers})
