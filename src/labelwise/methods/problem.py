"""Problem of a training: labels, and facts that a method may know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from labelwise.annotations import Hierarchy, ListedStates
from labelwise.errors import UserError
from labelwise.methods.spec import Budget
from labelwise.metrics import judgeable
from labelwise.targets import HintTargets

if TYPE_CHECKING:
    from labelwise.ensemble import LabelVectors

Group = Literal["all", "labelled", "unlabelled", "complete", "incomplete", "fair", "unfair"]
"""The groups of items that every problem has; it may have more (``Problem.more_groups``)."""


@dataclass(frozen=True)
class Problem:
    """Labels that a method trains on, with facts that it may know.

    At inference only ``n_labels``, ``tune`` and ``head_start`` matter, and ``labels`` has no rows.

    Attributes:
        labels: (n, K) int8 in {1, 0, -1}; or ``ListedStates``, for a ``spec.pointwise`` method whose head does not
            start from ridge.
        setting: one of ``SETTINGS``.
        prior: (K,) the share of positives of each label, or None where nothing identifies it.
        tune: ``"head"`` (fixed features) or ``"all"``.
        seed: of every draw.
        budget: of the training; None: the method's own.
        true_labels: (n, K), for an oracle only.
        head_start: ``"ridge"`` (the closed form) or ``"random"``; None: the former where only the head is tuned.
        more_groups: row indices that a method's stages name besides the groups of every problem.
        names: vectors of the labels' names by the encoder that read the items, or None; for ``spec.reads_names``.
        hierarchy: of the labels, where the loss is to be coherent; for ``spec.pointwise``.
        item_groups: (n,) the number of each item's group, from 0, or None.
        group_consistency: weight of the term that keeps items of a group alike.
        hints: soft targets of unknown entries, and the scores that they come from, or None; for ``spec.pointwise`` and
            ``spec.reads_hints``.
        sample_weight: (n,) >= 0, the rows' weights in the loss, or None; for ``spec.takes_sample_weight``.
    """

    labels: np.ndarray
    setting: str = "full"
    prior: np.ndarray | None = None
    tune: Literal["head", "all"] = "head"
    seed: int = 0
    budget: Budget | None = None
    true_labels: np.ndarray | None = None
    head_start: Literal["ridge", "random"] | None = None
    more_groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: LabelVectors | None = None
    hierarchy: Hierarchy | None = None
    item_groups: np.ndarray | None = None
    group_consistency: float = 0.0
    hints: HintTargets | None = None
    sample_weight: np.ndarray | None = None

    @property
    def n_items(self) -> int:
        """Number of training items, n."""
        return int(self.labels.shape[0])

    @property
    def n_labels(self) -> int:
        """Number of labels, K."""
        return int(self.labels.shape[1])

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Item indices of every group that a stage may name.

        They are int64, ascending.
        """
        unknown = _unknown_counts(self.labels)
        tests = {
            "all": unknown >= 0,
            "labelled": unknown < self.n_labels,
            "unlabelled": unknown == self.n_labels,
            "complete": unknown == 0,
            "incomplete": unknown > 0,
        }
        listed = isinstance(self.labels, ListedStates)
        # Rows that list what is relevant are known whole, or show positives alone.
        can_judge = unknown == 0 if listed or not (self.labels == 0).any() else judgeable(self.labels).rows
        tests |= {"fair": can_judge, "unfair": ~can_judge}
        return {name: np.flatnonzero(test) for name, test in tests.items()} | dict(self.more_groups)

    @cached_property
    def row_weights(self) -> np.ndarray | None:
        """The rows' weights (n,) float64, with mean 1 over the rows of ``assumed_negative_group``.

        So a loss keeps its size, and only the weights' ratios matter.
        """
        if self.sample_weight is None:
            return None
        rows = self.groups[self.assumed_negative_group]
        mean = float(self.sample_weight[rows].mean()) if len(rows) else 0.0
        if not mean:
            raise UserError(
                "sample_weight is zero for every row with a label, so there is nothing to learn from: weigh some more"
            )
        return np.asarray(self.sample_weight, dtype=np.float64) / mean

    @property
    def assumed_negative(self) -> np.ndarray:
        """Labels with unknown as 0 in the rows of ``assumed_negative_group``.

        The other rows stay unknown.
        """
        assumed: np.ndarray = np.maximum(self.labels, 0)
        if self.assumed_negative_group != "all":
            unlabelled = self.groups["unlabelled"]
            assumed[unlabelled] = self.labels[unlabelled]
        return assumed

    @property
    def assumed_negative_group(self) -> str:
        """Group of rows whose unknown entries may count as negative.

        All rows when no negative is known: a row without positives is then a row like any other (NUS-WIDE has
        22% of them). Otherwise the rows with a known entry: a wholly unknown row is an unlabelled item.
        """
        return "all" if self.setting in {"single_positive", "partial_positive"} else "labelled"

    # The name of earlier versions, which methods of users may read.
    teaching_group = assumed_negative_group

    @property
    def labels_of_both_signs(self) -> np.ndarray:
        """Labels, with unknown as negative where no negative is known.

        A start needs both signs.
        """
        return self.labels if self.assumed_negative_group == "labelled" else self.assumed_negative

    def truth(self, method: str) -> np.ndarray:
        """Return the true labels (n, K), for an oracle alone.

        Raises:
            UserError: Naming the method, where there are none or where they do not fit the labels.
        """
        if self.true_labels is None:
            raise UserError(
                f"method {method!r} is an oracle: it needs the labels without gaps, fit(X, Y, true_labels=...) "
                "or --true-labels FILE"
            )
        if self.true_labels.shape != self.labels.shape:
            raise UserError(
                f"true_labels has shape {self.true_labels.shape}: method {method!r} needs that of Y, "
                f"{self.labels.shape}"
            )
        return self.true_labels

    def unknown_prior(self, method: str) -> np.ndarray:
        """Return the expected share of positives among each label's unknown entries.

        They are (K,) float64.

        Incomplete rows are expected to have ``prior`` times their number of positives, of which those already known
        are taken off.

        Raises:
            UserError: Naming the method, where there is no prior.
        """
        if self.prior is None:
            raise UserError(
                f"method {method!r} needs the share of positives of each label, which "
                f"{self.setting.replace('_', ' ')} labels do not identify: give prior= (K shares or one "
                "cardinality; --prior FILE on the command line)"
            )
        rows = self.labels[self.groups["incomplete"]]
        unknown = (rows == -1).sum(0)
        # Known positives are taken off, since none is expected twice; a given prior may promise fewer than are known.
        expected = self.prior * len(rows) - (rows == 1).sum(0)
        return np.asarray(np.clip(expected / np.maximum(unknown, 1), 0.0, 1.0))


def _unknown_counts(labels: np.ndarray | ListedStates) -> np.ndarray:
    """Return each row's number of unknown entries (n,)."""
    if isinstance(labels, ListedStates):
        return np.where(labels.silent == -1, labels.shape[1] - labels.counts, 0)
    return np.asarray((labels == -1).sum(1))
