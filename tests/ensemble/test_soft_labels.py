"""Soft labels against slow loops: targets, weights, the calibration that they rest on, and expected shares."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelwise.ensemble import SoftLabels
from labelwise.ensemble.soft_labels import calibrated, entropy, shift_to
from labelwise.metrics import PlattCalibration


def case(n=60, K=3, seed=0):
    random = np.random.default_rng(seed)
    logits = random.standard_normal((n, K)) * 2 - 1
    full = (random.random((n, K)) < 1 / (1 + np.exp(-1.5 * logits))).astype(np.int8)
    return logits, full, random


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_targets_and_weights_of_partial_labels_by_a_slow_loop():
    logits, full, random = case()
    labels = np.where(random.random(full.shape) < 0.5, full, np.int8(-1))
    soft = SoftLabels.of(logits, labels, share=np.full(3, 0.9))
    platt = PlattCalibration.fit(labels, logits, input="logit")
    for i in range(len(labels)):
        for k in range(3):
            if labels[i, k] >= 0:
                assert (soft.target[i, k], soft.weight[i, k]) == (labels[i, k], 1)
                continue
            # Where negatives are known the calibration tells the share, whatever was expected.
            p = sigmoid(platt.slope[k] * logits[i, k] + platt.offset[k])
            bits = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
            assert soft.target[i, k] == pytest.approx(p, abs=1e-6)
            assert soft.weight[i, k] == pytest.approx(1 - bits, abs=1e-6)
    assert soft.target.dtype == soft.weight.dtype == np.float32


def test_positives_alone_are_calibrated_to_what_is_shown():
    logits, full, random = case()
    labels = np.where((full == 1) & (random.random(full.shape) < 0.5), 1, -1).astype(np.int8)
    labels[:5] = -1
    shown = np.flatnonzero((labels == 1).any(1))
    assumed = np.maximum(labels[shown], 0)
    want = PlattCalibration.fit(assumed, logits[shown], input="logit").logits(logits)
    np.testing.assert_allclose(calibrated(logits, labels), want, rtol=1e-9)


def test_an_expected_share_is_met_by_the_unknown_entries_of_positives_alone():
    logits, full, random = case(n=200)
    labels = np.where((full == 1) & (random.random(full.shape) < 0.5), 1, -1).astype(np.int8)
    share = np.array([0.05, 0.2, 0.5])
    soft = SoftLabels.of(logits, labels, share)
    for k in range(3):
        assert soft.target[labels[:, k] == -1, k].mean() == pytest.approx(share[k], abs=1e-5)


def test_without_an_expected_share_targets_are_what_is_shown():
    logits, full, random = case(n=400)
    labels = np.where((full == 1) & (random.random(full.shape) < 0.5), 1, -1).astype(np.int8)
    soft = SoftLabels.of(logits, labels)
    hidden, want = labels == -1, 1 / (1 + np.exp(-calibrated(logits, labels)))
    np.testing.assert_allclose(soft.target[hidden], want[hidden], atol=1e-6)
    # Of the rows that show anything, as many as are shown.
    rows = (labels == 1).any(1)
    np.testing.assert_allclose(want[rows].mean(0), (labels[rows] == 1).mean(0), atol=0.02)


def test_logits_that_nothing_calibrates_stay():
    logits, _, _ = case(n=8)
    labels = np.full((8, 3), -1, np.int8)
    labels[:, 0] = 1
    np.testing.assert_array_equal(calibrated(logits, labels), logits)


@given(
    hnp.arrays(np.float64, (9, 2), elements=st.floats(-20, 20)),
    hnp.arrays(np.bool_, (9, 2)),
    st.floats(0.001, 0.999),
)
def test_shifts_meet_any_share(logits, chosen, share):
    shift = shift_to(logits, chosen, np.full(2, share))
    for k in range(2):
        entries = [sigmoid(x + shift[k]) for x in logits[chosen[:, k], k]]
        if entries:
            assert np.mean(entries) == pytest.approx(share, abs=1e-6)
        else:
            assert shift[k] == 0


@given(hnp.arrays(np.float64, 5, elements=st.floats(0, 1)))
def test_entropy_is_between_none_and_one_bit(p):
    bits = entropy(p)
    assert ((bits >= 0) & (bits <= 1)).all()
    np.testing.assert_allclose(bits, entropy(1 - p), atol=1e-9)
    assert entropy(np.array(0.5)) == 1
