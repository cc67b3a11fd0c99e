"""Options that commands share, and those made from a run's settings.

A setting of ``RunConfig`` is an option of every command that ``takes`` it: its name, type, help and group stand there
and nowhere else. ``given_settings`` yields what the command line gives of them.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperCommand

Table = Annotated[
    str, typer.Argument(metavar="FILE", help="A table: CSV, TSV, Parquet or JSONL.", show_default=False)
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory that 'train' made.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON only, for machines.")]

PICTURES = ("images", "on_bad_item")
"""Settings of pictures' files."""
FORM = ("item_column", "text_column", "image_suffix", "delimiter", "max_rows")
"""Settings of a table whose labels are not read."""
LABELS = (
    "labels_column",
    "label_columns",
    "label_value",
    "separator",
    "name_key",
    "unlisted",
    "minus_one",
    "empty",
)
"""Settings of labels in a table."""
COLUMNS = (*LABELS, "feature_columns", *FORM, "impute", "encode")
"""All settings of a table."""
ALL = ("*",)
"""All settings of a run."""

_META_KEY = "labelwise.settings"
_Function = TypeVar("_Function", bound=Callable[..., None])


def takes(*settings: str, without: tuple[str, ...] = ()) -> Callable[[_Function], _Function]:
    """Give a command options for settings of ``RunConfig``, by name, ``without`` some of them."""

    def mark(command: _Function) -> _Function:
        command.settings = settings  # type: ignore[attr-defined]
        command.without = without  # type: ignore[attr-defined]
        return command

    return mark


def given_settings(context: typer.Context) -> dict[str, Any]:
    """Return the settings that the command line gives, by name."""
    given: dict[str, Any] = context.meta[_META_KEY]
    return given


class Command(TyperCommand):
    """A command with options made from settings of ``RunConfig``.

    Its help shows all options in groups. Nothing is made of a function before somebody asks: ``labelwise --help`` needs
    the parameters of no command, and a command those of no other.
    """

    _params: list[Any] | None = None
    _settings: Sequence[str] = ()

    @property
    def function(self) -> Callable[..., None]:
        """The function that was made a command."""
        function: Callable[..., None] = self.callback.function  # type: ignore[union-attr]
        return function

    @cached_property
    def _made(self) -> Any:
        return _command_of(self.function)

    @property
    def params(self) -> list[Any]:
        """The parameters of the function's signature, then those made from settings."""
        if self._params is None:
            settings, without = (getattr(self.function, name, ()) for name in ("settings", "without"))
            options = _options_of(settings, without)
            self._settings = [option.name for option in options]
            # The same list each time: to make the option --help, click appends it there and takes it off again.
            self._params = [*self._made.params, *options]
        return self._params

    @params.setter
    def params(self, params: list[Any]) -> None:
        self._params = None

    def invoke(self, ctx: Any) -> Any:
        """Run the command, after setting aside the settings given.

        They are no arguments of its function, which asks ``given_settings`` for them.
        """
        values = {name: ctx.params.pop(name) for name in self._settings}
        ctx.meta[_META_KEY] = {
            name: list(value) if isinstance(value, list | tuple) else value
            for name, value in values.items()
            # An option that can be repeated is an empty list where it is not given.
            if value is not None and value not in ((), [])
        }
        return ctx.invoke(self._made.callback, **ctx.params)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group of options, then the rest."""
        for title, parameters in in_groups(self.get_params(ctx)).items():
            records = [parameter.get_help_record(ctx) for parameter in parameters]
            if shown := [record for record in records if record is not None]:
                with formatter.section(title):
                    formatter.write_dl(shown)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples of the command's module, and the flags that every command takes."""
        if examples := examples_of(self):
            with formatter.section("Examples"):
                for line, words in examples:
                    if words:
                        formatter.write(f"{'':>{formatter.current_indent}}# {words}\n")
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        formatter.write_paragraph()
        formatter.write_text(
            "With any command: --quiet prints errors alone, --debug tracebacks and warnings."
        )


def examples_of(command: Any) -> list[tuple[str, str]]:
    """Return a command's examples, each with what it shows: ``EXAMPLES`` of its module."""
    lines = getattr(sys.modules[command.function.__module__], "EXAMPLES", ())
    parts = (line.partition("  # ") for line in lines)
    return [(line.strip(), words.strip()) for line, _, words in parts]


def in_groups(parameters: Iterable[Any]) -> dict[str, list[Any]]:
    """Return a command's parameters by the title of their group, in order."""
    from labelwise.runs.config import GROUPS

    groups: dict[str, list[Any]] = {title: [] for title in ("Arguments", *GROUPS, "Options")}
    for parameter in parameters:
        is_argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None) or "Options"
        groups["Arguments" if is_argument else panel].append(parameter)
    return {title: members for title, members in groups.items() if members}


def deferred(function: Callable[..., None]) -> Callable[[], None]:
    """Return what typer makes a ``Command`` of without a look at the function's signature."""

    def command() -> None: ...

    command.function = function  # type: ignore[attr-defined]
    return command


def _command_of(function: Callable[..., None]) -> Any:
    """Return the command that typer makes of a function's signature."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(function)
    return typer.main.get_command(single)


def _options_of(settings: tuple[str, ...], without: tuple[str, ...]) -> list[Any]:
    """Return options for settings of ``RunConfig``, in its order."""
    if not settings:
        return []
    from labelwise.runs import RunConfig

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field))
        for name, field in RunConfig.model_fields.items()
        if field.description is not None and (settings == ALL or name in settings) and name not in without
    ]

    def command(**_: Any) -> None: ...

    # Typer makes options from the signature of a function only.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return list(_command_of(command).params)


def _option(name: str, field: Any) -> Any:
    """Return the annotation that typer makes a setting's option from.

    The option is None where it is not given.
    """
    flag, more = name.replace("_", "-"), field.json_schema_extra
    kind, choices = _type(field.annotation)
    default = field.default
    if isinstance(default, bool):
        default = flag if default else f"no-{flag}"
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=field.description if default is None else f"{field.description[:-1]} [default: {default}].",
        metavar=more["metavar"] or "|".join(choices) or ("NUMBER" if kind in (int, float) else "TEXT"),
        rich_help_panel=more["group"],
        show_default=False,
    )
    return Annotated[kind | None, option]


def _type(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a setting's type on the command line, and its choices.

    Of several types text is left, which the configuration reads and checks.
    """
    united = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    parts = typing.get_args(annotation) if united else (annotation,)
    first, *others = [part for part in parts if part is not type(None)]
    if typing.get_origin(first) is Literal:
        return str, typing.get_args(first)
    simple = not others and (first in (bool, int, float) or typing.get_origin(first) is list)
    return (first if simple else str), ()
