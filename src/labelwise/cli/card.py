"""``labelwise card``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, say

EXAMPLES = ("labelwise card runs/first --license apache-2.0",)


def card(
    run: Run,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Where to write, a name in .md [RUN/README.md].", show_default=False
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model's licence, as in apache-2.0.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's model card: its data and label states, protocol, figures with their rule, and limits."""
    from labelwise.runs.card import card as write_card

    path = write_card(run, out, license=license)
    if json:
        print_json({"card": str(path)})
        return
    say(f"written  {path}")
    if license is None:
        say("note     it names no licence: give one by --license before others use the model")
