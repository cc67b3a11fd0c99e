"""Extremely randomised trees for all labels at once, as small arrays.

Scikit-learn grows them; they are stored, checked and read as arrays of our own, which hold nothing that can execute,
point out of bounds or loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isqrt, log2
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._random import generator, number
from labelwise.annotations import row_blocks
from labelwise.ensemble.splits import MAX_DEPTH, Splits
from labelwise.errors import UserError, listed

Array: TypeAlias = npt.NDArray[Any]

N_TREES = 200
_MIN_LEAF = 2
_WORK = 4e8  # rows x features x levels of all trees: about 8 s on two cores
_MIN_ROWS = 256
_MOST_LABELS = 32  # beyond these, trees are grown on projections of the targets
_PROJECTION = 16
_GROUPS = 10
_SMALL = 1 << 26  # a sparse matrix with fewer entries than this (256 MB of float32) is densified
_LARGEST = 1e20  # of a target: sums of float32 stay finite
_BLOCK = 1 << 22

# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array
_CSC: Any = sp.csc_array


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees whose score is the mean over trees of the mean target in the row's leaf.

    Its size is bounded: each tree sees ``rows_per_tree(m, D, K, T)`` rows and its leaves hold at least two of them, so
    that T trees have at most ``T * rows_per_tree / 2`` leaves, at most ``MAX_DEPTH`` deep. A leaf stores the labels
    whose mean is not 0.

    Attributes:
        n_labels: Number K of labels.
        splits: The inner nodes of all T trees.
        ends: (L + 1,) int64; leaf i has the entries ``ends[i]:ends[i + 1]`` of the two arrays that follow.
        labels: int32 in [0, K).
        values: float16, or float32 where that would move a label's scores by more than a thousandth.
        out_of_bag: (m, K) float32, each training row's mean over the trees that did not see it, with nothing else
            subtracted; the label's mean where every tree saw the row. None after loading and thinning.
    """

    n_labels: int
    splits: Splits
    ends: Array
    labels: Array
    values: Array
    out_of_bag: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        ends, labels, values = self.ends, self.labels, self.values
        if ends.ndim != 1 or ends.dtype.kind != "i" or len(ends) != self.splits.n_leaves + 1:
            raise _damaged("lack the values of some leaves")
        if labels.ndim != 1 or labels.dtype.kind != "i" or values.shape != labels.shape:
            raise _damaged("have labels and values that do not match")
        if ends[0] != 0 or ends[-1] != len(values) or (ends[1:] < ends[:-1]).any():
            raise _damaged("have leaves that end outside their values")
        if labels.size and (labels.min() < 0 or labels.max() >= self.n_labels):
            raise _damaged(f"name a label outside the {self.n_labels} labels")
        if values.dtype.kind != "f" or not float(np.abs(values).max(initial=0)) <= _LARGEST:
            raise _damaged("hold a value that is not finite")

    @classmethod
    def fit(
        cls,
        X: Any,
        targets: Array,
        n_trees: int = N_TREES,
        seed: int = 0,
        *,
        mask: Array | None = None,
        n_rows: int | None = None,
        n_jobs: int = 2,
    ) -> Trees:
        """Grow trees on the rows of ``X`` (m, D) by ``targets`` (m, K).

        A split is the best of one random threshold each for sqrt(D) random features, by the variance of all targets
        together; a leaf holds at least two rows. Past 32 labels each tenth of the trees is grown on another random
        projection of the targets to 16 columns, which keeps variances; leaves hold means of all targets either way.

        Args:
            X: Dense, sparse or ``FeatureBlocks``, finite; a large sparse one is not densified.
            targets: Finite numbers, as a rule in [0, 1].
            n_trees: Number T of trees.
            seed: The same seed gives the same trees, whatever ``n_jobs`` is.
            mask: (m, K) bool, the known targets; None if all are. An unknown one counts as its label's mean in the
                search for splits, and not at all in the mean of a leaf.
            n_rows: Rows that each tree draws, with replacement; ``rows_per_tree`` by default.
            n_jobs: Threads.

        Raises:
            UserError: Where X and targets do not match or are not finite.
        """
        targets = np.asarray(targets, dtype=np.float32)
        X = X.tocsr() if hasattr(X, "tocsr") else X
        _check(X, targets, mask)
        m, d = int(X.shape[0]), int(X.shape[1])
        mean = _known_mean(targets, mask)
        drawn = min(m, n_rows or rows_per_tree(m, d, targets.shape[1], n_trees))
        filled = targets if mask is None else np.where(mask, targets, mean)
        estimators, bag = _grow(_readable(X), filled, n_trees, seed, drawn, n_jobs)
        splits = Splits.of(estimators, d)
        leaves = splits.leaves(X)
        table = _leaf_means(leaves, bag, splits.n_leaves, targets, mask, mean)
        trees = cls(targets.shape[1], splits, *_stored(table))
        unseen = (bag == 0).astype(np.float32)
        counts = unseen.sum(axis=1, keepdims=True)
        sums = trees._sums(leaves, unseen)
        return replace(trees, out_of_bag=np.where(counts > 0, sums / np.maximum(counts, 1), mean))

    @property
    def n_features(self) -> int:
        """Number D of columns."""
        return self.splits.n_features

    @property
    def n_trees(self) -> int:
        """Number T of trees."""
        return self.splits.n_trees

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are stored."""
        return self.splits.nbytes + int(self.ends.nbytes + self.labels.nbytes + self.values.nbytes)

    def scores(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the mean over trees of the values of each row's leaves, (n, K).

        X is (n, D), dense, sparse or ``FeatureBlocks``.

        Raises:
            UserError: When the number of columns is not ``n_features``.
        """
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise UserError(
                f"X has shape {tuple(X.shape)}, but the trees were grown on {self.n_features} features;"
                " give a matrix with that many columns"
            )
        X = X.tocsr() if hasattr(X, "tocsr") else X
        scores = np.empty((X.shape[0], self.n_labels), dtype=np.float32)
        for rows in row_blocks(X.shape[0], max(self.n_trees, self.n_labels), _BLOCK):
            scores[rows] = self._sums(self.splits.leaves(X[rows])) / self.n_trees
        return scores

    def thinned(self, nbytes: int) -> Trees:
        """Return as many of the first trees as fit into ``nbytes``, at least one."""
        splits, tree = self.splits, self.splits.tree
        leaf_tree = tree[splits.feature < 0]
        entry = self.labels.itemsize + self.values.itemsize
        by_node = np.where(splits.feature < 0, 0, splits.threshold.itemsize) + splits.feature.itemsize
        by_leaf = np.diff(self.ends) * entry + self.ends.itemsize
        sizes = np.bincount(tree, by_node) + np.bincount(leaf_tree, by_leaf)
        fitting = int(np.searchsorted(np.cumsum(sizes) + self.ends.itemsize, nbytes, side="right"))
        if fitting >= self.n_trees:
            return self
        kept = leaf_tree < max(fitting, 1)
        entries = np.repeat(kept, np.diff(self.ends))
        ends = np.concatenate([[0], np.cumsum(np.diff(self.ends)[kept])])
        return Trees(
            self.n_labels,
            splits.first(max(fitting, 1)),
            ends.astype(self.ends.dtype),
            self.labels[entries],
            self.values[entries],
        )

    def state(self) -> dict[str, Array]:
        """Return the arrays to store: feature, threshold, ends, labels, values."""
        return {
            "feature": self.splits.feature,
            "threshold": self.splits.threshold,
            **{name: getattr(self, name) for name in ("ends", "labels", "values")},
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array], n_features: int, n_labels: int) -> Trees:
        """Return the trees that ``state()`` described, checked.

        What passes the check gives finite scores in at most ``MAX_DEPTH`` steps, and reads nothing but these arrays.

        Raises:
            UserError: Where arrays lack, do not match each other or reach out of bounds.
        """
        names = ("feature", "threshold", "ends", "labels", "values")
        if missing := [name for name in names if name not in arrays]:
            raise _damaged(f"lack {listed(missing)}")
        feature, threshold, *leaves = (np.asarray(arrays[name]) for name in names)
        return cls(n_labels, Splits(n_features, feature, threshold), *leaves)

    @cached_property
    def _table(self) -> Any:
        """The leaves' values, sparse float32 (L, K)."""
        parts = (self.values.astype(np.float32), self.labels, self.ends)
        return _CSR(parts, shape=(self.splits.n_leaves, self.n_labels))

    def _sums(self, leaves: Array, weights: Array | None = None) -> Array:
        """Return sums of the values of leaves (n, T), times weights (n, T), as (n, K) float32."""
        n, t = leaves.shape
        sums = np.empty((n, self.n_labels), dtype=np.float32)
        for rows in row_blocks(n, max(t, self.n_labels), _BLOCK):
            chosen = leaves[rows]
            data = np.ones(chosen.size, dtype=np.float32) if weights is None else weights[rows].ravel()
            start = np.arange(0, chosen.size + 1, t)
            indicator = _CSR((data, chosen.ravel(), start), shape=(len(chosen), self.splits.n_leaves))
            sums[rows] = (indicator @ self._table).toarray()
        return sums


