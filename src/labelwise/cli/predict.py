"""``labelwise predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import FORM, PICTURES, Json, Run, given_settings, takes
from labelwise.cli.output import print_json, progress, say, show_notes, show_skipped

EXAMPLES = (
    "labelwise predict runs/first new.csv --out predictions.parquet",
    "labelwise predict runs/first photos/ --out tags.csv",
    "cat new.csv | labelwise predict runs/first - --out tags.jsonl",
)


@takes(*FORM, *PICTURES, "engine", "workers")
def predict(
    context: typer.Context,
    run: Run,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A table, '-' for standard input, or a folder of pictures or of Parquet files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Where to write: .parquet, .csv or .jsonl; a folder for one of Parquet files.",
            show_default=False,
        ),
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A column of the table to write too, or a pattern ('*'); repeat it.",
            show_default=False,
        ),
    ] = None,
    quote_formulas: Annotated[
        bool,
        typer.Option(
            "--quote-formulas",
            help="In CSV, put an apostrophe before texts that a spreadsheet would compute (=, +, -, @).",
        ),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Write only so many labels of each item, those of the highest probabilities.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Predict the labels of a table's items: a probability for each label, and the predicted names."""
    from labelwise.runs import predict as write_predictions

    written = write_predictions(
        run,
        file,
        out,
        **given_settings(context),
        keep=keep or (),
        quote_formulas=quote_formulas,
        top=top,
        progress=progress(),
    )
    if json:
        print_json(written.to_dict())
        return
    kind = (
        "calibrated probabilities"
        if written.calibrated
        else "scores (not calibrated: the labels do not allow it)"
    )
    say(f"{written.n_items:,} items, {written.labels_per_item:.2f} labels each by {written.rule}; {kind}")
    show_notes(written.notes)
    show_skipped(written.skipped)
    say(f"written: {written.out}")
