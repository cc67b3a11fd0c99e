"""The application that all commands share.

Above all it makes one line of a mistake, not a traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labelwise.cli.output import complain, quiet, say
from labelwise.errors import Notice, UserError

EXIT_CODES = {
    0: "done",
    1: "a fault in labelwise: please report it, with what --debug shows",
    2: "a mistake in what was given, which the line on stderr says how to mend",
    130: "stopped by Ctrl-C; the line on stderr says how to go on, where that is possible",
    141: "the reader of the output went away, as head does",
}
"""What the exit codes of all commands mean."""
_ANYWHERE = ("--debug", "--quiet")
"""Flags that may stand anywhere in a command line, before ``--``."""


class OneLineErrors(TyperGroup):
    """Commands whose errors become one line on stderr and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run; ``--debug`` anywhere lets tracebacks and warnings through, ``--quiet`` errors alone."""
        args = list(sys.argv[1:] if args is None else args)
        end = args.index("--") if "--" in args else len(args)
        debug, silent = (flag in args[:end] for flag in _ANYWHERE)
        # Taken out here, since an option of the group would be an error behind a command's name.
        args = [*(arg for arg in args[:end] if arg not in _ANYWHERE), *args[end:]]
        try:
            with quiet(silent), warnings.catch_warnings():
                if not debug:
                    warnings.simplefilter("ignore")
                    warnings.simplefilter("always", Notice)
                    warnings.showwarning = _notice
                # Standalone, click would print errors in its own way and exit.
                code = super().main(args, *rest, **{**extra, "standalone_mode": False})
        except Exception as error:
            # Errors of the command line's own parser have format_message, in typer and in click alike.
            if debug and not hasattr(error, "format_message"):
                raise
            code = _explain(error)
        sys.exit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands in groups, each with its whole first sentence."""
        width = max(map(len, self.commands))
        for title, names in command_groups(self.commands).items():
            with formatter.section(title):
                # Padded alike, so that all groups have one second column.
                formatter.write_dl(
                    [(name.ljust(width), _first_sentence(self.commands[name])) for name in names]
                )

    def invoke(self, ctx: Any) -> Any:
        """Run the command; typer would turn Ctrl-C into silence, and a closed pipe into a fault."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # What is still in the buffer would raise again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except KeyboardInterrupt as stop:
            reason = str(stop) or "stopped"
            _complain(reason if reason.startswith("stopped") else f"stopped: {reason}")
            raise typer.Exit(130) from None


def command_groups(commands: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the commands' names by the title of their group, in order."""
    groups: dict[str, list[str]] = {}
    for name, command in commands.items():
        groups.setdefault(command.rich_help_panel or "Commands", []).append(name)
    return groups


def _first_sentence(command: Any) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _explain(error: Exception) -> int:
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        where = f" (see '{context.command_path} --help')" if context is not None else ""
        _complain(f"error: {error.format_message()}{where}")
        return 2
    if isinstance(error, UserError):
        _complain(f"error: {error}")
        return 2
    if isinstance(error, OSError) and error.strerror:
        _complain(f"error: {error.filename or 'the operating system'}: {error.strerror}")
        return 2
    _complain(f"error: unexpected {type(error).__name__}: {error}; the same command with --debug shows where")
    return 1


def _notice(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: Any = None,
) -> None:
    say(" ".join(f"note: {message}".split()), err=True)


def _complain(line: str) -> None:
    complain(" ".join(line.split()))


app = typer.Typer(
    cls=OneLineErrors,
    help="Train, judge and ship multi-label classifiers from the labels you have.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Help is plain text: as markup, "[default: 2]" would be a style, and vanish.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        from labelwise._version import __version__

        typer.echo(f"labelwise {__version__}")
        raise typer.Exit


@app.callback()
def _shared(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet_: Annotated[
        bool, typer.Option("--quiet", help="Print errors alone, and what --json asks for, after any command.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and warnings, after any command.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())
