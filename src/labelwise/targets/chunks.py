"""Scores in chunks, from an array or from a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import as_array

Chunks = Callable[[], Iterable[tuple[slice, Any]]]
"""Each call starts afresh and yields ``(rows, scores (b, K))``, over all items, each once."""


def matrix_chunks(scores: ArrayLike | torch.Tensor) -> Chunks:
    """Return an (n, K) array as one chunk."""
    array = as_array(scores)
    if array.ndim != 2:
        raise UserError(f"scores has shape {array.shape}: give (items, labels).")
    return lambda: [(slice(0, len(array)), array)]


def cosine_chunks(features: NDArray[Any], directions: NDArray[Any], rows: int) -> Chunks:
    """Return cosines of features (n, D) and directions (K, D), in chunks.

    They are float32, ``rows`` at a time.

    A row of zeros has cosine 0 with everything. The chunks are column-major: selections read label by label.
    """
    # In float64, so that a direction's length does not hang on the order of a float32 sum.
    lengths = np.linalg.norm(directions.astype(np.float64), axis=1, keepdims=True)
    unit = (directions / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def chunks() -> Iterator[tuple[slice, NDArray[np.float32]]]:
        for start in range(0, len(features), rows):
            part = slice(start, min(start + rows, len(features)))
            z = np.asarray(features[part], dtype=np.float32)
            norms = np.sqrt(np.einsum("nd,nd->n", z, z))
            if not np.isfinite(norms).all():
                row = start + int(np.flatnonzero(~np.isfinite(norms))[0])
                raise UserError(
                    f"features holds NaN, infinity or too large a number in row {row}: mend that item."
                )
            cosines = unit @ z.T
            cosines /= np.where(norms == 0, np.float32(1), norms)
            yield part, cosines.T

    return chunks


def as_labels(name: str, labels: ArrayLike | torch.Tensor, n_labels: int | None = None) -> NDArray[np.int8]:
    """Return annotations (n, K) as int8.

    Anything but 1, 0 and -1 is refused with its place.
    """
    array = as_array(labels)
    if array.ndim != 2 or (n_labels is not None and array.shape[1] != n_labels):
        width = "labels" if n_labels is None else n_labels
        raise UserError(f"{name} has shape {array.shape}: give (items, {width}).")
    if array.size and (array.max() > 1 or array.min() < -1 or array.dtype.kind not in "iub"):
        if array.dtype.kind not in "iub":
            raise UserError(f"{name} has dtype {array.dtype}: give whole numbers, 1, 0 or -1 (unknown).")
        row, label = (int(index[0]) for index in np.nonzero((array > 1) | (array < -1)))
        raise UserError(
            f"{name} is {array[row, label]} in row {row}, label {label}: give 1, 0 or -1 (unknown)."
        )
    return array.astype(np.int8, copy=False)
