"""EPR: as many positives as there should be (Cole et al., CVPR 2021).

Learn from observed positives, and predict as many positives as there should be.
"""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.expectation import DEPARTURES, ExpectedPositives
from labelwise.methods.spec import SETTINGS, MethodSpec


class ExpectedPositiveRegularisation(ExpectedPositives):
    """Cross-entropy of known entries, plus the squared excess of predicted positives.

    The loss is the mean over entries of the known ones' cross-entropy, plus R = (mean_i sum_k p_ik - kappa)^2 / K^2.

    As released, R is added without the 1/(BK) of the other terms, and kappa is the expected number of positives of an
    item (VOC 1.5, COCO 2.9, NUS 1.9, CUB 31.4): here the sum of the labels' priors. Ours: a known negative has its
    own term, and rows without labels take part in R.
    """

    spec = MethodSpec(
        id="epr",
        title="Expected positive regularisation (EPR)",
        paper="Cole et al., Multi-Label Learning from Single Positive Labels, CVPR 2021",
        assumption="the mean number of positives of an item is known",
        settings=frozenset(SETTINGS),
        passes=3,
        needs=frozenset({"prior"}),
        whole_batch=True,
        departures=DEPARTURES,
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean of ``losses.ignore_unknown``, plus R.

        The mean is over all entries.
        """
        values = losses.ignore_unknown(batch.scores, batch.labels)
        return self.mean(values, batch) + self.balance(batch.scores)
