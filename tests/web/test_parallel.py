"""Ten reviewers at once over HTTP, with the server killed on the way: a short form of ``benchmarks.speed.review``."""

from __future__ import annotations

import pytest

from benchmarks.speed.review import answer_in_parallel
from labelwise.completion import Answers


@pytest.mark.slow
def test_no_answer_is_lost_or_doubled(digits_run):
    result = answer_in_parallel(digits_run, reviewers=10, seconds=10, kills=1)
    assert (result["lost"], result["changed"], result["doubled"]) == (0, 0, 0)
    # What was stored and never confirmed was on its way at the end, or was sent again after the kill.
    assert result["confirmed"] > 50
    assert result["stored"] == result["confirmed"] == len(Answers.read(digits_run))
