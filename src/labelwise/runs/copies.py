"""Near copies of training rows among evaluated rows.

They are frames of one video, views of one patient, doubles: figures on them flatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import replacing
from labelwise._random import generator

Rows = NDArray[np.float32]

_FILE = "sketch.npz"
_WIDTH, _MOST_ROWS, _MOST_COMPARED = 16, 50_000, 1000
_LEAST_ROWS, _LEAST_DIMENSIONS, _FEW_VALUES, _FEW_COLUMNS = 20, 5, 10, 20
_NEAR, _LEAST_COUNT, _LEAST_SHARE = 0.25, 3, 0.05


@dataclass(frozen=True, eq=False)
class Sketch:
    """Training rows in few dimensions, for quick comparison with others.

    Attributes:
        mean: (D,) by which features are brought to one unit.
        scale: As ``mean``.
        directions: (D, d) random directions that wide rows are projected on; distances stay nearly in proportion.
        rows: (m, d) the projected rows, a sample of them where there are many.
        near: The distance up to which a row is a near copy: a quarter of what the nearest of m rows would be at, if
            they lay spread over as many dimensions as these do.
    """

    mean: Rows
    scale: Rows
    directions: Rows
    rows: Rows
    near: float

    @classmethod
    def of(cls, X: Any) -> Self | None:
        """Return the sketch of features (n, D), or None.

        Few rows, few dimensions or few values lie near each other without being copies. Of several sources the dense
        ones count.
        """
        X = _dense(X)
        if not isinstance(X, np.ndarray) or X.ndim != 2 or len(X) < _LEAST_ROWS or not X.shape[1]:
            return None
        random = generator(0, "sketch", X.shape[1])
        chosen = np.sort(random.choice(len(X), min(len(X), _MOST_ROWS), replace=False))
        sample = X[chosen].astype(np.float64)
        few = all(len(np.unique(column)) <= _FEW_VALUES for column in sample[:1000].T)
        scale = sample.std(axis=0)
        if (few and X.shape[1] < _FEW_COLUMNS) or not scale.any():
            return None
        width = min(_WIDTH, X.shape[1])
        directions = np.eye(width) if width == X.shape[1] else random.normal(size=(X.shape[1], width))
        parts = (sample.mean(axis=0), np.where(scale > 0, scale, np.inf), directions)
        mean, unit, axes = (part.astype(np.float32) for part in parts)
        rows = _projected(X[chosen], mean, unit, axes)
        spread = np.linalg.eigvalsh(np.cov(rows.T.astype(np.float64)).reshape(width, width)).clip(min=0)
        # The participation ratio of the spectrum: over how many dimensions the rows are spread.
        dimensions = float(spread.sum() ** 2 / max((spread**2).sum(), 1e-300))
        if dimensions < _LEAST_DIMENSIONS:
            return None
        pairs = random.integers(0, len(rows), (2, 2000))
        usual = float(np.median(np.linalg.norm(rows[pairs[0]] - rows[pairs[1]], axis=1)))
        # Of m rows spread over d dimensions the nearest lies at about m^(-1/d) of the usual distance.
        near = _NEAR * len(rows) ** (-1 / dimensions) * usual
        return cls(mean, unit, axes, rows, near)

    def among_themselves(self) -> str | None:
        """Return a sentence where many rows are near copies of others."""
        compared = generator(0, "copies").permutation(len(self.rows))[:_MOST_COMPARED]
        count = int((self._nearest(self.rows[compared], exclude=compared) <= self.near).sum())
        return _sentence(
            count,
            len(compared),
            "near copies of other rows, as frames of one video are: figures on rows held out of this table flatter;"
            " name the column of what they belong to (--group-column), or judge on whole groups that training has not"
            " seen (--validation FILE, or 'labelwise evaluate')",
        )

    def among(self, X: Any, what: str = "rows that the model was trained on") -> str | None:
        """Return a sentence where ``X`` (q, D) holds near copies of these."""
        X = _dense(X)
        if not isinstance(X, np.ndarray) or X.ndim != 2 or X.shape[1] != len(self.mean) or not len(X):
            return None
        compared = generator(0, "copies").permutation(len(X))[:_MOST_COMPARED]
        count = int(
            (
                self._nearest(_projected(X[compared], self.mean, self.scale, self.directions)) <= self.near
            ).sum()
        )
        return _sentence(count, len(compared), f"near copies of {what}: the figures flatter")

    def save(self, folder: Path) -> None:
        """Write the sketch into a run's folder."""
        with replacing(folder / _FILE) as draft, draft.open("wb") as file:
            np.savez_compressed(file, near=np.float64(self.near), **{n: getattr(self, n) for n in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return the sketch in a run's folder, or None.

        One that cannot be read is passed over: nothing but a note depends on it.
        """
        try:
            with np.load(folder / _FILE, allow_pickle=False) as file:
                mean, scale, directions, rows = (np.asarray(file[name], np.float32) for name in _ARRAYS)
                sketch = cls(mean, scale, directions, rows, float(file["near"]))
        except Exception:  # a damaged file can raise anything
            return None
        width = sketch.directions.shape[1:]
        fits = (
            sketch.rows.ndim == 2
            and sketch.rows.shape[1:] == width
            and len(sketch.directions) == sketch.mean.size
        )
        return sketch if fits and sketch.scale.shape == sketch.mean.shape and sketch.mean.ndim == 1 else None

    def _nearest(self, rows: Rows, exclude: NDArray[np.int64] | None = None) -> Rows:
        """Return the distance (q,) of each row to the sketch's nearest.

        ``exclude`` (q,) is a row of the sketch that is not compared with each, such as itself.
        """
        # Squares by a product, 100 rows at a time: (100, m) numbers, and no (q, m, d) differences.
        squares = np.einsum("ij,ij->i", self.rows, self.rows)
        nearest = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), 100):
            part = rows[start : start + 100]
            distances = squares - 2 * part @ self.rows.T + np.einsum("ij,ij->i", part, part)[:, None]
            if exclude is not None:
                distances[np.arange(len(part)), exclude[start : start + 100]] = np.inf
            nearest[start : start + 100] = np.sqrt(distances.min(axis=1).clip(min=0))
        return nearest


def _dense(X: Any) -> Any:
    """Return the dense blocks of features side by side, else the features."""
    parts = [part for part in getattr(X, "parts", ()) if isinstance(part, np.ndarray)]
    return np.hstack(parts) if parts else X


def _projected(X: NDArray[Any], mean: Rows, scale: Rows, directions: Rows) -> Rows:
    return np.asarray(((X.astype(np.float32) - mean) / scale) @ directions, dtype=np.float32)


_ARRAYS = ("mean", "scale", "directions", "rows")


def _sentence(count: int, looked_at: int, what: str) -> str | None:
    if count < max(_LEAST_COUNT, _LEAST_SHARE * looked_at):
        return None
    return f"{count:,} of {looked_at:,} rows looked at are {what}."
