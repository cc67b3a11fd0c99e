"""The state of a review: what is answered, what comes next, how far it is."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.completion import Answer
from labelwise.errors import UserError, near
from labelwise.runs.reviewing import ReviewData
from labelwise.web.figures import precision_of
from labelwise.web.storage import Request, ReviewStore
from labelwise.web.tally import NONE, SKIPPED, Tally

ORDERS = ("likely", "uncertain", "unlikely", "random")
STATES = ("open", "skipped", "yes", "no", "given-yes", "given-no", "second", "disputed", "all")
_LEASE_SECONDS = 120.0
_MOST_MASKS = 32
_Place = TypeVar("_Place", tuple[int, int], tuple[int, int | None])


@dataclass(frozen=True)
class Filters:
    """What a page asks for.

    Attributes:
        label: The label's name; None in the mode of one item.
        state: One of ``STATES``: "second" is answered by others and not by ``asker``, "disputed" has answers that
            differ.
        reviewer: Entries whose latest answer is by this reviewer; "" for all.
        search: A text that items must hold; case does not matter.
        order: One of ``ORDERS``.
        asker: The reviewer who asks.
    """

    label: str | None = None
    state: str = "open"
    reviewer: str = ""
    search: str = ""
    order: str = "likely"
    asker: str = ""


@dataclass
class _Entry:
    """The answers to one entry that nobody took back, oldest first."""

    standing: list[Answer] = field(default_factory=list)

    def take(self, one: Answer) -> None:
        """Add an answer, or take the reviewer's last one back."""
        if one.source != "undo":
            self.standing.append(one)
            return
        for place in range(len(self.standing) - 1, -1, -1):
            if self.standing[place].reviewer == one.reviewer:
                del self.standing[place]
                return

    @property
    def latest(self) -> Answer | None:
        """The answer that counts: the last one, a skip only where there is nothing else."""
        answered = [one for one in self.standing if one.answer != SKIPPED]
        return answered[-1] if answered else self.standing[-1] if self.standing else None

    def votes(self) -> dict[str, int]:
        """Return each reviewer's latest answer."""
        votes: dict[str, int] = {}
        for one in self.standing:
            if one.answer != SKIPPED or one.reviewer not in votes:
                votes[one.reviewer] = one.answer
        return votes

    def disputed(self) -> bool | None:
        """Return whether answers of several reviewers differ; None where fewer than two answered."""
        votes = [vote for vote in self.votes().values() if vote != SKIPPED]
        return None if len(votes) < 2 else len(set(votes)) > 1


