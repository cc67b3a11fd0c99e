"""Codes that are none are refused by the losses, the targets and the summaries, not taken for something."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import losses
from labelwise.errors import UserError
from labelwise.summaries import AngleMoments, LabelMoments
from labelwise.targets import hard_negatives, self_paced_negatives

LOSSES = {
    **{
        name: getattr(losses, name)
        for name in (
            "assume_negative",
            "weak_assume_negative",
            "ignore_unknown",
            "label_smoothing",
            "entropy_maximization",
            "entropy_minimization",
            "focal",
            "asymmetric",
            "hill",
            "generalized_robust",
            "self_paced_correction",
            "partial_asymmetric",
            "pairwise",
            "soft_targets",
            "gradient_balance",
            "hyperspherical",
            "binary_angular_margin",
        )
    },
    "pairwise, over labels": lambda x, y: losses.pairwise(x, y, "labels"),
    "variational_pu": losses.variational_pu,
    "selective_weights": lambda x, y: losses.selective_weights(x, y, torch.zeros(3, device=x.device)),
}
GOOD = torch.tensor([[1, 0, -1], [0, 0, 1]])
WRONG = [
    (torch.int64, 2),
    (torch.int8, -2),
    (torch.uint8, 255),
    (torch.int32, 10**6),
    (torch.float32, 1.5),
    (torch.float32, -0.5),
    (torch.float64, float("nan")),
    (torch.float16, float("inf")),
    (torch.bfloat16, -1.5),
]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("dtype", "code"), WRONG)
def test_a_code_that_is_none_is_refused_with_its_place(name, dtype, code):
    labels = (GOOD.clamp(min=0) if dtype == torch.uint8 else GOOD.clone()).to(dtype)
    labels[1, 2] = code
    with pytest.raises(UserError, match=r"at \[1, 2\]"):
        LOSSES[name](torch.zeros(2, 3), labels)


@pytest.mark.parametrize("name", LOSSES)
def test_codes_of_every_dtype_and_fractions_are_taken(name):
    for dtype in (torch.int8, torch.int64, torch.float32, torch.bfloat16):
        assert LOSSES[name](torch.zeros(2, 3), GOOD.to(dtype)).isfinite().all()
    assert LOSSES[name](torch.zeros(2, 3), GOOD == 1).isfinite().all()
    assert LOSSES[name](torch.zeros(2, 3), torch.full((2, 3), 0.25)).isfinite().all()


def test_complex_labels_are_refused():
    with pytest.raises(UserError, match="complex64"):
        losses.assume_negative(torch.zeros(2, 3), GOOD.to(torch.complex64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", LOSSES)
def test_on_an_accelerator_a_wrong_code_gives_nan(name):
    labels = GOOD.clone()
    labels[1, 2] = 2
    value = LOSSES[name](torch.zeros(2, 3, device="cuda"), labels.cuda())
    assert value.isnan().sum() == 1
    assert value.isnan().flatten()[-1]


@pytest.mark.parametrize("wrong", [2, -2, 255, 1.5, -0.5, np.nan])
def test_summaries_and_targets_refuse_them_too(wrong):
    labels = np.array([[1.0, 0, -1], [0, wrong, 1]])
    calls = (
        lambda: AngleMoments(3).update(np.ones((2, 3)), labels),
        lambda: LabelMoments(3, 4).update(np.ones((2, 4)), labels),
        lambda: hard_negatives(np.ones((2, 3)), labels, 1.0),
        lambda: self_paced_negatives(np.ones((2, 3)), np.ones((2, 3)), labels, rounds=2),
    )
    for call in calls:
        with pytest.raises(UserError):
            call()


def test_what_lies_under_a_mask_is_no_label():
    labels = np.ma.masked_equal(np.array([[1, 0, 7], [0, 1, 1]]), 7)
    for call in (
        lambda: AngleMoments(3).update(np.ones((2, 3)), labels),
        lambda: hard_negatives(np.ones((2, 3)), labels, 1.0),
    ):
        with pytest.raises(UserError, match="masked"):
            call()
