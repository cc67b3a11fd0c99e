"""Unknown entries ranked by their probability, with what is certified of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from labelwise.completion.certificate import Certificate, Plan, certificate_of
from labelwise.completion.entries import Entries
from labelwise.completion.exact import hypergeometric_bounds
from labelwise.completion.left_out import left_out_scores, rows_of
from labelwise.completion.pilot import PILOT, calibrated_logits
from labelwise.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from labelwise.classifier import MultiLabelClassifier

COLUMNS = (
    "item",
    "label",
    "probability",
    "expected_precision",
    "lower",
    "upper",
    "decision",
    "source",
)
_ROWS = 16_384
_DEPTHS = 40


@dataclass(frozen=True, eq=False)
class Completion:
    """Unknown entries of a table, the most probable first, and what is certified of them.

    Attributes:
        certificate: Which of them can be filled, at the wanted precision.
        calibrated: Whether ``probability`` is calibrated: by known negatives, or by the answers of the pilot.
        how: How the scores were made, in words.
        top: The entries in ``frame`` at most.
    """

    certificate: Certificate
    calibrated: bool
    how: str
    top: int

    @property
    def plan(self) -> Plan:
        """The ranking, and what is fixed before answers count."""
        return self.certificate.plan

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was assumed, and on answers that do not count."""
        notes = [f"scores: {self.how}", *self.plan.entries.answered.notes]
        if not self.calibrated:
            notes.append(
                "the labels do not identify probabilities: they order entries, and their level means nothing until"
                " answers calibrate it"
            )
        return tuple(notes)

    def filled(self) -> NDArray[np.int8]:
        """Return the labels (n, K) with answers and certified entries; what was given stays."""
        return self.certificate.filled()

    def source(self) -> NDArray[np.object_]:
        """Return where each entry (n, K) of ``filled`` comes from: given, confirmed, inferred, or "" where unknown."""
        entries = self.plan.entries
        source = np.where(entries.Y >= 0, "given", "").astype(object)
        confirmed = (entries.Y == -1) & (entries.answered.into(entries.Y) >= 0)
        source[confirmed] = "confirmed"
        source[self.certificate.rows, self.certificate.columns] = "inferred"
        return source

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The ranked entries: item, label, probability, expected_precision, lower, upper, decision, source."""
        import pandas as pd

        return pd.concat(list(self.blocks()), ignore_index=True)

    def blocks(self, size: int = 50_000) -> Iterator[pd.DataFrame]:
        """Yield the rows of ``frame`` in blocks.

        ``expected_precision`` at a row is the mean probability from the top down to it (NaN where probabilities are not
        calibrated and no answers say), with confirmed entries counted as 1 and refused ones as 0; ``lower`` and
        ``upper`` are exact 95% bounds at that depth, from the answers that are a random sample there. ``decision`` is
        ``fill``, ``leave`` (refused) or ``open``; ``source`` is confirmed for entries that were answered, else
        inferred.
        """
        import pandas as pd

        rows, columns, p, answers = self._ranked
        lower, upper = self._bounds(len(rows))
        known = np.where(answers >= 0, answers, p)
        with_pilot = np.cumsum(known) / np.arange(1, len(rows) + 1)
        expected = with_pilot if self.calibrated else np.full(len(rows), np.nan)
        fill = set((self.certificate.rows * self.plan.entries.Y.shape[1] + self.certificate.columns).tolist())
        places = rows * self.plan.entries.Y.shape[1] + columns
        filled = np.fromiter((place in fill for place in places.tolist()), bool, len(places))
        decision = np.where(filled | (answers == 1), "fill", np.where(answers == 0, "leave", "open"))
        items, names = self.plan.entries.items, np.array(self.plan.entries.label_names, dtype=object)
        for start in range(0, max(len(rows), 1), size):
            part = slice(start, start + size)
            yield pd.DataFrame(
                {
                    "item": np.array([items[row] for row in rows[part].tolist()], dtype=object),
                    "label": names[columns[part]],
                    "probability": p[part],
                    "expected_precision": expected[part],
                    "lower": lower[part],
                    "upper": upper[part],
                    "decision": decision[part],
                    "source": np.where(answers[part] >= 0, "confirmed", "inferred"),
                }
            )

    @cached_property
    def _ranked(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]:
        """Rows, columns, probabilities and answers of the ``top`` entries, the pilot's among them."""
        plan = self.plan
        entries = plan.entries
        logits = calibrated_logits(entries, plan.calibration)
        order = np.argsort(-logits, kind="stable")[: self.top]
        rows, columns = entries.rows[order], entries.columns[order]
        return rows, columns, expit(logits[order]), entries.answered.at(rows, columns)

    def _bounds(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return exact bounds (n,) of the precision down to each rank; NaN where nothing was asked at random.

        They are of the ranking without the pilot, at some forty depths, each taken on until the next.
        """
        plan = self.plan
        lower, upper = np.full(n, np.nan), np.full(n, np.nan)
        most = min(n, len(plan.rows))
        if not most or not len(plan.entries.answered.values) or len(plan.pilot_left) or plan.ahead:
            return lower, upper
        depths = np.unique(np.geomspace(1, most, _DEPTHS).round().astype(int))
        for depth, after in zip(depths, [*depths[1:], n + 1], strict=True):
            sample = plan.prefix(int(depth), plan.answers)
            if len(sample):
                low, high = hypergeometric_bounds(int(sample.sum()), len(sample), int(depth))
                lower[depth - 1 : after - 1], upper[depth - 1 : after - 1] = low / depth, high / depth
        return lower, upper


def complete(
    model: MultiLabelClassifier,
    X: Any,
    Y: Any,
    *,
    answers: Any = None,
    precision: float | None = None,
    confidence: float = 0.95,
    claim: str = "filled",
    items: Sequence[Any] | None = None,
    seen: bool = True,
    top: int = 100_000,
    seed: int = 0,
    pilot: int | None = None,
) -> Completion:
    """Rank the unknown entries of a table by their probability, and certify what can be filled.

    Args:
        model: A fitted classifier.
        X: N items, as ``fit`` takes them.
        Y: (n, K) annotations as given; unknown entries are what is completed.
        answers: ``Answers``, a frame or a file of them; see ``labelwise.audit`` for what to ask.
        precision: The wanted precision of what is filled; None: .9.
        confidence: That of the certificate.
        claim: What the precision is of: ``"filled"`` or ``"unasked"``; see ``completion.certify``.
        items: n ids; None: the row numbers from 0.
        seen: Whether the model was fitted to these rows: then scores are those of models that did not see the row
            (``left_out_scores``), else its own, in blocks of rows.
        top: The ranked entries in ``frame`` at most.
        seed: Of the random order of asking.
        pilot: First answers, that calibrate; None: 100 where the model is not calibrated, else none.

    Raises:
        UserError: For what cannot be scored, and labels without an unknown entry.
    """
    from labelwise.classifier import FitOptions

    labels = FitOptions(**model.get_params(deep=False)).annotations(Y, model.label_names_).matrix
    if not (labels == -1).any():
        raise UserError(
            "Y has no unknown entry, so nothing can be completed: give labels with unknown entries"
        )
    if seen:
        left_out = left_out_scores(model, X, Y)
        blocks, how = iter([left_out.logits]), left_out.how
    else:
        blocks, how = _blocks(model, X, len(labels)), "the model's own; it has not seen these rows"
    ids = [str(row) for row in range(len(labels))] if items is None else [str(item) for item in items]
    entries = Entries.streamed(blocks, labels, answers, items=ids, label_names=model.label_names_)
    return completion_of(
        entries,
        calibrated=model.calibration_ is not None,
        how=how,
        precision=0.9 if precision is None else precision,
        confidence=confidence,
        claim=claim,
        seed=seed,
        pilot=pilot,
        top=top,
    )


def completion_of(
    entries: Entries, *, calibrated: bool, how: str, top: int, pilot: int | None = None, **options: Any
) -> Completion:
    """Return the completion of entries that were scored before; ``options`` are those of ``Plan.of``."""
    size = (0 if calibrated else PILOT) if pilot is None else pilot
    plan = Plan.of(entries, pilot=size, **options)
    return Completion(certificate_of(plan), calibrated or plan.calibration is not None, how, top)


def _blocks(model: MultiLabelClassifier, X: Any, n: int) -> Iterator[NDArray[np.float64]]:
    """Yield calibrated logits of blocks of rows; rows whose item could not be read are NaN."""
    for start in range(0, n, _ROWS):
        index = np.arange(start, min(start + _ROWS, n))
        read = model.read(rows_of(X, index))
        logits = np.full((len(index), len(model.label_names_)), np.nan)
        logits[read.kept] = model.decision_function(read)
        yield logits
