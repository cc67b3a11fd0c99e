"""Views of a feature matrix: the same rows scaled, centred, shortened and whitened.

All of them are functions of a row, fitted to a pool without its labels, so that new rows have them too. A view is
never wider than ``MOST_COLUMNS``: wider ones are turned to their leading principal directions. What is kept of a row
is kept in half precision, so that a saved pool is the pool that was fitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import eigh

from labelwise._files import entries_under
from labelwise.annotations import row_blocks
from labelwise.ensemble.compression import MOST_COLUMNS, principal
from labelwise.ensemble.rows import ScaledRows
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks, InputScaling

Matrix: TypeAlias = npt.NDArray[np.float32]
FeatureMatrix: TypeAlias = Any

SCALED = ("c", "d", "l")
"""Standardised unit rows; centred unit rows, of unit length again; unit rows."""

VIEWS = (*SCALED, "p", "w")
"""The views: c, d, l, then 128 principal components of c, and 256 of them whitened by half."""

_PRINCIPAL, _WHITENED, _POWER = 128, 256, -0.25
_ROUNDING = 1e-6  # share of the largest variance below which float32 rows say nothing
_BLOCK = 1 << 22
_MOST_SHARE = 1e3  # rows are of about unit length
_STEPS = {"c": ("standardise_l2",), "d": ("l2", "centre_l2"), "l": ("l2",)}


@dataclass(frozen=True)
class Scaled:
    """Blocks of features side by side, each scaled by its own steps and weighted.

    Attributes:
        steps: For each block, scalings that are applied one after the other.
        shares: Factor of each block, the root of its share in a row's squared norm.
    """

    steps: tuple[tuple[InputScaling, ...], ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, X: FeatureMatrix, kinds: Sequence[str], shares: Sequence[float]) -> Scaled:
        """Fit the steps of ``kinds`` to every block of ``X``."""
        steps = []
        for part in _parts(X):
            fitted: list[InputScaling] = []
            for kind in kinds:
                fitted.append(InputScaling.fit(_apply(part, fitted), kind))
            steps.append(tuple(fitted))
        return cls(tuple(steps), tuple(float(share) for share in shares))

    @property
    def widths(self) -> list[int]:
        """Number of columns of each block."""
        return [steps[0].n_features for steps in self.steps]

    def rows(self, X: FeatureMatrix) -> ScaledRows:
        """Return the scaled rows of ``X`` (n, D); sparse ones stay sparse."""
        parts = self._checked(X)
        chains = [_Chain(steps) for steps in self.steps]
        return ScaledRows.side_by_side(list(zip(parts, chains, self.shares, strict=True)))

    def _checked(self, X: FeatureMatrix) -> list[Any]:
        parts = _parts(X)
        if [int(part.shape[1]) for part in parts] != self.widths:
            raise UserError(
                f"X has {' + '.join(str(part.shape[1]) for part in parts)} features, but the views were fitted to"
                f" {' + '.join(map(str, self.widths))}; give a matrix with those columns"
            )
        return parts


@dataclass(frozen=True)
class _Chain:
    """Scalings one after the other; those before the last one do not centre."""

    steps: tuple[InputScaling, ...]

    def transform(self, X: FeatureMatrix) -> Matrix:
        return np.asarray(_apply(X, self.steps))

    def sparse_parts(self, X: FeatureMatrix) -> tuple[Any, Any, Any]:
        return self.steps[-1].sparse_parts(_apply(X, self.steps[:-1]))


@dataclass(frozen=True)
class Views:
    """Fitted views of a pool's rows.

    Attributes:
        scaled: The steps of c, d and l.
        turns: (D, r) float32 for those wider than ``MOST_COLUMNS``: their leading principal directions, in half
            precision.
        centre: (columns of c,) float32, the mean of c in the pool.
        directions: (columns of c, 256 at most) float32, principal directions of c, those of p first.
        whitening: (256 at most,) float32, factors of w.
    """

    scaled: Mapping[str, Scaled]
    turns: Mapping[str, Matrix]
    centre: Matrix
    directions: Matrix
    whitening: Matrix

    @classmethod
    def fit(
        cls,
        X: FeatureMatrix,
        seed: int = 0,
        weights: Sequence[float] | None = None,
        names: Sequence[str] = VIEWS,
    ) -> Views:
        """Fit the views to a pool ``X`` (n, D): dense, sparse or blocks of features.

        Args:
            X: Every row shapes the views, labelled or not; n >= 1.
            seed: Key of the random start where directions are found by iteration.
            weights: Factor of each block of features, by default equal ones.
            names: Views to fit; c is always one of them.
        """
        parts = _parts(X)
        shares = weights if weights is not None else [1.0 / np.sqrt(len(parts))] * len(parts)
        scaled = {
            kind: Scaled.fit(X, _STEPS[kind], shares) for kind in SCALED if kind == "c" or kind in names
        }
        turns = {
            kind: _half(principal(one.rows(X), MOST_COLUMNS, centred=kind != "l", seed=seed)[0])
            for kind, one in scaled.items()
            if sum(one.widths) > MOST_COLUMNS
        }
        c = _half(_turned(scaled["c"], X, turns.get("c")))
        centre, values, directions = _principal(c)
        floored = np.maximum(values, max(float(values[0]) * 1e-4, 1e-12))
        return cls(scaled, turns, centre, directions, (floored**_POWER).astype(np.float32))

    def of(self, X: FeatureMatrix, names: Sequence[str] = VIEWS) -> dict[str, Matrix]:
        """Return the views of ``X`` (n, D), each (n, r) float32, by name.

        Raises:
            UserError: For a wrong number of columns.
        """
        views = {name: _half(self._scaled(name, X)) for name in self.scaled if name in names}
        if {"p", "w"} & set(names):
            c = views["c"] if "c" in views else _half(self._scaled("c", X))
            views |= {name: self.derived(name, c) for name in ("p", "w") if name in names}
        return views

    @property
    def n_features(self) -> int:
        """Number D of columns, of all blocks together."""
        return sum(self.scaled["c"].widths)

    @property
    def widths(self) -> list[int]:
        """Number of columns of each block."""
        return self.scaled["c"].widths

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that they are, as arrays by name."""
        arrays = {"centre": self.centre, "directions": self.directions, "whitening": self.whitening}
        arrays |= {f"turn.{name}": turn.astype(np.float16) for name, turn in self.turns.items()}
        config: dict[str, Any] = {}
        for name, scaled in self.scaled.items():
            config[name] = {"shares": scaled.shares, "steps": []}
            for block, steps in enumerate(scaled.steps):
                config[name]["steps"].append([step.config() for step in steps])
                for place, step in enumerate(steps):
                    prefix = f"scaled.{name}.{block}.{place}."
                    arrays |= {prefix + key: value for key, value in step.state().items()}
        return arrays | {"config": as_bytes(config)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Views:
        """Return the views of ``state()``.

        Raises:
            UserError: Where arrays are missing or their sizes do not match.
        """
        try:
            config = from_bytes(arrays["config"])
            scaled = {
                name: Scaled(
                    tuple(
                        tuple(
                            InputScaling.from_state(
                                step, entries_under(arrays, f"scaled.{name}.{block}.{place}.")
                            )
                            for place, step in enumerate(steps)
                        )
                        for block, steps in enumerate(entry["steps"])
                    ),
                    tuple(float(share) for share in entry["shares"]),
                )
                for name, entry in config.items()
            }
            turns = {name: turn.astype(np.float32) for name, turn in entries_under(arrays, "turn.").items()}
            views = cls(scaled, turns, arrays["centre"], arrays["directions"], arrays["whitening"])
            views._check()
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"the stored views are damaged: {error!r}; their files do not match") from None
        return views

    def _check(self) -> None:
        """Refuse parts whose sizes do not match."""
        widths = self.widths
        for name, scaled in self.scaled.items():
            blocks = len(scaled.shares) == len(scaled.steps) > 0 and all(scaled.steps)
            chained = blocks and all(len({step.n_features for step in steps}) == 1 for steps in scaled.steps)
            chained = chained and all(0 <= share <= _MOST_SHARE for share in scaled.shares)
            if name not in SCALED or not chained or scaled.widths != widths:
                raise UserError(f"the stored view {name!r} has steps of other sizes; its files do not match")
            turn = self.turns.get(name)
            if turn is not None and (turn.ndim != 2 or len(turn) != sum(widths)):
                raise UserError(
                    f"the stored view {name!r} is turned from other columns; its files do not match"
                )
        turn = self.turns.get("c")
        columns = sum(widths) if turn is None else turn.shape[1]
        if self.centre.shape != (columns,) or self.directions.shape != (columns, len(self.whitening)):
            raise UserError("the stored principal directions have another size; their files do not match")

    def derived(self, name: str, c: Matrix) -> Matrix:
        """Return p or w, (n, r) float32 unit rows, from the view c of the same rows."""
        if name == "p":
            return _unit((c - self.centre) @ self.directions[:, :_PRINCIPAL])
        return _unit((c - self.centre) @ (self.directions * self.whitening))

    def _scaled(self, name: str, X: FeatureMatrix) -> Matrix:
        return _turned(self.scaled[name], X, self.turns.get(name))


