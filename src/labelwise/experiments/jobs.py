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

_NOT_HASHED = ("experiment", "row")
"""Fields that a run is listed under, which its result does not depend on."""


@dataclass(frozen=True)
class Job:
    """One method on one data set in one setting with one seed.

    Attributes:
        dataset: The paper's name of the data set.
        setting: Name of the way in which labels are hidden.
        method: Id of the method.
        seed: Seed of the run.
        experiment: Name of the experiment.
        row: Row of the published table; the method's id where it is left out.
        labelled_fraction: Share of rows or entries that stay known, in (0, 1].
        positives_fraction: Share of positives that stay known, in (0, 1].
        protocol: "honest" or "published".
        hyperparameters: The method's own, JSON values.
        options: All else that the run depends on (backbone, tune, epochs, batch_size, ...), JSON values.
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
        """Labelled fraction or that of positives, whichever the setting has."""
        return self.labelled_fraction if self.labelled_fraction is not None else self.positives_fraction

    @property
    def key(self) -> str:
        """Stem of the run's file name.

        Readable words, then 16 digits of a digest of all fields but experiment and row.
        """
        hashed = {name: value for name, value in self.to_dict().items() if name not in _NOT_HASHED}
        text = json.dumps(hashed, sort_keys=True, allow_nan=False, ensure_ascii=True)
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
    """A metric's value under a decision rule.

    Attributes:
        metric: Name of the metric.
        value: The value, NaN where undefined.
        rule: Name of the decision rule, "" for a metric that needs none.
    """

    metric: str
    value: float
    rule: str = ""


@dataclass(frozen=True)
class Measured:
    """The result of a run.

    Attributes:
        measurements: The values of its metrics.
        facts: Further facts to keep (notes, sizes, epochs), JSON values.
    """

    measurements: tuple[Measurement, ...] | list[Measurement]
    facts: Mapping[str, Any] = field(default_factory=dict)


def part_of(jobs: Sequence[Job], part: str) -> list[Job]:
    """Return the jobs of a part "i/n", i from 1.

    The n parts are disjoint, hold all jobs, and differ in size by one at most.

    A job's place is by its key's digest, so that slow methods and large sets are spread over the parts, and whoever
    asks for the same jobs gets the same parts. Jobs of one key are one run, and stay together.

    Raises:
        UserError: For anything else than two whole numbers with 1 <= i <= n.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", part) if isinstance(part, str) else None
    place, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= place <= parts:
        raise UserError(f"shard={part!r}: give two whole numbers, such as 1/4 for the first of four parts")
    keys = sorted({job.key for job in jobs}, key=lambda key: (key.rpartition("-")[2], key))
    chosen = set(keys[place - 1 :: parts])
    return [job for job in jobs if job.key in chosen]


LABEL_SEED = 1200
"""Seed of Cole et al. for single positives and the split of their training file, whatever a run's seed."""


def hide(job: Job, truth: Labels, observed: Labels | None = None) -> Labels:
    """Return the training labels (n, K) as the job's setting shows them.

    Single positives are those of a released ``labels_obs`` file where there is one (``observed``), and else drawn
    over the whole training file by its rule. All other draws follow the job's seed; ``fixed_per_class`` takes
    ``options["per_class"]`` positives and negatives of each label.
    """
    if job.setting == "full":
        return truth
    if job.setting in ("single_positive", "single_positive_all_negatives"):
        return simulate.single_positive(truth, LABEL_SEED) if observed is None else observed
    if job.setting == "biased_positives":
        return simulate.biased_positives(truth, seed=job.seed)
    if job.setting == "fixed_per_class":
        if "per_class" not in job.options:
            raise UserError(
                "setting 'fixed_per_class' needs a number of entries a label: options={'per_class': m}"
            )
        return simulate.fixed_per_class(truth, job.options["per_class"], seed=job.seed)
    if job.fraction is None:
        raise UserError(f"setting {job.setting!r} needs a fraction in (0, 1]")
    if job.setting == "random_partial":
        return simulate.random_partial(truth, 1 - job.fraction, job.seed)
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
    """Split rows as Cole et al. (CVPR 2021) split their training file.

    The last round(.2 n) of ``RandomState(1200).permutation(n)`` validate; halves round to even.

    Returns:
        Training rows and validation rows, each ascending.
    """
    order = np.random.RandomState(seed).permutation(n_items)
    n_train = n_items - int(np.round(share * n_items))
    return np.sort(order[:n_train]), np.sort(order[n_train:])


