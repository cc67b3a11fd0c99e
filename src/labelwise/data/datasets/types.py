"""What a reader returns: a set of labelled items, in the parts that its owners split it into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, listed

Kind = Literal["image", "text", "features"]


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a set, in the order of its owners' files or of the papers' released code.

    ``items``: n ids. ``labels``: int8 (n, K) in {1, 0, -1}, the truth as far as the owners give it.
    ``contents``: n absolute image paths or n texts, None for features. ``features``: float32 (n, D), an
    array or CSR, None for images and texts. ``observed``: int8 (n, K) in {1, 0, -1}, the labels that a
    released ``labels_obs`` file lets a method see, translated to these codes; None where there is none.
    Rows may have no positive label: they are kept.
    """

    items: tuple[str, ...]
    labels: NDArray[np.int8]
    contents: list[str] | None = None
    features: Any = None
    observed: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __post_init__(self) -> None:
        held = [self.labels, self.contents, self.observed]
        lengths = {len(values) for values in held if values is not None} | {len(self.items)}
        if self.features is not None:
            lengths.add(int(self.features.shape[0]))
        if len(lengths) > 1:
            raise UserError(f"items, labels and contents differ in number: {listed(sorted(lengths))}")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A set as read: ``name``, ``kind`` of its items, its K ``label_names``, its ``parts``.

    ``parts`` has "train" and "test", and "validation" where the owners have one.
    """

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    parts: Mapping[str, Part]

    def missing_files(self, part: str) -> list[str]:
        """Return the image files that the part names and that are not there; none for texts and features."""
        paths = self.parts[part].contents if self.kind == "image" else None
        return [path for path in paths or [] if not os.path.exists(path)]

    def counts(self) -> list[dict[str, Any]]:
        """Return one record a part, for JSON: its size, positives an item, and what is out of the ordinary.

        ``without_positive``: rows with no positive label; ``unknown``: entries that are -1; ``missing_files``:
        images that are named and not there.
        """
        return [
            {
                "part": name,
                "items": len(part),
                "labels": len(self.label_names),
                "cardinality": float((part.labels == 1).sum() / max(len(part), 1)),
                "without_positive": int((~(part.labels == 1).any(axis=1)).sum()),
                "unknown": int((part.labels == -1).sum()),
                "missing_files": len(self.missing_files(name)),
            }
            for name, part in self.parts.items()
        ]
