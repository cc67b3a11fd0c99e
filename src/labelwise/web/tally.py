"""Counts of a review by label and by item, changed by one answer at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE = 2
"""The state of an entry that nobody answered."""
SKIPPED = -1


class Tally:
    """Counts of answers over a matrix of states, so that a page never counts the matrix itself.

    Args:
        given: (n, K) int8, the states of the table.
        suggested: (n, K) bool, what the decision rule says.

    Attributes:
        answers: (n, K) int8: 1, 0, ``SKIPPED`` or ``NONE``.
        open_in_row: (n,) unknown entries of each item that nobody answered.
        open_in_column: (K,) the same by label.
        suggested_open: (K,) those of them that the rule suggests.
        counts: {1, 0, -1} -> (K,) entries with this answer.
        judged: {1, 0} -> (K,) answers to entries that the table does not know.
    """

    def __init__(self, given: NDArray[np.int8], suggested: NDArray[np.bool_]) -> None:
        self.given, self.suggested = given, suggested
        n_labels = given.shape[1]
        self.answers = np.full(given.shape, NONE, dtype=np.int8, order="F")
        unknown = np.equal(given, -1)
        self.open_in_row = unknown.sum(axis=1)
        self.open_in_column = unknown.sum(axis=0)
        self.suggested_open = (unknown & suggested).sum(axis=0)
        self.given_yes = np.equal(given, 1).sum(axis=0)
        self.given_no = np.equal(given, 0).sum(axis=0)
        self.counts = {answer: np.zeros(n_labels, dtype=np.int64) for answer in (1, 0, SKIPPED)}
        self.judged = {answer: np.zeros(n_labels, dtype=np.int64) for answer in (1, 0)}

    def set(self, place: tuple[int, int], answer: int) -> None:
        """Give an entry another answer, or ``NONE``."""
        before = int(self.answers[place])
        if before == answer:
            return
        self.answers[place] = answer
        row, column = place
        for state, change in ((before, -1), (answer, 1)):
            if state != NONE:
                self.counts[state][column] += change
        if self.given[place] != -1:
            return
        closed = (answer != NONE) - (before != NONE)
        self.open_in_row[row] -= closed
        self.open_in_column[column] -= closed
        if self.suggested[place]:
            self.suggested_open[column] -= closed
        for state, change in ((before, -1), (answer, 1)):
            if state in self.judged:
                self.judged[state][column] += change

    def of_label(self, column: int) -> dict[str, int]:
        """Return the counts of one label."""
        return {
            "given_yes": int(self.given_yes[column]),
            "given_no": int(self.given_no[column]),
            "yes": int(self.counts[1][column]),
            "no": int(self.counts[0][column]),
            "skipped": int(self.counts[SKIPPED][column]),
            "open": int(self.open_in_column[column]),
            "suggested": int(self.suggested_open[column]),
        }

    def totals(self) -> dict[str, Any]:
        """Return the counts of all labels together."""
        return {
            "yes": int(self.counts[1].sum()),
            "no": int(self.counts[0].sum()),
            "skipped": int(self.counts[SKIPPED].sum()),
            "open": int(self.open_in_column.sum()),
            "suggested": int(self.suggested_open.sum()),
        }

    def judged_of(self, column: int | None) -> tuple[int, int]:
        """Return how many unknown entries were answered yes and no, of a label or of all."""
        yes, no = (
            self.judged[answer] if column is None else self.judged[answer][column] for answer in (1, 0)
        )
        return int(np.sum(yes)), int(np.sum(no))
