"""The certificate of a review: kept up to date beside the page, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.errors import UserError
from labelwise.runs.reviewing import SAW_ROWS, ReviewData
from labelwise.runs.scoring import ScoredTable
from labelwise.web.review import Review

if TYPE_CHECKING:
    from labelwise.completion import Certificate
    from labelwise.completion.entries import Entries

_MORE, _AHEAD, _PAUSE = 10, 200, 0.5


class Certifier:
    """Says how many entries the answers certify, what ten more would bring, and which to ask next.

    The certificate is that of ``labelwise complete RUN --fill``: over the scores of the reviewed run, whatever was
    learnt since, since its ranking must not move with the answers.

    Args:
        precision: The wanted precision of what is filled.
        opened: Reads the run again: where the page shows scores of a model that saw these rows, those of models that
            did not take their place as soon as the certificate has had them made. None leaves the page as it is.
    """

    def __init__(
        self, review: Review, precision: float = 0.9, opened: Callable[[], ReviewData] | None = None
    ) -> None:
        self._review, self._precision, self._opened = review, precision, opened
        self._stop = threading.Event()
        self._asked: list[tuple[str, str]] = []
        self._entries: Entries | None = None
        self._seen = -1
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to keep ``review.certificate`` up to date."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def next(self, size: int, asker: str = "") -> list[tuple[int, int]]:
        """Return (row, column) of the entries that the certificate asks next and nobody has answered since."""
        return self._review.unanswered(self._asked, size, asker)

    @property
    def making(self) -> bool:
        """Whether answers came that the certificate does not count yet: what it asks next may be more then."""
        return self._thread.is_alive() and self._seen != self._review.store.version()

    def _work(self) -> None:
        shown = self._review.data
        try:
            scored = ScoredTable.open(
                shown.run, shown.table, moved=True, progress=False, given={"images": shown.images}
            )
            if shown.made_by.endswith(SAW_ROWS) and shown.model_run == shown.run and self._opened is not None:
                self._review.replace(self._opened(), instead_of=shown)
        except UserError as error:
            self._review.certificate = {"words": f"no certificate: {error}"}
            return
        while not self._stop.is_set():
            version = self._review.store.version()
            began = time.monotonic()
            if version != self._seen:
                try:
                    self._renew(scored)
                except UserError as error:
                    # The next answer that is stored tries again.
                    self._review.certificate = {"words": f"no certificate: {error}"}
                self._seen = version
            # A large table's certificate takes a moment: the page's requests come first.
            self._stop.wait(_PAUSE + 3 * (time.monotonic() - began))

    def _renew(self, scored: ScoredTable) -> None:
        entries = self._with_answers(scored)
        found = self._certificate(scored, entries)
        from labelwise.completion import next_to_certify

        rows, columns = next_to_certify(found.plan, _AHEAD)
        items, names = scored.table.items, scored.table.annotations.label_names
        self._asked = [(items[row], names[k]) for row, k in zip(rows.tolist(), columns.tolist(), strict=True)]
        more = self._certificate(scored, _answered_yes(entries, rows[:_MORE], columns[:_MORE]))
        self._review.certificate = {
            **found.to_dict(),
            "words": f"{found}.",
            "filled": found.inferred + found.confirmed,
            "more": min(_MORE, len(rows)),
            "more_filled": more.inferred + more.confirmed,
            "pilot_left": len(found.plan.pilot_left) + found.plan.ahead,
        }

    def _with_answers(self, scored: ScoredTable) -> Entries:
        """Return the entries with the answers of now; the ranking is made once."""
        from labelwise.completion.entries import Answered, Entries

        table = scored.table
        labels, names = table.annotations.matrix, table.annotations.label_names
        if self._entries is None:
            self._entries = Entries.streamed(
                scored.blocks(), labels, None, items=table.items, label_names=names
            )
        return replace(self._entries, answered=Answered.of(scored.answers(), labels, table.items, names))

    def _certificate(self, scored: ScoredTable, entries: Entries) -> Certificate:
        from labelwise.completion.ranking import completion_of

        return completion_of(
            entries,
            calibrated=scored.calibrated,
            how=scored.how,
            top=1,
            precision=self._precision,
            seed=scored.seed(0),
        ).certificate


def _answered_yes(entries: Entries, rows: Any, columns: Any) -> Entries:
    """Return entries as they would be if some more were answered yes."""
    from labelwise.completion.entries import Answered

    before = entries.answered
    places = np.concatenate([before.places, rows * before.width + columns])
    values = np.concatenate([before.values, np.ones(len(rows), dtype=np.int8)])
    places, first = np.unique(places[::-1], return_index=True)
    return replace(entries, answered=Answered(places, values[::-1][first], before.width))
