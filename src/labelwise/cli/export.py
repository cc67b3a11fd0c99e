"""``labelwise export``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, progress, say

EXAMPLES = (
    "labelwise export runs/first --onnx model.onnx  # for onnxruntime, with names and thresholds",
    "labelwise export runs/photos --onnx small.onnx --int8  # weights of 8 bits, and what that loses",
    "labelwise export runs/first --torch model.pt2  # for torch alone",
)
_HOLDS = "backbone, scaling, head, calibration and rule; label names and preprocessing"


def export(
    run: Run,
    onnx: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file of ONNX to write, a name in .onnx.", show_default=False),
    ] = None,
    torch: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A program of torch.export to write, a name in .pt2.", show_default=False
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Round the backbone's weights in the ONNX file to 8 bits.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Items to compare the file with the model on, and to distil 'auto' from [the run's table].",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="The folder of its pictures.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Export a run's model for use without labelwise: one file with names, thresholds and its measured loss."""
    from labelwise.runs.exporting import export as export_run

    done = export_run(run, onnx, torch, int8=int8, table=table, images=images, progress=progress())
    if json:
        print_json(done.to_dict())
        return
    for file in done.files.values():
        say(f"written  {file.path} ({file.path.stat().st_size / 1e6:.2f} MB)")
    say(f"holds    {_HOLDS} in its metadata")
    if (first := next(iter(done.files.values()))).distillation is not None:
        say(f"loss     {first.distillation.words}")
    for name, file in done.files.items():
        if file.agreement is not None:
            say(f"measured {name}: {file.agreement.words}")
        if file.rounded is not None:
            say(f"int8     {file.rounded.loss}")
    if done.why_not_measured is not None:
        say(f"measured nothing: {done.why_not_measured}; give items by --table")
