"""The review's application: its pages and what they ask for."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from labelwise.completion import Answer
from labelwise.data.images.decode import Unusable
from labelwise.errors import UserError
from labelwise.http import Guard, Pages
from labelwise.web.certifying import Certifier
from labelwise.web.files import answers_csv, bring_in, table_file
from labelwise.web.learning import Learning
from labelwise.web.pictures import Pictures
from labelwise.web.review import Filters, Review
from labelwise.web.storage import CannotStore
from labelwise.web.storage import Request as Asked

_MOST_ANSWERS = 500
Reviewer = Annotated[str, Field(max_length=80)]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AnswerIn(_Body):
    """One answer of a page."""

    id: Identity
    item: str
    label: str
    answer: Annotated[int, Field(ge=-1, le=1)]


class AnswersIn(_Body):
    """Answers of one reviewer."""

    reviewer: Reviewer = ""
    answers: Annotated[list[AnswerIn], Field(min_length=1, max_length=_MOST_ANSWERS)]


class UndoIn(_Body):
    """A wish to take answers back."""

    id: Identity
    reviewer: Reviewer = ""
    answers: Annotated[list[Identity], Field(max_length=_MOST_ANSWERS)] = []


class LabelIn(_Body):
    """A label to add."""

    name: str
    reviewer: Reviewer = ""


def create_app(
    review: Review,
    learning: Learning | None = None,
    certifier: Certifier | None = None,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] = (),
    reviewer: str = "",
) -> Guard:
    """Return the application that reviews a run.

    Args:
        learning: Trains again; None leaves that out.
        certifier: Says what the answers certify; None leaves that out.
        token: What each request must bring; None: nothing.
        hosts: The names by which it may be asked for; empty for any.
        reviewer: The name under which answers are kept until the page gives another.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)
    _add_pages(app)
    _add_questions(app, review, reviewer)
    _add_certificate(app, review, certifier)
    _add_answers(app, review)
    _add_learning(app, learning)
    _add_files(app, review)
    return Guard(app, token, hosts)


def _add_errors(app: FastAPI) -> None:
    """Make one line of each error."""

    @app.exception_handler(CannotStore)
    def not_stored(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=507)

    @app.exception_handler(UserError)
    def refused(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return JSONResponse({"error": f"{where}: {first['msg']}"[:300]}, status_code=422)

    @app.exception_handler(Exception)
    def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"unexpected {type(error).__name__}"}, status_code=500)


def _add_pages(app: FastAPI) -> None:
    """Serve the package's own files, by names that are known beforehand."""
    pages = Pages("labelwise.web")

    @app.get("/")
    def index() -> Response:
        return pages.get("index.html")

    @app.get("/static/{name}")
    def asset(name: str) -> Response:
        return pages.get(name)


