"""``labelwise methods``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, say, table

EXAMPLES = (
    "labelwise methods",
    "labelwise methods bbam  # its hyper-parameters",
)


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One method, in full.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the methods, or one method's hyper-parameters with default, range and source."""
    from labelwise.runs import method_record, method_records

    if name is None:
        records = method_records()
        if json:
            print_json(records)
            return
        columns = ("id", "title", "settings", "assumption", "passes")
        rows = [
            (r["id"], r["title"], _settings(r["settings"]), r["assumption"], r["passes"]) for r in records
        ]
        table(columns, rows)
        say("passes: forward passes an item and epoch, 0 for a closed form; 'labelwise methods ID' says more")
        return
    record = method_record(name)
    if json:
        print_json(record)
        return
    say(f"{record['id']}: {record['title']}")
    for key in ("paper", "assumption", "settings", "needs", "cost"):
        value = record[key]
        if value:
            say(f"{key:<11} {', '.join(value) if isinstance(value, list) else value}")
    for key, title in (("head_budget", "a head on fixed features"), ("full_budget", "a whole network")):
        budget = ", ".join(f"{name} {value:g}" for name, value in record[key].items())
        say(f"{'budget':<11} {title}: {budget}")
    rows = [
        (h["name"], _default(h["default"]), h["range"], h["help"], h["source"])
        for h in record["hyperparameters"]
    ]
    if rows:
        table(("hyper-parameter", "default", "range", "what it is", "source"), rows)
    else:
        say("no hyper-parameters")


def _settings(settings: list[str]) -> str:
    return "any" if len(settings) == 5 else ", ".join(settings)


def _default(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value
