"""Start and stop a server of models."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from labelwise.errors import UserError, repeated
from labelwise.http import LOOPBACK, Address, checked_token, is_loopback, listen
from labelwise.serving.app import Service, create_app
from labelwise.serving.bodies import example_item
from labelwise.serving.items import prepare
from labelwise.serving.limits import Limits
from labelwise.serving.models import ServedModel

PORT = 8000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def serve(
    runs: Sequence[str | Path],
    *,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    label_studio: str | None = None,
    label_studio_token: str | None = None,
    on_start: Callable[[Address, Service], None] | None = None,
    on_server: Callable[[uvicorn.Server], None] | None = None,
) -> None:
    """Answer for the models of runs until it is interrupted or terminated.

    On SIGTERM no new request is taken, those that are there are answered, and the call returns.

    Args:
        runs: Run directories, folders that hold a ``model``, or model directories; ``NAME=FOLDER`` names one.
        host: The interface; any but loopback needs a token, which is made where none is given.
        port: 0 takes a free one.
        label_studio: The address of Label Studio, from which pictures of its tasks are fetched; None fetches none.
        label_studio_token: Its access token.
        on_start: Called once requests are answered.
        on_server: Is given the server, whose ``should_exit`` stops it from another thread.

    Raises:
        UserError: For a folder without a model, two models of one name, and a port that is in use.
    """
    limits = limits or Limits()
    local = is_loopback(host)
    token = checked_token(token, local=local)
    listener = listen(host, port)
    try:
        service = Service(open_models(runs), limits, label_studio, label_studio_token)
        try:
            warm(service)
            address = Address(host, listener.getsockname()[1], token)
            app = create_app(service, token=token, hosts=LOOPBACK if local else ())
            server = uvicorn.Server(_config(app, limits))
            if threading.current_thread() is threading.main_thread():
                # Before anybody knows of the server. It raises its signal once more at its end, to no effect then.
                signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
            if on_start is not None:
                on_start(address, service)
            if on_server is not None:
                on_server(server)
            server.run(sockets=[listener])
        finally:
            service.stop()
    finally:
        listener.close()


def _config(app: Any, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        http=protocol(limits),
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=min(75, round(limits.timeout)),
        timeout_graceful_shutdown=round(limits.timeout) + 1,
    )


def open_models(runs: Sequence[str | Path]) -> list[ServedModel]:
    """Open models, each under a name of its own.

    Raises:
        UserError: For a folder without a model, and names that are none or not different.
    """
    if not runs:
        raise UserError("no run: give one, as in 'labelwise serve runs/first'")
    named = [_named(str(run)) for run in runs]
    if double := repeated(name for name, _ in named):
        raise UserError(f"two models are called {double[0]!r}: name them, as in 'first=runs/a second=runs/b'")
    return [ServedModel.open(name, path) for name, path in named]


def _named(run: str) -> tuple[str, Path]:
    """Return the name of a model and its folder."""
    name, equals, folder = run.partition("=")
    if equals and not Path(run).exists():
        if not _NAME.fullmatch(name):
            raise UserError(f"{run}: {name!r} is no name: letters, digits, '.', '_' and '-'")
        return name, Path(folder)
    path = Path(run)
    own = path.resolve().name
    whole = path.resolve().parent.name if own == "model" else own
    return re.sub(r"[^A-Za-z0-9._-]+", "-", whole).strip("-._") or "model", path


def warm(service: Service) -> None:
    """Have every model score an item, so that the first request does not wait for what is loaded late."""
    for desk in service.desks.values():
        items = prepare([example_item(desk.model)], desk.model, service.limits, single=True)
        desk.model.logits(items)


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return the HTTP protocol that cuts clients whose heads do not arrive, or who do not take their answers."""

    class Patient(HttpToolsProtocol):
        _cut: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                self._start()
            else:
                self._end()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._end()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._start()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._end()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _start(self) -> None:
            # Once: more bytes of the same head, one a second, do not prolong the time.
            if self._cut is None:
                self._cut = self.loop.call_later(limits.timeout, self.transport.abort)

        def _end(self) -> None:
            if self._cut is not None:
                self._cut.cancel()
                self._cut = None

    return Patient
