"""The family of methods for which an unknown entry counts as negative."""

from __future__ import annotations

import numpy as np

from labelwise.methods.base import Method


class NegativeByAssumption(Method):
    """One stage over the teaching rows, whose unknown entries count as negative from the closed-form start on.

    The teaching rows are all rows where no negative is known, and otherwise those with a known entry.
    """

    def start_labels(self) -> np.ndarray:
        """Return the labels with unknown as negative in the teaching rows."""
        return self.problem.assumed_negative
