"""``labelwise demo``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, progress, say, table

EXAMPLES = (
    "labelwise demo --quick",
    "labelwise demo --export mine  # the digits as a table of your own",
)


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("labelwise-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer items, features and epochs.")] = False,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="The seed of every random choice.")] = 0,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Only write the digits there as your own table would be: pictures, features, one tag each.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Hide labels of embedded data, train several methods, and compare them in a report. No network, no files."""
    if export is not None:
        from labelwise.runs.digits import write_digits

        written = write_digits(export, n=300 if quick else 1000, filters=64 if quick else 256, seed=seed)
        if json:
            print_json({"table": str(written)})
        else:
            say(f"written: {written}")
            say(f"next     labelwise train {quote(str(written))} --out {quote(str(written.parent / 'run'))}")
        return
    from labelwise.runs.demo import run

    result = run(out, quick=quick, open_report=open_report, seed=seed, progress=progress())
    if json:
        print_json(result.to_dict())
        return
    columns = ("method", "what it is", "mAP", "gain over missing = no (95%)", "micro-F1", "hidden found", "s")
    table(columns, map(_cells, result.rows))
    say(f"report: {result.report}")
    if result.review is not None:
        say(
            f"next:   labelwise review {quote(str(result.review))}   (confirm what is missing, in the browser)"
        )


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    low, high = row["map_gain_low"], row["map_gain_high"]
    return (
        row["method"],
        row["title"],
        f"{row['map']:.3f}",
        "" if row["map_gain"] is None else f"{row['map_gain']:+.3f} ({low:+.3f} to {high:+.3f})",
        f"{row['micro_f1']:.3f}",
        "" if row["hidden_found"] is None else f"{row['hidden_found']:.0%}",
        f"{row['seconds']:.1f}",
    )
