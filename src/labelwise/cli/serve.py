"""``labelwise serve``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, say
from labelwise.errors import missing_extra

if TYPE_CHECKING:
    from labelwise.serving import Address, Service

EXAMPLES = (
    "labelwise serve runs/first  # on this machine alone",
    "labelwise serve tickets=runs/a photos=runs/b --host 0.0.0.0 --port 9000  # two models, with a token",
)
_NEEDS = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run or model directories; NAME=RUN names a model.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Who reaches it: 0.0.0.0 is everybody, with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="NUMBER", help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Ask for this token [default: LABELWISE_TOKEN; else one is made where others reach it].",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="The most items of one pass of the model.")
    ] = 64,
    queue: Annotated[
        int, typer.Option(min=1, metavar="N", help="The most items that wait for a pass.")
    ] = 1024,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="For a request to arrive, and for its answer.")
    ] = 30.0,
    items: Annotated[int, typer.Option(min=1, metavar="N", help="The most items of a request.")] = 256,
    megabytes: Annotated[
        float, typer.Option(min=0.001, metavar="MB", help="The largest body of a request.")
    ] = 20.0,
    megapixels: Annotated[float, typer.Option(min=0.001, metavar="N", help="The largest picture.")] = 50.0,
    characters: Annotated[int, typer.Option(min=1, metavar="N", help="The longest text.")] = 100_000,
    label_studio: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Fetch pictures of tasks from this Label Studio, with the token in LABEL_STUDIO_API_KEY.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Answer for trained models over HTTP: predictions, a page to try them, and Label Studio's backend."""
    if missing := [package for module, package in _NEEDS.items() if find_spec(module) is None]:
        raise missing_extra("the server needs an extra", "serve", f"without {' and '.join(missing)}")
    from labelwise.serving import Limits
    from labelwise.serving import serve as serve_models

    def show(address: Address, service: Service) -> None:
        if json:
            named = {"url": address.url, "host": address.host, "port": address.port, "token": address.token}
            print_json({**named, "models": list(service.desks)})
        else:
            for name, desk in service.desks.items():
                say(f"model    {name}: {desk.model.kind}, {len(desk.model.labels):,} labels")
            say(f"page     {address.url}")
            say(f"predict  POST {address.url.partition('?')[0]}predict")
            say("stop     Ctrl-C")
        sys.stdout.flush()

    serve_models(
        runs,
        limits=Limits(
            body=round(megabytes * 1e6),
            pixels=round(megapixels * 1e6),
            items=items,
            characters=characters,
            timeout=timeout,
            batch_size=batch_size,
            queue=queue,
        ),
        host=host,
        port=port,
        token=token or os.environ.get("LABELWISE_TOKEN") or None,
        label_studio=label_studio,
        label_studio_token=os.environ.get("LABEL_STUDIO_API_KEY") or None,
        on_start=show,
    )
