"""``labelwise cache``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, say, table

if TYPE_CHECKING:
    from labelwise.embedding import CachedFeatures

EXAMPLES = (
    "labelwise cache",
    "labelwise cache --clear  # delete all entries",
)


def cache(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Entries, by the beginnings of their keys.", show_default=False),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete the entries that are named, or all of them.")
    ] = False,
    json: Json = False,
) -> None:
    """List the features that are kept on disk, the last used first, or delete them with --clear."""
    from labelwise.embedding import FeatureCache
    from labelwise.errors import UserError

    features = FeatureCache()
    if keys and not clear:
        raise UserError(
            f"keys without --clear: 'labelwise cache --clear {' '.join(keys)}' deletes these entries"
        )
    if clear:
        deleted, in_use = features.clear(keys or ())
        freed = sum(entry.bytes for entry in deleted)
        if json:
            record = {
                "directory": str(features.directory),
                "deleted": [entry.to_dict() for entry in deleted],
                "in_use": [entry.to_dict() for entry in in_use],
                "bytes_freed": freed,
            }
            print_json(record)
            return
        say(f"{_entries(len(deleted))} deleted from {features.directory}, {_size(freed)} freed")
        for entry in in_use:
            say(f"{entry.key[:12]} is being written by a run, and stays")
        return
    entries = features.entries()
    total = sum(entry.bytes for entry in entries)
    if json:
        print_json(
            {
                "directory": str(features.directory),
                "entries": [entry.to_dict() for entry in entries],
                "bytes": total,
            }
        )
        return
    if entries:
        columns = ("key", "backbone", "items", "width", "size", "made", "last used", "")
        rows = [_row(entry) for entry in entries]
        table(columns, rows)
    say(f"{_entries(len(entries))} in {features.directory}, {_size(total)}")


def _entries(count: int) -> str:
    return f"{count:,} entr{'y' if count == 1 else 'ies'}"


def _row(entry: CachedFeatures) -> tuple[object, ...]:
    state = "" if entry.state == "kept" else entry.state
    shape = (entry.backbone, f"{entry.items:,}", f"{entry.features:,}", _size(entry.bytes))
    return (entry.key[:8], *shape, _minute(entry.created), _minute(entry.used), state)


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _size(count: int) -> str:
    """Return a number of bytes for people, in units of 1,000."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