def _add_questions(app: FastAPI, review: Review, reviewer: str) -> None:
    """Serve what changes nothing."""
    pictures = Pictures(review.data)

    @app.get("/api/run")
    def run(request: Request) -> dict[str, Any]:
        data = review.data
        return {
            "name": data.run.name,
            "table": data.table.name,
            "key": data.key,
            "proof": request.scope["proof"],
            "kind": data.kind,
            "n_items": len(data.items),
            "labels": review.all_label_counts(),
            "reviewer": reviewer,
            "calibrated": data.calibrated,
            "made_by": data.made_by,
            "progress": review.progress(),
        }

    @app.get("/api/progress")
    def progress(label: str | None = None) -> dict[str, Any]:
        return {**review.progress(label), "labels": review.all_label_counts()}

    @app.get("/api/entries")
    def entries(
        label: str,
        state: str = "open",
        reviewer: str = "",
        search: str = "",
        order: str = "likely",
        asker: str = "",
        size: Annotated[int, Query(ge=1, le=200)] = 24,
        skip: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        chosen = Filters(label, state, reviewer, search, order, asker)
        total, rows = review.entries(chosen, size, skip)
        return {"total": total, "skip": skip, "entries": review.entry_cards(chosen, rows)}

    @app.get("/api/items")
    def items(
        state: str = "open",
        reviewer: str = "",
        search: str = "",
        order: str = "likely",
        asker: str = "",
        size: Annotated[int, Query(ge=1, le=24)] = 2,
        skip: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:
        total, rows = review.items(Filters(None, state, reviewer, search, order, asker), size, skip)
        return {"total": total, "skip": skip, "items": review.item_cards(rows)}

    @app.get("/api/item/{row}")
    def item(row: int) -> dict[str, Any]:
        if not 0 <= row < len(review.data.items):
            raise UserError(f"the run has no row {row}")
        return review.item_cards([row])[0]

    @app.get("/api/picture/{row}")
    def picture(row: int, side: Annotated[int, Query(ge=16, le=1600)] = 480) -> Response:
        try:
            content, kind = pictures.get(row, side)
        except LookupError:
            return JSONResponse({"error": "the item has no picture"}, status_code=404)
        except Unusable as error:
            return JSONResponse({"error": f"the picture {error}"}, status_code=404)
        return Response(content, media_type=kind, headers={"cache-control": "private, max-age=86400"})


def _add_certificate(app: FastAPI, review: Review, certifier: Certifier | None) -> None:
    """Serve the entries that the certificate asks next."""

    @app.get("/api/certify")
    def certify(size: Annotated[int, Query(ge=1, le=200)] = 24, asker: str = "") -> dict[str, Any]:
        if certifier is None:
            raise UserError("this page has no certificate: start it by 'labelwise review'")
        # Asked in this order: a certificate that is made in between is then in what follows.
        making = certifier.making
        places = certifier.next(size, asker)
        return {"total": len(places), "skip": 0, "entries": review.cards(places), "making": making}


def _add_answers(app: FastAPI, review: Review) -> None:
    """Serve what changes something."""

    @app.post("/api/answers")
    def answer(body: AnswersIn) -> dict[str, Any]:
        review.answer(
            [
                Asked(one.id, Answer(one.item, one.label, one.answer, body.reviewer.strip()))
                for one in body.answers
            ]
        )
        return {
            "stored": [one.id for one in body.answers],
            "progress": review.progress(body.answers[0].label),
        }

    @app.post("/api/undo")
    def undo(body: UndoIn) -> dict[str, Any]:
        rows = review.undo(body.id, body.reviewer, body.answers)
        changed = [review.card_of(one.item, one.label) for one in rows]
        return {"undone": changed, "progress": review.progress(rows[0].label if rows else None)}

    @app.post("/api/labels")
    def add_label(body: LabelIn) -> dict[str, Any]:
        review.add_label(body.name, body.reviewer)
        return {"labels": review.all_label_counts()}


def _add_learning(app: FastAPI, learning: Learning | None) -> None:
    """Serve how the training stands, and begin one."""

    @app.get("/api/learn")
    def state() -> dict[str, Any]:
        return {"state": "off"} if learning is None else learning.state()

    @app.post("/api/learn")
    def start() -> dict[str, Any]:
        if learning is None:
            raise UserError("this page cannot learn again: start it by 'labelwise review'")
        return learning.start()


def _add_files(app: FastAPI, review: Review) -> None:
    """Serve files out, and take answers in."""

    def attached(name: str, content: bytes, notes: tuple[str, ...] = ()) -> Response:
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        if notes:
            headers["x-labelwise-notes"] = quote("; ".join(notes))
        return Response(content, media_type="application/octet-stream", headers=headers)

    @app.get("/api/export/answers")
    def export_answers() -> Response:
        return attached(f"{review.data.run.name}-answers.csv", answers_csv(review))

    @app.get("/api/export/table")
    def export_table() -> Response:
        return attached(*table_file(review))

    @app.post("/api/import")
    async def import_answers(request: Request) -> dict[str, Any]:
        content = await request.body()
        return await run_in_threadpool(bring_in, review, content)
