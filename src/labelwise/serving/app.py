"""The application that answers for trained models."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labelwise.errors import UserError, near
from labelwise.http import Guard, Pages
from labelwise.serving import describing as docs
from labelwise.serving.batching import Batcher
from labelwise.serving.bodies import Bodies, Event, Failure, Labels, Setup, Tasks
from labelwise.serving.counts import Counts
from labelwise.serving.fetching import Fetcher
from labelwise.serving.items import prepare
from labelwise.serving.label_studio import results, setup
from labelwise.serving.limits import Limits
from labelwise.serving.models import ServedModel
from labelwise.serving.refusals import Refused
from labelwise.serving.requests import Arrivals, parse

OPEN = ("/health", "/health/live", "/health/ready", "/label-studio/health")
"""Paths that need no token: those that ask whether the server lives."""
Top = Annotated[
    int | None, Query(ge=1, le=100_000, description="Only so many labels' scores, the highest first.")
]


@dataclass(frozen=True, eq=False)
class Desk:
    """A model, the bodies that it takes, and the queue before it."""

    model: ServedModel
    bodies: Bodies
    batcher: Batcher


class Service:
    """The models of a server with their queues, its limits and its counts.

    Args:
        label_studio: The address of Label Studio, from which pictures of its tasks are fetched; None fetches none.
        label_studio_token: Its access token.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        limits: Limits,
        label_studio: str | None = None,
        label_studio_token: str | None = None,
    ) -> None:
        self.limits, self.counts, self.arrivals = limits, Counts(), Arrivals(limits)
        self.fetcher = Fetcher(label_studio, label_studio_token, most=limits.body, timeout=limits.timeout / 2)
        self.ready = True
        # Models that make equally many passes at once share the processor with each other.
        turns = {model.passes: threading.Semaphore(model.passes) for model in models}
        self.desks = {model.name: self._desk(model, turns[model.passes]) for model in models}
        self._decoding = asyncio.Semaphore(4)

    def _desk(self, model: ServedModel, turn: threading.Semaphore) -> Desk:
        def on_batch(items: int, seconds: float) -> None:
            self.counts.batch(model.name, items, seconds)

        batcher = Batcher(model.logits, self.limits, turn, on_batch, model.passes)
        self.counts.watch(model.name, lambda: batcher.waiting)
        return Desk(model, Bodies(model, self.limits), batcher)

    @property
    def first(self) -> Desk:
        """The model that is meant where a request names none."""
        return next(iter(self.desks.values()))

    def desk(self, name: str) -> Desk:
        """Return the model of a name.

        Raises:
            Refused: For another.
        """
        if name not in self.desks:
            raise Refused(404, f"there is no model {name[:80]!r}; {near(name, self.desks)}")
        return self.desks[name]

    async def logits(self, desk: Desk, items: Sequence[Any], deadline: float, *, single: bool) -> Any:
        """Return the logits (n, K) of parsed items.

        Raises:
            Refused: For items that the model cannot take, a full queue, and a time that is up.
        """
        if desk.model.kind == "image":
            # Pictures are decoded beside the loop, few at a time: each may take as much memory as its pixels.
            async with self._decoding:
                ready = await asyncio.to_thread(prepare, items, desk.model, self.limits, single=single)
        else:
            ready = prepare(items, desk.model, self.limits, single=single)
        try:
            logits = await desk.batcher.score(ready, deadline)
        except UserError as error:
            raise Refused(422, str(error)) from None
        wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if len(wrong):
            raise Refused(
                422, f"items.{wrong[0]}: the model has no score for it; its numbers are far out of range"
            )
        return logits

    def stop(self) -> None:
        """End the threads once what waits is done."""
        for desk in self.desks.values():
            desk.batcher.stop()


def create_app(service: Service, *, token: str | None = None, hosts: tuple[str, ...] = ()) -> Guard:
    """Return the application that answers for trained models.

    Args:
        token: What each request must bring, but for those to ``OPEN``; None: nothing.
        hosts: The names by which it may be asked for; empty for any.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, title="labelwise serve")
    _add_errors(app)
    _add_model(app, service, "", service.first)
    for name, desk in service.desks.items():
        _add_model(app, service, f"/models/{name}", desk)
    _add_label_studio(app, service)
    _add_facts(app, service)
    _add_pages(app)
    return Guard(
        Watch(app, service.counts), token, hosts, command="labelwise serve", programs=True, open_paths=OPEN
    )


def _add_errors(app: FastAPI) -> None:
    """Make one line of each error."""

    @app.exception_handler(Refused)
    def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return error.response()

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return Refused(422, f"{where}: {first['msg']}"[:300]).response()

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        what = f"there is no {request.url.path[:80]!r}" if error.status_code == 404 else str(error.detail)
        return Refused(
            error.status_code, f"{what}; /docs lists what there is", **(error.headers or {})
        ).response()

    @app.exception_handler(Exception)
    def failed(_: Request, error: Exception) -> JSONResponse:
        return Refused(500, f"unexpected {type(error).__name__}").response()


def _add_model(app: FastAPI, service: Service, prefix: str, desk: Desk) -> None:
    """Serve one model's predictions and facts under a path."""
    tag: list[str | Enum] = [desk.model.name if prefix else "the first model"]

    @app.post(
        f"{prefix}/predict", tags=tag, openapi_extra=docs.body_of(desk.bodies), responses=docs.PREDICTING
    )
    async def predict(request: Request, top: Top = None) -> Response:
        """Predict the labels of one item, of several, or of Label Studio's tasks."""
        content = await service.arrivals.body(request, time.monotonic() + service.limits.timeout)
        deadline = time.monotonic() + service.limits.timeout
        items = await parse(request, content, desk.bodies)
        if isinstance(items, Tasks):
            return _json(await results(service, desk, items, deadline))
        logits = await service.logits(desk, items, deadline, single=len(items) == 1)
        return _json({**desk.model.facts(), "predictions": desk.model.answers(logits, top)})

    @app.get(f"{prefix}/labels", tags=tag)
    async def labels() -> Labels:
        """The names of the labels, the rule that decides, and what an item is."""
        model = desk.model
        return Labels(
            **model.facts(),
            labels=list(model.labels),
            kind=model.kind,
            features=list(model.raw_names),
            n_features=model.n_cells,
        )


