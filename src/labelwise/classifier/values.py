"""Tests of single values, which options state beside their types."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

Test = Callable[[Any], bool]
"""Returns whether a value may be given."""


def is_a(*types: type) -> Test:
    """Return a test for these types."""
    return lambda value: isinstance(value, types)


def one_of(*words: str) -> Test:
    """Return a test for these words."""
    return lambda value: isinstance(value, str) and value in words


def integer(low: int, high: int = 2**31 - 1) -> Test:
    """Return a test for whole numbers from ``low`` to ``high``."""
    return lambda value: (
        isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high
    )


def number(low: float, high: float, *, ends: bool = True) -> Test:
    """Return a test for numbers between two; ``ends`` are allowed."""

    def test(value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        return low <= number <= high if ends else low < number < high

    return test


def or_none(test: Test) -> Test:
    """Return a test that lets None pass."""
    return lambda value: value is None or test(value)
