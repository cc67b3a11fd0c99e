"""Rows that are equal, so that they are left out together."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations import row_blocks
from labelwise.models.blocks import is_blocks
from labelwise.models.scaling import FeatureMatrix

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 22
# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array


def twins_of(X: FeatureMatrix) -> Array | None:
    """Return a number for each row of ``X`` (n, D), the same for equal rows.

    None where no two rows are equal. A row's twin tells its label to the model that left only the row out, so that
    leave-one-out would choose the smallest lambda.
    """
    digests: dict[bytes, int] = {}
    numbers = [digests.setdefault(digest, len(digests)) for digest in _digests(X)]
    return np.array(numbers, dtype=np.int64) if len(digests) < len(numbers) else None


def _digests(X: FeatureMatrix) -> Iterator[bytes]:
    if is_blocks(X):
        for parts in zip(*(_digests(part) for part in X.parts), strict=True):
            yield b"".join(parts)
    elif sp.issparse(X):
        csr = _CSR(X, copy=True)
        csr.sum_duplicates()
        csr.eliminate_zeros()
        for start, stop in pairwise(csr.indptr.tolist()):
            yield _digest(csr.indices[start:stop].tobytes() + csr.data[start:stop].tobytes())
    else:
        for rows in row_blocks(int(X.shape[0]), int(X.shape[1]), _BLOCK):
            # adding 0 makes one of both zeros
            yield from (_digest(row.tobytes()) for row in np.ascontiguousarray(X[rows]) + 0)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
