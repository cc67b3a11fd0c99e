"""Label names as evidence: how near an item's features lie to those of a label's name.

Where one encoder reads items and names, a label has a direction before anybody has shown an example of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.annotations import row_blocks
from labelwise.ensemble.known import KnownEntries
from labelwise.errors import UserError, listed
from labelwise.models import FeatureBlocks, InputScaling

Array: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = npt.NDArray[np.float32]
FeatureMatrix: TypeAlias = Any

_LEAST_SPREAD = 1e-3  # of the median deviation: columns below it hold rounding, which division would blow up
_LEAST_SHARE = 0.1  # of the left-out scores in the combination that the weight of names is a ratio to
_BLOCK = 1 << 22
_OF_LABELS = ("centre", "inverse_spread", "weight", "named", "bias")
_OF_FEATURES = ("mean", "inverse_scale")


@dataclass(frozen=True, eq=False)
class LabelVectors:
    """Vectors of the labels' names, by the encoder that read the items.

    Attributes:
        vectors: (K, d) float32.
        projection: (d, D) float32, from the encoder's features of an item to the space of names; None where they are in
            it.
        block: The encoder's name among ``FeatureBlocks``; None where an item's features are its own alone.
    """

    vectors: Matrix
    projection: Matrix | None = None
    block: str | None = None


@dataclass(frozen=True, eq=False)
class NameScores:
    """Scores of items by their labels' names, and their weight beside other scores.

    With v_k the unit vector of label k's name and s the standard deviation of the items' features, the label's
    direction is ``e_k = L2((v_k - mean_k v_k) / s)``; an item's score is ``cos(c, e_k)`` of its standardised row c,
    less its mean over the pool and divided by its deviation there.

    Attributes:
        columns: First of the encoder's columns, first after them, and number of all columns of a row.
        scaling: Of the encoder's features of items, (D,).
        directions: (K, D) float32, unit rows; 0 where a name has no direction of its own.
        centre: (K,) float32, mean of a label's cosines over the pool.
        inverse_spread: (K,) float32, one over their deviation, 0 where there is none.
        weight: (K,) float32, 0 or more: what ``added`` multiplies a score by name with, in units of ridge outputs.
        named: (K,) bool, labels without a known positive, which are scored by their names alone.
        bias: (K,) float32, the middle of the scores of those.
        projection: (D, D_x) float32 that takes the encoder's columns to the space of names; None where they are in it.
    """

    columns: tuple[int, int, int]
    scaling: InputScaling
    directions: Matrix
    centre: Matrix
    inverse_spread: Matrix
    weight: Matrix
    named: npt.NDArray[np.bool_]
    bias: Matrix
    projection: Matrix | None = None

    @classmethod
    def fit(
        cls,
        X: FeatureMatrix,
        known: KnownEntries,
        left_out: Array,
        names: LabelVectors,
    ) -> NameScores:
        """Fit the scores to a pool, and their weight to its known entries.

        The weight of label k comes from ``t ~ a l + b z`` with a and b not negative: t the targets and l the left-out
        scores, both less the label's mean target and divided by its deviation, z the scores by name. Entries of label
        j count ``exp(-(log(1 + n_k) - log(1 + n_j))^2 / 2)`` for n known positives, so that labels of similar
        frequency share their weight: names tell more where examples are few. It is ``b / max(a, .1)`` times the
        label's deviation.

        Args:
            X: (n, D_all) features of all rows of the pool; of blocks, the encoder's alone take part.
            known: Its known entries.
            left_out: (m, K) outputs for targets 0 and 1 on the rows of ``known``, of models that did not see the row.
            names: The vectors of the labels' names.
        """
        columns, projection = _columns_of(X, names.block), names.projection
        mapped = _mapped(X, columns, projection)
        scaling = InputScaling.fit(mapped, "standardise_l2")
        directions = _directions(names.vectors.astype(np.float64), scaling)
        cosines = scaling.transform(mapped) @ directions.T
        centre, spread = cosines.mean(axis=0), cosines.std(axis=0)
        inverse = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-7)
        by_name = (cosines[known.rows] - centre) * inverse
        share, named = evidence_weights(known, left_out, by_name), known.positives == 0
        # A label that nobody has shown is no more frequent than one that came just after the last row would be.
        means = np.where(named, 1.0 / (2.0 + 2.0 * known.counts), known.means)
        return cls(
            columns,
            scaling,
            directions,
            centre.astype(np.float32),
            inverse.astype(np.float32),
            (share * np.sqrt(means * (1.0 - means))).astype(np.float32),
            named,
            means.astype(np.float32),
            projection,
        )

    @property
    def n_features(self) -> int:
        """Number of features of an item, of all blocks."""
        return self.columns[2]

    def scores(self, X: FeatureMatrix) -> Matrix:
        """Return the items' scores by name (n, K) float32, of mean 0 and deviation 1 over the pool."""
        cosines = self.scaling.transform(_mapped(X, self.columns, self.projection)) @ self.directions.T
        return np.asarray((cosines - self.centre) * self.inverse_spread, np.float32)

    def added(self, outputs: Array, by_name: Matrix, share: float = 1.0) -> Matrix:
        """Return ``outputs + share weight by_name`` (n, K) float32.

        Labels of ``named`` have ``bias + weight by_name`` whatever the share.
        """
        evidence = self.weight * by_name
        return np.where(self.named, self.bias + evidence, outputs + share * evidence).astype(np.float32)

    def state(self) -> dict[str, Array]:
        """Return all that it is, as arrays by name."""
        stored = {name: getattr(self, name) for name in ("directions", *_OF_LABELS)} | self.scaling.state()
        stored["columns"] = np.array(self.columns, np.int64)
        return stored if self.projection is None else {**stored, "projection": self.projection}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> NameScores:
        """Return the scores that ``state()`` described.

        Raises:
            UserError: Where arrays lack, do not match each other or are not finite.
        """
        needed = ("columns", "directions", *_OF_LABELS, *_OF_FEATURES)
        if missing := [name for name in needed if name not in arrays]:
            raise _damaged(f"lack {listed(missing)}")
        directions, projection = arrays["directions"], arrays.get("projection")
        sizes = {1: _OF_FEATURES, 0: _OF_LABELS}
        if directions.ndim != 2 or any(
            arrays[name].shape != directions.shape[axis : axis + 1] for axis in sizes for name in sizes[axis]
        ):
            raise _damaged("have arrays that do not match")
        if projection is not None and (projection.ndim != 2 or len(projection) != directions.shape[1]):
            raise _damaged("have a projection that does not match")
        columns, width = arrays["columns"], (directions if projection is None else projection).shape[1]
        if columns.shape != (3,) or columns.dtype != np.int64:
            raise _damaged("have other columns")
        start, stop, total = columns.tolist()
        if not 0 <= start < stop <= total or stop - start != width:
            raise _damaged(f"read columns {start} to {stop} of {total}")
        numbers = [array for name, array in arrays.items() if name != "columns"]
        if not all(array.dtype.kind in "fb" and np.isfinite(array).all() for array in numbers):
            raise _damaged("hold what is no finite number")
        config = {"kind": "standardise_l2", "n_features": directions.shape[1]}
        centre, inverse, weight, named, bias = (arrays[name] for name in _OF_LABELS)
        scaling = InputScaling.from_state(config, arrays)
        parts = (directions, centre, inverse, weight, named.astype(bool), bias, projection)
        return cls((start, stop, total), scaling, *parts)


