"""``labelwise describe``."""

from __future__ import annotations

import typer

from labelwise.cli._options import (
    FeatureColumns,
    Images,
    ItemColumn,
    Json,
    LabelColumns,
    LabelsColumn,
    Separator,
    Table,
    Unlisted,
)
from labelwise.cli._show import print_json

__all__ = ["describe"]


def describe(
    file: Table,
    labels_column: LabelsColumn = None,
    label_columns: LabelColumns = None,
    feature_columns: FeatureColumns = None,
    item_column: ItemColumn = None,
    separator: Separator = None,
    unlisted: Unlisted = None,
    images: Images = None,
    json: Json = False,
) -> None:
    """Say what the labels of a table hold, and what can be judged with them."""
    from labelwise.runs import describe as describe_table

    found = describe_table(
        file,
        labels_column=labels_column,
        label_columns=label_columns,
        feature_columns=feature_columns,
        item_column=item_column,
        separator=separator,
        unlisted=unlisted,
        images=images,
    )
    if json:
        print_json(found.to_dict())
    else:
        typer.echo(str(found))
