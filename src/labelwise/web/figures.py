"""Figures of a page: a share with its interval, and what more answers would bring."""

from __future__ import annotations

from typing import Any

_MORE = 10


def interval(yes: int, n: int, coverage: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson, 1934).

    Its ends are the quantiles at ``(1 - coverage) / 2`` of Beta(yes, n - yes + 1) and at ``(1 + coverage) / 2`` of
    Beta(yes + 1, n - yes).
    """
    from scipy.stats import beta

    tail = (1 - coverage) / 2
    low = 0.0 if yes == 0 else float(beta.ppf(tail, yes, n - yes + 1))
    high = 1.0 if yes == n else float(beta.ppf(1 - tail, yes + 1, n - yes))
    return low, high


def precision_of(yes: int, no: int) -> dict[str, Any] | None:
    """Return the share of yes among answers with its interval, and the interval after ten more at the same share.

    None where nothing is answered.
    """
    n = yes + no
    if not n:
        return None
    low, high = interval(yes, n)
    more = round(_MORE * yes / n)
    next_low, next_high = interval(yes + more, n + _MORE)
    return {
        "n": n,
        "value": round(yes / n, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "more": _MORE,
        "next_low": round(next_low, 4),
        "next_high": round(next_high, 4),
    }
