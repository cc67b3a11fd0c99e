"""Correlations of labels: against numpy's own on known rows, and their strongest pairs."""

import numpy as np
import pytest
import torch

from labelwise.analysis import known_correlation, output_correlation, strongest, weight_correlation
from labelwise.models import CosineHead, LinearHead


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    cause = rng.random((300, 1)) < 0.5
    return (rng.random((300, 4)) < np.where(cause, 0.6, 0.2)).astype(np.int8)


def test_known_correlation_is_pearsons_over_rows_with_both_known(labels):
    labels[np.random.default_rng(1).random(labels.shape) < 0.4] = -1
    found = known_correlation(labels, chunk=7)
    for i in range(4):
        for j in range(4):
            both = (labels[:, i] >= 0) & (labels[:, j] >= 0)
            expected = np.nan if i == j else np.corrcoef(labels[both, i], labels[both, j])[0, 1]
            assert found[i, j] == pytest.approx(expected, nan_ok=True)


def test_positives_alone_give_their_cosine(labels):
    labels[labels == 0] = -1
    found = known_correlation(labels)
    positive = labels == 1
    expected = (positive[:, 0] & positive[:, 1]).sum() / np.sqrt(positive[:, 0].sum() * positive[:, 1].sum())
    assert found[0, 1] == pytest.approx(expected)


def test_single_positives_tell_nothing():
    assert known_correlation(np.where(np.eye(12, dtype=bool), 1, -1)) is None


def test_rare_labels_are_left_out(labels):
    labels[:, 3] = 0
    labels[:4, 3] = 1
    found = known_correlation(labels)
    assert np.isnan(found[3]).all()
    assert np.isfinite(found[0, 1])


@pytest.mark.parametrize("head", [LinearHead(5, 3), CosineHead(5, 3), CosineHead(5, 3, constant=True)])
def test_weight_correlation_is_the_cosine_without_the_constant(head):
    rows = head.weight.detach().double().numpy()[:, :5]
    expected = rows[0] @ rows[2] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[2])
    found = weight_correlation(head)
    assert found[0, 2] == found[2, 0] == pytest.approx(expected)
    assert np.isnan(np.diag(found)).all()


def test_a_head_without_weights_has_none():
    assert weight_correlation(torch.nn.Identity()) is None


def test_output_correlation_is_pearsons():
    values = np.random.default_rng(0).normal(size=(20, 3))
    values[:, 2] = 1
    found = output_correlation(values)
    assert found[0, 1] == pytest.approx(np.corrcoef(values[:, 0], values[:, 1])[0, 1])
    assert np.isnan(found[0, 2])


def test_strongest_pairs_come_first_and_once():
    values = np.array([[np.nan, 0.2, np.nan], [0.2, np.nan, 0.9], [np.nan, 0.9, np.nan]])
    assert strongest(values, 5) == [(1, 2, 0.9), (0, 1, 0.2)]
    assert strongest(values, 1) == [(1, 2, 0.9)]
    assert strongest(values, 5, least=0.5) == [(1, 2, 0.9)]
