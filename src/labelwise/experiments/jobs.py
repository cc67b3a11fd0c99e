"""One run of an experiment as data, with a key that depends on what the run is a function of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

_LABELS_ONLY = ("experiment", "row")
"""What a run is listed under, which its outcome does not depend on."""


@dataclass(frozen=True)
class Job:
    """One method on one data set in one setting with one seed.

    ``row`` is the row of the published table that it stands for (the method's id where it is left out). ``setting``
    names how labels are hidden; ``labelled_fraction`` or ``positives_fraction`` in (0, 1] says how many stay known.
    ``hyperparameters`` are the method's own; ``options`` everything else that the run depends on (backbone, tune,
    epochs, batch_size, learning_rate, image_size, ...), JSON values all.
    """

    dataset: str
    setting: str
    method: str
    seed: int = 0
    experiment: str = ""
    row: str = ""
    labelled_fraction: float | None = None
    positives_fraction: float | None = None
    protocol: str = "honest"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", self.row or self.method)
        object.__setattr__(self, "hyperparameters", dict(self.hyperparameters))
        object.__setattr__(self, "options", dict(self.options))

    def __hash__(self) -> int:
        return hash((self.key, self.experiment, self.row))

    @property
    def fraction(self) -> float | None:
        """The labelled fraction or that of positives, whichever the setting has."""
        return self.labelled_fraction if self.labelled_fraction is not None else self.positives_fraction

    @property
    def key(self) -> str:
        """A file name's stem: readable words, then 16 digits of a digest of all fields but experiment and row."""
        told = {name: value for name, value in self.to_dict().items() if name not in _LABELS_ONLY}
        text = json.dumps(told, sort_keys=True, allow_nan=False, ensure_ascii=True)
        share = "" if self.fraction is None else f"{self.fraction:g}"
        words = "-".join(
            filter(None, (self.dataset, self.setting, share, self.method, f"s{self.seed}", self.protocol))
        )
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', words)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def to_dict(self) -> dict[str, Any]:
        """Return the job as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that ``to_dict`` wrote."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})


@dataclass(frozen=True)
class Measurement:
    """One figure: a metric under a decision rule (``""`` where the metric needs none), NaN where undefined."""

    metric: str
    value: float
    rule: str = ""


@dataclass(frozen=True)
class Measured:
    """What a run came to: its figures, and facts worth keeping (JSON values; ``notes``, sizes, epochs)."""

    measurements: tuple[Measurement, ...] | list[Measurement]
    facts: Mapping[str, Any] = field(default_factory=dict)
