"""A small run of pictures, and its page asked in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from labelwise.runs.reviewing import ReviewData
from labelwise.web import Review, ReviewStore, create_app

LABELS = ("cat", "dog", "sea")


def make_data(folder: Path, n: int = 60, labels=LABELS, **changes) -> ReviewData:
    """Return items without a run: scores at random, a fifth of the entries given."""
    random = np.random.default_rng(0)
    scores = random.random((n, len(labels))).astype(np.float32)
    given = np.where(random.random(scores.shape) < 0.2, scores > 0.5, -1).astype(np.int8)
    values = {
        "run": folder,
        "model_run": folder,
        "identity": "one",
        "table": folder / "table.csv",
        "kind": "text",
        "items": [f"item {i}" for i in range(n)],
        "contents": [f"words of number {i} <b>bold</b>" for i in range(n)],
        "columns": {},
        "labels": tuple(labels),
        "given": given,
        "scores": scores,
        "suggested": scores > 0.5,
    }
    return ReviewData(**{**values, **changes})


def open_review(folder: Path, data: ReviewData | None = None) -> Review:
    data = make_data(folder) if data is None else data
    return Review(data, ReviewStore.of_run(folder / "answers.sqlite", data.items, data.identity))


@pytest.fixture
def review(tmp_path):
    made = open_review(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def page(review):
    """A client with the proof that the page has."""
    from starlette.testclient import TestClient

    client = TestClient(create_app(review), base_url="http://127.0.0.1")
    client.headers["x-labelwise"] = client.get("/api/run").json()["proof"]
    return client


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """A folder with the table and the pictures of 120 canvases of digits, and a run on them."""
    from labelwise.runs import RunConfig, train
    from labelwise.runs.digits import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, n=120, filters=32)
    train(
        RunConfig.build({"table": str(folder / "digits.csv"), "method": "ridge", "device": "cpu"}),
        folder / "run",
    )
    return folder


@pytest.fixture
def digits_run(digits, tmp_path) -> Path:
    """A copy of the run on the digits, whose table stays where it is."""
    return Path(shutil.copytree(digits / "run", tmp_path / "run"))
