"""Items with label states, as every format of the room gives and takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from labelwise.annotations import Annotations
from labelwise.errors import UserError, listed, repeated, shown

Kind = Literal["features", "image", "text"]


@dataclass(frozen=True, eq=False)
class LabelledItems:
    """Items, the states of their labels, and what else a format may hold.

    Attributes:
        items: n ids, all different, none empty.
        kind: "text", "image" or "features".
        annotations: The label states (n, K) int8 in {1, 0, -1} and the K label names.
        contents: n texts, or n pictures: paths or addresses as the file has them, or bytes; None where the file
            names items alone.
        features: (n, D) float32, an array or a sparse matrix; None where there are none.
        feature_names: D names, or none where the format has no names for them.
        scores: (n, K) float32 in [0, 1], NaN where there is none; None where the file has none.
        sizes: (n, 2) int64, width and height of the pictures, 0 where not known; None where the file has none.
        notes: Sentences on what was guessed or left out.
    """

    items: tuple[str, ...]
    kind: Kind
    annotations: Annotations
    contents: Sequence[Any] | None = None
    features: NDArray[np.float32] | csr_matrix[np.float32] | None = None
    feature_names: tuple[str, ...] = ()
    scores: NDArray[np.float32] | None = None
    sizes: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        n, shape = len(self.items), self.matrix.shape
        if doubles := repeated(self.items):
            raise UserError(
                f"items come more than once: {listed(map(shown, doubles))}; give each an id of its own"
            )
        if "" in self.items:
            raise UserError(f"item {self.items.index('') + 1} has no id; give each an id of its own")
        lengths = {"annotations": shape[0]}
        lengths |= {
            name: int(value.shape[0]) if hasattr(value, "shape") else len(value)
            for name in ("contents", "features", "scores", "sizes")
            if (value := getattr(self, name)) is not None
        }
        if wrong := [name for name, length in lengths.items() if length != n]:
            raise UserError(f"{wrong[0]} has {lengths[wrong[0]]:,} rows, there are {n:,} items")
        if self.scores is not None and self.scores.shape != shape:
            raise UserError(f"scores has the shape {self.scores.shape}, the label states {shape}")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def matrix(self) -> NDArray[np.int8]:
        """The label states (n, K)."""
        return self.annotations.matrix

    @property
    def label_names(self) -> tuple[str, ...]:
        """The K label names."""
        return self.annotations.label_names

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of relevant, irrelevant and unknown entries."""
        matrix = self.matrix
        relevant, unknown = int((matrix == 1).sum()), int((matrix == -1).sum())
        return relevant, matrix.size - relevant - unknown, unknown

    def names_in(self, row: int, state: int) -> list[str]:
        """Return the names of an item's labels in one state, in their order."""
        return [self.label_names[column] for column in np.flatnonzero(self.matrix[row] == state)]
