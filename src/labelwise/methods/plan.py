"""A plan: the stages in which a method trains, as data that the engine reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Group = Literal["all", "labelled", "unlabelled", "complete", "incomplete", "fair", "unfair"]
"""The groups of items that every problem has; it may have more (``Problem.more_groups``)."""


@dataclass(frozen=True)
class Optimiser:
    """An optimiser over the parameters whose names begin with one of ``parameters`` (all of them when empty).

    ``rates`` multiplies the learning rate of the parameters whose name begins with a key (``{"backbone": .1}``).
    ``schedule`` is ``"constant"`` or ``"one_cycle"`` (the learning rate is then the peak, reached after
    ``warm_up`` of the steps).
    """

    learning_rate: float
    name: Literal["adamw", "adam", "adamax"] = "adamw"
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle"] = "constant"
    warm_up: float = 0.2
    rates: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage of a plan.

    ``mixture`` says how many items of each group stand in a batch. Groups: ``all``; ``labelled`` (some entry known)
    and ``unlabelled`` (none); ``complete`` (every entry known) and ``incomplete``; ``fair`` (known entries that are
    a fair sample of both signs: the complete rows where all others show positives only, otherwise those with a known
    entry, and none where no negative is known) and ``unfair``. An epoch is one pass over the *last* group named; the
    others are cycled. A group without items leaves its places to the others.
    ``views`` gives the views drawn for each group (one forward pass each). ``ridge_start`` sets the head to the
    closed-form solution first; ``refresh`` calls the method's ``refresh`` before every epoch; ``ema`` is the decay
    of the averaged weights kept beside the raw ones, or None. A stage of zero epochs calls the method's ``fit``.
    """

    name: str
    epochs: int
    mixture: Mapping[str, int]
    optimisers: Mapping[str, Optimiser]
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ridge_start: bool = False
    refresh: bool = False
    ema: float | None = None
