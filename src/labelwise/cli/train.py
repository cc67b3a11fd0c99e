"""``labelwise train``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import ALL, Json, given_settings, takes
from labelwise.cli.output import print_json, progress, say, show_outcome
from labelwise.errors import UserError

EXAMPLES = (
    "labelwise train photos.csv --images photos/ --out runs/first",
    "labelwise train tickets.csv --method bbam --set scale=30 --out runs/second",
    "labelwise train runs/second --resume  # where it was stopped",
    "labelwise train photos.csv --print-config > run.toml",
)


@takes(*ALL)
def train(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A table, a folder of Parquet files, or with --resume a run.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="The run directory to make.", show_default=False)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted run; --images: where its pictures are now."),
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(metavar="TOML", help="Settings; options given here win.", show_default=False),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings for --config.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A hyper-parameter; repeat it.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="csv|tensorboard|mlflow|wandb",
            help="Write the course of the training there too, under the run; repeat it.",
            show_default=False,
            rich_help_panel="Training",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train a classifier on a table, most of whose labels may be missing; save, judge and report it."""
    from labelwise import runs

    given, sets = given_settings(context), set_ or ()
    if print_config:
        settings = runs.RunConfig.build({**given, "table": source}, file=config, sets=sets)
        say(settings.to_toml(), end="")
        return
    if resume and out is None:
        if source is None:
            raise UserError("--resume needs a run: labelwise train RUN --resume")
        outcome = runs.resume(source, given, file=config, sets=sets, progress=progress(), logs=log or ())
    else:
        if out is None:
            raise typer.BadParameter(
                "--out is missing: give a new folder for the run, such as --out runs/first"
            )
        settings = runs.RunConfig.build({**given, "table": source}, file=config, sets=sets)
        outcome = runs.train(settings, out, resume=resume, progress=progress(), logs=log or ())
    if outcome is not None:
        print_json(outcome.to_dict()) if json else show_outcome(outcome)
