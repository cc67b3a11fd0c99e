"""Options that several commands share; those on a table's columns and cells are added to a command together."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

Table = Annotated[
    str, typer.Argument(metavar="FILE", help="A table: CSV, TSV, Parquet or JSONL.", show_default=False)
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory that 'train' made.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON only, for machines.")]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="The folder of the pictures [default: the table's].", show_default=False
    ),
]
OnBadItem = Annotated[
    str | None,
    typer.Option(
        metavar="stop|skip",
        help="What to do with a picture that cannot be read [default: stop].",
        show_default=False,
    ),
]


def _text(metavar: str, help: str) -> Any:
    return Annotated[str | None, typer.Option(metavar=metavar, help=help, show_default=False)]


def _several(metavar: str, help: str) -> Any:
    return Annotated[list[str] | None, typer.Option(metavar=metavar, help=help, show_default=False)]


_UNKNOWN = "[default: unknown]"
_TABLE: dict[str, Any] = {
    "labels_column": _text("NAME", "The column that lists label names."),
    "label_columns": _several("NAME", "A column for one label, or a pattern ('label_*'); repeat it."),
    "label_value": _text("NAME", "The column of states (1, 0) where a row holds one item and one label."),
    "feature_columns": _several("NAME", "A feature column, or a pattern ('f*'); repeat it."),
    "item_column": _text("NAME", "The column of item ids, or of pictures' files."),
    "text_column": _text("NAME", "The column of texts [default: 'text', or the one that is clearly it]."),
    "image_suffix": _text("ENDING", "The ending of pictures' files, '.jpg', where the table has none."),
    "separator": _text("TEXT", "What separates names in --labels-column."),
    "name_key": _text("KEY", "The key of the name where --labels-column lists objects."),
    "unlisted": _text("unknown|absent", f"What a name means that --labels-column does not list {_UNKNOWN}."),
    "minus_one": _text("unknown|absent", f"What -1 means in a label's column {_UNKNOWN}."),
    "empty": _text("unknown|absent", f"What an empty cell means in a label's column {_UNKNOWN}."),
    "delimiter": _text("CHARACTER", "What separates the fields of a text table [default: found]."),
    "max_rows": Annotated[
        int | None, typer.Option(help="The most rows that a table may hold.", show_default=False)
    ],
    "impute": _text("mean|median|most_frequent", "Fill empty cells of features by this of their column."),
    "encode": _text("onehot", "Make columns of words into features."),
}
FORM = ("item_column", "text_column", "image_suffix", "delimiter", "max_rows")
"""Options on a table whose labels are not read."""
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
"""Options on labels."""


def table_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options on its table (all of them without ``names``), in the place of its parameter ``columns``.

    ``columns`` then holds what was given, by the names of ``labelwise.data.TableOptions``.
    """
    chosen = [name for name in _TABLE if name in (names or _TABLE)]

    def add(command: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            if name != "columns":
                parameters.append(parameter.replace(annotation=hints[name]))
                continue
            parameters += [
                inspect.Parameter(option, parameter.kind, default=None, annotation=_TABLE[option])
                for option in chosen
            ]

        def call(**arguments: Any) -> None:
            columns = {name: value for name in chosen if (value := arguments.pop(name)) is not None}
            command(**arguments, columns=columns)

        call.__name__, call.__doc__, call.__module__ = command.__name__, command.__doc__, command.__module__
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    return add
