"""``labelwise demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labelwise.cli._options import Json
from labelwise.cli._show import print_json, progress, table

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("labelwise-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer items and methods.")] = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The seed of every random choice.")] = 0,
    json: Json = False,
) -> None:
    """Hide labels of embedded data, train several methods, and compare them in a report. No network, no files."""
    from labelwise.demo import run

    result = run(out, quick=quick, open_report=open_report, seed=seed, progress=progress())
    if json:
        print_json(result.to_dict())
        return
    columns = list(result.rows[0])
    table(columns, [[row[name] for name in columns] for row in result.rows])
    typer.echo(f"report: {result.report}")
