"""Marked regions of hand-written pages: a program fills in tables and figures, and writes no sentence.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, a figure of the prose between `<!-- figure: NAME -->`
and the same end, never at the beginning of a line, where Markdown would take it for a block of HTML.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

REGION = re.compile(r"<!-- (table|figure): (\S+) -->.*?<!-- end -->", re.DOTALL)


def fill(text: str, made: Mapping[str, str]) -> str:
    """Return a page with what its marked regions should hold."""

    def filled(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if name not in made:
            raise SystemExit(f"there is no {kind} {name!r}; there are {', '.join(made)}")
        blank = "\n\n" if kind == "table" else ""
        body = f"{made[name]}{blank}" if made[name] else ""
        return f"<!-- {kind}: {name} -->{blank}{body}<!-- end -->"

    return REGION.sub(filled, text)


def fill_page(path: Path, made: Mapping[str, str]) -> None:
    """Fill the regions of a page in place, and name those that have no mark in it."""
    text = path.read_text(encoding="utf-8")
    path.write_text(fill(text, made), encoding="utf-8")
    if unmarked := {*made} - {name for _, name in REGION.findall(text)}:
        print(f"{path} has no mark for {', '.join(sorted(unmarked))}")


def list_regions(path: Path, made: Mapping[str, str]) -> None:
    """Write all regions, one after the other: what a page would be filled with."""
    short = [[name, value] for name, value in made.items() if value and "\n" not in value]
    lines = ["# Tables and figures", "", *(table(["figure", "value"], short, words=(0, 1)) if short else [])]
    for name, value in made.items():
        if "\n" in value:
            lines += ["", f"## {name}", "", value]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def publish_regions(page: Path, table: Path, made: Mapping[str, str], *, write: bool) -> None:
    """Fill a committed page, or list its regions beside an uncommitted table."""
    fill_page(page, made) if write else list_regions(table.with_suffix(".md"), made)


def upright(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return a table with a column for each of a few long rows; the names of its lines are `head`."""
    first, *lines = zip(head, *rows, strict=True)
    return table(list(first), map(list, lines), words=range(len(first)))


def table(head: list[str], rows: Iterable[list[str]], words: Collection[int] = (0,)) -> list[str]:
    """Return a Markdown table as lines; the columns at `words` hold text and start at the left."""
    line = "|" + "".join("---|" if place in words else "---:|" for place in range(len(head)))
    return ["| " + " | ".join(head) + " |", line, *("| " + " | ".join(row) + " |" for row in rows)]