def _add_label_studio(app: FastAPI, service: Service) -> None:
    """Serve the other routes of Label Studio's backend, at the root and under a path of their own."""
    tag: list[str | Enum] = ["Label Studio"]
    desk = service.first

    @app.post(
        "/label-studio/predict", tags=tag, openapi_extra=docs.tasks_of(desk.bodies), responses=docs.PREDICTING
    )
    async def tasks_alone(request: Request) -> Response:
        """Predict the labels of Label Studio's tasks."""
        content = await service.arrivals.body(request, time.monotonic() + service.limits.timeout)
        tasks = desk.bodies.tasks.read(content)
        return _json(await results(service, desk, tasks, time.monotonic() + service.limits.timeout))

    async def connect(request: Request) -> dict[str, Any]:
        """Check that a project's label configuration suits the model."""
        content = await service.arrivals.body(request, time.monotonic() + service.limits.timeout)
        return setup(desk.model, Setup.read(content).schema_)

    async def hook(request: Request) -> dict[str, Any]:
        """Take note of an event of Label Studio; nothing is trained here."""
        content = await service.arrivals.body(request, time.monotonic() + service.limits.timeout)
        event = Event.read(content)
        return {"status": "ok", "result": {"action": event.action, "trained": False}}

    for prefix in ("", "/label-studio"):
        app.post(f"{prefix}/setup", tags=tag, openapi_extra=docs.SETUP, responses=docs.TELLING)(connect)
        app.post(f"{prefix}/webhook", tags=tag, openapi_extra=docs.EVENT, responses=docs.TELLING)(hook)
    app.get("/label-studio/health", tags=tag)(health)


async def health() -> dict[str, str]:
    """Whether the server lives, as Label Studio asks."""
    return {"status": "UP", "model_class": "labelwise"}


def _add_facts(app: FastAPI, service: Service) -> None:
    """Serve what the server is and how it does."""

    @app.get("/models", tags=["the server"])
    async def models() -> dict[str, list[str]]:
        """The names of the models, the first one first."""
        return {"models": list(service.desks)}

    app.get("/health", tags=["the server"])(health)

    @app.get("/health/live", tags=["the server"])
    async def live() -> dict[str, str]:
        """Whether the server lives."""
        return {"status": "UP"}

    @app.get("/health/ready", tags=["the server"], responses={503: {"model": Failure}})
    async def ready() -> dict[str, str]:
        """Whether requests are answered: not before every model has scored an item, nor while it stops."""
        if not service.ready:
            raise Refused(503, "not ready", retry_after="1")
        return {"status": "UP"}

    @app.get(
        "/metrics",
        tags=["the server"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        """Requests, seconds, batches and queues, as Prometheus reads them."""
        return Response(service.counts.text(), headers={"content-type": service.counts.content_type})

    @app.api_route("/models/{name}/{rest:path}", methods=["GET", "POST"], include_in_schema=False)
    async def unknown_model(name: str, rest: str) -> Response:
        service.desk(name)
        raise HTTPException(404)


def _add_pages(app: FastAPI) -> None:
    pages = Pages("labelwise.serving")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return pages.get("index.html")

    @app.get("/docs", include_in_schema=False)
    async def reference() -> Response:
        return pages.get("docs.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        return pages.get(name)

    @app.get("/openapi.json", include_in_schema=False)
    async def schema() -> dict[str, Any]:
        return app.openapi()


class Watch:
    """An ASGI layer that counts the answers and their seconds."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            # The route's own path: what people make up would grow the counts without end.
            route = getattr(scope.get("route"), "path", "other")
            self._counts.request(route, status, time.perf_counter() - began)


def _json(data: Any) -> Response:
    return Response(json.dumps(data, ensure_ascii=False, allow_nan=False), media_type="application/json")
