"""``labelwise train``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from labelwise.cli.options import Images, Json, OnBadItem, table_options
from labelwise.cli.output import print_json, progress, say, show_outcome
from labelwise.errors import UserError


def _option(help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, show_default=False)


@table_options()
def train(
    columns: dict[str, Any],
    source: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A table, or with --resume a run.", show_default=False),
    ] = None,
    out: Annotated[str | None, _option("The run directory to make.", "DIR")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted run; --images: where its pictures are now."),
    ] = False,
    config: Annotated[str | None, _option("Settings; options given here win.", "TOML")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings for --config.")
    ] = False,
    images: Images = None,
    on_bad_item: OnBadItem = None,
    method: Annotated[
        str | None, _option("See 'labelwise methods' [default: chosen from the labels].")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyper-parameter; repeat it.", show_default=False),
    ] = None,
    backbone: Annotated[
        str | None,
        _option(
            "features, mlp, efficientnet-lite0, minilm, hf/NAME, timm/NAME [default: by the items].", "NAME"
        ),
    ] = None,
    backbone_weights: Annotated[
        str | None, _option("Weights for the backbone: .safetensors, .pt or .pth.", "FILE")
    ] = None,
    image_size: Annotated[
        int | None, _option("Side of the pictures in pixels [default: the backbone's].")
    ] = None,
    max_length: Annotated[
        int | None, _option("Tokens that are read of a text at most [default: the backbone's].")
    ] = None,
    tune: Annotated[
        str | None,
        _option(
            "Train the head alone or the whole network [default: head on features and pretrained backbones, else all].",
            "head|all",
        ),
    ] = None,
    head_start: Annotated[
        str | None,
        _option(
            "What the head starts from [default: ridge on features and pretrained backbones, else random].",
            "ridge|random",
        ),
    ] = None,
    epochs: Annotated[int | None, _option("Passes over the data [default: the method's].")] = None,
    batch_size: Annotated[int | None, _option("Items a step [default: the method's].")] = None,
    learning_rate: Annotated[
        float | None, _option("The (peak) learning rate [default: the method's].")
    ] = None,
    backbone_learning_rate: Annotated[
        float | None,
        _option("With --tune all [default: a tenth of --learning-rate for a pretrained backbone]."),
    ] = None,
    accumulate: Annotated[
        int | None, _option("Batches whose gradients make one update [default: 1].")
    ] = None,
    patience: Annotated[
        int | None, _option("Stop after so many epochs without a better validation score.")
    ] = None,
    select: Annotated[
        str | None, _option("Which epoch to use where there is validation [default: last].", "last|best")
    ] = None,
    strong_view: Annotated[
        float | None, _option("Share of coordinates dropped in the strong view [default: 0.2].")
    ] = None,
    prior: Annotated[
        str | None, _option("Labels per item, or a JSON or CSV file with each label's share.", "NUMBER|FILE")
    ] = None,
    label_weights: Annotated[
        str | None, _option("Weights of the labels in the loss.", "balanced|FILE")
    ] = None,
    true_labels: Annotated[
        str | None, _option("A table with every label of the items: oracle methods alone read it.", "FILE")
    ] = None,
    validation: Annotated[
        str | None,
        _option("A share of the labelled rows, or a table [default: auto].", "auto|none|SHARE|FILE"),
    ] = None,
    rule: Annotated[
        str | None, _option("auto, micro-f1, macro-f1, shares, 0.5 or 'top_k(3)' [default: auto].")
    ] = None,
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Calibrate probabilities where that is identified [default: calibrate].",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, _option("The seed of every random choice [default: 0].")] = None,
    device: Annotated[str | None, _option("auto, cpu, cuda or mps [default: auto].")] = None,
    devices: Annotated[int | None, _option("Devices a machine [default: 1].")] = None,
    nodes: Annotated[int | None, _option("Machines [default: 1].")] = None,
    precision: Annotated[str | None, _option("32 or mixed [default: 32].", "32|bf16|16")] = None,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Keep the features of pictures and texts for the next run [default: cache].",
            show_default=False,
        ),
    ] = None,
    picture_cache: Annotated[
        str | None, _option("A folder for decoded pictures, with --tune all.", "DIR")
    ] = None,
    json: Json = False,
) -> None:
    """Train a classifier on a table, most of whose labels may be missing; save, judge and report it."""
    options = dict(locals())
    from labelwise import runs

    given = {name: value for name, value in options.items() if name in runs.RunConfig.model_fields} | columns
    if print_config:
        asked = runs.RunConfig.build({**given, "table": source}, file=config, sets=set_ or ())
        say(asked.to_toml(), end="")
        return
    if resume and out is None:
        if source is None:
            raise UserError("--resume needs a run: labelwise train RUN --resume")
        outcome = runs.resume(source, given, file=config, sets=set_ or (), progress=progress())
    else:
        if out is None:
            raise typer.BadParameter(
                "--out is missing: give a new folder for the run, such as --out runs/first"
            )
        asked = runs.RunConfig.build({**given, "table": source}, file=config, sets=set_ or ())
        outcome = runs.train(asked, out, resume=resume, progress=progress())
    if outcome is not None:
        print_json(outcome.to_dict()) if json else show_outcome(outcome)
