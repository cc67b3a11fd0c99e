"""Splits of all trees of a forest in flat arrays, level by level.

Nodes are numbered by level: the T roots first, then the children of each level's inner nodes in the order of their
parents. So the children of inner node number i are the nodes T + 2i and T + 2i + 1: no file can hold a pointer out of
bounds or back to an ancestor, for it holds no pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.annotations import row_blocks
from labelwise.errors import UserError

Array: TypeAlias = npt.NDArray[Any]

MAX_DEPTH = 256
"""The most levels below a root; scoring a row takes no more steps than that."""

_BLOCK = 1 << 17  # entries of a block of rows: with the nodes it stays in the processor's cache
_STRIDE = 5  # levels between two looks at which walks have ended


@dataclass(frozen=True, eq=False)
class Splits:
    """Inner nodes and leaves of T trees; a row goes left where ``x[feature] <= threshold``.

    Attributes:
        n_features: Number D of columns of a feature matrix.
        feature: (N,) int32, the column that a node reads; -1 at a leaf.
        threshold: (I,) float32, one for each inner node, in the order of the nodes; finite.

    Raises:
        UserError: Where the arrays are no such trees: a column outside [0, D), a threshold that is not finite, nodes
            that no root leads to, or more than ``MAX_DEPTH`` levels.
    """

    n_features: int
    feature: Array
    threshold: Array

    def __post_init__(self) -> None:
        feature, threshold = self.feature, self.threshold
        if (
            feature.ndim != 1
            or feature.dtype.kind != "i"
            or threshold.ndim != 1
            or threshold.dtype.kind != "f"
        ):
            raise _damaged("are not one row of whole numbers and one of thresholds")
        if not np.isfinite(threshold).all():
            raise _damaged("hold a threshold that is not finite")
        if feature.size and (feature.min() < -1 or feature.max() >= self.n_features):
            raise _damaged(f"read a column outside the {self.n_features} features")
        if np.count_nonzero(feature >= 0) != len(threshold):
            raise _damaged(
                f"have {len(threshold)} thresholds for {np.count_nonzero(feature >= 0)} inner nodes"
            )
        if self.n_trees < 1 or self.level_ends[-1] != len(feature):
            raise _damaged("have nodes that no root leads to, or more levels than are allowed")

    @classmethod
    def of(cls, trees: Sequence[Any], n_features: int) -> Splits:
        """Return the splits of scikit-learn's fitted trees (``estimator.tree_``)."""
        start = np.cumsum([0, *(tree.node_count for tree in trees)])
        left = np.concatenate([tree.children_left + s for tree, s in zip(trees, start, strict=False)])
        right = np.concatenate([tree.children_right + s for tree, s in zip(trees, start, strict=False)])
        feature = np.concatenate([np.maximum(tree.feature, -1) for tree in trees])
        levels, nodes = [], start[:-1]
        while nodes.size:
            levels.append(nodes)
            inner = nodes[feature[nodes] >= 0]
            nodes = np.stack([left[inner], right[inner]], axis=1).ravel()
        order = np.concatenate(levels)
        feature = feature[order].astype(np.int32)
        threshold = np.concatenate([tree.threshold for tree in trees])[order][feature >= 0]
        return cls(n_features, feature, _rounded_down(threshold))

    @property
    def n_trees(self) -> int:
        """Number T of trees."""
        return len(self.feature) - 2 * len(self.threshold)

    @property
    def n_leaves(self) -> int:
        """Number L of leaves of all trees together."""
        return len(self.feature) - len(self.threshold)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are stored."""
        return int(self.feature.nbytes + self.threshold.nbytes)

    @cached_property
    def level_ends(self) -> list[int]:
        """End of each level in the order of the nodes, at most ``MAX_DEPTH + 1``."""
        inner = np.concatenate([[0], np.cumsum(self.feature >= 0)])
        ends, start = [self.n_trees], 0
        while len(ends) <= MAX_DEPTH and (wider := int(2 * (inner[ends[-1]] - inner[start]))):
            start = ends[-1]
            ends.append(start + wider)
        return ends

    @cached_property
    def tree(self) -> Array:
        """(N,) int32, number of the tree that each node belongs to."""
        tree = np.arange(len(self.feature), dtype=np.int32)
        inner = self.feature >= 0
        for start, end in zip(self.level_ends, self.level_ends[1:], strict=False):
            parents = np.flatnonzero(inner[:start])[(start - self.n_trees) // 2 : (end - self.n_trees) // 2]
            tree[start:end] = np.repeat(tree[parents], 2)
        return tree

    def first(self, n_trees: int) -> Splits:
        """Return the first ``n_trees`` of the trees alone."""
        kept = self.tree < n_trees
        return Splits(self.n_features, self.feature[kept], self.threshold[kept[self.feature >= 0]])

    def leaves(self, X: Any) -> Array:
        """Return the leaf in which each row ends in each tree, (n, T) int32 in [0, L).

        X is (n, D), dense, sparse or in blocks; a few rows at a time are made dense.
        """
        leaves = np.empty((X.shape[0], self.n_trees), dtype=np.int32)
        for rows in row_blocks(X.shape[0], max(self.n_features, 8 * self.n_trees), _BLOCK):
            block = X[rows]
            block = block.toarray() if hasattr(block, "toarray") else block
            leaves[rows] = self._walk(np.ascontiguousarray(block, dtype=np.float32))
        return leaves

    @cached_property
    def _nodes(self) -> tuple[Array, Array, Array, Array]:
        """Feature, threshold, left child and leaf number of every node; -1 at inner ones.

        A leaf is its own left child, and no number is above its threshold: a walk that has ended stays.
        """
        inner = self.feature >= 0
        threshold = np.full(len(inner), np.inf, dtype=np.float32)
        threshold[inner] = self.threshold
        child = np.arange(len(inner))
        child[inner] = self.n_trees + 2 * np.arange(len(self.threshold))
        leaf = np.where(inner, -1, np.cumsum(~inner) - 1).astype(np.int32)
        return np.maximum(self.feature, 0).astype(np.intp), threshold, child, leaf

    def _walk(self, X: Array) -> Array:
        """Return the leaves of dense rows: all walks of all rows take each step together."""
        feature, threshold, child, leaf = self._nodes
        n, t = len(X), self.n_trees
        # by tree, then by row: neighbouring walks read the same nodes
        node, row = np.repeat(np.arange(t), n), np.tile(np.arange(n) * self.n_features, t)
        walk, ended_in = np.arange(t * n), np.empty(t * n, dtype=np.int32)
        values = X.ravel()
        while walk.size:
            for _ in range(_STRIDE):
                # "clip" spares numpy its check of bounds, which all numbers keep by construction
                place = feature.take(node, mode="clip")
                place += row
                right = values.take(place, mode="clip") > threshold.take(node, mode="clip")
                node = child.take(node, mode="clip")
                node += right
            ends = leaf.take(node, mode="clip")
            ended_in[walk] = ends
            on = np.flatnonzero(ends < 0)
            walk, node, row = walk.take(on), node.take(on), row.take(on)
        return ended_in.reshape(t, n).T


def _rounded_down(threshold: Array) -> Array:
    """Return float32 thresholds that part float32 numbers as the float64 ones do."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def _damaged(what: str) -> UserError:
    return UserError(
        f"the stored trees {what}: their file is damaged; train the model again or take a copy of it"
    )
