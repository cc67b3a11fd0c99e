"""``labelwise review``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.options import Run
from labelwise.cli.output import print_json, progress, say
from labelwise.errors import missing_extra

if TYPE_CHECKING:
    from labelwise.web import Address, Review

EXAMPLES = (
    "labelwise review runs/first",
    "labelwise review runs/first --reviewer Ana --no-browser",
)


def review(
    run: Run,
    table: Annotated[
        str | None,
        typer.Argument(metavar="TABLE", help="Where the run's table is now.", show_default=False),
    ] = None,
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where its pictures are now.", show_default=False)
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Your name beside your answers.", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Who reaches the page: 0.0.0.0 is everybody, with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="NUMBER", help="0 takes a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Ask for this token [default: one is made].", show_default=False),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the address as JSON, for machines.")] = False,
) -> None:
    """Confirm or refuse what a run suggests, on a page in the browser."""
    if missing := [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]:
        raise missing_extra("the page needs an extra", "serve", f"without {' and '.join(missing)}")
    from labelwise.web import serve

    def show(address: Address, opened: Review) -> None:
        if json:
            print_json(
                {"url": address.url, "host": address.host, "port": address.port, "token": address.token}
            )
        else:
            counts = opened.progress()
            say(
                f"{len(opened.data.items):,} items, {len(opened.labels):,} labels;"
                f" {counts['yes'] + counts['no']:,} answers so far in {opened.store.path}"
            )
            say(f"page     {address.url}")
            say("stop     Ctrl-C; every answer is kept")
        sys.stdout.flush()

    serve(
        run,
        table,
        images=images,
        host=host,
        port=port,
        token=token,
        reviewer=reviewer or "",
        browser=not no_browser and not json and sys.stdout.isatty(),
        progress=progress(),
        on_start=show,
    )
