"""A second process, another clock, folders that go, links without an end: one line, or the same bits."""

from __future__ import annotations

import pytest

from tests.faults.standing import assert_held, names, needs_compiler, tried

pytestmark = needs_compiler
GROUP = "test_races"


@pytest.fixture(scope="module")
def short():
    return tried(GROUP)


@pytest.mark.parametrize("fault", names(GROUP))
def test_runs_end_as_they_should(short, fault):
    assert_held(short[fault])


@pytest.mark.long
@pytest.mark.slow
def test_runs_end_as_they_should_everywhere():
    for row in tried(GROUP, long=True).values():
        assert_held(row)