def rows_per_tree(m: int, d: int, n_labels: int, n_trees: int = N_TREES) -> int:
    """Return how many of m rows each tree draws, so that growing takes seconds.

    The work of a forest is about ``T S log2(S) sqrt(D) (.5 + K' / 40)``, with K' the number of columns that it is grown
    on. More trees on fewer rows score better than fewer trees on more.
    """
    columns = n_labels if n_labels <= _MOST_LABELS else _PROJECTION
    work = _WORK / (n_trees * max(isqrt(d), 1) * (0.5 + columns / 40))
    return min(m, max(_MIN_ROWS, int(work / log2(max(work, 2.0)))))


def _grow(
    X: Any, targets: Array, n_trees: int, seed: int, drawn: int, n_jobs: int
) -> tuple[list[Any], Array]:
    """Return scikit-learn's trees, and how often each drew each row, (m, T) uint16."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees: list[Any] = []
    counts: list[Array] = []
    for group, (size, columns) in enumerate(_groups(targets, n_trees, seed)):
        forest = ExtraTreesRegressor(
            size,
            max_features="sqrt",
            min_samples_leaf=_MIN_LEAF,
            max_depth=MAX_DEPTH,
            bootstrap=True,
            max_samples=drawn,
            random_state=number(seed, "trees", group) % 2**32,
            n_jobs=n_jobs,
        )
        # scikit-learn warns of a single column
        forest.fit(X, columns.ravel() if columns.shape[1] == 1 else columns)
        trees += [estimator.tree_ for estimator in forest.estimators_]
        counts += [np.bincount(rows, minlength=len(targets)) for rows in forest.estimators_samples_]
    return trees, np.stack(counts, axis=1).astype(np.uint16)


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


def _known_mean(targets: Array, mask: Array | None) -> Array:
    """Return each label's mean over its known targets, 0 where it has none."""
    if mask is None:
        return np.asarray(targets.mean(axis=0, dtype=np.float64).astype(np.float32))
    total = np.where(mask, targets, 0).sum(axis=0, dtype=np.float64)
    return np.asarray((total / np.maximum(mask.sum(axis=0), 1)).astype(np.float32))


