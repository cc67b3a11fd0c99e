"""Calibration: the fit against a general optimiser, order, pooling, refusals; reliability by a slow loop."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from labelwise.errors import UserError
from labelwise.metrics import (
    PlattCalibration,
    calibration_from_dict,
    expected_calibration_error,
    reliability,
)
from tests.refusals import refusal


def made(n=600, seed=0, known=1.0):
    """Scores whose logits are twice too steep and shifted, so that calibration has something to mend."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 2, (n, 3))
    Y = (rng.random((n, 3)) < expit(0.5 * x + [0.5, -1, -2])).astype(np.int8)
    Y[rng.random((n, 3)) > known] = -1
    return Y, expit(x)


def slow_fit(x, y, centre, shrinkage):
    positives, negatives = (y == 1).sum(), (y == 0).sum()
    t = [(positives + 1) / (positives + 2) if yi == 1 else 1 / (negatives + 2) for yi in y]

    def objective(theta):
        f = theta[0] * x + theta[1]
        return np.sum(np.logaddexp(0, f) - t * f) + shrinkage / 2 * np.sum((theta - centre) ** 2)

    return minimize(objective, centre, bounds=[(1e-3, None), (None, None)], tol=1e-14).x


@pytest.mark.parametrize("shrinkage", [0.5, 1.0, 20.0])
def test_fit_is_the_penalised_optimum(shrinkage):
    Y, p = made(known=0.5)
    fitted = PlattCalibration.fit(Y, p, shrinkage=shrinkage)
    x, known = logit(p), Y >= 0
    common = slow_fit(x[known], Y[known], np.array([1.0, 0.0]), 1.0)
    for k in range(3):
        expected = slow_fit(x[known[:, k], k], Y[known[:, k], k], common, shrinkage)
        assert [fitted.slope[k], fitted.offset[k]] == pytest.approx(expected, abs=1e-4)
    assert fitted.pooled == (False, False, False)


def test_calibration_mends_the_error_and_keeps_the_order():
    Y, p = made(4000)
    Y_new, p_new = made(4000, seed=1)
    mended = PlattCalibration.fit(Y, p).apply(p_new)
    assert expected_calibration_error(Y_new, mended) < 0.02 < 0.1 < expected_calibration_error(Y_new, p_new)
    for k in range(3):
        assert (np.diff(mended[np.argsort(p_new[:, k]), k]) > 0).all()


def test_logits_in_or_probabilities_in_are_the_same():
    Y, p = made()
    from_logits = PlattCalibration.fit(Y, logit(p), input="logit")
    np.testing.assert_allclose(
        from_logits.apply(logit(p)), PlattCalibration.fit(Y, p).apply(p), rtol=0, atol=1e-9
    )


def test_scores_that_rank_backwards_keep_their_order():
    Y, p = made()
    fitted = PlattCalibration.fit(Y, 1 - p, shrinkage=1e-3)
    assert fitted.slope == (1e-3,) * 3
    for k in range(3):
        x = logit(1 - p[:, k])
        # The free slope is at its bound, so the offset is optimal given that.
        targets = np.where(
            Y[:, k] == 1, (Y[:, k].sum() + 1) / (Y[:, k].sum() + 2), 1 / ((Y[:, k] == 0).sum() + 2)
        )
        error = (expit(1e-3 * x + fitted.offset[k]) - targets).sum()
        assert abs(error) < 0.02


def test_certain_and_separable_scores_stay_finite():
    Y = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    fitted = PlattCalibration.fit(Y, Y.astype(float))
    p = fitted.apply(Y.astype(float))
    assert ((p > 0) & (p < 1)).all()
    assert p[Y == 1].min() > 0.5 > p[Y == 0].max()


def test_constant_scores_give_the_share_of_positives():
    Y = np.array([[1]] * 30 + [[0]] * 70)
    p = PlattCalibration.fit(Y, np.full((100, 1), 0.5)).apply([[0.5]])
    assert p[0, 0] == pytest.approx(0.3, abs=0.02)


def test_a_rare_label_stays_near_the_pooled_fit_and_an_empty_one_takes_it():
    Y, p = made(2000)
    Y[:, 1] = 0
    Y[0, 1] = 1
    Y[:, 2] = -1
    weak, strong = (PlattCalibration.fit(Y, p, shrinkage=s) for s in (0.01, 1e6))
    assert strong.pooled == (False, False, True)
    assert strong.slope[1] == pytest.approx(strong.slope[2], abs=1e-2)
    assert strong.offset[1] == pytest.approx(strong.offset[2], abs=1e-2)
    assert abs(weak.offset[1] - weak.offset[2]) > 1


def test_a_label_that_is_known_to_be_absent_gets_a_small_probability():
    """Its scores may lie anywhere, such as at one half for a head that never met a positive."""
    random = np.random.default_rng(0)
    Y = np.c_[random.random((300, 2)) < 0.3, np.zeros(300), np.zeros(300)].astype(np.int8)
    Y[:, 3] = -1
    logits = np.c_[6 * Y[:, :2] - 8 + random.normal(size=(300, 2)), np.zeros((300, 2))]
    fitted = PlattCalibration.fit(Y, 1 / (1 + np.exp(-logits)))
    assert fitted.pooled == (False, False, False, True)
    absent = fitted.apply(np.full((1, 4), 0.5))[0]
    assert absent[2] == pytest.approx(1 / 302, rel=1e-3)
    assert absent[3] > 0.9  # nothing is known of it but what the other labels say


