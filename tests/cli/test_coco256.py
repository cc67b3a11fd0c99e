"""256 COCO pictures with 80 labels, from a table of paths and tags to predictions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise import simulate


@pytest.mark.data
def test_coco256_trains_from_its_files(lw, answer, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    if "LABELWISE_DATA" not in os.environ:
        pytest.skip("LABELWISE_DATA is not set: it names the folder of the real data")
    folder = Path(os.environ["LABELWISE_DATA"]) / "coco256"
    with np.load(folder / "labels.npz") as file:
        names, truth = file["names"].astype(str), file["Y"].astype(np.int8)
    seen = simulate.semi_supervised(truth[:192], labelled_fraction=0.5, seed=1, rule="cap")

    def table(name: str, rows: slice, labels: np.ndarray) -> Path:
        tags = [";".join(f"label {k}" for k in np.flatnonzero(row == 1)) for row in labels]
        files = [f"{item}" if str(item).endswith(".jpg") else f"{item}.jpg" for item in names[rows]]
        pd.DataFrame({"image": files, "tags": tags}).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    train, test = table("train.csv", slice(192), seen), table("test.csv", slice(192, None), truth[192:])
    given = (
        "--images",
        folder / "images",
        "--labels-column",
        "tags",
        "--unlisted",
        "absent",
        "--image-size",
        128,
    )
    out = tmp_path / "run"
    result = lw("train", train, *given, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, (result.output, result.exception)
    evaluation = answer("evaluate", out, test, "--images", folder / "images")
    chance = truth[192:].mean(0)[truth[192:].any(0)].mean()
    assert evaluation["figures"]["metrics"]["map"] > 3 * chance
    written = answer("predict", out, test, "--images", folder / "images", "--out", tmp_path / "p.parquet")
    assert written["n_items"] == 64