def _leaf_means(
    leaves: Array, bag: Array, n_leaves: int, targets: Array, mask: Array | None, mean: Array
) -> Any:
    """Return the mean of the known targets of the rows that each leaf drew, sparse (L, K).

    It is the label's mean ``mean`` (K,) where a leaf knows none.
    """
    row, tree = np.nonzero(bag)
    pairs = (bag[row, tree].astype(np.float32), (leaves[row, tree], row))
    drawn = _CSR(pairs, shape=(n_leaves, len(targets)))
    if mask is None:
        table = drawn @ _CSR(targets)
        counts = np.asarray(drawn.sum(axis=1)).ravel()
        table.data /= np.repeat(counts, np.diff(table.indptr))
        return table
    sums, counts = drawn @ np.where(mask, targets, 0), drawn @ mask.astype(np.float32)
    return _CSR(np.where(counts > 0, sums / np.maximum(counts, 1), mean))


def _stored(table: Any) -> tuple[Array, Array, Array]:
    """Return ends, labels and values of a sparse table (L, K), in half precision where that is fine enough."""
    values, labels = table.data, table.indices.astype(np.int32)
    largest = np.zeros(table.shape[1], dtype=np.float32)
    np.maximum.at(largest, labels, np.abs(values))
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    fine = np.abs(half - values) <= 1e-3 * largest[labels]
    return table.indptr.astype(np.int64), labels, half if fine.all() else values


def _check(X: Any, targets: Array, mask: Array | None) -> None:
    if X.ndim != 2 or targets.ndim != 2 or X.shape[0] != len(targets) or min(*X.shape, *targets.shape) < 1:
        raise UserError(
            f"X of shape {tuple(X.shape)} and targets of shape {targets.shape} are not rows of the same items:"
            " give one row of each for every item, at least one item, feature and label"
        )
    if mask is not None and mask.shape != targets.shape:
        raise UserError(
            f"the mask has shape {mask.shape}, the targets {targets.shape}: give one entry for each"
        )
    known = targets if mask is None else np.where(mask, targets, 0)
    if not float(np.abs(known).max()) <= _LARGEST:
        raise UserError("the targets hold NaN or numbers that are too large: give finite ones")


def _damaged(what: str) -> UserError:
    return UserError(
        f"the stored trees {what}: their file is damaged; train the model again or take a copy of it"
    )
