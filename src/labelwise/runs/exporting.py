"""A finished run's model, written for use without labelwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.errors import UserError
from labelwise.runs.tables import FinishedRun, items_of

if TYPE_CHECKING:
    from labelwise.classifier.exporting import Exported

_ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


@dataclass(frozen=True)
class ExportedRun:
    """The files that were written, and what they were measured to give.

    Attributes:
        files: By format, ``"onnx"`` or ``"torch"``.
        why_not_measured: Why nothing was measured; None where it was.
    """

    files: Mapping[str, Exported]
    why_not_measured: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        files = {
            name: {"file": str(done.path), "bytes": done.path.stat().st_size, **done.measured()}
            for name, done in self.files.items()
        }
        return {**files, "why_not_measured": self.why_not_measured}


def export(
    run: str | Path,
    onnx: str | Path | None = None,
    torch: str | Path | None = None,
    *,
    int8: bool = False,
    table: str | Path | None = None,
    images: str | None = None,
    progress: bool = False,
) -> ExportedRun:
    """Write a run's model to a file of ONNX, or to a program of ``torch.export``, or to both.

    The files are compared with the model on items of a table. An ensemble is distilled from all of them first, and
    what that loses is measured on rows that were left out of the distillation.

    Args:
        run: The run directory.
        onnx: A name in .onnx; a file that is there is replaced.
        torch: A name in .pt2, as ``onnx``.
        int8: Round the backbone's weights in ``onnx`` to 8 bits.
        table: The table of those items; None: the run's own.
        images: The folder of its pictures; None: the run's.

    Raises:
        UserError: For a run that is not finished, a model that is no single network, and a table that is needed and
            cannot be read.
    """
    targets = {name: Path(path) for name, path in (("onnx", onnx), ("torch", torch)) if path is not None}
    if not targets:
        raise UserError("nothing to write: give --onnx FILE or --torch FILE")
    for name, path in targets.items():
        if path.suffix.lower() != _ENDINGS[name]:
            raise UserError(f"{path.name}: give a name that ends in {_ENDINGS[name]}")
    if int8 and onnx is None:
        raise UserError("int8 (--int8) is for files of ONNX: give --onnx FILE")
    finished = FinishedRun.open(run, progress=progress, images=images)
    model, why = finished.model, None
    X = Y = None
    try:
        data = finished.read_table(str(finished.config.table) if table is None else table)
        X, Y = items_of(data), data.annotations
    except UserError as error:
        if table is not None or int8 or model.network_.reads_rows:
            raise
        why = str(error)
    if model.network_.reads_rows and not model.reader_.sources:
        model = model.distil(X, Y)
    about = _about(finished)
    files: dict[str, Exported] = {}
    if onnx is not None:
        files["onnx"] = model.export_onnx(targets["onnx"], X, Y, int8=int8, about=about)
    if torch is not None:
        files["torch"] = model.export_torch(targets["torch"], X, Y, about=about)
    return ExportedRun(files, why)


def _about(finished: FinishedRun) -> dict[str, Any]:
    """Return what the run knows of its table beyond the model."""
    columns = finished.columns
    preparation = None if columns.preparation is None else columns.preparation.to_dict()
    return {"feature_names": list(columns.feature_names) or None, "preparation": preparation}
