"""The first answers calibrate: a slow fit and its uncertainty, and where each part is drawn."""

import numpy as np
import pytest
from scipy.special import expit

from labelwise.completion import Answer, Answers
from labelwise.completion.entries import Entries
from labelwise.completion.pilot import _Line, calibrated_logits, calibration_of, pilot_entries


def table(n=200, k=4, seed=0, offset=(0.0, -2.0, 1.5, 0.0)):
    """Entries of which all are unknown but some positives, and their truth; the labels' logits are off."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, size=(n, k))
    truth = (random.random((n, k)) < expit(logits + np.array(offset))).astype(np.int8)
    Y = np.where((random.random((n, k)) < 0.2) & (truth == 1), 1, -1).astype(np.int8)
    return expit(logits), Y, truth


def entries_with(scores, Y, truth, places=()):
    entries = Entries.of(scores, Y)
    rows = [
        Answer(
            str(entries.rows[i]),
            f"label_{entries.columns[i]}",
            int(truth[entries.rows[i], entries.columns[i]]),
        )
        for i in places
    ]
    return Entries.of(scores, Y, Answers(tuple(rows)))


def test_the_line_is_the_most_probable_one():
    scores, Y, truth = table()
    places = np.arange(0, 400, 9)
    entries = entries_with(scores, Y, truth, places)
    line = _Line.fit(entries, places)

    def loss(w):
        value = (w[0] - 1) ** 2 / (2 * 0.3**2) + sum(b**2 for b in w[1:]) / (2 * 1.5**2)
        for i in places:
            row, k = entries.rows[i], entries.columns[i]
            f = w[0] * entries.logits[i] + w[1] + w[2 + k]
            value += np.log1p(np.exp(f)) - truth[row, k] * f
        return value

    step, width = 1e-3, len(line.weights)
    unit = np.eye(width) * step
    best = loss(line.weights)
    slopes = [(loss(line.weights + e) - loss(line.weights - e)) / (2 * step) for e in unit]
    np.testing.assert_allclose(slopes, 0, atol=1e-4)
    curvature = np.array(
        [
            [
                (loss(line.weights + a + b) - loss(line.weights + a) - loss(line.weights + b) + best)
                / step**2
                for b in unit
            ]
            for a in unit
        ]
    )
    np.testing.assert_allclose(line.covariance, np.linalg.inv(curvature), rtol=0.02, atol=1e-3)
    p, deviation = line.of(entries)
    for i in (0, 77, 300):
        z = np.zeros(width)
        z[[0, 1, 2 + entries.columns[i]]] = entries.logits[i], 1, 1
        assert p[i] == pytest.approx(expit(z @ line.weights))
        assert deviation[i] == pytest.approx(np.sqrt(z @ line.covariance @ z))
    calibration = calibration_of(entries, places)
    np.testing.assert_allclose(expit(calibrated_logits(entries, calibration)), p)


def test_each_part_waits_for_the_one_before_and_lies_where_the_ranking_is_cut():
    scores, Y, truth = table(n=600)
    chosen, ahead = pilot_entries(Entries.of(scores, Y), 60, seed=3)
    assert (len(chosen), ahead) == (20, 40)
    assert len(pilot_entries(entries_with(scores, Y, truth, chosen[:19]), 60, seed=3)[0]) == 20
    for size in (40, 60):
        entries = entries_with(scores, Y, truth, chosen)
        more, ahead = pilot_entries(entries, 60, seed=3)
        assert (len(more), ahead) == (size, 60 - size)
        np.testing.assert_array_equal(more[: len(chosen)], chosen)
        p, _ = _Line.fit(entries, chosen).of(entries)
        new = more[len(chosen) :]
        assert len({*more.tolist()}) == size
        assert ((p[new] > 0.55) & (p[new] < 0.92)).all()
        chosen = more
    # Other entries come by another seed, and a table with fewer gives what it has.
    assert {*pilot_entries(Entries.of(scores, Y), 60, seed=4)[0].tolist()} != {*chosen[:20].tolist()}
    few = Entries.of(scores[:3], Y[:3])
    assert len(pilot_entries(few, 60, seed=0)[0]) == min(20, len(few.rows))


def test_answers_of_one_kind_calibrate_nothing():
    scores, Y, truth = table()
    entries = entries_with(scores, Y, np.ones_like(truth), range(10))
    assert calibration_of(entries, np.arange(10)) is None
    assert calibration_of(entries, np.arange(11)) is None
    assert pilot_entries(entries, 0, seed=0)[1] == 0
