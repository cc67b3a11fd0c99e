"""``labelwise describe``."""

from __future__ import annotations

import typer

from labelwise.cli.options import COLUMNS, PICTURES, Json, Table, given_settings, takes
from labelwise.cli.output import print_json, say, show_skipped

EXAMPLES = (
    "labelwise describe photos.csv",
    "labelwise describe tickets.csv --labels-column tags --unlisted absent --json",
)


@takes(*COLUMNS, *PICTURES)
def describe(
    context: typer.Context,
    file: Table,
    json: Json = False,
) -> None:
    """Say what the labels of a table hold, and what can be judged with them."""
    from labelwise.runs import describe as describe_table

    description = describe_table(file, **given_settings(context))
    if json:
        print_json(description.to_dict())
    else:
        say(str(description))
        show_skipped(description.skipped)
