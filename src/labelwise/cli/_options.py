"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "FeatureColumns",
    "Images",
    "ItemColumn",
    "Json",
    "LabelColumns",
    "LabelsColumn",
    "OnBadItem",
    "Run",
    "Separator",
    "Table",
    "Unlisted",
]

Table = Annotated[
    str, typer.Argument(metavar="FILE", help="A table: CSV, TSV, Parquet or JSONL.", show_default=False)
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory that 'train' made.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON only, for machines.")]
LabelsColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="The column that lists label names.", show_default=False)
]
LabelColumns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A column for one label, or a pattern ('label_*'); repeat it.",
        show_default=False,
    ),
]
FeatureColumns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="A feature column, or a pattern ('f*'); repeat it.", show_default=False
    ),
]
ItemColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="The column of item ids.", show_default=False)
]
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
Separator = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What separates names in --labels-column.", show_default=False),
]
Unlisted = Annotated[
    str | None,
    typer.Option(
        metavar="unknown|absent",
        help="What a name means that --labels-column does not list [default: unknown].",
        show_default=False,
    ),
]
