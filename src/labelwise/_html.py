"""Small HTML tables for notebooks: escaped, without a script, a style sheet or a link."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_LINES = 12
"""Rows of a table at most, so that a notebook with a thousand labels stays small."""


def facts_table(title: str, facts: Iterable[tuple[str, object]], notes: Iterable[str] = ()) -> str:
    """Return a table of names and values, with sentences below."""
    rows = [f"<tr><th scope='row'>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in facts]
    return _table(title, rows, notes)


def columns_table(
    title: str, head: Iterable[str], rows: Iterable[Iterable[object]], notes: Iterable[str] = ()
) -> str:
    """Return a table with a head, of the first rows alone where they are many."""
    lines = [f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows]
    more = [f"<tr><td>and {len(lines) - _LINES:,} more</td></tr>"] if len(lines) > _LINES else []
    top = f"<tr>{''.join(f'<th>{_cell(name)}</th>' for name in head)}</tr>"
    return _table(title, [top, *lines[:_LINES], *more], notes)


def _table(title: str, rows: Iterable[str], notes: Iterable[str]) -> str:
    below = "".join(f"<p>{_cell(note)}</p>" for note in notes)
    return f"<div><table><caption>{_cell(title)}</caption>{''.join(rows)}</table>{below}</div>"


def _cell(value: object) -> str:
    form = {float: ".4f", int: ","}.get(type(value), "")
    return escape(format(value, form))
