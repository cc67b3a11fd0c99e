"""Form of what a classifier returns: arrays, or frames with a column for each label."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from labelwise.errors import UserError, near, shown

KINDS = ("default", "pandas", "polars")


def check_kind(kind: Any) -> str:
    """Return the name of a form, or refuse it."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"predict={shown(kind)}: {near(str(kind), KINDS)}")
    if kind == "polars" and find_spec("polars") is None:
        raise UserError("predict='polars': polars is not installed; pip install polars, or take 'pandas'")
    return kind


def in_form(kind: str, values: np.ndarray, label_names: Sequence[str], index: Any = None) -> Any:
    """Return values (n, K) as they are, or as a frame of that kind with the labels' names.

    ``index`` are the names of the rows, of which polars has none.
    """
    if kind == "pandas":
        import pandas

        return pandas.DataFrame(values, columns=list(label_names), index=index)
    if kind == "polars":
        import polars

        return polars.DataFrame(values, schema=list(label_names))
    return values


def index_of(X: Any, kept: np.ndarray) -> Any:
    """Return the names of a pandas frame's rows that were read; None of anything else."""
    if type(X).__module__.partition(".")[0] != "pandas" or not hasattr(X, "index"):
        return None
    return X.index if len(kept) == len(X.index) else X.index[kept]
