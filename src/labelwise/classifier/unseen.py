"""What validation found: rows that a run did not see, and how it scored them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import expit

from labelwise.methods import Method


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Read items that only evaluate a run, with labels (m, K)."""

    X: Any
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Unseen:
    """Logits (m, K) and labels (m, K) of unseen rows.

    ``source`` says in words which rows they are; ``runs`` are the methods that scored them, each with its number of
    rows, in order, and empty where the model itself did.
    """

    logits: np.ndarray
    labels: np.ndarray
    source: str
    runs: tuple[tuple[Method, int], ...] = ()

    def translated_to(self, method: Method) -> Self:
        """Return these rows with logits in the terms of a later run."""
        if not self.runs:
            return self
        parts = np.split(self.logits, np.cumsum([rows for _, rows in self.runs])[:-1])
        logits = [method.translated(part, by) for part, (by, _) in zip(parts, self.runs, strict=True)]
        return replace(self, logits=np.concatenate(logits), runs=())


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """Result of validation on held-out rows.

    Attributes:
        epochs: How many to train, None for all.
        scaling: The kind of input scaling, None to choose.
        unseen: How they score, None without any.
        chooses: Whether a run was judged on them after every epoch.
    """

    epochs: int | None = None
    scaling: str | None = None
    unseen: Unseen | None = None
    chooses: bool = False

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Labels (m, K) and scores (m, K) float32 of the rows."""
        unseen = self.unseen
        return None if unseen is None else (unseen.labels, expit(unseen.logits).astype(np.float32))
