"""What several functions of this room ask of their arguments."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from labelwise.errors import UserError, shown

_MEANINGS = {"unknown": -1, "absent": 0}


def check_seed(seed: Any) -> int:
    """Return ``seed`` as an int in [0, 2**32), the range that every generator of NumPy takes."""
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**32:
        raise UserError(f"seed must be a whole number from 0 to 2**32 - 1, not {shown(seed)}")
    return value


def share_of(argument: str, value: Any) -> float:
    """Return ``value`` as a float in (0, 1]."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise UserError(f"{argument} must be above 0 and at most 1, not {shown(value)}")
    return share


def state_of(argument: str, meaning: Any) -> int:
    """Return the state that an option's "unknown" or "absent" stands for."""
    if isinstance(meaning, str) and meaning in _MEANINGS:
        return _MEANINGS[meaning]
    raise UserError(f"{argument} must be 'unknown' or 'absent', not {shown(meaning)}")


def missing(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NumPy's masked, pandas' NA or NaT (known by their names)."""
    if value is None or type(value).__name__ in {"NAType", "NaTType", "MaskedConstant"}:
        return True
    return isinstance(value, float | np.floating) and bool(value != value)  # noqa: PLR0124


@contextmanager
def reading(argument: str, Y: Any) -> Iterator[None]:
    """Turn what the code of a given object raises into ``UserError``.

    What looks like an array, a frame, a tensor or a sparse matrix may be none, and may raise anything.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{argument} is a {type(Y).__name__} that cannot be read ({type(error).__name__}: {shown(str(error))}):"
            " give rows of 1, 0 and -1, or of names"
        ) from error
