"""One answer of a reviewer, its texts and its place among others."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from labelwise.errors import UserError, shown

SOURCES = ("audit", "import", "review", "undo")
SKIPPED = -1
_WORDS = {"1": 1, "1.0": 1, "yes": 1, "true": 1, "0": 0, "0.0": 0, "no": 0, "false": 0}
_WORDS |= {"-1": SKIPPED, "-1.0": SKIPPED, "skip": SKIPPED, "skipped": SKIPPED}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 10_000
_UNPRINTED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Answer(NamedTuple):
    """One answer to one entry.

    Attributes:
        item: The item's id.
        label: The label's name.
        answer: 1 (yes), 0 (no) or -1 (skipped).
        reviewer: Who answered, "" where nobody said.
        time: ISO 8601 in UTC, to the microsecond; "" lets the store give the time.
        source: ``"review"``, ``"audit"`` or ``"import"``; ``"undo"`` takes the reviewer's last answer back.
        draw: The audit draw that asked, "" otherwise.
        probability: The entry's inclusion probability in that draw, in (0, 1]; NaN otherwise.
    """

    item: str
    label: str
    answer: int
    reviewer: str = ""
    time: str = ""
    source: str = "review"
    draw: str = ""
    probability: float = math.nan

    def checked(self) -> Answer:
        """Return the answer with plain types and a canonical time.

        Raises:
            UserError: For a value that its field cannot have.
        """
        texts = {name: _text(name, getattr(self, name)) for name in ("item", "label", "reviewer", "draw")}
        if not texts["item"] or not texts["label"].strip():
            raise UserError(
                f"an answer needs an item and a label, not {shown(self.item)} and {shown(self.label)}"
            )
        if self.source not in SOURCES:
            raise UserError(
                f"the source of an answer is one of {', '.join(SOURCES)}, not {shown(self.source)}"
            )
        return Answer(
            texts["item"],
            texts["label"],
            _state(self.answer),
            texts["reviewer"],
            canonical_time(self.time) if self.time else "",
            self.source,
            texts["draw"],
            _probability(self.probability),
        )


COLUMNS = Answer._fields


def now() -> str:
    """Return the time in UTC, as answers have it."""
    return _written(datetime.now(UTC))


def canonical_time(text: Any) -> str:
    """Return an ISO 8601 time in UTC, to the microsecond, with Z.

    A time without a zone is read as UTC.
    """
    try:
        time = datetime.fromisoformat(str(text).strip())
        return _written(time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))
    except (ValueError, OverflowError):
        raise UserError(f"{shown(text)} is no time: write ISO 8601, as 2026-01-31T13:05:00Z") from None


def after(time: str) -> str:
    """Return the time a microsecond later."""
    return _written(datetime.fromisoformat(time) + timedelta(microseconds=1))


def stamped(rows: Iterable[Answer]) -> list[Answer]:
    """Return rows with times; those without count microseconds from 1970, in their order."""
    return [
        row if row.time else row._replace(time=_written(_EPOCH + timedelta(microseconds=place)))
        for place, row in enumerate(rows)
    ]


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def sort_key(row: Answer) -> tuple[Any, ...]:
    """Return a row as it is sorted and compared, without NaN."""
    probability = -1.0 if math.isnan(row.probability) else row.probability
    # "undo" sorts last among sources: at one time an answer comes before what takes it back.
    return (row.time, row.reviewer, row.item, row.label, row.source, row.answer, row.draw, probability)


def of_key(key: tuple[Any, ...]) -> Answer:
    """Return the row of a key."""
    time, reviewer, item, label, source, answer, draw, probability = key
    probability = math.nan if probability < 0 else probability
    return Answer(item, label, answer, reviewer, time, source, draw, probability)


def rank(row: Answer) -> tuple[Any, ...]:
    """Return a key by which what counts comes last: answers after skips, then the later ones."""
    return (row.answer != SKIPPED, *sort_key(row))


def _text(name: str, value: Any) -> str:
    text = "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
    if len(text) > _LONGEST:
        raise UserError(f"the {name} of an answer has {len(text):,} characters, more than {_LONGEST:,}")
    allowed = text if name != "item" else text.replace("\n", "").replace("\t", "").replace("\r", "")
    if _UNPRINTED.search(allowed):
        raise UserError(f"the {name} {shown(text)} of an answer holds a control character: take it out")
    return text


def _state(value: Any) -> int:
    state = _WORDS.get(str(value).strip().lower())
    if state is None:
        raise UserError(f"the answer {shown(value)} is none of 1 (yes), 0 (no) and -1 (skipped)")
    return state


def _probability(value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if not (math.isnan(number) or 0 < number <= 1):
        raise UserError(f"the inclusion probability {shown(value)} of an answer is not above 0 and at most 1")
    return number