class Review:
    """The answers and the order of a run's entries; safe from several threads.

    Scores and states are arrays; an order is computed once a label and kept, and an answer changes single entries.
    """

    def __init__(self, data: ReviewData, store: ReviewStore) -> None:
        self.store = store
        self.lock = threading.RLock()
        self.certificate: dict[str, Any] | None = None
        self.replace(data)

    def _load(self, data: ReviewData) -> None:
        self.data = data
        added = [name for name in self.store.added_labels() if name not in data.labels]
        self.labels = [*data.labels, *added]
        shape = (len(data.items), len(added))
        # By columns, since a page asks for one label of all items far more often than for all labels of one.
        given = np.asfortranarray(np.hstack([data.given, np.full(shape, -1, dtype=np.int8)]))
        self.scores = np.asfortranarray(np.hstack([data.scores, np.full(shape, np.nan, dtype=np.float32)]))
        suggested = np.asfortranarray(np.hstack([data.suggested, np.zeros(shape, dtype=np.bool_)]))
        self.tally = Tally(given, suggested)
        self.given, self.suggested, self.answers = given, suggested, self.tally.answers
        self._row = {item: row for row, item in enumerate(data.items)}
        self._column = {name: k for k, name in enumerate(self.labels)}
        self._entries: dict[tuple[int, int], _Entry] = {}
        self._given_by: dict[str, list[tuple[int, int]]] = {}
        self._several: dict[tuple[int, int], bool] = {}
        self._orders: dict[tuple[int | None, str], NDArray[np.int64]] = {}
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._leases: dict[tuple[int, int | None], tuple[str, float]] = {}
        self.version = getattr(self, "version", 0) + 1

    def replace(self, data: ReviewData, *, instead_of: ReviewData | None = None) -> None:
        """Take other scores, such as those of a run that learnt from the answers; what is left is ordered anew.

        Args:
            instead_of: Only where these are the data that are shown.
        """
        with self.lock:
            if instead_of is not None and self.data is not instead_of:
                return
            self._load(data)
            for one in self.store.answers().rows:
                self._apply(one)

    # ---------------------------------------------------------------- answers

    def answer(self, requests: Sequence[Request]) -> None:
        """Store answers, then take them into account; those stored before change nothing.

        Raises:
            UserError: For an item or a label that the run does not have; nothing is stored then.
            CannotStore: Where they cannot be written.
        """
        with self.lock:
            for one in requests:
                self._locate(one.answer.item, one.answer.label)
            for _, stored in self.store.answer(requests):
                self._apply(stored)

    def undo(self, request: str, reviewer: str, answers: Sequence[str] = ()) -> list[Answer]:
        """Take back a reviewer's answers, by default the last; what held before holds again.

        Args:
            request: An id made by the page, so that a request sent twice takes back once.
            answers: Ids of answers of this reviewer.

        Returns:
            The rows that were stored; empty where there was nothing to take back.
        """
        with self.lock:
            mine = self._given_by.get(reviewer, [])
            if answers:
                found = (self.store.entry_of(one, reviewer) for one in answers)
                entries = [entry for entry in found if entry is not None and self._locate(*entry) in mine]
            else:
                entries = [(self.data.items[row], self.labels[column]) for row, column in mine[-1:]]
            stored = self.store.undo_once(request, entries, reviewer)
            for one in stored:
                self._apply(one)
            return stored

    def bring_in(self, rows: Sequence[Answer]) -> int:
        """Store answers of a file, and return how many are new."""
        with self.lock:
            new = self.store.bring_in(rows)
            if new:
                # Their times lie anywhere among those that are here.
                self.replace(self.data)
            return new

    def add_label(self, name: str, reviewer: str) -> None:
        """Add a label that the run does not have; all its entries are unknown.

        Raises:
            UserError: For an empty name, a long one, and one that is there.
        """
        name = " ".join(name.split())
        if not name or len(name) > 200 or not name.isprintable():
            raise UserError("a label needs a name of 1 to 200 printable characters")
        with self.lock:
            if any(name.casefold() == other.casefold() for other in self.labels):
                raise UserError(f"there is a label {name!r} already: give another name")
            self.store.add_label(name, reviewer)
            self.replace(self.data)

    def _locate(self, item: str, label: str) -> tuple[int, int]:
        if item not in self._row:
            raise UserError(f"the run has no item {item!r:.80}: load the page again")
        if label not in self._column:
            raise UserError(f"there is no label {label!r:.80}; {near(label, self.labels)}")
        return self._row[item], self._column[label]

    def _apply(self, one: Answer) -> None:
        if one.item not in self._row or one.label not in self._column:
            return
        place = self._row[one.item], self._column[one.label]
        entry = self._entries.setdefault(place, _Entry())
        entry.take(one)
        mine = self._given_by.setdefault(one.reviewer, [])
        if one.source != "undo":
            mine.append(place)
        elif place in mine:
            del mine[len(mine) - 1 - mine[::-1].index(place)]
        latest = entry.latest
        self.tally.set(place, NONE if latest is None else latest.answer)
        disputed = entry.disputed()
        if disputed is None:
            self._several.pop(place, None)
        else:
            self._several[place] = disputed

    # ------------------------------------------------------------------ queue

    def entries(self, filters: Filters, size: int = 24, skip: int = 0) -> tuple[int, list[int]]:
        """Return the number of rows that ``filters`` let through for a label, and the next of them."""
        with self.lock:
            column = self._checked(filters)
            order = self._order(column, filters.order)
            mask = self._rows_in_state(column, filters) & self._found(filters)
            rows = order[mask[order]]
            return len(rows), self._next_rows(rows, column, filters, size, skip)

    def unanswered(
        self, entries: Sequence[tuple[str, str]], size: int, asker: str = ""
    ) -> list[tuple[int, int]]:
        """Return the places of the first entries, by item and label, that nobody answered.

        What another reviewer has before them comes last.
        """
        with self.lock:
            places = [
                (self._row[item], self._column[label])
                for item, label in entries
                if item in self._row and label in self._column
            ]
            return self._leased((place for place in places if self.answers[place] == NONE), asker, size, 0)

    def cards(self, places: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return the cards of entries of any labels."""
        with self.lock:
            return [{**self.item(row), **self.card(row, column)} for row, column in places]

    def items(self, filters: Filters, size: int = 4, skip: int = 0) -> tuple[int, list[int]]:
        """Return the number of items that ``filters`` let through, and the next of them."""
        with self.lock:
            self._checked(filters)
            order = self._order(None, filters.order)
            mask = self._rows_in_state(None, filters) & self._found(filters)
            rows = order[mask[order]]
            return len(rows), self._next_rows(rows, None, filters, size, skip)

    def _checked(self, filters: Filters) -> int | None:
        for value, options, what in ((filters.state, STATES, "state"), (filters.order, ORDERS, "order")):
            if value not in options:
                raise UserError(f"{what} is {value!r:.40}; {near(value, options)}")
        if filters.label is None:
            return None
        if filters.label not in self._column:
            raise UserError(f"there is no label {filters.label!r:.80}; {near(filters.label, self.labels)}")
        return self._column[filters.label]

    def _order(self, column: int | None, by: str) -> NDArray[np.int64]:
        """Return all rows in the order of a label, or of the items; computed once."""
        key = column, by
        if key not in self._orders:
            scores = self.scores if column is None else self.scores[:, column]
            # An entry without a score (an unread picture, a new label) stands in the middle: it can be either.
            scores = np.nan_to_num(scores, nan=0.5)
            if by == "random":
                worth = generator(0, "review", -1 if column is None else column).random(len(scores))
            elif column is None:
                known = self.given != -1
                worth = _worth(scores, by)
                worth = np.where(known, 0, worth).sum(axis=1)
            else:
                worth = _worth(scores, by)
            self._orders[key] = np.argsort(-worth, kind="stable")
        return self._orders[key]

    def _rows_in_state(self, column: int | None, filters: Filters) -> NDArray[np.bool_]:
        """Return which rows have an entry (of a label, or any) in the state asked for."""
        state = filters.state
        mask: NDArray[np.bool_]
        if state == "all":
            mask = np.ones(len(self.data.items), dtype=np.bool_)
        elif column is None and state == "open":
            mask = np.greater(self.tally.open_in_row, 0)
        elif state in ("second", "disputed"):
            mask = self._rows_of(
                column, self._second(filters.asker) if state == "second" else self._differing()
            )
        else:
            part = slice(None) if column is None else slice(column, column + 1)
            entries = _entries_in(state, self.given[:, part], self.answers[:, part])
            mask = np.any(entries, axis=1)
        if filters.reviewer:
            latest = (
                place
                for place, entry in self._entries.items()
                if (latest := entry.latest) is not None and latest.reviewer == filters.reviewer
            )
            mask = np.logical_and(mask, self._rows_of(column, latest))
        return mask

    def _second(self, asker: str) -> Iterable[tuple[int, int]]:
        return (
            place
            for place, entry in self._entries.items()
            if entry.standing and asker not in entry.votes() and self.answers[place] != SKIPPED
        )

    def _differing(self) -> Iterable[tuple[int, int]]:
        return (place for place, disputed in self._several.items() if disputed)

    def _rows_of(self, column: int | None, places: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
        mask = np.zeros(len(self.data.items), dtype=np.bool_)
        mask[[row for row, k in places if column in (None, k)]] = True
        return mask

    def _found(self, filters: Filters) -> NDArray[np.bool_]:
        """Return which items hold the text that is searched for."""
        words = " ".join(filters.search.casefold().split())[:200]
        if not words:
            return np.ones(len(self.data.items), dtype=np.bool_)
        if words not in self._masks:
            texts = self._searchable()
            self._masks[words] = np.fromiter((words in text for text in texts), np.bool_, len(texts))
            if len(self._masks) > _MOST_MASKS:
                self._masks.popitem(last=False)
        return self._masks[words]

    def _searchable(self) -> list[str]:
        """Return what can be found of each item: its id, its text, its row."""
        if getattr(self, "_texts_of", None) is not self.data.items:
            texts = [item.casefold() for item in self.data.items]
            if self.data.kind == "text" and self.data.contents is not None:
                texts = [
                    f"{one}\n{str(two).casefold()}"
                    for one, two in zip(texts, self.data.contents, strict=True)
                ]
            for column in self.data.columns.values():
                values = column.to_pylist()
                texts = [f"{one}\n{str(two).casefold()}" for one, two in zip(texts, values, strict=True)]
            self._texts, self._texts_of = [" ".join(one.split(" ")) for one in texts], self.data.items
        return self._texts

    def _next_rows(
        self, rows: NDArray[np.int64], column: int | None, filters: Filters, size: int, skip: int
    ) -> list[int]:
        """Return the next rows of a label, or items."""
        if filters.state != "open":
            return [int(row) for row in rows[skip : skip + size]]
        places = ((int(row), column) for row in rows)
        return [row for row, _ in self._leased(places, filters.asker, size, skip)]

    def _leased(self, places: Iterable[_Place], asker: str, size: int, skip: int) -> list[_Place]:
        """Return the next places; what another reviewer has before them comes last.

        A reviewer has a place for two minutes, so that two people at work answer different entries.
        """
        now = time.monotonic()
        if len(self._leases) > 10_000:
            self._leases = {key: lease for key, lease in self._leases.items() if lease[1] > now}
        mine: list[_Place] = []
        others: list[_Place] = []
        for place in places:
            owner, until = self._leases.get(place, ("", 0.0))
            (others if owner not in ("", asker) and until > now else mine).append(place)
            if len(mine) >= skip + size:
                break
        chosen = (mine + others)[skip : skip + size]
        for place in chosen:
            self._leases[place] = (asker, now + _LEASE_SECONDS)
        return chosen

    # ------------------------------------------------------------------ cards

    def card(self, row: int, column: int) -> dict[str, Any]:
        """Return what is known of an entry."""
        entry = self._entries.get((row, column))
        score, answer = float(self.scores[row, column]), int(self.answers[row, column])
        return {
            "label": self.labels[column],
            "score": None if np.isnan(score) else round(score, 4),
            "suggested": bool(self.suggested[row, column]),
            "given": int(self.given[row, column]),
            "answer": None if answer == NONE else answer,
            "by": entry.latest.reviewer if entry and entry.latest else None,
            "votes": entry.votes() if entry else {},
        }

    def card_of(self, item: str, label: str) -> dict[str, Any]:
        """Return what is known of an entry, and whose it is."""
        with self.lock:
            row, column = self._locate(item, label)
            return {"row": row, "item": item, **self.card(row, column)}

    def item(self, row: int, *, most_text: int = 600) -> dict[str, Any]:
        """Return what a card shows of an item."""
        data = self.data
        shown: dict[str, Any] = {"row": row, "item": data.items[row], "kind": data.kind}
        if data.kind == "text" and data.contents is not None:
            text = str(data.contents[row])
            shown["text"] = text if len(text) <= most_text else text[:most_text].rstrip() + "…"
        if row in data.unreadable:
            shown["unreadable"] = data.unreadable[row]
        if data.columns:
            shown["columns"] = [[name, _cell(column[row].as_py())] for name, column in data.columns.items()]
        return shown

    def entry_cards(self, filters: Filters, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the cards of a label's rows."""
        with self.lock:
            column = self._column[filters.label or ""]
            return [{**self.item(row), **self.card(row, column)} for row in rows]

    def item_cards(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the cards of items, each with all its labels, the likely first."""
        with self.lock:
            cards = []
            for row in rows:
                order = np.argsort(-np.nan_to_num(self.scores[row], nan=-1.0), kind="stable")
                labels = [self.card(row, int(k)) for k in order]
                cards.append({**self.item(row, most_text=20_000), "labels": labels})
            return cards

    # --------------------------------------------------------------- progress

    def progress(self, label: str | None = None) -> dict[str, Any]:
        """Return how far the review is: counts, precision, agreement, reviewers."""
        with self.lock:
            shared = len(self._several)
            reviewers = Counter({name: len(set(places)) for name, places in self._given_by.items() if places})
            found: dict[str, Any] = {
                "version": self.version,
                **self.tally.totals(),
                "reviewers": [{"name": name, "answers": n} for name, n in reviewers.most_common()],
                "certificate": self.certificate,
                "agreement": {"entries": shared, "same": shared - sum(self._several.values())},
                "precision": precision_of(*self.tally.judged_of(None)),
            }
            if label is not None and label in self._column:
                found["label"] = self.label_counts(label)
            return found

    def label_counts(self, label: str) -> dict[str, Any]:
        """Return the counts of one label's states, and the precision of its suggestions."""
        column = self._column[label]
        return {
            "name": label,
            "new": column >= len(self.data.labels),
            **self.tally.of_label(column),
            "precision": precision_of(*self.tally.judged_of(column)),
        }

    def all_label_counts(self) -> list[dict[str, Any]]:
        """Return the counts of every label."""
        with self.lock:
            return [self.label_counts(name) for name in self.labels]

    def matrix(self) -> tuple[NDArray[np.int8], int]:
        """Return the states (n, K) with the answers entered, and how many given ones they change."""
        with self.lock:
            entered = (self.answers == 1) | (self.answers == 0)
            changed = entered & (self.given != -1) & (self.given != self.answers)
            return np.where(entered, self.answers, self.given).astype(np.int8), int(changed.sum())


def _entries_in(state: str, given: NDArray[np.int8], answers: NDArray[np.int8]) -> NDArray[np.bool_]:
    if state == "open":
        return np.equal(given, -1) & np.equal(answers, NONE)
    values = {"skipped": SKIPPED, "yes": 1, "no": 0}
    if state in values:
        return np.equal(answers, values[state])
    return np.equal(given, 1 if state == "given-yes" else 0)


def _worth(scores: NDArray[Any], by: str) -> NDArray[Any]:
    """Return how early an entry comes."""
    worth: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "likely": lambda scores: scores,
        "unlikely": lambda scores: 1 - scores,
        "uncertain": lambda scores: 0.5 - np.abs(scores - 0.5),
    }
    return worth[by](scores)


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else text[:200] + "…"
