"""Held-out rows that are near copies of training rows are told; rows of their own never are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise import runs
from labelwise.runs.copies import Sketch

DRAW = np.random.default_rng(0)


def grouped(path: Path, n: int, copies: int, noise: float = 0.05) -> Path:
    """Write ``n`` groups of near copies whose labels are drawn at random."""
    X = np.repeat(DRAW.normal(size=(n, 40)), copies, axis=0)
    frame = pd.DataFrame(
        (X + noise * DRAW.normal(size=X.shape)).round(3), columns=[f"f{k}" for k in range(40)]
    )
    for name in "abc":
        frame[name] = np.repeat((DRAW.random(n) < 0.4).astype(int), copies)
    frame.to_csv(path, index=False)
    return path


def test_near_copies_are_told_where_they_flatter_and_nowhere_else(tmp_path):
    train = grouped(tmp_path / "train.csv", 60, 4)
    config = runs.RunConfig.build({"table": str(train)})
    outcome = runs.train(config, tmp_path / "run")
    assert outcome is not None
    assert any("240 of 240 rows looked at are near copies of other rows" in note for note in outcome.notes)
    new = runs.evaluate(tmp_path / "run", grouped(tmp_path / "new.csv", 60, 4))
    assert not any("near copies" in note for note in new.notes)
    pd.read_csv(train)[::4].to_csv(tmp_path / "part.csv", index=False)
    part = runs.evaluate(tmp_path / "run", tmp_path / "part.csv")
    assert any(
        "60 of 60 rows looked at are near copies of rows that the model" in note for note in part.notes
    )
    (tmp_path / "run" / "sketch.npz").write_bytes(b"not one")
    assert runs.evaluate(tmp_path / "run", tmp_path / "part.csv").notes == ()
    single = grouped(tmp_path / "single.csv", 120, 1)
    held = runs.RunConfig.build({"table": str(single), "validation": str(single)})
    with_copies = runs.train(held, tmp_path / "held")
    assert with_copies is not None
    assert any("validation table" in note for note in with_copies.notes)


@pytest.mark.parametrize(("n", "width"), [(60, 4), (300, 6), (2000, 3), (500, 40), (400, 1280), (3000, 12)])
@pytest.mark.parametrize("kind", ["normal", "heavy", "clusters", "positive"])
def test_rows_of_their_own_are_no_copies(n: int, width: int, kind: str):
    X = DRAW.normal(size=(n, width))
    if kind == "heavy":
        X = DRAW.standard_t(3, size=(n, width))
    elif kind == "clusters":
        X = X + 6 * DRAW.normal(size=(8, width))[DRAW.integers(0, 8, n)]
    elif kind == "positive":
        X = np.abs(X) * (DRAW.random((n, width)) < 0.7)
    sketch = Sketch.of(X.astype(np.float32))
    assert sketch is None or sketch.among_themselves() is None


def test_tables_of_few_different_values_have_no_copies_to_speak_of():
    assert Sketch.of(DRAW.integers(0, 2, (200, 6)).astype(np.float32)) is None
    assert Sketch.of(np.zeros((200, 6), np.float32)) is None
    assert Sketch.of(DRAW.normal(size=(10, 6)).astype(np.float32)) is None
    assert Sketch.of(DRAW.normal(size=(200, 1)).astype(np.float32)) is None


def test_a_sketch_is_written_and_read(tmp_path):
    X = DRAW.normal(size=(50, 30)).astype(np.float32)
    sketch = Sketch.of(X)
    assert sketch is not None
    sketch.save(tmp_path)
    again = Sketch.load(tmp_path)
    assert again is not None
    assert again.among(X) == sketch.among(X)
    assert "50 of 50" in str(again.among(X))
    assert again.among(DRAW.normal(size=(50, 30)).astype(np.float32)) is None
    assert again.among(X[:, :5]) is None
    assert Sketch.load(tmp_path / "none") is None
