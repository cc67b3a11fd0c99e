"""Small tables on disk, and the command line run in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from labelwise.cli import app
from tests.refusals import refused_command

FEATURES, LABELS = [f"f{i}" for i in range(5)], ["cat", "dog", "sea"]


def write_rows(path: Path, columns: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Paths: ``semi`` (every other row labelled), ``single`` (one positive a row), ``test`` (all known)."""
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 5))
    Y = (X @ random.normal(size=(5, 3)) + 0.3 * random.normal(size=(200, 3)) > 0).astype(int)

    def write(name: str, rows: range, known: Callable[[int, int], bool]) -> Path:
        lines = [
            [f"i{i}", *(f"{v:.5f}" for v in X[i]), *(Y[i, k] if known(i, k) else "" for k in range(3))]
            for i in rows
        ]
        return write_rows(folder / name, ["id", *FEATURES, *LABELS], lines)

    first = [int(np.flatnonzero(row)[0]) if row.any() else -1 for row in Y]
    return SimpleNamespace(
        folder=folder,
        X=X,
        Y=Y,
        semi=write("semi.csv", range(140), lambda i, k: i % 2 == 0),
        single=write("single.csv", range(140), lambda i, k: k == first[i]),
        test=write("test.csv", range(140, 200), lambda i, k: True),
    )


@pytest.fixture
def lw() -> Callable[..., Result]:
    """Run ``labelwise ARGS`` in this process."""
    runner = CliRunner()

    def call(*args: object) -> Result:
        return runner.invoke(app, [str(arg) for arg in args])

    return call


@pytest.fixture
def refused(lw: Callable[..., Result]) -> Callable[..., str]:
    """Run a command that must be refused in one line, and return that line."""
    return lambda *args: refused_command(lw(*args))


@pytest.fixture
def answer(lw: Callable[..., Result]) -> Callable[..., Any]:
    """Run a command with ``--json`` and return what it printed: JSON only."""

    def call(*args: object) -> Any:
        result = lw(*args, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    return call


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest) -> None:
    """Draw no figures but where the report is what is tested."""
    if request.path.name != "test_report.py":
        request.getfixturevalue("undrawn")


@pytest.fixture(scope="session")
def trained(tables: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on ``tables.semi``."""
    out = tmp_path_factory.mktemp("runs") / "first"
    result = CliRunner().invoke(app, ["train", str(tables.semi), "--out", str(out), "--device", "cpu"])
    assert result.exit_code == 0, (result.output, result.exception)
    return out
