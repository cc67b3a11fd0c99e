"""Approximate nearest rows of very large pools, through the optional library ``faiss``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LISTS_PER_ROOT, _PROBED = 4, 64
_TRAINING_ROWS, _ROUNDS = 64, 8  # of k-means: rows of each list, and its iterations


def faiss_library() -> Any | None:
    """Return ``faiss``, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def approximate_nearest(
    faiss: Any, queries: npt.NDArray[np.float32], pool: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return about the k nearest rows of a pool by inner product.

    Their indices and products come nearest first.

    The pool is parted into about ``4 sqrt(n)`` lists by k-means from a fixed start, and each query reads the
    64 lists of the nearest centres. A place without a row has index -1.
    """
    n, r = pool.shape
    lists = max(1, min(int(_LISTS_PER_ROOT * np.sqrt(n)), n // 39))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(r), r, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 0, _ROUNDS, _TRAINING_ROWS
    rows = np.ascontiguousarray(pool, np.float32)
    index.train(rows)
    index.add(rows)
    index.nprobe = _PROBED
    products, found = index.search(np.ascontiguousarray(queries, np.float32), k)
    return np.asarray(found), np.asarray(products)
