"""Registry entry of a method: paper, assumption, settings and hyper-parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labelwise.errors import UserError, near, shown

SETTINGS = ("full", "single_positive", "partial_positive", "partial", "semi_supervised")


@dataclass(frozen=True)
class Hyperparameter:
    """Hyper-parameter: its default, its values, and its source.

    Attributes:
        default: the value where none is given.
        help: what it is, in words.
        low: least value, inclusive.
        high: largest value, inclusive.
        choices: the words that it may be.
        optional: whether None is allowed, which means "chosen from the problem" as ``help`` says.
        source: where the default comes from.
        later: whether models were saved before it was there: a model directory holds it where it is not the default.
    """

    default: float | int | bool | str | None
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    source: str = "ours"
    later: bool = False

    def check(self, method: str, name: str, value: Any) -> Any:
        """Return ``value`` in the default's type, or refuse it.

        The refusal says what it may be.
        """
        if value is None and (self.optional or self.default is None):
            return None
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                self._refuse(method, name, value, f"it is {self.range()}")
            return value
        kind: type = type(self.default) if self.default is not None else float
        if kind is bool:
            if isinstance(value, str) and value.lower() in {"true", "false"}:
                return value.lower() == "true"
            if not isinstance(value, bool):
                self._refuse(method, name, value, self.range())
            return value
        try:
            number = kind(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if (
            number is None
            or not abs(number) <= sys.float_info.max
            or (kind is int and float(number) != float(value))
            or not self._within(number)
        ):
            self._refuse(method, name, value, self.range())
        return number

    def range(self) -> str:
        """Say in words which values are allowed."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, bool):
            return "it is true or false"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        low = "" if self.low is None else f" from {self.low:g}"
        return f"it is {kind}{low}" + ("" if self.high is None else f" to {self.high:g}")

    def _within(self, number: float) -> bool:
        above = self.low is None or number >= self.low
        return above and (self.high is None or number <= self.high)

    def _refuse(self, method: str, name: str, value: Any, hint: str) -> None:
        raise UserError(
            f"hyperparameter {name}={shown(value)} of method {method!r}: {hint} (default {self.default})"
        )


@dataclass(frozen=True)
class Budget:
    """Training budget: epochs, items a batch, and learning rate.

    Attributes:
        epochs: passes over the items.
        batch_size: items a batch.
        learning_rate: the (peak) rate.
        backbone_rate: multiple of it for the backbone's parameters: below 1 for one that is pretrained.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    backbone_rate: float = 1.0


@dataclass(frozen=True)
class Departure:
    """Difference of a method from its paper or released code.

    Attributes:
        what: what is done here and what is done there.
        why: the reason.
        option: what to set to get the other way, beginning with the name of a hyper-parameter or of a parameter of
            the classifier, or None where there is none.
    """

    what: str
    why: str
    option: str | None = None


MEAN_OF_ENTRIES = Departure(
    "The mean over entries; the released loss is their sum.",
    "One reduction for all methods; under Adam the learning rate does not change with it.",
)
"""A departure of every method whose released code sums."""


@dataclass(frozen=True)
class MethodSpec:
    """Registry entry of a method.

    Attributes:
        id: by which users name it.
        title: for people.
        paper: authors, title, venue.
        assumption: what has to hold for it to work.
        settings: the label settings that the assumption allows.
        passes: cost of an unlabelled item and epoch in forward passes, a backward counted as two, 0 for a closed
            form.
        hyperparameters: by name.
        needs: may hold ``"prior"`` (the share of positives of each label) and ``"true_labels"`` (an oracle).
        head: ``"linear"`` or ``"cosine"``.
        projection: whether the paper's head has a projection before it.
        ridge_start: whether the head can start from the closed form.
        whole_batch: whether the loss holds sums over the batch, so that gradient accumulation is refused.
        head_budget: the default for a head on fixed features.
        full_budget: the default for a whole network.
        departures: from the paper and its released code, beside those that all methods share: ``()`` says that there
            are none, None that nobody has said.
        reads_rows: whether its head reads rows of features as they were given, unscaled and sparse where they are
            (``labelwise.models.ReadsRows``).
        reads_names: whether it takes the labels' names for evidence (``Problem.names``).
        pointwise: whether its loss is ``Method.mean`` of values that each come from one logit of ``Batch.scores``, so
            that hints and a coherent loss can take part in it.
        teaches: whether it trains a whole network too, though it is a closed form: fitted to the features of the
            backbone before training, it gives unknown entries their targets.
        reads_hints: whether it learns another model's scores (``Problem.hints``) as evidence, not as soft targets.
        weighs_rows: whether its loss is ``Method.mean`` of one loss for each entry of the batch, or its closed form
            takes weights, so that rows can have weights; every ``pointwise`` method can.
    """

    id: str
    title: str
    paper: str
    assumption: str
    settings: frozenset[str]
    passes: int
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    head: Literal["linear", "cosine"] = "linear"
    projection: bool = False
    ridge_start: bool = True
    whole_batch: bool = False
    head_budget: Budget = Budget(10, 64, 1e-4)
    full_budget: Budget = Budget(10, 64, 1e-3)
    departures: tuple[Departure, ...] | None = None
    reads_rows: bool = False
    reads_names: bool = False
    pointwise: bool = False
    teaches: bool = False
    reads_hints: bool = False
    weighs_rows: bool = False

    @property
    def takes_sample_weight(self) -> bool:
        """Whether rows can have weights."""
        return self.pointwise or self.weighs_rows

    def can_start_from_ridge(self, tune: str) -> bool:
        """Return whether the head can start from the closed form, where ``tune`` is ``"head"`` or ``"all"``."""
        return self.ridge_start or (self.teaches and tune == "all")

    def resolve(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return every hyper-parameter's value.

        They are the given ones, checked, and the defaults of the rest.
        """
        given = dict(given or {})
        for name in given:
            if name not in self.hyperparameters:
                raise UserError(
                    f"method {self.id!r} has no hyperparameter {name!r}: {near(name, self.hyperparameters)}"
                )
        return {
            name: h.check(self.id, name, given[name]) if name in given else h.default
            for name, h in self.hyperparameters.items()
        }

    def record(self, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Return the resolved values that a model directory holds."""
        return {
            name: value
            for name, value in resolved.items()
            if not self.hyperparameters[name].later or value != self.hyperparameters[name].default
        }

    def accept(self, setting: str, alternatives: Iterable[str]) -> None:
        """Refuse a setting outside the assumption.

        The refusal names the methods that fit.
        """
        if setting not in self.settings:
            raise UserError(
                f"method {self.id!r} does not take {setting.replace('_', ' ')} labels (it assumes: "
                f"{self.assumption}); methods that do: {', '.join(alternatives)}"
            )
