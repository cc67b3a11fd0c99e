"""Ask for some unknown entries of a run's table, and say how good the table is by the answers."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import write
from labelwise.errors import UserError, near
from labelwise.runs.answering import open_answers
from labelwise.runs.audited import LEAST, NAME, AuditedTable, Sampled
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.scoring import ScoredTable, read_answered

if TYPE_CHECKING:
    import pandas as pd

    from labelwise.completion import Answers, AuditEstimate, Certificate

AIMS = ("estimate", "fill")
_DRAW = re.compile(r"(score|label)-\d+")


@dataclass(frozen=True, eq=False)
class Audit:
    """What the answers beside a run say, and what to ask next.

    Attributes:
        estimate: How good table and rule are; None without an answer to the draw.
        certificate: What can be filled; None where the aim is to estimate.
        asked: The entries that were drawn now, with empty answers; None where none were asked for.
        out: Where they were written.
        n_read: Answers that were taken from the given file.
        notes: Sentences on answers that do not count.
    """

    run: str
    estimate: AuditEstimate | None
    certificate: Certificate | None
    asked: pd.DataFrame | None
    out: str | None = None
    n_read: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return {
            "run": self.run,
            "estimate": None if self.estimate is None else self.estimate.to_dict(),
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "asked": None if self.asked is None else len(self.asked),
            "out": self.out,
            "read": self.n_read,
            "notes": list(self.notes),
        }


def audit(
    run: str | Path,
    out: str | Path | None = None,
    *,
    size: int = 50,
    aim: str = "estimate",
    by: str = "score",
    answers: str | Path | None = None,
    precision: float = 0.9,
    confidence: float = 0.95,
    unasked: bool = False,
    seed: int = 0,
    progress: bool = False,
    **given: Any,
) -> Audit:
    """Read answers, estimate from all of the run's, and draw the entries to ask next.

    Args:
        run: A finished run; its table's rows are scored by models that did not see them.
        out: A CSV file for the next entries, with an empty column ``answer`` (1, 0, or -1 to skip).
        size: How many.
        aim: ``"estimate"`` draws for estimates of the whole table, ``"fill"`` for a certificate.
        by: Strata by ``"score"``, or by ``"label"`` too.
        answers: The answered file; its answers are kept beside the run.
        precision: That of the certificate.
        confidence: Of intervals and certificate.
        unasked: As in ``complete``.
        seed: Of the random order; keep it from draw to draw.
        progress: Whether to show a progress bar.
        given: ``images`` and ``on_bad_item``, where they differ from what the run was asked.
    """
    from labelwise.completion.draw import Strata
    from labelwise.completion.entries import Answered, Entries
    from labelwise.completion.ranking import completion_of

    if aim not in AIMS:
        raise UserError(f"aim (--aim) is {aim!r}: {near(str(aim), AIMS)}")
    if size < 1:
        raise UserError(f"size (--size) is {size}: give at least 1")
    if out is not None:
        check_output(out, [] if answers is None else [answers], (".csv",))
    scored = ScoredTable.open(run, None, progress=progress, given=dict(given))
    read, order = 0, scored.seed(seed)
    if answers is not None:
        rows = read_answered(answers).rows
        with open_answers(scored.finished.directory) as store:
            store.append(rows)
        read = len(rows)
    labels, names = scored.table.annotations.matrix, scored.table.annotations.label_names
    all_answers, items = scored.answers(), scored.table.items
    answered = Answered.of(all_answers, labels, items, names, scored.added_labels())
    strata = Strata.of(
        scored.scores, labels, predicted=scored.predicted(), by=by, items=items, label_names=names
    )
    estimate = None
    if len(answered.places):
        estimate = _estimate(strata, answered, order, confidence)
    certificate, asked = None, None
    if aim == "fill":
        entries = Entries.streamed(scored.blocks(), labels, all_answers, items=items, label_names=names)
        completion = completion_of(
            entries,
            calibrated=scored.calibrated,
            how=scored.how,
            top=1,
            precision=precision,
            confidence=confidence,
            claim="unasked" if unasked else "filled",
            seed=order,
        )
        certificate = completion.certificate
    if out is not None:
        asked = _next(scored, strata, answered, certificate, estimate, size, seed)
        # Over an earlier file, which people may have filled: whole or not at all.
        write(Path(out), asked.to_csv(index=False, lineterminator="\n"))
    shown = estimate if estimate is not None and estimate.n_answers else None
    notes = answered.notes if estimate is None else estimate.notes
    return Audit(str(run), shown, certificate, asked, _text(out), read, (*notes, *scored.notes))


def estimates_for_training(answers: Answers, source: str | Path) -> AuditedTable | None:
    """Return what the answers to an audit say of the table, for a training with these answers; None without an audit.

    Args:
        answers: All that join the labels.
        source: The run, or the file, that they are of.
    """
    from labelwise.completion.draw import Strata
    from labelwise.completion.entries import Answered
    from labelwise.completion.estimates import estimate_of, sample_of

    directory = RunDirectory(Path(source))
    if not any(_DRAW.fullmatch(row.draw) for row in answers.rows):
        return None
    if not directory.exists():
        words = "they need the scores of the run that was audited: give that run in the place of a file of answers"
        return AuditedTable(str(source), refused=words)
    name = directory.path.name
    try:
        scored = ScoredTable.open(directory.path, None, progress=False, given={"on_bad_item": "skip"})
    except UserError as error:
        return AuditedTable(name, refused=str(error))
    since = scored.answers()
    draws = Counter(row.draw for row in since.rows if _DRAW.fullmatch(row.draw))
    earlier = directory.path / NAME
    if not draws:
        # The run was itself begun with the answers to an audit of the run before it.
        return AuditedTable.read(earlier) if earlier.is_file() else None
    by, seed = draws.most_common(1)[0][0].split("-")
    labels, names, items = (
        scored.table.annotations.matrix,
        scored.table.annotations.label_names,
        scored.table.items,
    )
    strata = Strata.of(
        scored.scores, labels, predicted=scored.predicted(), by=by, items=items, label_names=names
    )
    answered, order = Answered.of(since, labels, items, names), scored.seed(int(seed))
    sample = sample_of(strata, answered, order)
    asked = np.bincount(sample.stratum, minlength=len(strata.sizes))
    if len(sample.values) < LEAST or ((strata.sizes > 0) & (asked == 0)).any():
        if earlier.is_file():
            return AuditedTable.read(earlier)
        words = (
            f"{len(sample.values):,} answers of its random sample are too few: {LEAST} at least, some of each stratum"
            " ('labelwise audit' asks for more)"
        )
        return AuditedTable(name, refused=words)
    estimate = estimate_of(strata, answered, seed=order, confidence=0.95)
    weights = (strata.sizes / np.maximum(asked, 1))[sample.stratum]
    told = [
        Sampled(items[row], names[k], int(value), float(weight))
        for row, k, value, weight in zip(sample.rows, sample.columns, sample.values, weights, strict=True)
        if value >= 0
    ]
    value, lower, upper = map(float, estimate.cardinality)
    shares = estimate.settings()["prior"] if by == "label" else None
    return AuditedTable(name, len(sample.values), (value, lower, upper), shares, tuple(names), tuple(told))


def _estimate(strata: Any, answered: Any, seed: int, confidence: float) -> AuditEstimate:
    from labelwise.completion.estimates import estimate_of

    return estimate_of(strata, answered, seed=seed, confidence=confidence)


def _next(
    scored: ScoredTable,
    strata: Any,
    answered: Any,
    certificate: Certificate | None,
    estimate: AuditEstimate | None,
    size: int,
    seed: int,
) -> pd.DataFrame:
    """Return the entries to ask next, in the columns of answers."""
    import pandas as pd

    from labelwise.completion import next_to_certify
    from labelwise.completion.draw import drawn
    from labelwise.completion.entries import UNANSWERED

    if certificate is not None:
        rows, columns = next_to_certify(certificate.plan, size)
        probability: Any = np.full(len(rows), math.nan)
        name = f"fill-{seed}"
    else:
        done = 0 if estimate is None else estimate.n_answers
        frame = drawn(strata, strata.allocation(done + size), scored.seed(seed))
        left = frame[answered.at(frame["row"], frame["column"]) == UNANSWERED].head(size)
        rows, columns = left["row"].to_numpy(), left["column"].to_numpy()
        probability, name = left["probability"].to_numpy(), f"{strata.by}-{seed}"
    asked = pd.DataFrame(
        {
            "item": _texts(scored.table.items, rows),
            "label": _texts(scored.table.annotations.label_names, columns),
            "answer": "",
            "reviewer": "",
            "source": "audit",
            "draw": name,
            "probability": probability,
        }
    )
    contents = scored.contents(rows)
    if contents is not None and all(isinstance(content, str) for content in contents):
        asked["content"] = contents
    return asked


def _text(out: str | Path | None) -> str | None:
    return None if out is None else str(out)


def _texts(names: Any, index: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.array([names[place] for place in index.tolist()], dtype=object)
