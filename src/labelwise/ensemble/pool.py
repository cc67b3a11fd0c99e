"""A pool of rows with its views, neighbours and smoothed representations.

A representation is a view, or a view smoothed over the pool's graph: ``c1`` is the mean of c and of the
neighbours' c, ``c8`` is c after six hops that keep a fifth of it. The graph of w comes from w, all others
from p. A member is a ridge on a representation, or on a kernel of one: ``MemberSpec.parse("c8.rbf1")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.ensemble.graph import RECALL_ROWS, Graph, Neighbours, neighbours
from labelwise.ensemble.kernels import Kernel, KernelFeatures
from labelwise.ensemble.views import SCALED, VIEWS, FeatureMatrix, Views
from labelwise.errors import UserError, near

Matrix: TypeAlias = npt.NDArray[np.float32]

NEIGHBOURS, SPARE = 20, 16
_GRAPHS = ("p", "w")
_SMOOTHINGS = {"": (0, 1.0), "1": (1, 0.5), "8": (6, 0.2)}  # hops, and the share of a row's own in each
_LANDMARKS, _ALL_ROWS = 800, 1000
_WIDTH_ROWS = 500


@dataclass(frozen=True)
class MemberSpec:
    """Features that a member is fitted to, as in ``c``, ``p1``, ``c8.rbf1``.

    Attributes:
        view: One of ``VIEWS``.
        smoothing: Empty; 1, once; or 8, six hops.
        kernel: Empty, ``ntk``, or ``rbf`` and a number.
    """

    view: str
    smoothing: str = ""
    kernel: str = ""

    @classmethod
    def parse(cls, name: str) -> MemberSpec:
        """Read a member's name.

        Raises:
            UserError: For one that does not exist.
        """
        base, _, kernel = name.partition(".")
        spec = cls(base[:1], base[1:], kernel)
        if spec.view not in VIEWS or spec.smoothing not in _SMOOTHINGS or (name.endswith(".")):
            options = [view + smoothing for view in VIEWS for smoothing in _SMOOTHINGS]
            raise UserError(f"member {name!r} does not exist; its features: {near(base, options)}")
        return spec

    def __str__(self) -> str:
        return self.representation + (f".{self.kernel}" if self.kernel else "")

    @property
    def representation(self) -> str:
        """Name of the view with its smoothing, as in ``c8``."""
        return self.view + self.smoothing

    @property
    def hops(self) -> int:
        """Steps over the graph."""
        return _SMOOTHINGS[self.smoothing][0]

    @property
    def keep(self) -> float:
        """Share of a row's own view in each step; its neighbours have the rest."""
        return _SMOOTHINGS[self.smoothing][1]

    @property
    def given(self) -> str:
        """Name of the representation that neighbours give in the last step."""
        return self.view if self.hops == 1 else self.representation

    @property
    def graph(self) -> str:
        """Name of the view whose neighbours smooth this one."""
        return "w" if self.view == "w" else "p"