def _directions(vectors: npt.NDArray[np.float64], scaling: InputScaling) -> Matrix:
    """Return unit directions (K, D) of names' vectors, by the items' deviations."""
    spread = 1.0 / np.where(scaling.inverse_scale > 0, scaling.inverse_scale, np.inf)
    some = spread[spread > 0]
    told = spread > _LEAST_SPREAD * (np.median(some) if some.size else 1.0)
    unit = _unit(vectors)
    return _unit((unit - unit.mean(axis=0)) * np.where(told, scaling.inverse_scale, 0.0)).astype(np.float32)


def _unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 1e-9))


def _columns_of(X: FeatureMatrix, block: str | None) -> tuple[int, int, int]:
    """Return the first and the end of a block's columns, and the number of all."""
    total = int(X.shape[1])
    if block is None or not isinstance(X, FeatureBlocks):
        return 0, total, total
    return X.slices[block].start, X.slices[block].stop, total


def _mapped(X: FeatureMatrix, columns: tuple[int, int, int], projection: Matrix | None) -> Any:
    """Return the encoder's columns (n, D) of blocks, or of all columns side by side, in the space of names."""
    start, stop, _ = columns
    if isinstance(X, FeatureBlocks):
        places = [(part.start, part.stop) for part in X.slices.values()]
        X = X.parts[places.index((start, stop))]
    elif int(X.shape[1]) > stop - start:
        X = X[:, start:stop]
    if projection is None:
        return X
    out = np.empty((int(X.shape[0]), len(projection)), np.float32)
    for rows in row_blocks(len(out), projection.shape[1], _BLOCK):
        out[rows] = X[rows] @ projection.T
    return out


def evidence_weights(known: KnownEntries, left_out: Array, by_name: Matrix) -> npt.NDArray[np.float64]:
    """Return each label's weight of evidence such as names (K,), in units of standardised targets.

    Labels that have both signs have that beside the left-out scores, the others that of the evidence alone.
    """
    counts = np.ones(known.targets.shape, bool) if known.mask is None else known.mask
    means, logs = known.means, np.log1p(known.positives)
    inverse = np.divide(1.0, np.sqrt(means * (1 - means)), out=np.zeros_like(means), where=known.both)
    t, x = ((values - means) * inverse * counts for values in (known.targets, left_out))
    z = by_name * (counts & known.both)
    near = np.exp(-((logs[:, None] - logs) ** 2) / 2)
    products = near @ np.stack(
        [(a * b).sum(axis=0) for a, b in ((x, x), (x, z), (z, z), (x, t), (z, t))], axis=1
    )
    weights = np.zeros(len(means))
    for label, (xx, xz, zz, xt, zt) in enumerate(products.tolist()):
        a, b = _nonnegative(xx, xz, zz, xt, zt) if known.both[label] else (1.0, max(zt, 0.0) / max(zz, 1e-12))
        weights[label] = b / max(a, _LEAST_SHARE)
    return weights


def _nonnegative(xx: float, xz: float, zz: float, xt: float, zt: float) -> tuple[float, float]:
    """Return the a, b of 0 or more that minimise ``|t - a x - b z|^2``, from the products of the vectors."""
    determinant = xx * zz - xz * xz
    if determinant > 1e-12 * xx * zz:
        a, b = (zz * xt - xz * zt) / determinant, (xx * zt - xz * xt) / determinant
        if a >= 0 and b >= 0:
            return a, b
    # On an edge one of them is 0; each then lowers the square by its own.
    a, b = (max(product, 0.0) / square if square > 0 else 0.0 for product, square in ((xt, xx), (zt, zz)))
    return (a, 0.0) if a * a * xx >= b * b * zz else (0.0, b)


def _damaged(what: str) -> UserError:
    return UserError(f"the stored scores by name {what}: copy the model again")
