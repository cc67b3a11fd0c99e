"""What a setting lets a method see of the training labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import simulate
from labelwise.errors import UserError
from labelwise.experiments.jobs import Job

LABEL_SEED = 1200
"""The seed of Cole et al. for single positives and for the split of their training file, whatever a run's seed."""

Labels = NDArray[np.int8]


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
