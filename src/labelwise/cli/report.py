"""``labelwise report``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, say

EXAMPLES = (
    "labelwise report runs/first --open",
    "labelwise report runs/first --out first.html",
)


def report(
    run: Run,
    out: Annotated[
        str | None,
        typer.Option(metavar="HTML", help="Write it there [default: the run's own].", show_default=False),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    json: Json = False,
) -> None:
    """Build the report of a finished run anew, from its model and its table."""
    from labelwise.runs import report as build

    path = build(run, out)
    if open_:
        typer.launch(path.resolve().as_uri())
    if json:
        print_json({"run": run, "report": str(path)})
    else:
        say(f"report   {path}")
