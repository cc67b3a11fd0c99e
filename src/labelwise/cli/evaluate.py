"""``labelwise evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import FORM, LABELS, PICTURES, Json, Run, Table, given_settings, takes
from labelwise.cli.output import (
    figures,
    per_label,
    print_json,
    progress,
    say,
    show_notes,
    show_skipped,
    table,
)

EXAMPLES = (
    "labelwise evaluate runs/first test.csv --per-label",
    "labelwise evaluate runs/first test.csv --rule 'top_k(3)' --out figures.json",
)


@takes(*LABELS, *FORM, *PICTURES)
def evaluate(
    context: typer.Context,
    run: Run,
    file: Table,
    rule: Annotated[
        str | None,
        typer.Option(
            help="0.5, 'threshold(0.5)' or 'top_k(3)' [default: the model's own].", show_default=False
        ),
    ] = None,
    per_label_: Annotated[bool, typer.Option("--per-label", help="Show each label's figures.")] = False,
    out: Annotated[
        str | None, typer.Option(metavar="JSON", help="Write the result there.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Judge a trained model on a table with labels."""
    from labelwise.runs import evaluate as evaluate_run

    result = evaluate_run(
        run,
        file,
        rule=rule,
        out=out,
        **given_settings(context),
        progress=progress(),
    )
    if json:
        print_json(result.to_dict())
        return
    for sentence in result.words:
        say(sentence)
    show_notes(result.notes)
    if result.evaluation is not None:
        record = result.evaluation.to_dict()
        figures(record)
        if per_label_:
            per_label(record)
    elif result.observed is not None:
        mean = result.observed_map
        say(
            "observed mAP  none: no label is known of one item and not of another, so nothing can be ranked"
            if mean is None
            else f"observed mAP  {mean:.4f}"
        )
        if per_label_:
            table(("label", "observed AP"), zip(result.label_names, result.observed.tolist(), strict=True))
    show_skipped(result.skipped)
    if out is not None:
        say(f"written: {out}")
