"""Features of several sources side by side, each in its own form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, listed, repeated, shown


@dataclass(frozen=True, eq=False)
class FeatureBlocks:
    """Feature matrices of the same rows, side by side.

    It stands wherever a feature matrix (n, D) does, and ``toarray()`` is that matrix. Sparse parts stay sparse: only
    the rows of a batch are made dense. Of one matrix there are no blocks, see ``side_by_side``.

    Attributes:
        names: The sources' names, each once.
        parts: For each a dense array or a CSR matrix (n, D_b), float32.

    Raises:
        UserError: For fewer than two parts, doubled names, or parts of different numbers of rows.
    """

    names: tuple[str, ...]
    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        if doubles := repeated(self.names):
            raise UserError(f"features of {shown(doubles[0])} are given twice: give each source once")
        if len(self.names) != len(self.parts) or len(self.parts) < 2:
            raise UserError(
                f"{len(self.names)} names and {len(self.parts)} blocks of features: give two or more blocks, and a"
                " name for each"
            )
        rows = [int(part.shape[0]) for part in self.parts]
        if len(set(rows)) > 1:
            raise UserError(
                f"the blocks {listed(self.names)} have {listed(rows)} rows: give the same items in each"
            )
        parts = tuple(_float32(part) for part in self.parts)
        object.__setattr__(self, "parts", parts)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and columns of all parts together: ``(n, D)``."""
        return int(self.parts[0].shape[0]), sum(int(part.shape[1]) for part in self.parts)

    @property
    def ndim(self) -> int:
        """2, as of any feature matrix."""
        return 2

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32, the type of every part."""
        return np.dtype(np.float32)

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of each source in the whole, by its name."""
        stops = np.cumsum([part.shape[1] for part in self.parts]).tolist()
        return {
            name: slice(start, stop)
            for name, start, stop in zip(self.names, [0, *stops[:-1]], stops, strict=True)
        }

    def __getitem__(self, index: slice | NDArray[Any]) -> Self:
        """Return the rows of a slice, a mask (n,) or numbers (m,)."""
        return self.map(lambda part: part[index])

    def map(self, change: Callable[[Any], Any]) -> Self:
        """Return the blocks with every part changed by ``change``."""
        return replace(self, parts=tuple(change(part) for part in self.parts))

    def toarray(self) -> NDArray[np.float32]:
        """Return the parts side by side as one dense array (n, D)."""
        whole = np.empty(self.shape, np.float32)
        for part, columns in zip(self.parts, self.slices.values(), strict=True):
            whole[:, columns] = part.toarray() if hasattr(part, "toarray") else part
        return whole


def is_blocks(X: object) -> TypeGuard[FeatureBlocks]:
    """Return whether features come in blocks."""
    return isinstance(X, FeatureBlocks)


def side_by_side(parts: Mapping[str, Any]) -> Any:
    """Return named feature matrices as blocks; of one, the matrix itself."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    return FeatureBlocks(tuple(parts), tuple(parts.values()))


def _float32(part: Any) -> Any:
    """Return a matrix as a float32 array or CSR, as it is if it is one."""
    if hasattr(part, "tocsr"):
        return part.tocsr().astype(np.float32, copy=False)
    return np.asarray(part, dtype=np.float32)
