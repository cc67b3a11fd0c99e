"""Where each method's assumption holds, it beats training without what it adds; margins are from repeated runs."""

from __future__ import annotations

import numpy as np
import pytest

import labelwise as lw
from labelwise.models import SmallCNN


def clusters(seed, *, n=1000, d=24, gap=2.0, labels=3, share=0.4):
    """Labels that are near-separate clusters along directions of their own."""
    random = np.random.default_rng([seed, 1])
    Y = (random.random((n, labels)) < share).astype(np.int8)
    W = np.linalg.qr(random.standard_normal((d, labels)))[0]
    X = random.standard_normal((n, d)) + gap * (2 * Y - 1) @ W.T
    return X.astype(np.float32), Y


def related(seed, *, n=900, d=12, gap=1.5):
    """Two labels that the features show, and a third that is relevant where exactly one of them is."""
    random = np.random.default_rng([seed, 3])
    Y = (random.random((n, 3)) < 0.5).astype(np.int8)
    Y[:, 2] = Y[:, 0] ^ Y[:, 1]
    W = np.linalg.qr(random.standard_normal((d, 2)))[0]
    X = random.standard_normal((n, d)) + gap * (2 * Y[:, :2] - 1) @ W.T
    return X.astype(np.float32), Y


def first_labelled(Y, count):
    return np.where(np.arange(len(Y))[:, None] < count, Y, np.int8(-1))


def some_positives(Y, share, seed):
    seen = np.random.default_rng([seed, 9]).random(Y.shape) < share
    return np.where((Y == 1) & seen, Y, np.int8(-1))


def held_out(method, X, known, Y, **options):
    taught = 400
    model = lw.MultiLabelClassifier(method, validation=None, device="cpu", **options)
    return model.fit(X[:taught], known[:taught]).score(X[taught:], Y[taught:])


MARGINS = {"softmatch": 0.01, "flatmatch": 0.006, "mat": 0.006}


@pytest.mark.parametrize("method", MARGINS)
def test_pseudo_labels_find_the_gap_between_clusters(method):
    """12 labelled items of 400: the mean of three seeds beats labelled-only training at its better rate.

    Measured on seeds 0 to 3: labelled-only .950 at rate 1e-3 and .936 at 3e-2; SoftMatch .970, FlatMatch .964 at
    3e-2, ahead on every seed. Where labels are linear in the features with noise and no gap, neither gains.
    MAT on seeds 0 to 4: .952, and .948 with thresholds from the very rows that it trains on.
    """
    own, alone, many = [], {1e-3: [], 3e-2: []}, {"epochs": 20}
    for seed in range(3):
        X, Y = clusters(seed)
        known = first_labelled(Y, 12)
        own.append(held_out(method, X, known, Y, learning_rate=3e-2, **many))
        for rate, found in alone.items():
            found.append(held_out("ignore_unknown", X, known, Y, learning_rate=rate, **many))
    best = max(np.mean(found) for found in alone.values())
    assert np.mean(own) > best + MARGINS[method]


def test_rows_held_out_for_thresholds_are_missed_where_labels_are_enough():
    """A finding: with 40 labelled items MAT's held-out fifth costs more than honest thresholds give.

    Measured on seeds 0 to 4: .979 for .991 without it, and .980 to .984 for training on the labelled rows alone.
    """
    found = {0.0: [], 0.2: []}
    for seed in range(3):
        X, Y = clusters(seed)
        for share, scores in found.items():
            options = {"epochs": 20, "learning_rate": 3e-2, "hyperparameters": {"held_share": share}}
            scores.append(held_out("mat", X, first_labelled(Y, 40), Y, **options))
    assert np.mean(found[0.0]) > np.mean(found[0.2]) + 0.004


def test_drml_learns_a_label_from_its_relation_to_others():
    """The third label is no linear function of the features, but one of two other labels' product.

    Measured on seeds 0 to 3: labelled-only linear training .819, DRML .899, and .05 or more ahead on each.
    """
    for seed in range(2):
        X, Y = related(seed)
        known = first_labelled(Y, 80)
        alone = held_out("ignore_unknown", X, known, Y, learning_rate=1e-2)
        assert held_out("drml", X, known, Y) > alone + 0.03


def test_drml_loses_where_labels_are_linear_and_unrelated():
    """A finding: a network from scratch on few labels is behind the closed-form start (.73 and .90 measured)."""
    X, Y = clusters(0, gap=1.6)
    known = first_labelled(Y, 15)
    assert held_out("drml", X, known, Y) < held_out("ignore_unknown", X, known, Y) - 0.03


def test_mime_beats_assuming_negative_where_labels_are_not_linear():
    """Four of five positives known: .845 for AN on the features, .97 to .98 for the decoder, on seeds 0 to 2."""
    for seed in range(2):
        X, Y = related(seed, d=6, gap=2.0)
        known = some_positives(Y, 0.8, seed)
        assert held_out("mime", X, known, Y) > held_out("an", X, known, Y) + 0.08


def test_mime_finds_positives_at_a_lower_threshold_and_nearly_none_at_the_published_one():
    """A finding: where a fifth of the positives counts as negative, a head is hardly ever sure to .95.

    At .8 it finds positives, and gains (.945 for .935 measured on seeds 0 to 7); linear `an` stays ahead (.970).
    """
    gains, alone = [], []
    for seed in range(4):
        X, Y = clusters(seed, n=900, d=12, gap=1.5, labels=4)
        known = some_positives(Y, 0.8, seed)
        never, lower = (held_out("mime", X, known, Y, hyperparameters={"threshold": t}) for t in (1.0, 0.8))
        if seed == 0:
            assert abs(held_out("mime", X, known, Y) - never) < 0.01
        gains.append(lower - never)
        alone.append(held_out("an", X, known, Y) - lower)
    assert np.mean(gains) > 0.005
    assert np.mean(alone) > 0


def test_mime_reads_the_maps_of_a_backbone(tmp_path):
    """A mark says the label wherever it stands in the picture; the model is the same after a round trip."""
    random = np.random.default_rng(0)
    n = 160
    Y = (random.random((n, 2)) < 0.5).astype(np.int8)
    X = 0.5 + 0.01 * random.standard_normal((n, 1, 8, 8)).astype(np.float32)
    for i, k in np.argwhere(Y == 1):
        row, column = random.integers(0, 8, 2)
        X[i, 0, row, column] += 0.4 * (1 if k == 0 else -1)
    X = X.clip(0, 1)
    backbone = SmallCNN((1, 8, 8), widths=(8, 16))
    model = lw.MultiLabelClassifier(
        "mime",
        backbone,
        validation=None,
        device="cpu",
        epochs=12,
        learning_rate=1e-2,
        batch_size=32,
        hyperparameters={"width": 32},
    )
    model.fit(X, Y)
    assert model.network_.reads_maps
    assert model.network_.head.split is None
    assert model.score(X, Y) > 0.8
    model.save(tmp_path / "model")
    loaded = lw.load(tmp_path / "model", backbone=SmallCNN((1, 8, 8), widths=(8, 16)))
    np.testing.assert_array_equal(loaded.decision_scores(X), model.decision_scores(X))
