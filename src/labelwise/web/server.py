"""Start and stop the server of a review."""

from __future__ import annotations

import signal
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelwise.errors import UserError
from labelwise.http import LOOPBACK, Address, checked_token, is_loopback, listen
from labelwise.runs.answering import ANSWERS
from labelwise.runs.reviewing import ReviewData, open_for_review, training_arguments
from labelwise.web.app import create_app
from labelwise.web.certifying import Certifier
from labelwise.web.learning import Learning
from labelwise.web.review import Review
from labelwise.web.storage import ReviewStore, last_learnt

PORT = 8765


def serve(
    run: str | Path,
    table: str | Path | None = None,
    *,
    images: str | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    reviewer: str = "",
    browser: bool = False,
    progress: bool = False,
    on_start: Callable[[Address, Review], None] | None = None,
) -> None:
    """Serve the review of a run until it is interrupted.

    Args:
        host: The interface; any but loopback needs a token, which is made where none is given.
        port: 0 takes a free one.
        on_start: Called once it can be reached.

    Raises:
        UserError: For a run that cannot be reviewed, and a port that is in use.
    """
    import uvicorn

    local = is_loopback(host)
    token = checked_token(token, local=local)
    listener = listen(host, port)
    try:
        data, store = _opened(run, table, images=images, progress=progress)
        review = Review(data, store)
        learning = Learning(
            data.run,
            data.seconds,
            command=lambda out: training_arguments(data, out, moved=table is not None),
            opened=lambda out: open_for_review(data.run, table, learnt=out, images=images),
            taken=lambda learnt: _take(review, learnt),
        )
        address = Address(host, listener.getsockname()[1], token)
        certifier = Certifier(review, opened=lambda: open_for_review(data.run, table, images=images))
        app = create_app(
            review, learning, certifier, token=token, hosts=LOOPBACK if local else (), reviewer=reviewer
        )
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        if on_start is not None:
            on_start(address, review)
        if browser:
            threading.Timer(0.5, webbrowser.open, [address.url]).start()
        certifier.start()
        try:
            # The server raises its signal once more at its end, and SIGTERM would end the process before it cleans up.
            signal.signal(signal.SIGTERM, _interrupt)
            server.run(sockets=[listener])
        finally:
            learning.stop()
            certifier.stop()
            store.close()
    finally:
        listener.close()


def _opened(run: str | Path, table: str | Path | None, **options: Any) -> tuple[ReviewData, ReviewStore]:
    """Return a run with the scores of the run that learnt last from its answers, and these."""
    path = Path(run) / ANSWERS
    learnt = last_learnt(path)
    if learnt is not None:
        try:
            data = open_for_review(run, table, learnt=learnt, **options)
        except UserError:
            # It was moved or is not whole: the run itself still has a model.
            data = open_for_review(run, table, **options)
    else:
        data = open_for_review(run, table, **options)
    return data, ReviewStore.of_run(path, data.items, data.identity)


def _take(review: Review, learnt: ReviewData) -> str:
    """Let a review take a newer run's scores, and return the words on that."""
    counts = review.tally.totals()
    review.replace(learnt)
    review.store.set_about("learnt", str(learnt.model_run.absolute()))
    return f"Learnt from {counts['yes'] + counts['no']:,} answers. What is left is in a new order."


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt("stopped; every answer is kept")