@dataclass
class Pool:
    """Rows of a pool with their views and neighbours.

    It keeps the smoothed representation that was asked for last: ask for members with the same one after each
    other.

    Attributes:
        fitted: The views, as functions of a row.
        views: (n, r) float32 by name.
        near: Neighbours of each row by the name of a graph, with spare ones.
        seed: Key of its choices.
        groups: (n,) numbers of rows that are no neighbours of each other, or None.
    """

    fitted: Views
    views: dict[str, Matrix]
    near: dict[str, Neighbours]
    seed: int = 0
    groups: npt.NDArray[np.int64] | None = None
    _last: dict[str, Matrix] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(
        cls,
        X: FeatureMatrix,
        seed: int = 0,
        weights: Sequence[float] | None = None,
        names: Sequence[str] = VIEWS,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Pool:
        """Fit views to ``X`` (n, D), and look up each row's neighbours.

        Args:
            X: Dense, sparse or blocks of features.
            seed: Key of random choices.
            weights: Factor of each block of features.
            names: Its views, p and w among them.
            groups: (n,) numbers: a new row has no neighbour of its own group, so no row of the pool has one either.
        """
        fitted = Views.fit(X, seed, weights, names)
        views = fitted.of(X, names)
        near = {
            name: neighbours(
                views[name], views[name], NEIGHBOURS, exclude_self=True, spare=SPARE, groups=groups
            )
            for name in _GRAPHS
        }
        return cls(fitted, views, near, seed, groups)

    def __len__(self) -> int:
        return len(self.views["c"])

    @property
    def words(self) -> list[str]:
        """A sentence on neighbours that were looked up approximately, none where all are exact."""
        recalls = {name: found.recall for name, found in self.near.items() if found.recall is not None}
        if not recalls:
            return []
        told = " and ".join(f"{recall:.1%} by {name}" for name, recall in recalls.items())
        queries = min(RECALL_ROWS, len(self))
        return [
            f"neighbours among {len(self)} rows come from faiss; of those of {queries} rows it finds {told}"
        ]

    def twins(self) -> npt.NDArray[np.int64]:
        """Return a number for each row (n,), the same for rows that are equal in half precision.

        Equal in c, d and l alike: in c alone, one outlier makes all other rows equal.
        """
        views = [view.astype(np.float16) for name, view in self.views.items() if name in SCALED]
        # adding 0 turns -0 to 0, which compares equal but has other bytes
        rows = np.ascontiguousarray(np.hstack(views) + np.float16(0))
        as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
        return np.unique(as_bytes.ravel(), return_inverse=True)[1].ravel().astype(np.int64)

    def representation(self, name: str) -> Matrix:
        """Return a representation of the rows (n, r) float32, as in ``c8``."""
        spec = MemberSpec.parse(name)
        if not spec.smoothing:
            return self.views[spec.view]
        if name not in self._last:
            self._last.clear()
            graph = Graph.of(self.near[spec.graph], len(self))
            self._last[name] = graph.diffuse(self.views[spec.view], spec.hops, spec.keep)
        return self._last[name]

    def rows_of(self, name: str, index: npt.NDArray[Any] | slice = slice(None)) -> Matrix:
        """Return some rows of a representation (b, r); one hop is made for these alone."""
        spec = MemberSpec.parse(name)
        if spec.hops != 1 or name in self._last or isinstance(index, slice):
            return self.representation(name)[index]
        view = self.views[spec.view]
        return Graph.of(self.near[spec.graph].take(index), len(self)).smooth(view[index], view, spec.keep)

    def new(self, X: FeatureMatrix) -> NewRows:
        """Return new rows ``X`` (n', D) beside the pool, looked up in it."""
        views = self.fitted.of(X)
        near = {name: neighbours(views[name], self.views[name], NEIGHBOURS) for name in _GRAPHS}
        return NewRows(self, views, near)

    def without(self, rows: npt.NDArray[np.bool_]) -> tuple[Pool, NewRows]:
        """Return the pool without ``rows`` (n,), and these as new rows.

        Views stay as they were fitted, since they read no label; neighbours are those among the rest.
        """
        near = {
            name: found.without(rows, self.views[name], self.views[name], self.groups)
            for name, found in self.near.items()
        }
        rest = Pool(
            self.fitted,
            {name: view[~rows] for name, view in self.views.items()},
            {name: found.take(~rows) for name, found in near.items()},
            self.seed,
            None if self.groups is None else self.groups[~rows],
        )
        views = {name: view[rows] for name, view in self.views.items()}
        return rest, NewRows(rest, views, {name: found.take(rows) for name, found in near.items()})

    def feature_map(self, spec: MemberSpec, rows: npt.NDArray[Any]) -> FeatureMap:
        """Return the features of a member fitted to ``rows`` (m,).

        A kernel has these rows as landmarks where they are 1,000 at most, which is exact; else 800 of the
        pool.
        """
        if not spec.kernel:
            return FeatureMap(spec, None)
        marks = rows if len(rows) <= _ALL_ROWS else self._landmarks()
        sample = generator(self.seed, "width rows").permutation(len(self))[:_WIDTH_ROWS]
        kernel = Kernel.fit(spec.kernel, self.rows_of(spec.representation, sample), self.seed)
        return FeatureMap(spec, KernelFeatures.fit(kernel, self.rows_of(spec.representation, marks)))

    def _landmarks(self) -> npt.NDArray[np.int64]:
        return np.sort(generator(self.seed, "landmarks").permutation(len(self))[:_LANDMARKS])


@dataclass
class NewRows:
    """Rows beside a pool, each with its neighbours in it.

    Attributes:
        pool: The pool.
        views: (n', r) float32 by name.
        near: Neighbours among the pool's rows by the name of a graph.
    """

    pool: Pool
    views: dict[str, Matrix]
    near: dict[str, Neighbours]
    _last: dict[str, Matrix] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.views["c"])

    def representation(self, name: str) -> Matrix:
        """Return a representation of these rows (n', r) float32."""
        spec = MemberSpec.parse(name)
        view = self.views[spec.view]
        if not spec.smoothing:
            return view
        if name not in self._last:
            self._last.clear()
            graph = Graph.of(self.near[spec.graph], len(self.pool))
            # a row takes its last hop from neighbours that have gone all of theirs
            self._last[name] = graph.smooth(view, self.pool.representation(spec.given), spec.keep)
        return self._last[name]

    def rows_of(self, name: str, index: npt.NDArray[Any] | slice = slice(None)) -> Matrix:
        """Return some rows of a representation (b, r) float32."""
        return self.representation(name)[index]


@dataclass(frozen=True)
class FeatureMap:
    """Features of a member, for the pool's rows and new ones.

    Attributes:
        spec: Which representation.
        kernel: Features of its kernel; None for the representation itself.
    """

    spec: MemberSpec
    kernel: KernelFeatures | None

    def of(self, rows: Pool | NewRows, index: npt.NDArray[Any] | slice = slice(None)) -> Matrix:
        """Return the features (b, s) float32 of some rows."""
        representation = rows.rows_of(self.spec.representation, index)
        return representation if self.kernel is None else self.kernel.of(representation)
