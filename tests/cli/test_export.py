"""``labelwise export`` writes a model that needs no labelwise."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_only.py"


def test_the_example_predicts_with_the_exported_model_alone(lw, refused, tables, tmp_path):
    assert lw("train", tables.semi, "--method", "ridge", "--out", tmp_path / "run").exit_code == 0
    result = lw("export", tmp_path / "run", "--onnx", tmp_path / "model.onnx")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "written" in result.output
    assert lw("predict", tmp_path / "run", tables.test, "--out", tmp_path / "p.csv").exit_code == 0
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["cat", "dog", "sea"]
    assert "give a name that ends in .onnx" in refused(
        "export", tmp_path / "run", "--onnx", tmp_path / "model.bin"
    )
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path / "model.onnx", tables.test],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    printed = [
        {} if line == "no label" else dict(part.split(" ") for part in line.split(", "))
        for line in done.stdout.splitlines()
    ]
    assert len(printed) == len(rows)
    columns = [next(key for key in rows[0] if key in (name, f"{name}_probability")) for name in names]
    for found, row in zip(printed, rows, strict=True):
        for name, value in found.items():
            assert float(value) == pytest.approx(float(row[columns[names.index(name)]]), abs=6e-4)
