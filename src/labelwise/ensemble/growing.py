"""Growth of extremely randomised trees by scikit-learn, in bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt, log2
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._random import generator, number
from labelwise.ensemble.splits import MAX_DEPTH
from labelwise.errors import UserError

Array: TypeAlias = npt.NDArray[Any]

N_TREES = 200
LARGEST = 1e20
"""The largest target: sums of float32 stay finite."""

_MIN_LEAF = 2
_WORK = 4e8  # rows x features x levels of all trees: 3 to 7 s of one core
_MIN_ROWS = 256
_MOST_LABELS = 32  # beyond these, trees are grown on projections of the targets
_PROJECTION = 16
_GROUPS = 10
_SMALL = 1 << 26  # a sparse matrix with fewer entries than this (256 MB of float32) is densified

# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array
_CSC: Any = sp.csc_array


def rows_per_tree(m: int, d: int, n_labels: int, n_trees: int = N_TREES) -> int:
    """Return how many of m rows each tree draws, so that growing takes seconds.

    The work of a forest is about ``T S log2(S) sqrt(D) (.5 + K' / 40)``, with K' the number of columns that it is grown
    on. More trees on fewer rows score better than fewer trees on more.
    """
    columns = n_labels if n_labels <= _MOST_LABELS else _PROJECTION
    work = _WORK / (n_trees * max(isqrt(d), 1) * (0.5 + columns / 40))
    return min(m, max(_MIN_ROWS, int(work / log2(max(work, 2.0)))))


@dataclass(frozen=True)
class TreeSample:
    """Rows of different features, with sums and numbers of their known targets.

    Attributes:
        X: (m, D), dense, CSR or ``FeatureBlocks``.
        sums: (m, K) float32, sums of known targets, over a row and its twins.
        counts: (m, K) float32, numbers of known targets; (m, 1) where every target of a row is known.
        sizes: (m,) float32, numbers of twins, each row counted too.
        fold: (m,) the same number for rows that are left out together, None where each is for itself.
    """

    X: Any
    sums: npt.NDArray[np.float32]
    counts: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.float32]
    fold: Array | None = None

    @classmethod
    def of(
        cls, X: Any, targets: Array, mask: Array | None, twins: Array | None, fold: Array | None = None
    ) -> tuple[TreeSample, Array | slice]:
        """Return the sample of ``X``, and the row of it in which each row of ``X`` is.

        Raises:
            UserError: Where shapes do not match, or known targets are not finite.
        """
        targets = np.asarray(targets, dtype=np.float32)
        _check(X, targets, mask, twins)
        known = targets if mask is None else np.where(mask, targets, np.float32(0))
        if not float(np.abs(known).max()) <= LARGEST:
            raise UserError("the targets hold NaN or numbers that are too large: give finite ones")
        counts = np.ones((len(targets), 1), np.float32) if mask is None else mask.astype(np.float32)
        ones = np.ones(len(targets), np.float32)
        if twins is None:
            return cls(X, known, counts, ones, fold), slice(None)
        _, first, row = np.unique(twins, return_index=True, return_inverse=True)
        if len(first) == len(targets):
            return cls(X, known, counts, ones, fold), slice(None)
        member = _CSR((ones, (row, np.arange(len(row)))), shape=(len(first), len(row)))
        of_first = None if fold is None else fold[first]
        return cls(X[first], member @ known, member @ counts, member @ ones, of_first), row

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """Mean of each label's known targets (K,), 0 where it has none."""
        total, count = self.sums.sum(axis=0, dtype=np.float64), self.counts.sum(axis=0, dtype=np.float64)
        return np.asarray(total / np.maximum(count, 1), dtype=np.float32)

    @property
    def targets(self) -> npt.NDArray[np.float32]:
        """Mean known target of each row (m, K), the label's mean where it has none."""
        return np.asarray(np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), self.mean))

    def leaf_means(self, leaves: Array, bag: Array, n_leaves: int) -> Any:
        """Return the mean known target of what each leaf drew, sparse (L, K).

        It is the label's mean where a leaf drew no known one.

        Args:
            leaves: (m, T), the leaf of each row in each tree.
            bag: (m, T), how often each tree drew each row.
            n_leaves: Number L of leaves of all trees; each drew a row.
        """
        row, tree = np.nonzero(bag)
        times = (bag[row, tree].astype(np.float32), (leaves[row, tree], row))
        drawn = _CSR(times, shape=(n_leaves, len(bag)))
        counts = drawn @ self.counts
        if self.counts.shape[1] == 1 and (counts > 0).all():
            table = drawn @ _CSR(self.sums)
            table.data /= np.repeat(counts, np.diff(table.indptr))
            return table
        return _CSR(np.where(counts > 0, drawn @ self.sums / np.maximum(counts, 1), self.mean))