_TWICE = {"full", "semi_supervised", "partial", "random_partial", "fixed_per_class"}
"""Settings with known negatives: the honest protocol validates on held-out rows, then trains again on all."""


@dataclass(frozen=True)
class Rate:
    """Assumed speed and memory of a backbone.

    On one modern GPU, in mixed precision.

    Attributes:
        passes: Forward passes a second, each of one item; a backward pass counts as two.
        item_gb: Memory of one item's activations in training.
        fixed_gb: Memory of weights, gradients, optimiser and average.
    """

    passes: float
    item_gb: float
    fixed_gb: float


RATES: dict[tuple[str | None, int | None], Rate] = {
    ("hf/microsoft/resnet-50", 224): Rate(3000.0, 0.09, 1.0),
    ("hf/microsoft/resnet-50", 448): Rate(750.0, 0.36, 1.0),
    ("hf/bert-base-uncased", None): Rate(1200.0, 0.12, 2.5),
}
"""Rates by backbone and image size: assumed, not measured; an epoch of your own tells more."""


@dataclass(frozen=True)
class Cost:
    """Estimated cost of runs.

    Attributes:
        runs: Number of runs.
        hours: Hours of all runs, one after another.
        longest: Hours of the longest run.
        memory_gb: Greatest memory of a run, in GB.
    """

    runs: int
    hours: float
    longest: float
    memory_gb: float


def estimate(jobs: Iterable[Job]) -> Cost:
    """Estimate the cost of runs from above.

    Items x epochs x passes, validation and test passes added, over the rate in RATES. Every epoch counts as one over
    all training items, though a warm-up sees labelled rows only.
    """
    hours, memory = [], 0.0
    for job in jobs:
        backbone, size = job.options.get("backbone"), job.options.get("image_size")
        rate = RATES.get((backbone, size))
        if rate is None:
            raise UserError(
                f"no rate is known of backbone {backbone!r} at image size {size}: add one to RATES"
            )
        hours.append(_passes(job) / rate.passes / 3600)
        memory = max(memory, rate.fixed_gb + rate.item_gb * _items_a_step(job))
    return Cost(len(hours), sum(hours), max(hours, default=0.0), memory)


def _passes(job: Job) -> float:
    """Return the forward passes of a run; a backward pass is two."""
    from labelwise.data.datasets import DATASETS as SETS
    from labelwise.methods import get

    spec, sizes = get(job.method).spec, SETS[DATASETS[job.dataset]].sizes
    train, test = sizes["train"], sizes["test"]
    epochs = int(job.options.get("epochs", spec.full_budget.epochs))
    if job.options.get("figure") == "vdfd_by_epoch":
        # The angles are measured on a second run of the same training.
        epochs *= 2
    if job.protocol == "published":
        # The one code validates on a fifth of the training rows, the other on the test set.
        held_out = round(0.2 * train) if job.options["code"] == "spml" else 0
        return epochs * (spec.passes * (train - held_out) + (held_out or test)) + test
    # Validated: four fifths are trained on and one fifth is scored an epoch; then all rows are trained on.
    times = 1.8 if job.setting in _TWICE else 1.0
    return epochs * spec.passes * train * times + test


def _items_a_step(job: Job) -> int:
    """Return the number of items whose activations a step holds."""
    from labelwise.methods import get

    spec = get(job.method).spec
    size = job.options.get("batch_size", spec.full_budget.batch_size)
    # Methods of two views hold up to two batches.
    return int(size * (2 if spec.passes > 4 else 1))
