"""``labelwise push``."""

from __future__ import annotations

from typing import Annotated

import typer

from labelwise.cli.options import Json, Run
from labelwise.cli.output import print_json, say

EXAMPLES = (
    "labelwise push runs/first --out to-send  # look at what would be sent",
    "labelwise push runs/first owner/name --private --license apache-2.0  # send it",
)


def push(
    run: Run,
    repo: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="Where to, as in owner/name.", show_default=False)
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write it there, and send nothing.", show_default=False),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
    license: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model's licence, as in apache-2.0.", show_default=False),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="A branch [the main one].", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Send a run's model to a model hub, with its card and a Dockerfile that serves it."""
    from labelwise.runs.pushing import push as send

    place = send(run, repo, out=out, private=private, license=license, revision=revision)
    if json:
        print_json({"sent" if out is None else "written": place})
        return
    say(f"{'sent to' if out is None else 'written'}  {place}")
    say("holds    model/ (safetensors and JSON), README.md (its card), Dockerfile (a server of it)")
    if license is None:
        say("note     it names no licence: give one by --license before others use the model")
