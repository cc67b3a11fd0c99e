"""Options of commands: those that several share, and those made from the settings of a run, in groups."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
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

_GIVEN = "labelwise.settings"
_Function = TypeVar("_Function", bound=Callable[..., None])


def takes(*settings: str) -> Callable[[_Function], _Function]:
    """Give a command options for settings of ``RunConfig``, for all of them without ``settings``."""

    def mark(command: _Function) -> _Function:
        command.settings = settings  # type: ignore[attr-defined]
        return command

    return mark


def given_settings(context: typer.Context) -> dict[str, Any]:
    """Return the settings that the command line gives, by name."""
    given: dict[str, Any] = context.meta[_GIVEN]
    return given


class Command(TyperCommand):
    """A command whose help shows its options in groups, those made from settings of ``RunConfig`` among them.

    They are made when somebody asks for them, so that ``labelwise --help`` need not load what a run is made of.
    """

    @property
    def params(self) -> list[Any]:
        """The parameters: the command's own, then those made from settings."""
        if self._settings is None:
            made = _made(getattr(self.callback, "settings", None))
            self._settings = {option.name for option in made}
            self._params += made
        return self._params

    @params.setter
    def params(self, own: list[Any]) -> None:
        self._params, self._settings = [*own], None

    _params: list[Any]
    _settings: set[str] | None

    def invoke(self, ctx: Any) -> Any:
        """Run the command, for which ``given_settings`` holds what was given of the settings."""
        values = {name: ctx.params.pop(name) for name in self._settings or ()}
        ctx.meta[_GIVEN] = {
            name: list(value) if isinstance(value, list | tuple) else value
            for name, value in values.items()
            if value is not None and value not in ((), [])
        }
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group of options, then the rest."""
        from labelwise.runs.config import GROUPS

        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(group_of(parameter), []).append(record)
        for title in ("Arguments", *GROUPS, "Options"):
            if title in groups:
                with formatter.section(title):
                    formatter.write_dl(groups[title])


def group_of(parameter: Any) -> str:
    """Return the group that a parameter of a command is shown in."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


def _made(settings: tuple[str, ...] | None) -> list[Any]:
    """Return options for settings of ``RunConfig`` (all of them where ``settings`` is empty), in its order."""
    if settings is None:
        return []
    from labelwise.runs import RunConfig

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field))
        for name, field in RunConfig.model_fields.items()
        if field.description is not None and name in (settings or RunConfig.model_fields)
    ]

    def command(**_: Any) -> None: ...

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(command)
    return list(typer.main.get_command(single).params)


def _option(name: str, field: Any) -> Any:
    """Return what typer makes an option of a setting from; None stands for one that is not given."""
    flag, more = name.replace("_", "-"), field.json_schema_extra
    kind, words = _kind(field.annotation)
    default = flag if field.default is True else field.default
    told = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=field.description if default is None else f"{field.description[:-1]} [default: {default}].",
        metavar=more["metavar"] or "|".join(words) or ("NUMBER" if kind in (int, float) else "TEXT"),
        rich_help_panel=more["group"],
        show_default=False,
    )
    return Annotated[kind | None, told]


def _kind(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the type that the command line reads a value as, which the configuration checks, and its words if few."""
    united = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    parts = typing.get_args(annotation) if united else (annotation,)
    kinds = [part for part in parts if part is not type(None)]
    if typing.get_origin(kinds[0]) is Literal:
        return str, typing.get_args(kinds[0])
    simple = len(kinds) == 1 and (kinds[0] in (bool, int, float) or typing.get_origin(kinds[0]) is list)
    return (kinds[0] if simple else str), ()
