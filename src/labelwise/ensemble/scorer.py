"""Scores of new rows by a fitted ensemble, and its arrays.

A smoothed linear member scores a new row by ``keep x its own score + (1 - keep) x its neighbours' scores``: so the
pool's rows are kept as scores and as the components by which neighbours are found, not as features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._files import entries_under
from labelwise._random import generator
from labelwise.annotations import row_blocks
from labelwise.ensemble.graph import Graph, Neighbours, neighbours
from labelwise.ensemble.kernels import Kernel
from labelwise.ensemble.names import NameScores
from labelwise.ensemble.parts import FittedPart
from labelwise.ensemble.pool import Pool
from labelwise.ensemble.trees import Trees
from labelwise.ensemble.views import Views, as_bytes, from_bytes
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks, RidgeSolution, Scaling, logits, ridge_outputs, scaling_from_state

Array: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

GRAPHS = ("p", "w")
LINEAR_VIEWS = ("c", "d", "p", "w")
_SMOOTHED = ("p1", "w1")
_ROWS = 4096
_FEWEST_ROWS = 1000  # of a pool that is thinned


@dataclass(frozen=True, eq=False)
class KernelScores:
    """Scores by a kernel of landmarks.

    Attributes:
        kernel: The kernel.
        landmarks: (L, r) float32.
        weight: (L, K) float32.
    """

    kernel: Kernel
    landmarks: Matrix
    weight: Matrix

    def of(self, rows: Matrix) -> Matrix:
        """Return scores (n, K) of ``rows`` (n, r)."""
        return np.asarray(self.kernel(rows, self.landmarks) @ self.weight)


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Members' part of an ensemble: linear scores of views, neighbours' scores, and kernels.

    Attributes:
        views: The views, as functions of a row.
        linear: (r, K) float32 weights of plain views by name.
        components: (n, r) float32, the pool's rows by the name of a graph: where neighbours are looked up.
        given: (n, K) float32, what a pool's row gives the rows that it is a neighbour of, by the name of a graph.
        kernels: By the name of a representation, such as ``p1``.
        k: Neighbours of a row.
    """

    views: Views
    linear: Mapping[str, Matrix]
    components: Mapping[str, Matrix]
    given: Mapping[str, Matrix]
    kernels: Mapping[str, KernelScores]
    k: int

    @classmethod
    def of(cls, pool: Pool, parts: Sequence[FittedPart], weight: Double) -> tuple[Self, Double]:
        """Add up members, each times its ``weight`` (V, K); return also the sum of their biases (K,)."""
        linear: dict[str, Matrix] = {}
        given: dict[str, Matrix] = {}
        kernels: dict[str, KernelScores] = {}
        offset = np.zeros(weight.shape[1])
        for part, factor in zip(parts, weight, strict=True):
            spec, member = part.spec, part.member
            own = member.weight * factor.astype(np.float32)
            offset += member.bias * factor
            if part.features.kernel is not None:
                nystroem = part.features.kernel
                kernels[spec.representation] = KernelScores(
                    nystroem.kernel, nystroem.landmarks, nystroem.projection @ own
                )
                continue
            linear[spec.view] = linear.get(spec.view, 0) + np.float32(spec.keep) * own
            if spec.hops:
                from_pool = np.float32(1 - spec.keep) * (pool.representation(spec.given) @ own)
                given[spec.graph] = given.get(spec.graph, 0) + from_pool
        graphs = {*given, *(name[0] for name in kernels)}
        components = {name: pool.views[name] for name in GRAPHS if name in graphs}
        return cls(pool.fitted, linear, components, given, kernels, pool.near["p"].k), offset

    def of_pool(self, pool: Pool) -> Matrix:
        """Return scores (n, K) of the pool's own rows, none of them its own neighbour."""
        return self.combined(pool.views, pool.near)

    @property
    def names(self) -> tuple[str, ...]:
        """Views that it reads."""
        return tuple(dict.fromkeys([*self.linear, *self.components]))

    def representation(
        self, name: str, views: Mapping[str, Matrix], near: Mapping[str, Neighbours]
    ) -> Matrix:
        """Return a once smoothed representation of rows with these views and neighbours."""
        pool = self.components[name[0]]
        return Graph.of(near[name[0]], len(pool)).smooth(views[name[0]], pool)

    def near(self, views: Mapping[str, Matrix]) -> dict[str, Neighbours]:
        """Look up rows with these views among the pool's."""
        return {name: neighbours(views[name], pool, self.k) for name, pool in self.components.items()}

    def combined(self, views: Mapping[str, Matrix], near: Mapping[str, Neighbours]) -> Matrix:
        """Return scores (n, K) float32 of rows with these views and neighbours."""
        n, labels = len(next(iter(views.values()))), len(self)
        total = np.zeros((n, labels), np.float32)
        for name, weight in self.linear.items():
            total += views[name] @ weight
        for name, given in self.given.items():
            total += Graph.of(near[name], len(given)).weights @ given
        for name, kernel in self.kernels.items():
            rows = self.representation(name, views, near)
            for block in row_blocks(n, len(kernel.landmarks), _BLOCK):
                total[block] += kernel.of(rows[block])
        return total

    def thinned(self, nbytes: int, seed: int) -> tuple[Self, int, int]:
        """Return it with fewer rows of the pool, by a key, and the numbers of rows before and after."""
        rows = len(next(iter(self.components.values())))
        width = sum(2 * part.shape[1] for part in self.components.values())
        width += sum(4 * part.shape[1] for part in self.given.values())
        kept = max(rows - -(-nbytes // width), min(rows, _FEWEST_ROWS))
        index = np.sort(generator(seed, "thinned pool").permutation(rows)[:kept])
        components = {name: part[index] for name, part in self.components.items()}
        given = {name: part[index] for name, part in self.given.items()}
        return replace(self, components=components, given=given), rows, kept

    def __len__(self) -> int:
        """Number K of labels."""
        return int(next(iter(self.linear.values())).shape[1])

    def state(self) -> dict[str, Array]:
        """Return the arrays; rows of the pool, landmarks and turns in half precision."""
        arrays = {f"views.{name}": value for name, value in self.views.state().items()}
        arrays |= {f"linear.{name}": value for name, value in self.linear.items()}
        arrays |= {f"pool.{name}": value.astype(np.float16) for name, value in self.components.items()}
        arrays |= {f"given.{name}": value for name, value in self.given.items()}
        for name, part in self.kernels.items():
            arrays |= {
                f"kernel.{name}.landmarks": part.landmarks.astype(np.float16),
                f"kernel.{name}.weight": part.weight,
            }
        kernels = {name: [part.kernel.name, part.kernel.scale] for name, part in self.kernels.items()}
        names = {"linear": list(self.linear), "given": list(self.given), "pool": list(self.components)}
        return arrays | {"config": as_bytes({"k": self.k, "kernels": kernels, **names})}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array], n_labels: int) -> Self:
        """Return what ``state()`` describes, checked."""
        config = from_bytes(arrays["config"])
        views = Views.from_state(entries_under(arrays, "views."))
        linear, given, pool = (
            {str(name): _floats(arrays[f"{kind}.{name}"]) for name in config[kind]}
            for kind in ("linear", "given", "pool")
        )
        kernels = {
            str(name): KernelScores(
                Kernel(str(kind), float(scale)),
                _floats(arrays[f"kernel.{name}.landmarks"]),
                _floats(arrays[f"kernel.{name}.weight"]),
            )
            for name, (kind, scale) in config["kernels"].items()
        }
        smoothed = cls(views, linear, pool, given, kernels, int(config["k"]))
        smoothed._check(n_labels)
        return smoothed

    def _check(self, n_labels: int) -> None:
        """Refuse parts whose sizes do not match."""
        row = np.zeros((1, self.views.n_features), np.float32)
        probe = self.views.of(_blocks(row, self.views), LINEAR_VIEWS)
        fits = bool(self.linear) and 0 < self.k <= _MOST_NEIGHBOURS
        for name, weight in self.linear.items():
            fits &= name in probe and weight.shape == (probe[name].shape[1], n_labels)
        for name, rows in self.components.items():
            fits &= (
                name in GRAPHS and rows.ndim == 2 and rows.shape[1] == probe[name].shape[1] and len(rows) > 0
            )
        for name, given in self.given.items():
            fits &= name in self.components and given.shape == (len(self.components[name]), n_labels)
        for name, part in self.kernels.items():
            known = name in _SMOOTHED and name[0] in self.components
            width = probe[name[0]].shape[1] if known else -1
            fits &= known and part.landmarks.ndim == 2 and part.landmarks.shape[1] == width
            fits &= part.weight.shape == (len(part.landmarks), n_labels)
            fits &= part.kernel.name == "ntk" or part.kernel.name.startswith("rbf")
        if not fits:
            raise UserError("the stored members have sizes that do not match; their files are damaged")


