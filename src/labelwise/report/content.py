"""What a report says, as plain data; every section may be left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.analysis import AngleDistributions, LabelCorrelation
from labelwise.annotations import Summary
from labelwise.metrics import Evaluation, Reliability


@dataclass(frozen=True)
class Training:
    """How a model was trained."""

    method: str
    """The method's id."""
    title: str = ""
    paper: str = ""
    assumption: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)
    """What each hyper-parameter is, by its name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything else that was set: budget, scaling, backbone, seed."""
    notes: Sequence[str] = ()
    """Sentences on what was assumed or departed from."""
    seconds: float | None = None
    memory: int | None = None
    """The most memory that the process has held at a time, in bytes."""
    versions: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What the run was asked, as it was given."""


@dataclass(frozen=True)
class Results:
    """How well a model does."""

    evaluation: Evaluation | Mapping[str, Any]
    """An ``labelwise.metrics.Evaluation``, or what its ``to_dict`` gave."""
    judged_on: str = ""
    """A sentence on the items judged."""
    rule_source: str = ""
    """A sentence on how the decision rule was chosen."""
    thresholds: Sequence[float] | None = None
    """(K,) score from which each label is predicted; infinity means never."""
    known_positives: Sequence[int] | None = None
    """(K,) known positives that the model was trained on."""
    low: Sequence[float] | None = None
    """(K,) lower end of each label's interval of average precision."""
    high: Sequence[float] | None = None
    map_interval: tuple[float, float] | None = None
    level: float = 0.95
    """Coverage that the intervals aim at."""
    reliability: Sequence[tuple[str, Reliability]] = ()
    """Reliability diagrams with their titles."""
    reliability_words: Sequence[str] = ()

    def facts(self) -> Mapping[str, Any]:
        """Return the evaluation as plain data, None where a value is undefined."""
        found = self.evaluation
        return found.to_dict() if isinstance(found, Evaluation) else found


@dataclass(frozen=True)
class Decision:
    """How scores become label sets."""

    rule: str
    source: str = ""
    """A sentence on how it was chosen."""
    names: Sequence[str] = ()
    thresholds: Sequence[float] = ()
    """(K,) score from which each label is predicted; infinity means never. Empty where there are none."""
    known_positives: Sequence[int] = ()
    """(K,)"""


@dataclass(frozen=True, eq=False)
class Learnt:
    """What the trained model shows of itself."""

    angles: AngleDistributions | None = None
    correlation: LabelCorrelation | None = None


@dataclass(frozen=True, eq=False)
class MissingExample:
    """An item that seems to miss a label."""

    name: str
    label: str
    score: float
    """In [0, 1]."""
    known: Sequence[str] = ()
    """Labels known to be relevant."""
    picture: str | NDArray[np.uint8] | NDArray[np.float32] | None = None
    """A ``data:`` URI, or (H, W) grey or (H, W, 3) colour."""
    text: str | None = None


@dataclass(frozen=True, eq=False)
class Missing:
    """The unknown entries that are most likely relevant."""

    examples: Sequence[MissingExample]
    names: Sequence[str]
    predicted: Sequence[int]
    """(K,) unknown entries of each label that the decision rule predicts."""
    unknown: Sequence[int]
    """(K,) unknown entries of each label."""
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Skipped:
    """An item that could not be used; ``row`` counts from 0."""

    row: int
    item: str
    reason: str


@dataclass(frozen=True)
class Column:
    """A column of figures in a comparison of methods."""

    key: str
    title: str
    kind: Literal["share", "gain", "seconds", "text"] = "share"
    better: Literal["high", "low"] | None = "high"
    """Which end is bold; None: no value is."""


@dataclass(frozen=True)
class ComparisonRow:
    """A method's figures by column key; None where undefined."""

    title: str
    values: Mapping[str, Any]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    role: Literal["", "reference", "ceiling"] = ""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side; ``drawn`` are the keys of the columns that are drawn as bars."""

    rows: Sequence[ComparisonRow]
    columns: Sequence[Column]
    drawn: Sequence[str] = ("map",)
    words: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Example:
    """An item with the relevant labels that were known, those that were hidden, and what methods said."""

    known: Sequence[str]
    hidden: Sequence[str]
    predicted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Labels predicted, by the title of the method."""
    name: str = ""
    picture: NDArray[np.uint8] | NDArray[np.float32] | None = None
    """(H, W) grey or (H, W, 3) colour."""
    text: str | None = None


@dataclass(frozen=True)
class ReportContent:
    """A report's sections, in the order in which they are shown."""

    title: str
    lead: Sequence[str] = ()
    """Paragraphs below the title."""
    key_figures: Sequence[tuple[str, str]] = ()
    """(name, value) pairs shown large below the lead."""
    summary: Summary | Mapping[str, Any] | None = None
    """What ``labelwise.describe`` says of the labels, or its ``to_dict``."""
    summary_words: Sequence[str] = ()
    comparison: Comparison | None = None
    examples: Sequence[Example] = ()
    examples_words: Sequence[str] = ()
    results: Results | None = None
    results_words: Sequence[str] = ()
    """Sentences on the figures, or on why there are none."""
    decision: Decision | None = None
    """Shown where there are no results, whose table has the thresholds otherwise."""
    learnt: Learnt | None = None
    missing: Missing | None = None
    training: Training | None = None
    skipped: Sequence[Skipped] = ()
    """Items that were left out because they could not be read."""
    history: Sequence[Mapping[str, Any]] = ()
    """Records of the epochs, as ``MultiLabelClassifier.history_`` has them."""
