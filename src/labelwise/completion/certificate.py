"""Certified precision: how many of the best-scored unknown entries can be filled.

The unknown entries are ranked before their answers are looked at, and a fixed ladder of nested sets is laid over the
ranking: the first m_1, the first m_2, ... For the set of the first m, of which T are relevant, the null hypothesis is

    T < p m + (1 - p) r,

with p the wanted precision. With the claim "filled" it is

    T + o < p (m + o),

with o the entries that the pilot confirmed, which are filled too and whose number is fixed before the first answer
that counts: if it is false, p of what is filled is relevant, those that an answer refuses being left out. With a
reserve r of answers (claim "unasked"), if it is false, it is p of those that nobody was asked about, as long as no
more than r of the set were asked. Within a set, the entries that were asked in the order of their permanent random
numbers are a simple random sample without replacement; the evidence against the null is a test supermartingale of it
(``exact.log_evidence``). The sets are tested in the order of the ladder, each at level alpha, until the first that is
not rejected.

**Theorem.** With probability at least 1 - alpha no set is ever rejected whose null is true, whoever chooses what is
asked next, however often one looks and whenever one stops. Proof: let m* be the first set of the ladder whose null is
true; it is fixed. A false rejection needs that of m* first (fixed-sequence testing: Maurer, Hothorn and Lehmacher,
1995; Learn then Test: Angelopoulos et al., 2021). The evidence against it along its random order is a nonnegative
supermartingale with mean 1 at most, so by Ville's inequality it ever reaches 1/alpha with probability at most alpha.
The probability is that of the random order, over nothing else: no model is assumed to be right.

Where probabilities are not calibrated, the first answers (the pilot) calibrate the ranking (``pilot``). They are no
evidence afterwards: their entries are outside the sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from labelwise.completion.entries import UNANSWERED, Entries
from labelwise.completion.exact import log_evidence
from labelwise.completion.pilot import PILOT, calibrated_logits, calibration_of, numbers_of, pilot_entries
from labelwise.errors import UserError, near
from labelwise.metrics import PlattCalibration

CLAIMS = ("filled", "unasked")
_LEAST = {"filled": 50, "unasked": 100}
_GROWTH, _RESERVE = 1.12, 100
_MANY_ANSWERS = 2_000


def share(name: str, value: float) -> float:
    """Return a share strictly between 0 and 1."""
    if not 0 < value < 1:
        raise UserError(f"{name} is {value}: give a share between 0 and 1")
    return float(value)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is fixed before the answers that count are looked at.

    Attributes:
        entries: The unknown entries.
        precision: The wanted one.
        confidence: Of the certificate.
        claim: What the precision is of: ``"filled"``, all that is filled of a set, or ``"unasked"``.
        pilot: (rows, columns) of the entries that calibrate, in the order in which they are asked.
        ahead: Entries of the pilot that those before must be answered to choose.
        calibration: What the pilot's answers say; None before they are complete, and where nothing was to be learnt.
        rows: (m,) of the ranked entries, the best first.
        columns: (m,) likewise.
        probabilities: (m,) of them, calibrated as far as that is possible.
        numbers: (m,) permanent random numbers.
    """

    entries: Entries
    precision: float
    confidence: float
    claim: str
    pilot: tuple[NDArray[np.int64], NDArray[np.int64]]
    ahead: int
    calibration: PlattCalibration | None
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    numbers: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        entries: Entries,
        *,
        precision: float = 0.9,
        confidence: float = 0.95,
        seed: int = 0,
        pilot: int = PILOT,
        claim: str = "filled",
    ) -> Self:
        """Rank the unknown entries, those of the pilot apart."""
        share("precision", precision), share("confidence", confidence)
        if claim not in CLAIMS:
            raise UserError(f"claim is {claim!r}: {near(str(claim), CLAIMS)}")
        pilot_places, ahead = pilot_entries(entries, pilot, seed)
        asked = entries.rows[pilot_places], entries.columns[pilot_places]
        calibration = calibration_of(entries, pilot_places)
        logits = calibrated_logits(entries, calibration)
        kept = np.setdiff1d(np.arange(len(logits)), pilot_places)
        # Equal scores in the order of the table, so that the ranking is one.
        order = kept[np.argsort(-logits[kept], kind="stable")]
        rows, columns = entries.rows[order], entries.columns[order]
        numbers = numbers_of(entries, rows, columns, f"{seed} certificate")
        return cls(
            entries,
            precision,
            confidence,
            claim,
            asked,
            ahead,
            calibration,
            rows,
            columns,
            expit(logits[order]),
            numbers,
        )

    @cached_property
    def answers(self) -> NDArray[np.int8]:
        """Answers (m,) to the ranked entries."""
        return self.entries.answered.at(self.rows, self.columns)

    @cached_property
    def pilot_left(self) -> NDArray[np.int64]:
        """Places of the pilot's entries that are not answered yet."""
        return np.flatnonzero(self.entries.answered.at(*self.pilot) == UNANSWERED)

    @cached_property
    def confirmed(self) -> int:
        """Entries of the pilot that were confirmed, once it is complete."""
        return int((self.entries.answered.at(*self.pilot) == 1).sum())

    @cached_property
    def ladder(self) -> list[tuple[int, int, int]]:
        """Sets as (m, reserve r, the most positives under the null)."""
        n = len(self.rows)
        if n == 0:
            return []
        running = np.cumsum(self.probabilities) / np.arange(1, n + 1)
        hopeful = int((running >= 1 - (1 - self.precision) / 4).sum())
        sizes = [min(max(_LEAST[self.claim], hopeful), n)]
        while sizes[-1] < n:
            sizes.append(min(int(np.ceil(sizes[-1] * _GROWTH)), n))
        sets = []
        for m in sizes:
            reserve = min(m // 2, _RESERVE) if self.claim == "unasked" else 0
            bound = self.precision * m + (1 - self.precision) * reserve
            if self.claim == "filled":
                # What the pilot confirmed is filled too, and makes up for some that are wrong.
                bound -= (1 - self.precision) * self.confirmed
            sets.append((m, reserve or m, min(max(int(np.ceil(bound - 1e-9)) - 1, 0), m - 1)))
        return sets

    def prefix(self, m: int, answers: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the answers to the first m entries in random order, up to the first that is missing.

        A skipped entry counts as a no.
        """
        ordered = answers[self._order(m)]
        missing = np.flatnonzero(ordered == UNANSWERED)
        return np.maximum(ordered[: missing[0]] if len(missing) else ordered, 0)

    def _order(self, m: int) -> NDArray[np.int64]:
        return np.argsort(self.numbers[:m], kind="stable")

    def rejected(self, place: int, answers: NDArray[np.int8]) -> bool:
        """Whether the null of a set of the ladder was ever refuted."""
        m, _, most = self.ladder[place]
        evidence = log_evidence(self.prefix(m, answers), m, most)
        return bool(len(evidence) and evidence.max() >= -np.log(1 - self.confidence))


@dataclass(frozen=True, eq=False)
class Certificate:
    """The entries that can be filled at a certified precision.

    Attributes:
        precision: The wanted one.
        confidence: The probability, over the random order of asking, with which what is certified holds.
        depth: Ranked entries in the certified set; 0 where nothing is certified.
        bound: The relevant entries that the set has at least, given its certificate.
        rows: Rows of the entries that are filled without having been asked.
        columns: Columns of these.
        lower: Certified share of relevant entries among all that are filled, confirmed ones included; NaN without any.
        lower_unasked: Certified share among those filled without having been asked.
        missing: Further answers that certify a first set, or the next one, if all of them are yes; None where no
            number does.
    """

    plan: Plan
    depth: int
    bound: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    lower: float
    lower_unasked: float
    missing: int | None

    @property
    def precision(self) -> float:
        """The wanted precision."""
        return self.plan.precision

    @property
    def confidence(self) -> float:
        """The confidence of the certificate."""
        return self.plan.confidence

    @property
    def inferred(self) -> int:
        """Entries that are filled without having been asked."""
        return len(self.rows)

    @cached_property
    def confirmed(self) -> int:
        """Unknown entries with the answer yes."""
        return int((self.plan.entries.answered.values == 1).sum())

    @cached_property
    def refused(self) -> int:
        """Unknown entries with the answer no."""
        return int((self.plan.entries.answered.values == 0).sum())

    def filled(self) -> NDArray[np.int8]:
        """Return the labels (n, K) with answers and certified entries in them.

        What was given stays as it is.
        """
        entries = self.plan.entries
        labels = entries.answered.into(entries.Y)
        labels[self.rows, self.columns] = 1
        return labels

    def __str__(self) -> str:
        if self.inferred:
            return (
                f"{self.inferred + self.confirmed:,} entries can be filled, {self.confirmed:,} confirmed and"
                f" {self.inferred:,} unasked: at least {self.lower:.1%} of all and {self.lower_unasked:.1%} of the"
                f" unasked are right (confidence {self.confidence:.0%})"
            )
        more = (
            "no number of further answers certifies a set of entries"
            if self.missing is None
            else f"at least {self.missing:,} more answers are needed"
        )
        return f"nothing can be filled unasked at a certified precision of {self.precision:.0%}: {more}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON data."""
        return {
            "precision": self.precision,
            "confidence": self.confidence,
            "inferred": self.inferred,
            "confirmed": self.confirmed,
            "refused": self.refused,
            "lower": None if np.isnan(self.lower) else self.lower,
            "lower_unasked": None if np.isnan(self.lower_unasked) else self.lower_unasked,
            "depth": self.depth,
            "missing": self.missing,
        }


def certify(
    scores: ArrayLike,
    Y: Any,
    answers: Any = None,
    *,
    precision: float = 0.9,
    confidence: float = 0.95,
    seed: int = 0,
    pilot: int = PILOT,
    claim: str = "filled",
    items: Sequence[Any] | None = None,
    label_names: Sequence[str] | None = None,
) -> Certificate:
    """Return the entries that can be filled at a certified precision.

    Answers from wherever count, as far as they are the first of the random order of ``seed``; ``next_to_certify`` says
    which are next. More answers never take the certificate of a set away.

    Args:
        scores: (n, K) in [0, 1], of models that did not see the row.
        Y: (n, K) labels as given, before any answer.
        answers: ``Answers``, a frame or a file.
        precision: Wanted share of relevant entries among those filled.
        confidence: Probability that the certificate holds.
        seed: Of the random order.
        pilot: First answers, that calibrate the ranking and are no evidence; 0 where ``scores`` are calibrated.
        claim: ``"filled"``: the precision is that of all filled entries of a set, those confirmed by an answer included
            and those refused left out. ``"unasked"``: that of those alone that nobody was asked about, which takes
            tables with some thousand missing labels to certify.
        items: n ids; None: the row numbers from 0.
        label_names: K names.
    """
    entries = Entries.of(scores, Y, answers, items=items, label_names=label_names)
    return certificate_of(
        Plan.of(entries, precision=precision, confidence=confidence, seed=seed, pilot=pilot, claim=claim)
    )


def certificate_of(plan: Plan) -> Certificate:
    """Return what a plan's answers certify."""
    answers, all_yes = plan.answers, int((plan.entries.answered.values == 1).sum())
    depth, bound, reached, most_unasked = 0, 0, -1, 0
    if not (len(plan.pilot_left) or plan.ahead):
        for place, (m, _, most) in enumerate(plan.ladder):
            if not plan.rejected(place, answers):
                break
            reached = place
            unasked, yes = int((answers[:m] == UNANSWERED).sum()), int((answers[:m] == 1).sum())
            holds = plan.claim == "filled" or most + 1 - yes >= plan.precision * unasked - 1e-9
            if unasked > most_unasked and holds:
                depth, bound, most_unasked = m, most + 1, unasked
    left = np.flatnonzero(answers[:depth] == UNANSWERED)
    lower = lower_unasked = np.nan
    if len(left):
        yes = int((answers[:depth] == 1).sum())
        lower_unasked = (bound - yes) / len(left)
        lower = (bound - yes + all_yes) / (len(left) + all_yes)
    missing = _missing(plan, reached + 1)
    return Certificate(plan, depth, bound, plan.rows[left], plan.columns[left], lower, lower_unasked, missing)


def next_to_certify(plan: Plan, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (rows, columns) of the entries to ask next, the first one first.

    The pilot comes first. Then the next set of the ladder that is not certified is asked in random order, until it is
    or its reserve is used up: what is left goes to the best-scored entries beyond what is certified. Where several are
    asked at a time, those before are taken for a yes.
    """
    pilot = plan.pilot_left[:size]
    rows, columns = plan.pilot[0][pilot], plan.pilot[1][pilot]
    if len(pilot):
        return rows, columns
    answers, places = plan.answers.copy(), list[int]()
    for place, (m, reserve, _) in enumerate(plan.ladder):
        order = plan._order(m)
        while len(places) < size and not plan.rejected(place, answers):
            left = order[answers[order] == UNANSWERED]
            if not len(left) or int((answers[:m] != UNANSWERED).sum()) >= reserve:
                break
            answers[left[0]] = 1
            places.append(int(left[0]))
        if not plan.rejected(place, answers):
            beyond = plan.ladder[place - 1][0] if place else 0
            rest = beyond + np.flatnonzero(answers[beyond:] == UNANSWERED)
            places += rest[: size - len(places)].tolist()
            break
    index = np.array(places, dtype=np.int64)
    return plan.rows[index], plan.columns[index]


def _missing(plan: Plan, place: int) -> int | None:
    """Return how many answers, if all are yes, certify the set at a place of the ladder."""
    if place >= len(plan.ladder):
        return None
    m, reserve, most = plan.ladder[place]
    so_far = plan.prefix(m, plan.answers)
    ordered = plan.answers[plan._order(m)]
    rest = ordered[len(so_far) :]
    hoped = np.concatenate([so_far, np.where(rest == UNANSWERED, 1, np.maximum(rest, 0))])
    crossed = np.zeros(0, np.int64)
    # A few hundred answers nearly always do; the evidence of a large set's is an array of a gigabyte.
    for end in (len(so_far) + _MANY_ANSWERS, len(hoped)):
        if not len(crossed):
            evidence = log_evidence(hoped[:end], m, most)
            crossed = np.flatnonzero(evidence >= -np.log(1 - plan.confidence))
    if not len(crossed):
        return None
    further = int((ordered[: crossed[0] + 1] == UNANSWERED).sum())
    if int((plan.answers[:m] != UNANSWERED).sum()) + further > reserve:
        return None
    return len(plan.pilot_left) + plan.ahead + further
