"""``labelwise complete``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labelwise.cli.options import COLUMNS, PICTURES, Json, Run, given_settings, takes
from labelwise.cli.output import print_json, progress, say, show_notes, table

EXAMPLES = (
    "labelwise complete runs/first  # what is most likely missing in its own table",
    "labelwise complete runs/first photos.csv --fill .9 --out filled.csv --answers answers.csv",
)


@takes(*COLUMNS, *PICTURES)
def complete(
    context: typer.Context,
    run: Run,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="Another table; else the run's own.", show_default=False),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the ranked entries (.csv, .parquet, .jsonl); with --fill the table, in its own form.",
            show_default=False,
        ),
    ] = None,
    fill: Annotated[
        float | None,
        typer.Option(
            metavar="PRECISION",
            help="Fill entries of --out as far as answers certify this precision.",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Answers, beside those of the run.", show_default=False),
    ] = None,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="That of what is certified.")] = 0.95,
    unasked: Annotated[
        bool,
        typer.Option("--unasked", help="Certify the entries alone that nobody was asked about."),
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Ranked entries that are written.")] = 100_000,
    limit: Annotated[int, typer.Option(min=1, help="Entries that are shown.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="That of the random order of asking.")] = 0,
    json: Json = False,
) -> None:
    """Rank the unknown labels of a table, and fill those whose precision is certified."""
    from labelwise.runs import complete as complete_table

    done = complete_table(
        run,
        file,
        out,
        fill=fill,
        answers=answers,
        confidence=confidence,
        unasked=unasked,
        top=max(top, limit),
        seed=seed,
        progress=progress(),
        **given_settings(context),
    )
    if json:
        print_json(done.to_dict(limit))
        return
    columns = ("item", "label", "probability", "expected_precision", "lower", "upper", "decision", "source")
    entries = done.to_dict(limit)["entries"]
    table([name.replace("_", " ") for name in columns], [[row[name] for name in columns] for row in entries])
    say(f"{done.n_unknown:,} unknown entries in {Path(done.table).name}")
    say(f"certified: {done.completion.certificate}")
    show_notes(done.notes)
    if done.out is None:
        return
    say(f"written: {done.out}" + ("" if done.filled is None else f", {done.filled:,} entries filled"))
