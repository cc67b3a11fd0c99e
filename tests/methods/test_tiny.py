"""Every method that takes single positives trains on a table of a dozen rows, one name a row."""

from __future__ import annotations

import numpy as np
import pytest

import labelwise as lw
from labelwise import methods

NAMES = ["cat", "dog", "cow"]
ROWS = [[NAMES[i % 3]] for i in range(12)]
X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
SINGLE = [name for name in methods.names() if "single_positive" in methods.get(name).spec.settings]


@pytest.mark.parametrize("method", SINGLE)
def test_a_dozen_single_positives_are_enough_to_run(method, tmp_path):
    spec = methods.get(method).spec
    options = {"epochs": 2, "batch_size": 5} if spec.passes else {}
    options |= {"prior": 1.5} if "prior" in spec.needs else {}
    truth = (
        {"true_labels": np.eye(3, dtype=np.int8)[np.arange(12) % 3]} if "true_labels" in spec.needs else {}
    )
    model = lw.MultiLabelClassifier(method, device="cpu", **options).fit(X, ROWS, label_names=NAMES, **truth)
    scores = model.predict_proba(X)
    assert scores.shape == (12, 3)
    assert np.isfinite(scores).all()
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(lw.load(tmp_path / "model").predict_proba(X), scores)