@dataclass(frozen=True, eq=False)
class Scorer:
    """Raw scores of new rows: a ridge's share, the members' and the trees'.

    Attributes:
        scaling: Of the features, as the tuned ridge takes them.
        weight: (K, D) float32, the ridge's weights times its share.
        bias: (K,) float32.
        smoothed: The members' part, None where the ridge stands alone.
        forests: Trees with the weight (K,) of their scores, by what they read: ``x`` (the features), ``p`` or ``p1``.
        names: Evidence of the labels' names, times its share; None without any.
    """

    scaling: Scaling
    weight: Matrix
    bias: Matrix
    smoothed: Smoothed | None = None
    forests: Mapping[str, tuple[Trees, Matrix]] = field(default_factory=dict)
    names: NameScores | None = None

    @classmethod
    def of_ridge(cls, solution: RidgeSolution) -> Self:
        """Return the tuned ridge alone."""
        return cls(solution.scaling, solution.weight, solution.bias)

    @property
    def n_features(self) -> int:
        """Number D of columns."""
        return self.scaling.n_features

    @property
    def n_labels(self) -> int:
        """Number K of labels."""
        return len(self.bias)

    def scores(self, X: Any) -> Matrix:
        """Return scores (n, K) float32 of new rows: logits, as those of ridge."""
        out = np.empty((int(X.shape[0]), self.n_labels), np.float32)
        for start in range(0, len(out), _ROWS):
            rows = X[start : start + _ROWS]
            out[start : start + _ROWS] = self.in_logits(self.raw(rows), rows)
        return out

    def raw(self, X: Any) -> Matrix:
        """Return scores (n, K) of new rows in the units of ridge's outputs, without the evidence of names."""
        raw = self._ridge(X)
        return raw if self.smoothed is None else raw + self._members_of_new(self.smoothed, X)

    def scores_of_pool(self, X: Any, pool: Pool, moved: Matrix | None = None) -> Matrix:
        """Return scores (n, K) float32 of the pool's own rows ``X``.

        ``moved`` (n, K) is added to the ridge's share of the outputs.
        """
        raw = self._ridge(X) if moved is None else self._ridge(X) + moved
        if self.smoothed is not None:
            raw += self.smoothed.of_pool(pool)
            for name, (trees, weight) in self.forests.items():
                raw += weight * trees.scores(X if name == "x" else pool.representation(name))
        return self.in_logits(raw, X)

    def in_logits(self, raw: Matrix, X: Any) -> Matrix:
        """Return raw scores with the evidence of names, as logits."""
        if self.names is not None:
            raw = self.names.added(raw, self.names.scores(X))
        return logits(raw).astype(np.float32)

    def _ridge(self, X: Any) -> Matrix:
        if not self.weight.any():
            return np.tile(self.bias, (int(X.shape[0]), 1))
        return ridge_outputs(X, self.scaling, self.weight, self.bias)

    def _members_of_new(self, smoothed: Smoothed, rows: Any) -> Matrix:
        rows = _blocks(rows, smoothed.views)
        views = smoothed.views.of(rows, smoothed.names)
        near = smoothed.near(views)
        total = smoothed.combined(views, near)
        for name, (trees, weight) in self.forests.items():
            total += weight * trees.scores(_read_by_trees(name, rows, smoothed, views, near))
        return total

    def state(self) -> dict[str, Array]:
        """Return all of it, as arrays by name."""
        arrays = {"ridge.weight": self.weight, "ridge.bias": self.bias}
        arrays |= {f"ridge.scaling.{name}": value for name, value in self.scaling.state().items()}
        config: dict[str, Any] = {"scaling": self.scaling.config(), "forests": list(self.forests)}
        if self.smoothed is not None:
            arrays |= {f"members.{name}": value for name, value in self.smoothed.state().items()}
        for name, (trees, weight) in self.forests.items():
            arrays |= {f"trees.{name}.{key}": value for key, value in trees.state().items()}
            arrays[f"trees.{name}.weight"] = weight
        if self.names is not None:
            arrays |= {f"names.{name}": value for name, value in self.names.state().items()}
        return arrays | {"config": as_bytes(config)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """Return what ``state()`` describes.

        Raises:
            UserError: For arrays that are missing or do not fit each other.
        """
        _check_numbers(arrays)
        try:
            return cls._of_state(arrays)
        except UserError:
            raise
        # a size that is told but not stored can ask for more memory than there is
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError, MemoryError) as error:
            raise UserError(f"the stored ensemble is damaged: {error!r}; its files do not match") from None

    @classmethod
    def _of_state(cls, arrays: Mapping[str, Array]) -> Self:
        config = from_bytes(arrays["config"])
        scaling = scaling_from_state(config["scaling"], entries_under(arrays, "ridge.scaling."))
        weight, bias = _floats(arrays["ridge.weight"]), _floats(arrays["ridge.bias"])
        if bias.ndim != 1 or weight.shape != (len(bias), scaling.n_features):
            raise UserError(f"the stored ridge has weights of shape {weight.shape}; its files do not match")
        members = entries_under(arrays, "members.")
        smoothed = Smoothed.from_state(members, len(bias)) if members else None
        if smoothed is not None and smoothed.views.n_features != scaling.n_features:
            raise UserError("the stored members read other features than the ridge; their files do not match")
        forests = {}
        for name in config["forests"]:
            own = entries_under(arrays, f"trees.{name}.")
            factor = _floats(own.pop("weight"))
            width = scaling.n_features if name == "x" else _width(smoothed, name)
            if factor.shape != bias.shape:
                raise UserError("the stored trees weigh another number of labels; their files do not match")
            forests[str(name)] = (Trees.from_state(own, width, len(bias)), factor)
        own = entries_under(arrays, "names.")
        names = NameScores.from_state(own) if own else None
        if names is not None and (names.n_features, len(names.weight)) != (scaling.n_features, len(bias)):
            raise UserError("the stored names are of other labels or features; their files do not match")
        return cls(scaling, weight, bias, smoothed, forests, names)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(value.nbytes for value in self.state().values())

    def within(self, budget: int, seed: int = 0) -> tuple[Self, str]:
        """Return a scorer whose arrays take at most ``budget`` bytes if they can, and in words what it leaves out.

        Trees go first, then rows of the pool; what both do not hold stays.
        """
        over = self.nbytes - budget
        if over <= 0 or self.smoothed is None:
            return self, ""
        words, forests = [], dict(self.forests)
        size = sum(trees.nbytes for trees, _ in forests.values())
        if size:
            room = max(size - over, size // 20)
            forests = {
                name: (trees.thinned(int(room * trees.nbytes / size)), weight)
                for name, (trees, weight) in forests.items()
            }
            before, after = (sum(t.n_trees for t, _ in f.values()) for f in (self.forests, forests))
            words.append(f"{after} of {before} trees are kept")
        thinned = replace(self, forests=forests)
        over = thinned.nbytes - budget
        if over > 0:
            smoothed, rows, kept = self.smoothed.thinned(over, seed)
            thinned = replace(thinned, smoothed=smoothed)
            words.append(f"neighbours are looked up among {kept} of {rows} rows")
        return thinned, " and ".join(words)


_BLOCK = 1 << 23
_MOST_NEIGHBOURS = 1000


def _blocks(rows: Any, views: Views) -> Any:
    """Return dense or sparse rows of several sources as blocks again."""
    if len(views.widths) == 1 or isinstance(rows, FeatureBlocks):
        return rows
    stops = np.cumsum(views.widths).tolist()
    parts = [rows[:, start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]
    return FeatureBlocks(tuple(map(str, range(len(parts)))), tuple(parts))


def _read_by_trees(
    name: str, rows: Any, smoothed: Smoothed, views: Mapping[str, Matrix], near: Mapping[str, Neighbours]
) -> Any:
    if name == "x":
        return rows
    return views[name] if name in views else smoothed.representation(name, views, near)


def _width(smoothed: Smoothed | None, name: str) -> int:
    if smoothed is None or name not in (*GRAPHS, *_SMOOTHED) or name[0] not in smoothed.components:
        raise UserError(f"the stored trees read {name!r}, which is not stored; their files do not match")
    return int(smoothed.components[name[0]].shape[1])


def _floats(array: Array) -> Matrix:
    return np.ascontiguousarray(array, np.float32)


def _check_numbers(arrays: Mapping[str, Array]) -> None:
    """Refuse arrays that hold anything but finite real numbers."""
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise UserError(f"the stored array {name!r} holds what is no finite number; its file is damaged")