def test_positive_only_items_beside_full_ones_do_not_raise_the_probabilities():
    Y, p = made()
    positives = np.where(Y == 1, 1, -1)
    positives[(Y == 1).all(axis=1), 0] = -1
    mixed = PlattCalibration.fit(np.vstack([Y, positives]), np.vstack([p, p]))
    assert mixed == PlattCalibration.fit(Y, p)


def test_round_trip():
    Y, p = made()
    fitted = PlattCalibration.fit(Y, p)
    read = calibration_from_dict(json.loads(json.dumps(fitted.to_dict(), allow_nan=False)))
    assert read == fitted
    assert hash(read) == hash(fitted)
    np.testing.assert_array_equal(read.apply(p), fitted.apply(p))


def test_reliability_is_the_slow_loop():
    Y, p = made(300, known=0.7)
    p = p.round(1)
    found = reliability(Y, p, bins=5)
    error, total = 0.0, (Y >= 0).sum()
    for b in range(5):
        inside = [
            (y, q)
            for y, q in zip(Y.ravel(), p.ravel(), strict=True)
            if y >= 0 and (found.edges[b] <= q < found.edges[b + 1] or (b == 4 and q == 1))
        ]
        assert found.counts[b] == len(inside)
        observed, predicted = np.mean(inside, axis=0)
        assert found.observed[b] == pytest.approx(observed)
        assert found.predicted[b] == pytest.approx(predicted)
        error += len(inside) / total * abs(observed - predicted)
    assert expected_calibration_error(Y, p, 5) == pytest.approx(error, abs=1e-12)
    assert found.counts.sum() == total


def test_reliability_leaves_out_labels_of_positives_alone():
    Y, p = made(300)
    confirmed = Y.copy()
    confirmed[:, 2][Y[:, 2] == 0] = -1
    assert expected_calibration_error(confirmed, p) == expected_calibration_error(Y[:, :2], p[:, :2])
    assert expected_calibration_error(2 * Y - 1, p, minus_one="absent") == expected_calibration_error(Y, p)
    with pytest.raises(UserError, match="Y has no known negative"):
        reliability(np.where(Y == 1, 1, -1), p)


def test_calibrated_logits_are_not_tied():
    Y, p = made()
    fitted = PlattCalibration.fit(Y, p)
    far = np.linspace(20, 60, 30).reshape(10, 3)
    assert (np.diff(fitted.logits(far), axis=0) > 0).all()
    np.testing.assert_allclose(expit(fitted.logits(logit(p))), fitted.apply(p), atol=1e-12)
    with pytest.raises(UserError, match="fitted on 3"):
        fitted.logits([[1.0]])


def test_empty_bins_are_nan_and_count_nothing():
    found = reliability([[1], [0]], [[0.95], [0.95]], bins=2)
    assert np.isnan(found.observed[0])
    assert found.expected_calibration_error == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlattCalibration.fit([[1, -1]], [[0.1, 0.2]]), "no label has both .* cannot be calibrated"),
        (lambda: PlattCalibration.fit([[1], [0]], [[2], [0]]), 'holds 2 at row 0, label 0.*input="logit"'),
        (lambda: PlattCalibration.fit([[1], [0]], [[1], [0]], shrinkage=0), "shrinkage is 0"),
        (lambda: PlattCalibration.fit([[1], [0]], [[1], [0]], input="logits"), "did you mean 'logit'"),
        (lambda: PlattCalibration([1.0], [0.0], [False]).apply([[0.1, 0.2]]), "fitted on 1"),
        (lambda: PlattCalibration([1.0], [0.0], [False]).apply([[1.5]]), "1.5 at row 0"),
        (lambda: PlattCalibration([0.0], [0.0], [False]), "slope 0.0 and offset 0.0 for label 0"),
        (lambda: PlattCalibration([1.0], [0.0, 1.0], [False]), "one slope, offset and pooled flag"),
        (lambda: calibration_from_dict({"calibration": "isotonic"}), "no calibration 'isotonic'"),
        (lambda: calibration_from_dict({"calibration": "platt", "slope": [1]}), "cannot be read from slope"),
        (
            lambda: calibration_from_dict(
                {"calibration": "platt", "slope": ["x"], "offset": [0], "pooled": [0]}
            ),
            "x",
        ),
        (lambda: reliability([[1]], [[1.5]]), "p holds 1.5 at row 0, label 0"),
        (lambda: reliability([[1]], [[0.5]], bins=0), "bins is 0"),
        (lambda: reliability([[-1]], [[0.5]]), "Y has no known entry"),
    ],
)
def test_mistakes_get_one_line(make, message):
    with refusal(message):
        make()
