"""Sections of the page, and the classifier that they report on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise import metrics
from labelwise.analysis import Survey, survey
from labelwise.annotations import parse
from labelwise.classifier import MultiLabelClassifier


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted classifier with its training and judged items.

    The attributes are the arguments of ``content_of``.
    """

    model: MultiLabelClassifier
    evaluation: metrics.Evaluation | None
    labels: ArrayLike | None
    scores: ArrayLike | None
    judged_on: str
    results_words: Sequence[str]
    seed: int
    X: Any
    Y: Any
    items: Sequence[str] | None
    contents: Sequence[Any] | None
    kind: Literal["image", "text"] | None
    held_out: tuple[ArrayLike, ArrayLike] | None
    configuration: Mapping[str, Any] | None
    skipped: Sequence[Any]
    memory: int | None

    @cached_property
    def annotations(self) -> NDArray[np.int8]:
        """(n, K) annotations of the training items."""
        return parse(self.Y, label_names=self.model.label_names_).matrix

    @cached_property
    def survey(self) -> Survey | None:
        """Pass over the training items, None without them.

        Several sections read it.
        """
        if self.X is None or self.Y is None:
            return None
        return survey(self.model, self.X, self.annotations, seed=self.seed)

    @property
    def known_positives(self) -> list[int]:
        """(K,) known positives that the classifier was trained on."""
        counts: list[int] = self.summary["positives"]
        return counts

    @property
    def summary(self) -> Mapping[str, Any]:
        """The facts on the training labels as plain data."""
        summary = self.model.summary_
        return summary if isinstance(summary, Mapping) else summary.to_dict()


@dataclass(frozen=True)
class Section:
    """A section: its data, their origin in a classifier, and their display.

    Its block of the page is the template ``sections/NAME.html``.
    """

    name: str
    """Its anchor in the page."""
    title: str
    """Its title in the table of contents."""
    fields: tuple[str, ...]
    """The fields of ``ReportContent`` that hold its data."""
    show: Callable[..., Mapping[str, Any] | None]
    """Takes the values of these fields; returns what the template prints, None to leave the section out."""
    gather: Callable[[Subject], Mapping[str, Any]] = lambda subject: {}
    """Returns the fields that a classifier tells by itself."""