def as_bytes(config: Any) -> npt.NDArray[np.uint8]:
    """Return what JSON can hold as an array of bytes."""
    return np.frombuffer(json.dumps(config).encode(), np.uint8)


def from_bytes(array: npt.NDArray[np.uint8]) -> Any:
    """Return what ``as_bytes`` made an array of.

    Raises:
        ValueError: Where it is no JSON, or holds NaN or infinity, which JSON has not.
    """
    if array.dtype != np.uint8:
        raise ValueError(f"a configuration is stored as {array.dtype}, not as bytes")
    return json.loads(array.tobytes(), parse_constant=_refused)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _is_sparse(part: Any) -> bool:
    return bool(sp.issparse(part))


def _parts(X: FeatureMatrix) -> list[Any]:
    parts = X.parts if isinstance(X, FeatureBlocks) else (X,)
    return [part.tocsr() if _is_sparse(part) else np.asarray(part) for part in parts]


def _apply(part: Any, steps: Sequence[InputScaling]) -> Any:
    """Return scaled rows, sparse where they were: a step before the last one does not centre."""
    for step in steps:
        part = sp.csr_array(step.sparse_parts(part)[0]) if _is_sparse(part) else step.transform(part)
    return part


def _turned(scaled: Scaled, X: FeatureMatrix, turn: Matrix | None) -> Matrix:
    rows = scaled.rows(X)
    return rows.dense() if turn is None else rows.times(turn)


