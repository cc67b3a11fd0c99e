"""Writes ``docs/reference/commands.md`` from the command line's own help: ``python docs/make_commands.py``."""

from __future__ import annotations

import inspect
import sys
from html import escape
from pathlib import Path
from typing import Any

from typer.main import get_command

from labelwise.cli import app
from labelwise.cli.options import examples_of, in_groups

PAGE = Path(__file__).with_name("reference") / "commands.md"
HEADER = """# Command line

Made from the commands by `python docs/make_commands.py`; a test fails when this page differs from them.

Every command answers `--help`; `labelwise --version` and `labelwise --help` need no command. `--debug`, anywhere, shows
tracebacks and warnings, `--quiet` errors alone. Results go to stdout, progress and errors to stderr; commands with
`--json` print JSON only. Exit codes, progress in logs, and the tab key: [the command line](../guides/command_line.md);
what a mistake looks like: [errors](../failures.md).
"""


def page() -> str:
    """Return the whole page."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    return "\n".join([HEADER, *map(_section, commands.values())]).rstrip("\n") + "\n"


def _section(command: Any) -> str:
    groups = in_groups(command.params)
    usage = ["labelwise", command.name, *map(_usage, groups.get("Arguments", ()))]
    usage += ["[OPTIONS]"] if groups.keys() - {"Arguments"} else []
    lines = [f"## {command.name}", "", inspect.cleandoc(command.help), "", "```", " ".join(usage), "```", ""]
    lines += ["| | |", "|---|---|"]
    for title, parameters in groups.items():
        lines += [f"| **{title}** | |"] * (len(groups) > 2)
        lines += [f"| {', '.join(map(_code, _names(p)))} | {_help(p)} |" for p in parameters]
    lines += [
        "",
        "```sh",
        *(f"{line}  # {words}" if words else line for line, words in examples_of(command)),
        "```",
    ]
    return "\n".join([*lines, ""])


def _usage(argument: Any) -> str:
    (name,) = _names(argument)
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [parameter.metavar or parameter.name.upper()]
    value = "" if parameter.is_flag else parameter.metavar or "TEXT"
    return [f"{name} {value}".strip() for name in (*parameter.opts, *parameter.secondary_opts)]


def _help(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split())
    if parameter.show_default and not any(parameter.default is nothing for nothing in (None, False)):
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
