"""What an experiment costs: hours and memory, estimated from its runs before any of them is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labelwise.errors import UserError
from labelwise.experiments.jobs import Job
from labelwise.experiments.publications import DATASETS

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
