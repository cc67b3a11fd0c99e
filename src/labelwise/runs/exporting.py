"""A finished run's model, written for use without labelwise."""

from __future__ import annotations

from pathlib import Path

from labelwise.errors import UserError
from labelwise.runs.directory import RunDirectory
from labelwise.runs.tables import read_model


def export(run: str | Path, onnx: str | Path) -> Path:
    """Write a run's model to one file of ONNX.

    Args:
        run: The run directory.
        onnx: The file to write; one that is there is replaced.

    Returns:
        The file.

    Raises:
        UserError: For a run that is not finished, and a model that is no single network.
    """
    path = Path(onnx)
    if path.suffix.lower() != ".onnx":
        raise UserError(f"{path.name}: give a name that ends in .onnx")
    directory = RunDirectory(Path(run))
    model, _ = read_model(directory, directory.finished())
    model.export_onnx(path)
    return path