def _leading(symmetric: Any, most: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the largest eigenvalues, falling, and their vectors (D, r).

    They are ``most`` at most, and one at least; none that is rounding beside the largest.
    """
    d = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[d - min(most, d), d - 1], check_finite=False)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    r = max(1, int((values > _ROUNDING * values[0]).sum()))
    return values[:r], vectors[:, :r]


def _principal(c: Matrix) -> tuple[Matrix, npt.NDArray[np.float64], Matrix]:
    """Return mean, variances, falling, and directions of the rows of c."""
    mean = c.mean(axis=0, dtype=np.float64)
    moments = np.zeros((c.shape[1], c.shape[1]))
    for rows in row_blocks(len(c), c.shape[1], _BLOCK):
        block = c[rows] - mean.astype(np.float32)
        moments += block.T @ block
    values, vectors = _leading(moments / max(len(c), 1), _WHITENED)
    return mean.astype(np.float32), values, np.ascontiguousarray(vectors, np.float32)


def _unit(rows: npt.NDArray[Any]) -> Matrix:
    """Return rows of length 1, or 0 where nothing but rounding is left."""
    norm = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows *= np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 1e-6)[:, None]
    return rows.astype(np.float32, copy=False)


def _half(rows: Matrix) -> Matrix:
    """Return rows rounded to half precision, as they are saved."""
    for block in row_blocks(len(rows), rows.shape[1], _BLOCK):
        rows[block] = rows[block].astype(np.float16)
    return rows
