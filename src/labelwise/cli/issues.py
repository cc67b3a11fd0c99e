"""``labelwise issues``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, progress, say, show_notes, table

EXAMPLES = (
    "labelwise issues runs/first --limit 50",
    "labelwise issues runs/first --given yes --out doubted.csv",
)


def issues(
    run: Run,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write all given entries: .csv, .parquet or .jsonl.", show_default=False
        ),
    ] = None,
    given: Annotated[
        str, typer.Option(metavar="both|yes|no", help="Which given entries: of both states, or of one.")
    ] = "both",
    limit: Annotated[int, typer.Option(min=1, help="Entries that are shown.")] = 20,
    rank_by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="self_confidence, or likelihood_ratio, which doubts rare labels no more than frequent ones.",
        ),
    ] = "self_confidence",
    filter_by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What counts as an issue: prune_by_noise_rate, confident_learning, predicted_neq_given or"
            " low_self_confidence.",
        ),
    ] = "prune_by_noise_rate",
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the pictures are now.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Show the given labels of a run's table that models doubt which did not see the row, worst first."""
    from labelwise.runs import issues as find_issues

    found = find_issues(
        run,
        out,
        given=given,
        rank_by=rank_by,
        filter_by=filter_by,
        images=images,
        progress=progress(),
    )
    if json:
        print_json(found.to_dict(limit))
        return
    rows = [
        (
            row["item"],
            row["label"],
            ("no", "yes")[row["given"]],
            row["probability"],
            "yes" if row["issue"] else "",
        )
        for row in found.to_dict(limit)["entries"]
    ]
    table(("item", "label", "given", "probability", "issue"), rows)
    say(f"{found.n_known:,} given entries, {found.n_issues:,} of them estimated to be wrong; {found.how}")
    show_notes(found.notes)
    if found.out is not None:
        say(f"written: {found.out}")
