"""The comparison as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from labelwise.experiments._compare import Compared
from labelwise.experiments._spec import Spec

__all__ = ["to_html", "to_markdown"]

_NAMES = {
    "map": "mAP",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "hamming_loss": "Hamming loss",
    "one_error": "one-error",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "div{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0 1.5rem}"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid #8884;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}"
)


@dataclass(frozen=True)
class _Grid:
    title: str
    head: list[str]
    body: list[list[str]]


def to_markdown(spec: Spec, rows: Sequence[Compared], words: Sequence[str] = ()) -> str:
    """Return the tables: printed -> measured ± deviation (difference, seeds), one table a metric and data set.

    ``words`` are sentences to put before them.
    """
    lines = [f"# {spec.title}", "", *_between([*_words(spec, rows), *words]), ""]
    for grid in _grids(spec, rows):
        lines += [f"## {grid.title}", "", f"| {' | '.join(grid.head)} |", "|---" * len(grid.head) + "|"]
        lines += [f"| {' | '.join(cells)} |" for cells in grid.body]
        lines.append("")
    return "\n".join(lines)


def to_html(spec: Spec, rows: Sequence[Compared], words: Sequence[str] = ()) -> str:
    """Return the same tables as one page that needs no other file."""
    parts = [
        f"<h1>{escape(spec.title)}</h1>",
        *(f"<p>{escape(word)}</p>" for word in [*_words(spec, rows), *words]),
    ]
    for grid in _grids(spec, rows):
        head = "".join(f"<th>{escape(cell)}</th>" for cell in grid.head)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>" for cells in grid.body
        )
        parts.append(
            f"<h2>{escape(grid.title)}</h2><div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(spec.title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{"".join(parts)}</html>\n'
    )


def _words(spec: Spec, rows: Sequence[Compared]) -> list[str]:
    protocol = rows[0].protocol if rows else "honest"
    unit = "In percent. " if spec.percent else ""
    words = [
        f"{spec.paper}.",
        f"{unit}Protocol of the measured numbers: {protocol}. A cell: printed → measured ± standard deviation over "
        "seeds (difference, seeds). A difference is given only under the decision rule of the printed number.",
    ]
    if spec.note:
        words.append(spec.note)
    if any(row.metric in ("micro_f1", "macro_f1", "hamming_loss") for row in rows):
        words.append(
            "oracle_cardinality reads the number of labels of each test item from the truth: only mAP and one-error, "
            "which need no rule, compare all rows."
        )
    words += _notes(rows)
    return words


def _notes(rows: Iterable[Compared]) -> list[str]:
    notes = {
        f"{row.row}, {_column(row, True)}, {_NAMES.get(row.metric, row.metric)}: {row.note}."
        for row in rows
        if row.note
    }
    errors: dict[str, int] = {}
    for row in rows:
        if row.error and row.state in ("failed", "stopped"):
            errors[row.error] = errors.get(row.error, 0) + 1
    return [*sorted(notes), *(f"Not measured ({count} numbers): {error}" for error, count in errors.items())]


def _grids(spec: Spec, rows: Sequence[Compared]) -> list[_Grid]:
    """Return one table a metric, and one a data set where a setting has several fractions."""
    wide = any(row.fraction is not None for row in rows)
    several = len({row.setting for row in rows}) > 1
    grids = []
    for dataset in dict.fromkeys(row.dataset for row in rows) if wide else [None]:
        for metric in spec.metrics:
            mine = [row for row in rows if row.metric == metric and dataset in (None, row.dataset)]
            if not mine:
                continue
            columns = list(dict.fromkeys(_column(row, several, dataset) for row in mine))
            by_place = {(_line(row), _column(row, several, dataset)): row for row in mine}
            title = _NAMES.get(metric, metric.replace("_", " "))
            body = [
                [line, *(_cell(by_place.get((line, column)), spec.percent) for column in columns)]
                for line in dict.fromkeys(map(_line, mine))
            ]
            grids.append(_Grid(f"{dataset}: {title}" if dataset else title, ["row", *columns], body))
    return grids


def _line(row: Compared) -> str:
    return row.row + (f" ({row.rule})" if row.rule else "")


def _column(row: Compared, several: bool, dataset: str | None = None) -> str:
    words = [] if dataset else [row.dataset]
    if several:
        words.append(row.setting.replace("_", " "))
    if row.fraction is not None:
        words.append(f"{row.fraction:.0%}")
    return ", ".join(words)


def _cell(row: Compared | None, percent: bool) -> str:
    if row is None:
        return ""
    digits = 2 if percent else 4
    printed = "" if row.printed is None else f"{row.printed:.{digits}f}"
    if row.printed is not None and row.printed_std is not None:
        printed += f" ± {row.printed_std:.{digits}f}"
    if not row.as_printed:
        printed = ""
    if row.measured is None:
        measured = row.state
    else:
        spread = "" if row.std is None else f" ± {row.std:.{digits}f}"
        told = [] if row.difference is None else [f"{row.difference:+.{digits}f}".replace("-", "−")]
        told.append(f"{row.seeds} seed{'s' if row.seeds > 1 else ''}")
        measured = f"{row.measured:.{digits}f}{spread} ({', '.join(told)})"
    return f"{printed} → {measured}" if printed else measured


def _between(words: Iterable[str]) -> list[str]:
    """Return paragraphs with an empty line between them."""
    return [line for word in words for line in (word, "")][:-1]
