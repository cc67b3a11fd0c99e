"""``labelwise embed``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, given_settings, takes
from labelwise.cli.output import print_json, say

EXAMPLES = (
    "labelwise embed tickets/ --column text --backbone minilm --out features/",
    "labelwise embed photos/ --column image --backbone efficientnet-lite0 --engine ray --out features/",
)


@takes("images", "backbone_weights", "image_size", "max_length", "device", "precision", "engine", "workers")
def embed(
    context: typer.Context,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="A folder of Parquet files, or one of them.", show_default=False
        ),
    ],
    column: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The column of texts, pictures or pictures' files.", show_default=False
        ),
    ],
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="minilm, efficientnet-lite0, hf/NAME or timm/NAME.", show_default=False
        ),
    ],
    out: Annotated[
        str, typer.Option(metavar="DIR", help="A folder for the files with features.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Write a frozen backbone's features of texts or pictures beside the other columns, for 'train' to read."""
    from labelwise.runs import embed as write_features

    written = write_features(folder, out, column=column, backbone=backbone, **given_settings(context))
    if json:
        print_json(written.to_dict())
        return
    say(f"{written.n_items:,} items, {written.n_features:,} features each by {written.backbone}")
    if written.n_found:
        say(f"{written.n_found:,} of {written.n_fragments:,} fragments were there already")
    say(f"written: {written.out}")
