"""Writes every method's departures into ``docs/departures.md``, below its mark: ``python docs/make_departures.py``."""

from __future__ import annotations

from pathlib import Path

from labelwise.methods import Departure, get, names

PAGE = Path(__file__).with_name("departures.md")
MARK = "<!-- method by method: python docs/make_departures.py -->"


def page() -> str:
    """Return the whole page: the prose as it is, then one row a departure, with every method that shares it."""
    prose = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    shared: dict[Departure, list[str]] = {}
    none = []
    for name in names():
        departures = get(name).spec.departures or ()
        for departure in departures:
            shared.setdefault(departure, []).append(name)
        if not departures:
            none.append(name)
    lines = ["| method | what | why | option |", "|---|---|---|---|"]
    lines += [_row(methods, departure) for departure, methods in shared.items()]
    without = f"None beside those of all methods: {_named(none)}."
    return "\n".join([prose + MARK, "", *lines, "", without, ""])


def _row(methods: list[str], departure: Departure) -> str:
    # Code of its own each, so that a narrow column can break between two.
    option = "no option yet" if departure.option is None else f"`{departure.option.replace(', ', '`, `')}`"
    cells = (_named(methods), departure.what, departure.why, option)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _named(methods: list[str]) -> str:
    return ", ".join(f"[`{name}`](methods.md#{name})" for name in methods)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
