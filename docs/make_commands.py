"""Writes ``docs/reference/commands.md`` from the command line's own help: ``python docs/make_commands.py``."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from typer.models import ArgumentInfo, OptionInfo

from labelwise.cli import app

PAGE = Path(__file__).with_name("reference") / "commands.md"
HEADER = """# Command line

Made from the commands by `python docs/make_commands.py`; a test fails when this page differs from them.

Every command answers `--help`; `labelwise --version` and `labelwise --help` need no command. `--debug`, anywhere, shows
tracebacks and warnings. Results go to stdout, progress and errors to stderr; commands with `--json` print JSON only.
What a mistake looks like, and the exit codes: [errors](../failures.md).
"""


def page() -> str:
    """Return the whole page."""
    sections = [_section(command.name, command.callback) for command in app.registered_commands]
    return "\n".join([HEADER, *sections]).rstrip("\n") + "\n"


def _section(name: str | None, callback: Callable[..., Any] | None) -> str:
    assert callback is not None
    name = name or callback.__name__
    hints = typing.get_type_hints(callback, include_extras=True)
    usage, arguments, options = ["labelwise", name], [], []
    for parameter in inspect.signature(callback).parameters.values():
        kind, info = typing.get_args(hints[parameter.name])
        needed = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            metavar = info.metavar or parameter.name.upper()
            many = "..." if typing.get_origin(_given(kind)) is list else ""
            usage.append(f"{metavar}{many}" if needed else f"[{metavar}{many}]")
            arguments.append((_code(metavar), _help(info, parameter)))
        elif isinstance(info, OptionInfo):
            options.append((_flags(info, parameter.name, _given(kind)), _help(info, parameter)))
    usage += ["[OPTIONS]"] if options else []
    lines = [
        f"## {name}",
        "",
        inspect.cleandoc(callback.__doc__ or ""),
        "",
        "```",
        " ".join(usage),
        "```",
        "",
    ]
    rows = [f"| {left} | {right} |" for left, right in arguments + options]
    return "\n".join([*lines, "| | |", "|---|---|", *rows, ""])


def _given(kind: Any) -> Any:
    """Return the type that a value has where one is given."""
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _flags(info: OptionInfo, name: str, kind: Any) -> str:
    # Beside Annotated, typer keeps the first name where the default would be.
    first = (info.default,) if isinstance(info.default, str) and info.default.startswith("-") else ()
    told = (*first, *(info.param_decls or ()))
    names = [part for given in told or (f"--{name.replace('_', '-')}",) for part in given.split("/")]
    values = typing.get_args(kind) if typing.get_origin(kind) is list else (kind,)
    words = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
    value = "" if kind is bool else f" {info.metavar or words.get(values[0], 'VALUE')}"
    return ", ".join(_code(f"{name}{value}") for name in names)


def _help(info: ArgumentInfo | OptionInfo, parameter: inspect.Parameter) -> str:
    text = " ".join((info.help or "").split())
    if info.show_default and not any(parameter.default is none for none in (parameter.empty, None, False)):
        text = f"{text} [default: {parameter.default}]"
    return _cell(escape(text, quote=False))


def _code(text: str) -> str:
    """Return code for a cell; a stroke in a code span would keep the backslash that a table asks of it."""
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")
