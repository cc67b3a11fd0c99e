"""A small table and a run on it, which tests may damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise import runs


@pytest.fixture(autouse=True)
def quick(undrawn) -> None:
    """Draw no figures: the report's own tests do."""


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> tuple[Path, Path]:
    """A table, and a finished run on it; each test file has its own."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(60, 4)), columns=[f"f{k}" for k in range(4)])
    frame[["a", "b"]] = (frame.iloc[:, :2] > 0).astype(int)
    frame.to_csv(folder / "t.csv", index=False)
    config = runs.RunConfig.build({"table": str(folder / "t.csv"), "method": "ridge", "device": "cpu"})
    runs.train(config, folder / "run")
    return folder / "t.csv", folder / "run"


@pytest.fixture
def run(given, tmp_path) -> Path:
    """A copy of the given run."""
    return Path(shutil.copytree(given[1], tmp_path / "run"))
