"""Runs the pages' code and writes what it prints below it: ``python docs/make_outputs.py docs/tutorial.md``.

A page's ``python`` blocks run from top to bottom in one namespace, in an empty folder; what a block prints is the
``text`` block that follows it. In a ``console`` block each line ``$ labelwise ...`` runs (a backslash at its end goes
on), and what it prints stands below it. A line of three dots stands for lines left out. ``tests/docs`` holds the pages
to what the code prints now.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOTS = "..."
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
NEEDS = re.compile(r"<!-- needs: ([\w, ]+) -->")


@dataclass(frozen=True)
class Output:
    """What one block or command printed, and where on the page it is shown: ``page[start:end]``, None if it is not."""

    code: str
    printed: str
    shown: str | None
    start: int = 0
    end: int = 0


def needs(page: str) -> list[str]:
    """Return the modules without which the page's code cannot run."""
    return [name.strip() for found in NEEDS.findall(page) for name in found.split(",")]


def run(page: str, name: str) -> Iterator[Output]:
    """Run a page's code in the working directory, and yield what each block and command prints."""
    space = {"__name__": name}
    blocks = list(FENCE.finditer(page))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        language, code = block.groups()
        if language == "python":
            # Lines of their own before the code keep the page's line numbers in tracebacks.
            above = "\n" * page[: block.start(2)].count("\n")
            with contextlib.redirect_stdout(io.StringIO()) as told:
                exec(compile(above + code, name, "exec"), space)
            shown = following is not None and following[1] == "text"
            if shown and following is not None and not page[block.end() : following.start()].strip():
                yield Output(code, told.getvalue(), following[2], following.start(2), following.end(2))
            else:
                yield Output(code, told.getvalue(), None)
        elif language == "console":
            for found in COMMAND.finditer(code):
                start, end = block.start(2) + found.start(2), block.start(2) + found.end(2)
                yield Output(found[1], command(found[1]), found[2], start, end)


def command(line: str) -> str:
    """Run ``labelwise ...`` in this process and return what it prints, without lines of progress."""
    from typer.testing import CliRunner

    from labelwise.cli import app
    from labelwise.engine import progress

    program, *arguments = shlex.split(line.replace("\\\n", " "))
    if program != "labelwise":
        raise ValueError(f"{line!r} is no labelwise command")
    # Whether such a line comes depends on how fast the machine is.
    pace, progress.PACE = progress.PACE, progress.Pace(math.inf)
    try:
        return CliRunner().invoke(app, arguments).output
    finally:
        progress.PACE = pace


def written(page: str, name: str) -> str:
    """Return the page with what its code prints now; lines that it leaves out stay left out."""
    changes = []
    for output in run(page, name):
        if output.shown is not None and not same(output.shown, output.printed):
            changes.append((output.start, output.end, tidy(output.printed)))
    for start, end, text in reversed(changes):
        page = page[:start] + text + page[end:]
    return page


def tidy(printed: str) -> str:
    """Return what was printed without spaces at the ends of lines, and without blank lines around it."""
    text = "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n")
    return text + "\n" if text else ""


def same(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed: words to the letter, numbers nearly, seconds as they may be."""
    lines = _lines(printed)
    first, *others = (_lines(part) for part in re.split(rf"^{re.escape(DOTS)}$", shown, flags=re.MULTILINE))
    if not others:
        return _alike(first, lines)
    at = len(first)
    if not _alike(first, lines[:at]):
        return False
    *between, last = others
    for part in between:
        places = range(at, len(lines) - len(part) + 1)
        found = next((place for place in places if _alike(part, lines[place : place + len(part)])), None)
        if found is None:
            return False
        at = found + len(part)
    return at + len(last) <= len(lines) and _alike(last, lines[len(lines) - len(last) :])


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


_SECONDS = re.compile(r"\b\d+(\.\d+)? (?:s|min|h)\b")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")


def _alike(one: list[str], other: list[str]) -> bool:
    shown, printed = (" ".join(_SECONDS.sub("SECONDS", "\n".join(lines)).split()) for lines in (one, other))
    if _words(shown) != _words(printed):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    return all(_near(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)


def _words(text: str) -> str:
    return re.sub(r"[-─━]+", "-", _NUMBER.sub("#", text))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= max(0.02, 0.03 * max(abs(a), abs(b)))


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        full, before = path.resolve(), Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["LABELWISE_CACHE"] = f"{folder}/cache"
            os.chdir(Path(folder))
            try:
                text = written(full.read_text(encoding="utf-8"), full.name)
            finally:
                os.chdir(before)
        full.write_text(text, encoding="utf-8")
