"""One run of an experiment: its key, labels, part and cost."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import simulate
from labelwise.errors import UserError
from labelwise.experiments.publications import DATASETS

Labels = NDArray[np.int8]

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


def part_of(jobs: Sequence[Job], part: str) -> list[Job]:
    """Return the jobs of a part "i/n", i from 1: n parts are disjoint, hold all jobs, and differ by one at most.

    A job's place is by its key's digest, so that slow methods and large sets are spread over the parts, and whoever
    asks for the same jobs gets the same parts. Jobs of one key are one run, and stay together.

    Raises:
        UserError: For anything else than two whole numbers with 1 <= i <= n.
    """
    told = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", part) if isinstance(part, str) else None
    place, parts = (int(told[1]), int(told[2])) if told else (0, 0)
    if not 1 <= place <= parts:
        raise UserError(f"shard={part!r}: give two whole numbers, such as 1/4 for the first of four parts")
    keys = sorted({job.key for job in jobs}, key=lambda key: (key.rpartition("-")[2], key))
    mine = set(keys[place - 1 :: parts])
    return [job for job in jobs if job.key in mine]


LABEL_SEED = 1200
"""The seed of Cole et al. for single positives and for the split of their training file, whatever a run's seed."""


def hide(job: Job, truth: Labels, observed: Labels | None = None) -> Labels:
    """Return the training labels (n, K) as the job's setting shows them.

    Single positives are those of a released ``labels_obs`` file where there is one (``observed``), and else drawn
    over the whole training file by its rule. Labelled rows, shares of entries and of positives follow the job's seed.
    """
    if job.setting == "full":
        return truth
    if job.setting in ("single_positive", "single_positive_all_negatives"):
        return simulate.single_positive(truth, LABEL_SEED) if observed is None else observed
    if job.fraction is None:
        raise UserError(f"setting {job.setting!r} needs a fraction in (0, 1]")
    if job.setting == "semi_supervised":
        return simulate.semi_supervised(truth, job.fraction, job.seed, rule="cap")
    if job.setting == "partial_positive":
        return simulate.partial_positives(truth, job.fraction, job.seed)
    if job.setting == "partial":
        return simulate.partial(truth, job.fraction, job.seed)
    raise UserError(f"there is no setting {job.setting!r}")


def spml_split(
    n_items: int, seed: int = LABEL_SEED, share: float = 0.2
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (training rows, validation rows), ascending, as Cole et al. (CVPR 2021) split their training file.

    The last round(.2 n) of ``RandomState(1200).permutation(n)`` validate; halves round to even.
    """
    order = np.random.RandomState(seed).permutation(n_items)
    held = int(np.round(share * n_items))
    return np.sort(order[: n_items - held]), np.sort(order[n_items - held :])


_TWICE = {"full", "semi_supervised", "partial"}
"""Settings with known negatives: the honest protocol chooses on held-out rows, then trains again on all."""


@dataclass(frozen=True)
class Rate:
    """What is assumed of a backbone on one modern GPU in mixed precision.

    ``passes``: forward passes an item and second, a backward pass counted as two; ``item_gb``: memory of one item's
    activations in training; ``fixed_gb``: weights, gradients, optimiser and average.
    """

    passes: float
    item_gb: float
    fixed_gb: float


RATES: dict[tuple[str | None, int | None], Rate] = {
    ("hf/microsoft/resnet-50", 224): Rate(3000.0, 0.09, 1.0),
    ("hf/microsoft/resnet-50", 448): Rate(750.0, 0.36, 1.0),
    ("hf/bert-base-uncased", None): Rate(1200.0, 0.12, 2.5),
}
"""By backbone and image size. Assumed, not measured: an epoch of your own tells more."""


@dataclass(frozen=True)
class Cost:
    """``hours`` of all runs one after another, those of the ``longest`` run, and the most memory of a run in GB."""

    runs: int
    hours: float
    longest: float
    memory_gb: float


def estimate(jobs: Iterable[Job]) -> Cost:
    """Return what runs cost: items x epochs x passes, validation and test passes added, over the rate of RATES.

    An upper estimate: every epoch is counted as one over all training items, though a warm-up sees labelled rows only.
    """
    hours, memory = [], 0.0
    for job in jobs:
        place = (job.options.get("backbone"), job.options.get("image_size"))
        if place not in RATES:
            raise UserError(
                f"no rate is known of backbone {place[0]!r} at image size {place[1]}: add one to RATES"
            )
        rate = RATES[place]
        hours.append(_passes(job) / rate.passes / 3600)
        memory = max(memory, rate.fixed_gb + rate.item_gb * _items_at_once(job))
    return Cost(len(hours), sum(hours), max(hours, default=0.0), memory)


def _passes(job: Job) -> float:
    """Return the forward passes of a run, a backward pass counted as two."""
    from labelwise.data.datasets import DATASETS as SETS
    from labelwise.methods import get

    spec, sizes = get(job.method).spec, SETS[DATASETS[job.dataset]].sizes
    train, test = sizes["train"], sizes["test"]
    epochs = int(job.options.get("epochs", spec.full_budget.epochs))
    if job.options.get("figure") == "vdfd_by_epoch":
        # The angles are measured on a second run of the same training.
        epochs *= 2
    if job.protocol == "published":
        held = round(0.2 * train) if job.options["code"] == "spml" else test
        taught = train - held if job.options["code"] == "spml" else train
        return epochs * (spec.passes * taught + held) + test
    # Four fifths for the choice, with a pass over the held-out rows an epoch, then everything.
    times = 1.8 if job.setting in _TWICE else 1.0
    return epochs * spec.passes * train * times + test


def _items_at_once(job: Job) -> int:
    """Return how many items' activations a step holds: a batch, and for methods of two views up to twice that."""
    from labelwise.methods import get

    spec = get(job.method).spec
    size = job.options.get("batch_size", spec.full_budget.batch_size)
    return int(size * (2 if spec.passes > 4 else 1))
