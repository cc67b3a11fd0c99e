"""Print results: JSON for machines, tables and lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from labelwise.errors import escaped, listed, printable

if TYPE_CHECKING:
    from labelwise.runs import Outcome

_silent: list[bool] = [False]
"""Whether people get no words, innermost last."""
_MOST_NAMES = 100
"""Labels that a line names."""
_SHORT = 18
"""Cells up to this width are never broken over lines."""


def print_json(data: Any) -> None:
    """Print ``data`` as JSON on stdout."""
    typer.echo(escaped(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)))


def say(text: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Print a text, with nothing in it that a terminal would obey.

    Names, ids and paths may come from anybody.
    """
    if not _silent[-1]:
        typer.echo(printable(str(text)) + end, err=err, nl=False)


def complain(text: object) -> None:
    """Print a line on stderr whatever was asked for: an error, or how to go on with what was stopped."""
    typer.echo(printable(str(text)), err=True)


@contextmanager
def runs_progress(title: str) -> Iterator[Any]:
    """Yield what shows runs done, of how many; None under ``--quiet``."""
    if not progress():
        yield None
        return
    from labelwise.engine import counted

    with counted(title) as show:
        yield lambda finished, of, _shard: show(finished, of, "")


def progress() -> bool:
    """Return whether progress is shown: a bar on a terminal, a line every ten seconds elsewhere."""
    return not _silent[-1]


@contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """Print nothing for people inside, if ``wanted``: errors and what ``--json`` asks for alone."""
    _silent.append(wanted)
    try:
        yield
    finally:
        _silent.pop()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table.

    Columns of numbers are aligned right, and the first column, which names the row, stays whole.
    """
    if _silent[-1]:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, name in enumerate(columns):
        numbers = all(isinstance(row[k], int | float | None) and not isinstance(row[k], bool) for row in rows)
        shown.add_column(
            name,
            justify="right" if numbers else "left",
            no_wrap=k == 0 or max(len(_cell(row[k])) for row in rows) <= _SHORT if rows else True,
        )
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    console = Console()
    # Without a terminal rich assumes 80 columns, and would break what another program reads.
    if not console.is_terminal:
        console = Console(width=max(console.width, 110))
    console.print(shown)


def figures(record: Mapping[str, Any]) -> None:
    """Print the figures of ``Evaluation.to_dict``.

    The rule's name and what was left out stand beside them.
    """
    from labelwise.metrics import RULE_METRICS

    rule = record["rule"]
    rows = [
        (name, value, rule if name in RULE_METRICS else "")
        for name, value in record["metrics"].items()
        if value is not None or "_at_" not in name
    ]
    table(("metric", "value", "decision rule"), rows)
    say(f"{record['n_items']:,} items judged; rule: {rule}")
    if record["n_unknown"]:
        say(
            f"left out: {record['n_unknown']:,} unknown entries, {record['n_items_left_out']:,} items without labels"
        )
    if names := record["labels_without_positive"]:
        say(f"no known positive, left out of macro averages: {listed(names, _MOST_NAMES)}")
    if names := record["labels_without_negative"]:
        say(f"no known negative, left out of mAP: {listed(names, _MOST_NAMES)}")
    for note in record.get("notes", ()):
        say(note)


def per_label(record: Mapping[str, Any]) -> None:
    """Print the per-label table of ``Evaluation.to_dict``."""
    columns = record["per_label"]
    names = [
        name
        for name in ("name", "positives", "negatives", "unknown", "average_precision", "f1")
        if name in columns
    ]
    table(
        ["label" if name == "name" else name for name in names],
        zip(*(columns[name] for name in names), strict=True),
    )


def show_outcome(outcome: Outcome) -> None:
    """Print the result of a training run, and what to do next."""
    if outcome.already_finished:
        say(f"{outcome.run} is finished; nothing was left to do")
    for place, role in enumerate(outcome.roles):
        say(f"{'columns' if not place else '':<9}{role}")
    say(f"data     {outcome.n_items:,} items, {outcome.n_labels:,} labels, setting {outcome.setting}")
    say(f"method   {outcome.method}" + (f": {outcome.reason}" if outcome.reason else ""))
    show_notes(outcome.notes)
    show_skipped(outcome.skipped)
    if outcome.figures is not None:
        say("judged on labelled rows that the model did not see:")
        figures(outcome.figures)
    for place, sentence in enumerate(outcome.why_no_figures):
        say(f"{'judged' if not place else '':<9}{sentence}")
    say(f"rule     {outcome.rule}: {outcome.rule_source}")
    say(f"model    {outcome.model}")
    say(f"report   {outcome.report}")
    say(f"time     {outcome.seconds:.1f} s")
    say(f"next     labelwise evaluate {outcome.run} test.csv")
    say(f"         labelwise predict {outcome.run} new.csv --out predictions.csv")


def show_notes(notes: Sequence[str]) -> None:
    """Print notes on what was guessed."""
    for place, note in enumerate(notes):
        say(f"{'notes' if not place else '':<9}{note}")


def show_skipped(skipped: Sequence[tuple[str, str]], most: int = 10) -> None:
    """Print which items could not be read, and why."""
    for place, (item, reason) in enumerate(skipped[:most]):
        say(f"{'skipped' if not place else '':<9}{' '.join(f'{item}: {reason}'.split())}")
    if len(skipped) > most:
        say(f"{'':<9}and {len(skipped) - most:,} more")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else printable(str(value))
