"""A run predicts the label sets that its model predicts, also where probabilities round to 1."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from labelwise import load, runs


def test_label_sets_are_the_models_where_probabilities_are_tied(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    X = draw.normal(size=(60, 4)).round(3)
    Y = (X @ draw.normal(size=(4, 3)) > 0).astype(int)
    table = tmp_path / "t.jsonl"
    rows = [
        {f"f{j}": v for j, v in enumerate(x)} | dict(zip("abc", y, strict=True))
        for x, y in zip(X.tolist(), Y.tolist(), strict=True)
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"table": str(table), "method": "bce", "rule": "top_k(1)", "calibrate": False, "epochs": 1}
    runs.train(runs.RunConfig.build(asked), tmp_path / "run")
    model = load(tmp_path / "run" / "model")
    with torch.no_grad():
        model.network_.head.weight *= 1000
        model.network_.head.bias += 100
    model.save(tmp_path / "run" / "model")
    features = X.astype(np.float32)
    assert (np.sort(model.predict_proba(features), axis=1)[:, -2] == 1).any()
    runs.predict(tmp_path / "run", table, tmp_path / "p.jsonl")
    records = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["predicted"] for row in records] == model.predict_names(features)
    scores = np.array([[row[name] for name in "abc"] for row in records], np.float32)
    np.testing.assert_array_equal(scores, model.predict_proba(features))
