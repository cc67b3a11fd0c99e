"""``labelwise convert``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import COLUMNS, Json, given_settings, takes
from labelwise.cli.output import print_json, say, show_notes

EXAMPLES = (
    "labelwise convert project.json labels.csv",
    "labelwise convert --formats",
    "labelwise convert labels.csv tasks.json --to label-studio",
)


@takes(*COLUMNS)
def convert(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(metavar="FROM", help="A file of labels, of any format.", show_default=False),
    ] = None,
    target: Annotated[
        str | None, typer.Argument(metavar="TO", help="The file to write.", show_default=False)
    ] = None,
    from_format: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help="Format of FROM [default: recognised].", show_default=False
        ),
    ] = None,
    to_format: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="FORMAT", help="Format of TO [default: by its ending].", show_default=False
        ),
    ] = None,
    formats: Annotated[bool, typer.Option("--formats", help="List the formats and end.")] = False,
    json: Json = False,
) -> None:
    """Convert labels from one tool's format to another's, with unknown kept apart from irrelevant."""
    from labelwise.errors import UserError
    from labelwise.exchange import FORMATS
    from labelwise.exchange import convert as convert_file

    if formats:
        rows = [{"name": one.name, "title": one.title, "silence": one.silence} for one in FORMATS]
        if json:
            print_json(rows)
        else:
            for row in rows:
                say(f"{row['name']:<24}{row['title']}: {row['silence']}")
        return
    if source is None or target is None:
        raise UserError("give two files, FROM and TO, or --formats to list the formats")
    done = convert_file(
        source, target, from_format=from_format, to_format=to_format, **given_settings(context)
    )
    if json:
        print_json(done.to_dict())
        return
    show_notes(done.notes)
    say(f"read     {done.source[0]} as {done.source[1]}: {done.n_items:,} items, {done.n_labels:,} labels")
    say(f"entries  {done.relevant:,} relevant, {done.irrelevant:,} irrelevant, {done.unknown:,} unknown")
    say(f"written  {done.target[0]} as {done.target[1]}")
    if done.second:
        say(f"beside   {done.second}")
    if done.left_out:
        say(f"left out {', '.join(done.left_out)}: the format has no place for them")
