"""What is drawn at random outside of training, from public functions: each call gives the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np

import labelwise as lw
from labelwise import analysis, data, metrics, models
from labelwise.annotations import simulate, split
from tests.frozen import cases


class Letters:
    """One id a letter between a first (1) and a last (2)."""

    pad_id = 0

    def encode(self, texts):
        return [[1, *(ord(letter) for letter in text), 2] for text in texts]


def drawn():
    """Return the digest of what each call gives."""
    X, Y = cases.items(400)
    scores = 1 / (1 + np.exp(-X[:, : cases.K].astype(np.float64)))
    model = lw.load(cases.FILES / "models" / "whole")
    rows = np.arange(12)
    words = data.Texts(["a long sentence of many letters"] * 12, Letters(), dropout=0.3)
    files = data.ImageFiles(
        sorted((cases.FILES / "pictures").glob("*.png")), models.ImagePreprocessing((16, 16))
    )
    arrays = data.as_source(X)
    interval = metrics.bootstrap(Y, scores, n=50, seed=3)
    difference = analysis.mean_difference(scores[:40, 0], scores[:40, 1], n=200, seed=2)
    found = {
        "bootstrap": [interval.low, interval.high],
        "mean_difference": [difference.low, difference.high],
        "partial": simulate.partial(Y, 0.4, seed=2),
        "partial_positives": simulate.partial_positives(Y, 0.4, seed=2),
        "semi_supervised": simulate.semi_supervised(Y, 0.2, seed=2),
        "semi_supervised_cap": simulate.semi_supervised(Y, 0.2, seed=2, rule="cap"),
        "single_positive": simulate.single_positive(Y, seed=2),
        "split": np.concatenate(split(Y, [0.7, 0.2, 0.1], seed=2)),
        "canvases": data.digits_canvases(12, seed=2)[0],
        "test_canvases": data.digits_canvases(12, seed=2, part="test", size=24, most=2)[1],
        "digits_features": data.digits_features(data.digits_canvases(6, seed=1)[0], filters=16),
        "normal_numbers": data.normal_numbers(rows, 7, purpose="any", seed=4, epoch=2),
        "thresholds": [metrics.learn_thresholds(Y, scores).apply(scores)],
        "two_gaussians": analysis.theory.simulate(2.0, n=500, repeats=2, seed=1).positive,
        "survey": analysis.survey(model, X, Y, most_rows=50, seed=1).rows,
        "landscape": analysis.loss_landscape(model, X, Y, steps=3, most_rows=60, seed=1)["loss"],
        "tokens": words.batch(rows, "strong", seed=5, epoch=1).numpy(),
        **{
            f"files_{view}": files.batch(rows[:3], view, seed=5, epoch=1).numpy()
            for view in ("weak", "strong")
        },
        **{
            f"arrays_{view}": arrays.batch(rows, view, seed=5, epoch=1).numpy() for view in ("weak", "strong")
        },
        "pictures": data.as_source(cases.pictures()[0]).batch(rows, "strong", seed=5, epoch=1).numpy(),
    }
    return {name: _digest(value) for name, value in found.items()}


def _digest(value):
    array = np.ascontiguousarray(value)
    return f"{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:12]}"


def made():
    """Return all that is frozen of this."""
    return {"platform": cases.platform(), "drawn": drawn()}
