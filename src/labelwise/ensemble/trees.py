"""Extremely randomised trees for all labels at once, as small arrays.

Scikit-learn grows them; they are stored, checked and read as arrays of our own, which hold nothing that can execute,
point out of bounds or loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations import row_blocks
from labelwise.ensemble.growing import LARGEST, N_TREES, TreeSample, grow, rows_per_tree
from labelwise.ensemble.splits import Splits
from labelwise.errors import UserError, listed

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 22

# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array


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
        if values.dtype.kind != "f" or not float(np.abs(values).max(initial=0)) <= LARGEST:
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
        twins: Array | None = None,
        fold: Array | None = None,
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
            twins: (m,) int, the same number for rows with the same features; None where no two have. Twins are one
                row, which counts as often as there are of them, so that no tree out of a row's bag has seen its twin.
            fold: (m,) int, the same number for rows that are left out together, as those of a group, with equal rows in
                one: each tree is grown without one of the folds in turn, which alone are out of its bag.
            n_rows: Rows that each tree draws, with replacement; ``rows_per_tree`` by default.
            n_jobs: Threads.

        Raises:
            UserError: Where X and targets do not match or are not finite.
        """
        X = X.tocsr() if hasattr(X, "tocsr") else X
        sample, row = TreeSample.of(X, targets, mask, twins, fold)
        m, d = (int(size) for size in sample.X.shape)
        k = sample.sums.shape[1]
        drawn = min(m, n_rows or rows_per_tree(m, d, k, n_trees))
        grown, bag, left = grow(sample, n_trees, seed, drawn, n_jobs)
        splits = Splits.of(grown, d)
        leaves = splits.leaves(sample.X)
        trees = cls(k, splits, *_stored(sample.leaf_means(leaves, bag, splits.n_leaves)))
        unseen = (bag == 0).astype(np.float32)
        if sample.fold is not None and (left >= 0).all():
            unseen *= sample.fold[:, None] == left
        counts = unseen.sum(axis=1, keepdims=True)
        out_of_bag = np.where(counts > 0, trees._sums(leaves, unseen) / np.maximum(counts, 1), sample.mean)
        return replace(trees, out_of_bag=out_of_bag[row])

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


def _stored(table: Any) -> tuple[Array, Array, Array]:
    """Return ends, labels and values of a sparse table (L, K), in half precision where that is fine enough."""
    values, labels = table.data, table.indices.astype(np.int32)
    largest = np.zeros(table.shape[1], dtype=np.float32)
    np.maximum.at(largest, labels, np.abs(values))
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    fine = np.abs(half - values) <= 1e-3 * largest[labels]
    return table.indptr.astype(np.int64), labels, half if fine.all() else values


def _damaged(what: str) -> UserError:
    return UserError(
        f"the stored trees {what}: their file is damaged; train the model again or take a copy of it"
    )
