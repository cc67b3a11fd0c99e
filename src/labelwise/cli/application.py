"""The application that all commands share.

Above all it makes one line of a mistake, not a traceback.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labelwise.cli.output import say
from labelwise.errors import Notice, UserError


class OneLineErrors(TyperGroup):
    """Commands whose errors become one line on stderr and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run; ``--debug`` anywhere lets tracebacks and warnings through."""
        args = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in args
        # Taken out here, since an option of the group would be an error behind a command's name.
        args = [arg for arg in args if arg != "--debug"]
        try:
            with warnings.catch_warnings():
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
        """List the commands, each with its whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, " ".join((self.commands[name].help or "").partition("\n\n")[0].split()))
                    for name in self.list_commands(ctx)
                ]
            )

    def invoke(self, ctx: Any) -> Any:
        """Run the command; typer would turn Ctrl-C into silence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            reason = str(stop) or "stopped"
            _say(reason if reason.startswith("stopped") else f"stopped: {reason}")
            raise typer.Exit(130) from None


def _explain(error: Exception) -> int:
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        where = f" (see '{context.command_path} --help')" if context is not None else ""
        _say(f"error: {error.format_message()}{where}")
        return 2
    if isinstance(error, UserError):
        _say(f"error: {error}")
        return 2
    if isinstance(error, OSError) and error.strerror:
        _say(f"error: {error.filename or 'the operating system'}: {error.strerror}")
        return 2
    _say(f"error: unexpected {type(error).__name__}: {error}; the same command with --debug shows where")
    return 1


def _notice(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: Any = None,
) -> None:
    _say(f"note: {message}")


def _say(line: str) -> None:
    say(" ".join(line.split()), err=True)


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
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and warnings, after any command.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
