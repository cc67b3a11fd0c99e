"""The embedded digits: deterministic, train and test of different scans, and worth training on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from labelwise.data import digits_canvases, digits_features
from labelwise.data.images.digits import _scans, scan_numbers
from labelwise.errors import UserError


def test_canvases_are_their_keys() -> None:
    images, truth, names = digits_canvases(40, seed=1)
    assert images.shape == (40, 32, 32)
    assert images.dtype == np.uint8
    assert truth.dtype == np.int8
    assert names == tuple("0123456789")
    again, truth_again, _ = digits_canvases(25, seed=1)
    np.testing.assert_array_equal(again, images[:25])
    np.testing.assert_array_equal(truth_again, truth[:25])
    for keywords in ({"seed": 2}, {"seed": 1, "part": "test"}):
        assert not np.array_equal(digits_canvases(40, **keywords)[0], images)


def test_one_to_four_digits_each_label_as_often() -> None:
    _, truth, _ = digits_canvases(2000, seed=0)
    counts = np.bincount(truth.sum(axis=1), minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] / 2000 - 0.25).max() < 0.05
    assert np.abs(truth.mean(axis=0) - 0.25).max() < 0.05
    assert set(digits_canvases(50, most=1)[1].sum(axis=1)) == {1}


def test_parts_share_no_scan() -> None:
    train, test = scan_numbers("train"), scan_numbers("test")
    assert not set(train) & set(test)
    _, digits = _scans()
    assert len(train) + len(test) == len(digits) == 1797
    assert set(digits[train]) == set(digits[test]) == set(range(10))
    images = _scans()[0][8]
    assert not {image.tobytes() for image in images[train]} & {image.tobytes() for image in images[test]}


def test_a_lone_digit_is_one_of_its_scans() -> None:
    images, truth, _ = digits_canvases(60, seed=0, most=1, part="test")
    sizes, digits = _scans()
    numbers = scan_numbers("test")
    for image, row in zip(images[:10], truth[:10], strict=True):
        best = 0.0
        for side, scans in sizes.items():
            windows = np.lib.stride_tricks.sliding_window_view(image / 255, (side, side))
            pixels = scans[numbers[digits[numbers] == int(row.argmax())]]
            flat = windows.reshape(-1, side * side)
            fit = flat @ pixels.reshape(len(pixels), -1).T
            lengths = np.linalg.norm(image / 255) * np.linalg.norm(pixels, axis=(1, 2))
            best = max(best, float((fit / lengths).max()))
        assert best > 0.999


def test_features_belong_to_the_canvas() -> None:
    images, _, _ = digits_canvases(20, seed=3)
    features = digits_features(images, filters=40)
    assert features.shape == (20, 40)
    assert features.dtype == np.float32
    assert np.abs(features).max() <= 1 + 1e-6
    np.testing.assert_array_equal(digits_features(images[[7, 3, 11]], filters=40), features[[7, 3, 11]])


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 32), np.uint8), np.zeros((3, 32, 32)), np.zeros((3, 4, 4), np.uint8)]
)
def test_features_of_something_else(bad: Any) -> None:
    with pytest.raises(UserError, match="give uint8"):
        digits_features(bad)


def test_arguments_out_of_range() -> None:
    for keywords in ({"n": 0}, {"size": 8}, {"most": 11}, {"most": 0}, {"part": "val"}):
        with pytest.raises(UserError, match=next(iter(keywords))):
            digits_canvases(**keywords)  # type: ignore[arg-type]


@pytest.mark.slow
def test_full_labels_teach_more_than_missing_means_no() -> None:
    train, truth, _ = digits_canvases(2000)
    test, answers, _ = digits_canvases(1000, part="test")
    scaler = StandardScaler()
    rows = scaler.fit_transform(digits_features(train))
    new = scaler.transform(digits_features(test))
    draw = np.random.default_rng(0)
    single = np.zeros_like(truth)
    single[np.arange(2000), [draw.choice(np.flatnonzero(row)) for row in truth]] = 1

    def score(labels: np.ndarray) -> float:
        models = [LogisticRegression(C=0.01, max_iter=300).fit(rows, labels[:, k]) for k in range(10)]
        scores = [model.decision_function(new) for model in models]
        return float(np.mean([average_precision_score(answers[:, k], scores[k]) for k in range(10)]))

    full, missing_is_no = score(truth), score(single)
    assert full > 0.92
    assert missing_is_no < full - 0.03