def grow(
    sample: TreeSample, n_trees: int, seed: int, drawn: int, n_jobs: int
) -> tuple[list[Any], Array, Array]:
    """Return scikit-learn's trees, how often each drew each row, (m, T) uint16, and the fold that it left out (T,)."""
    from sklearn.ensemble import ExtraTreesRegressor

    X = _readable(sample.X)
    trees: list[Any] = []
    counts: list[Array] = []
    left: list[Array] = []
    for group, (size, columns, out, rows) in enumerate(_parts(sample, n_trees, seed)):
        forest = ExtraTreesRegressor(
            size,
            max_features="sqrt",
            min_samples_leaf=_MIN_LEAF,
            max_depth=MAX_DEPTH,
            bootstrap=True,
            max_samples=min(drawn, len(columns)),
            random_state=number(seed, "trees", group) % 2**32,
            n_jobs=n_jobs,
        )
        # scikit-learn warns of a single column
        forest.fit(
            X[rows] if out >= 0 else X,
            columns.ravel() if columns.shape[1] == 1 else columns,
            sample.sizes[rows],
        )
        trees += [estimator.tree_ for estimator in forest.estimators_]
        for drew in forest.estimators_samples_:
            counts.append(np.zeros(len(sample.sizes), np.int64))
            counts[-1][rows] = np.bincount(drew, minlength=len(columns))
        left.append(np.full(size, out))
    return trees, np.stack(counts, axis=1).astype(np.uint16), np.concatenate(left)


def _parts(sample: TreeSample, n_trees: int, seed: int) -> Iterator[tuple[int, Array, int, Any]]:
    """Yield numbers of trees, their columns, the fold that they leave out (-1: none) and the rows to draw."""
    folds = [] if sample.fold is None else np.unique(sample.fold).tolist()
    for size, columns in _groups(sample.targets, n_trees, seed):
        if len(folds) < 2:
            yield size, columns, -1, slice(None)
            continue
        for place, out in enumerate(folds):
            rows = np.flatnonzero(sample.fold != out)
            if count := len(range(place, size, len(folds))):
                yield count, columns[rows], out, rows


def _groups(targets: Array, n_trees: int, seed: int) -> Iterator[tuple[int, Array]]:
    """Yield numbers of trees and the columns (m, K') to grow them on."""
    k = targets.shape[1]
    if k <= _MOST_LABELS:
        yield n_trees, targets
        return
    for group in range(min(_GROUPS, n_trees)):
        directions = generator(seed, "tree targets", group).standard_normal((k, _PROJECTION))
        yield len(range(group, n_trees, _GROUPS)), targets @ directions.astype(np.float32)


def _readable(X: Any) -> Any:
    """Return X as scikit-learn grows trees fastest: dense float32 or CSC."""
    if not hasattr(X, "toarray"):
        X = np.asarray(X, dtype=np.float32)
    elif X.shape[0] * X.shape[1] <= _SMALL:
        X = X.toarray().astype(np.float32, copy=False)
    else:
        X = _CSC(X if sp.issparse(X) else sp.hstack(X.parts), dtype=np.float32)
    if not np.isfinite(X if isinstance(X, np.ndarray) else X.data).all():
        raise UserError("X holds NaN or infinite numbers: fill or remove them before the fit")
    return X


def _check(X: Any, targets: Array, mask: Array | None, twins: Array | None) -> None:
    if X.ndim != 2 or targets.ndim != 2 or X.shape[0] != len(targets) or min(*X.shape, *targets.shape) < 1:
        raise UserError(
            f"X of shape {tuple(X.shape)} and targets of shape {targets.shape} are not rows of the same items:"
            " give one row of each for every item, at least one item, feature and label"
        )
    if mask is not None and mask.shape != targets.shape:
        raise UserError(
            f"the mask has shape {mask.shape}, the targets {targets.shape}: give one entry for each"
        )
    if twins is not None and twins.shape != (len(targets),):
        raise UserError(f"twins have shape {twins.shape} for {len(targets)} rows: give one number for each")
