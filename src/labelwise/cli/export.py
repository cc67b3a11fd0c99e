"""``labelwise export``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, say


def export(
    run: Run,
    onnx: Annotated[
        str,
        typer.Option(metavar="FILE", help="Where to write the model, a name in .onnx.", show_default=False),
    ],
    json: Json = False,
) -> None:
    """Export a run's model to ONNX, for use without labelwise: one file with names and thresholds."""
    from labelwise.runs.exporting import export as export_run

    path = export_run(run, onnx)
    if json:
        print_json({"onnx": str(path), "bytes": path.stat().st_size})
        return
    say(f"written  {path} ({path.stat().st_size / 1e6:.2f} MB)")
    say(
        "holds    backbone, scaling, head, calibration and rule; label names and preprocessing in its metadata"
    )
