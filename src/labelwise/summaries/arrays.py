"""Inputs of the summaries as numpy arrays, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError

Scores = NDArray[np.floating[Any]]


def as_array(values: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """Return any array or tensor as a numpy array.

    A tensor may be of any device or layout; nothing is copied where that is possible.

    A masked array is refused where it masks anything: what lies under the mask would pass for a value.
    """
    if np.ma.is_masked(values):
        raise UserError("a masked array masks entries: fill them (-1 for an unknown label) before giving it")
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    tensor = values.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def as_scores(name: str, values: ArrayLike | torch.Tensor, n_labels: int) -> Scores:
    """Return scores as a (b, n_labels) array of float32 or float64.

    Narrower floats widen exactly.
    """
    array = as_array(values)
    if array.ndim != 2 or array.shape[1] != n_labels:
        raise UserError(f"{name} has shape {array.shape}: give (rows, {n_labels}), one column per label.")
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} has dtype {array.dtype}: give numbers.")
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


def refuse_codes(name: str, targets: NDArray[Any]) -> None:
    """Refuse targets other than 1, 0, -1 and fractions.

    Fractions lie between 0 and 1.
    """
    if targets.dtype.kind not in "fiub":
        raise UserError(f"{name} has dtype {targets.dtype}: give 1, 0 or -1 (unknown).")
    if targets.size == 0 or targets.min() >= 0 >= targets.max() - 1:
        return
    wrong = (np.clip(targets, 0, 1) != targets) & (targets != -1)
    if wrong.any():
        row, label = (int(index[0]) for index in np.nonzero(wrong))
        raise UserError(
            f"{name} is {targets[row, label]} in row {row}, label {label}: give 1, 0 or -1 (unknown)."
        )


def as_mask(
    name: str, values: ArrayLike | torch.Tensor | None, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """Return a mask as a bool array of exactly ``shape``.

    None stays None.
    """
    if values is None:
        return None
    array = as_array(values)
    if array.shape != shape or array.dtype != np.bool_:
        raise UserError(
            f"{name} has shape {array.shape} and dtype {array.dtype}: give booleans of shape {shape}."
        )
    return array


def as_counts(name: str, values: ArrayLike | torch.Tensor) -> NDArray[np.int64]:
    """Return ``values`` as (K,) whole numbers of at least zero."""
    array = as_array(values)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "iu":
        raise UserError(
            f"{name} has shape {array.shape} and dtype {array.dtype}: give one whole number per label."
        )
    if array.min() < 0:
        label = int(np.flatnonzero(array < 0)[0])
        raise UserError(f"{name} is {array[label]} for label {label}: give zero or more.")
    return array.astype(np.int64)


def as_ids(values: ArrayLike | torch.Tensor | int, n_rows: int) -> NDArray[np.int64]:
    """Return one id per row.

    They are those given, or consecutive ones from the int given.
    """
    if isinstance(values, int | np.integer):
        values = np.arange(values, values + n_rows, dtype=np.int64)
    array = as_array(values)
    if array.shape != (n_rows,) or array.dtype.kind not in "iu":
        raise UserError(f"ids has shape {array.shape} and dtype {array.dtype}: give {n_rows} whole numbers.")
    if n_rows and array.min() < 0:
        raise UserError(f"ids holds {array.min()} in row {int(array.argmin())}: give ids of zero or more.")
    return array.astype(np.int64, copy=False)


def refuse_nan(name: str, block: Scores, mask: NDArray[np.bool_] | None, ids: NDArray[np.int64]) -> None:
    """Refuse NaN in an unmasked entry, by item and label."""
    if block.size == 0 or not np.isnan(block.min()):
        return
    bad = np.isnan(block) if mask is None else np.isnan(block) & mask
    if bad.any():
        row, label = (int(index[0]) for index in np.nonzero(bad))
        raise UserError(f"{name} is NaN in row {ids[row]}, label {label}: mask it, or mend the features.")
