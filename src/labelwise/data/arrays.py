"""Rows of features: arrays from outside, checked, and the source of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import stored_entries
from labelwise.data.views import NormalTable, bits, check_view, dropped, streams
from labelwise.errors import UserError, listed

if TYPE_CHECKING:
    import torch


_ROWS = 4096


_ENTRIES = 1 << 15


class Scaling(Protocol):
    """A fitted input scaling, applied row by row."""

    def transform(self, X: Any, /) -> NDArray[np.float32]:
        """Return the scaled rows, dense (b, D)."""
        ...


class ArraySource:
    """Rows of features as a source of items.

    They come as an array (n, D), a SciPy sparse matrix, a pandas frame, or blocks of features side by side, of which
    a batch is the dense rows of all.

    The plain and the weak view are the scaled row x. The strong view is ``x * keep + noise * rms(x) * g``:
    ``keep`` is 0 for a share ``strong_view`` of the coordinates (0 is the mean where the scaling centres),
    ``g`` standard normal to within 1/4,096 quantiles, ``rms(x)`` the root of the row's mean square, so that
    the noise is in the row's units.

    Args:
        scaling: An object with ``transform``; None leaves the rows as they are.
        strong_view: Expected share of coordinates set to 0, in [0, 1); 0 makes the strong view the weak one.
        noise: Standard deviation of the noise in units of the row's root mean square, >= 0.
        budget: Bytes up to which the scaled, dense matrix is computed once and kept; past it, batch by batch.

    Raises:
        UserError: For entries that are not finite numbers (rows named), or an argument out of range.
    """

    def __init__(
        self,
        X: Any,
        scaling: Scaling | None = None,
        *,
        strong_view: float = 0.2,
        noise: float = 0.1,
        budget: int = 1 << 30,
    ) -> None:
        if not 0 <= strong_view < 1:
            raise UserError(f"strong_view is {strong_view}: give a share of coordinates in [0, 1)")
        if not noise >= 0:
            raise UserError(f"noise is {noise}: give a standard deviation of at least 0")
        self.strong_view, self.noise = float(strong_view), float(noise)
        self._rows, self._scaling = as_matrix(X), scaling
        self._normal = NormalTable()
        n = self._rows.shape[0]
        width = self._scaled(np.arange(1)).shape[1] if n else self._rows.shape[1]
        self._length, self._shape = int(n), (int(width),)
        self._fits = n * width * 4 <= budget

    @property
    def shape(self) -> tuple[int, ...]:
        """``(D,)``, D after scaling."""
        return self._shape

    @property
    def matrix(self) -> NDArray[np.float32] | None:
        """The scaled rows (n, D) float32, to be read only.

        None where they did not fit the budget.
        """
        return self._dense

    @property
    def rows(self) -> Any:
        """The rows (n, D) float32 as they were given, to be read only.

        Dense, CSR or in blocks; None where a scaling changes them.
        """
        return self._rows if self._scaling is None else None

    def __len__(self) -> int:
        return self._length

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the rows' views (b, D) float32; see ``Source`` and the class."""
        import torch

        check_view(view)
        index = np.asarray(index, dtype=np.int64)
        rows = self._scaled(index) if self._dense is None else self._dense.take(index, axis=0)
        if view == "strong" and self.strong_view:
            rms = _rms(rows) if self._dense_rms is None else self._dense_rms[index]
            starts = streams(index, seed=seed, epoch=epoch)
            # A few rows at a time, so that the temporary arrays stay in the cache.
            step = max(1, _ENTRIES // max(self._shape[0], 1))
            for start in range(0, len(index), step):
                span = slice(start, start + step)
                self._augment(rows[span], rms[span], bits(starts[span], 2 * self._shape[0]))
        return torch.from_numpy(rows)

    def _augment(
        self, rows: NDArray[np.float32], rms: NDArray[np.float32], numbers: NDArray[np.uint16]
    ) -> None:
        """Turn weak rows (b, D) into strong ones in place.

        ``numbers`` are random, (b, 2D).
        """
        width = rows.shape[1]
        # The rms was taken before: dropping coordinates must not make the noise weaker.
        rows *= ~dropped(numbers[:, :width], self.strong_view)
        if self.noise:
            noise = self._normal(numbers[:, width:])
            noise *= (np.float32(self.noise) * rms)[:, None]
            rows += noise

    # Made when first asked for: a head that reads rows as they were given leaves sparse ones sparse.
    @cached_property
    def _dense(self) -> NDArray[np.float32] | None:
        """The scaled rows (n, D), None past the budget."""
        return self._densify() if self._fits else None

    @cached_property
    def _dense_rms(self) -> NDArray[np.float32] | None:
        """Root mean square of each of them (n,)."""
        return None if self._dense is None else _rms(self._dense)

    def _scaled(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a fresh dense float32 copy of the scaled rows."""
        rows = self._rows[index]
        if _in_blocks(rows):
            rows = rows.toarray()
        if self._scaling is not None:
            rows = self._scaling.transform(rows)
        return np.array(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float32, order="C")

    def _densify(self) -> NDArray[np.float32]:
        # Dense rows without scaling are kept as they are: a copy would double the memory.
        if self._scaling is None and isinstance(self._rows, np.ndarray):
            return self._rows
        dense = np.empty((self._length, *self._shape), dtype=np.float32)
        for start in range(0, self._length, _ROWS):
            index = np.arange(start, min(start + _ROWS, self._length))
            dense[index] = self._scaled(index)
        return dense


def _rms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", rows, rows) / np.float32(max(rows.shape[1], 1))
    return np.sqrt(squares)


_ROWS_PER_BLOCK = 65_536


def check_sparse(X: Any) -> None:
    """Refuse a sparse matrix whose parts do not fit each other.

    SciPy reads past their ends, and crashes.

    Raises:
        UserError: For that, and for one that is not two-dimensional.
    """
    if len(X.shape) != 2:
        raise UserError(f"X has shape {tuple(X.shape)}: give (items, features)")
    stored_entries(X, "X")


def as_matrix(X: Any) -> Any:
    """Return ``X`` (n, D) as float32: a C-ordered array, CSR, or blocks of them.

    Every stored entry is finite.

    Raises:
        UserError: For text or objects, another number of dimensions, no column, NaN or infinity (rows named), and
            entries that are all below float32.
    """
    if _in_blocks(X):
        return X.map(as_matrix)
    if hasattr(X, "tocsr"):
        check_sparse(X)
        _check_dtype(X.dtype)
        _check_columns(X.shape)
        matrix: Any = X.tocsr()
        _check_size(matrix.data)
        # Values past float32 become infinite here, and are refused below with their rows.
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float32, copy=False)
        wrong = np.flatnonzero(~np.isfinite(matrix.data))
        _refuse(np.unique(np.searchsorted(matrix.indptr, wrong, side="right") - 1))
        return matrix
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        texts = [
            name
            for name, kind in zip(X.columns, X.dtypes, strict=True)
            if getattr(kind, "kind", "O") not in "fiub"
        ]
        if texts:
            raise UserError(
                f"X: columns {listed(map(repr, texts))} are not numbers; leave them out, or encode them, as"
                " scikit-learn's OneHotEncoder in a pipeline does"
            )
        X = X.to_numpy(dtype=np.float64, na_value=np.nan)
    array = np.asarray(X)
    _check_dtype(array.dtype)
    if array.ndim == 1:
        raise UserError(
            f"X has shape {array.shape}. Reshape your data to (items, features): X.reshape(1, -1) is a single item"
        )
    if array.ndim != 2:
        raise UserError(
            f"X has shape {array.shape}: give (items, features), or images as (n, H, W) or (n, C, H, W)"
        )
    _check_columns(array.shape)
    _check_size(array)
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(array)
    return array


def _in_blocks(X: Any) -> bool:
    """Return whether features are ``models.FeatureBlocks``.

    Told by their parts, since importing the class would import torch. A frame may have a column of that name.
    """
    return isinstance(getattr(X, "parts", None), tuple)


def check_finite(array: NDArray[np.float32]) -> None:
    """Refuse an array (n, ...) with NaN or infinity.

    Raise a ``UserError`` that names the rows.
    """
    wrong = []
    for start in range(0, len(array), _ROWS_PER_BLOCK):
        part = array[start : start + _ROWS_PER_BLOCK].reshape(len(array[start : start + _ROWS_PER_BLOCK]), -1)
        # A sum is finite unless an entry is not, or it overflows: rows are looked at only where it is not.
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = np.flatnonzero(~np.isfinite(part.sum(axis=1)))
        wrong.append(start + suspect[~np.isfinite(part[suspect]).all(axis=1)])
    _refuse(np.concatenate(wrong) if wrong else np.empty(0, dtype=np.int64))


def _check_columns(shape: tuple[int, ...]) -> None:
    if shape[1] == 0:
        # In the words that scikit-learn's own checks look for.
        raise UserError(
            f"X has 0 feature(s) (shape={tuple(shape)}) while a minimum of 1 is required: give at least one column"
        )


def _check_size(values: NDArray[Any]) -> None:
    """Refuse numbers that float32 would make 0, or nearly.

    All features would be lost without a word.
    """
    if values.dtype.itemsize <= 4 or values.dtype.kind != "f" or not values.size:
        return
    # Extremes of the array itself: its absolute values would take as much memory again.
    largest = max(abs(float(values.max())), abs(float(values.min())))
    smallest = float(np.finfo(np.float32).tiny)
    if 0 < largest < smallest:
        raise UserError(
            f"X holds no number above {largest:g}, and float32 none below {smallest:.2g}: multiply it"
        )


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind == "c":
        raise UserError(
            f"X holds {dtype.name} values. Complex data not supported: give real and imaginary parts"
        )
    if dtype.kind not in "fiub":
        raise UserError(
            f"X holds {dtype.name} values, not numbers; encode text and categories as numbers first"
        )


def _refuse(rows: NDArray[np.int64]) -> None:
    if len(rows):
        raise UserError(
            f"X: {'rows' if len(rows) > 1 else 'row'} {listed(rows)} (counted from 0): NaN, infinity or a"
            " value beyond float32; fill or drop them; scikit-learn's SimpleImputer in a pipeline fills what is empty"
        )
