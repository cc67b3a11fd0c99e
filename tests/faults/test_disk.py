"""A process killed or refused at a call that changes a file: nothing that was there is lost."""

from __future__ import annotations

import pytest

from tests.faults.standing import assert_held, names, needs_compiler, tried

pytestmark = needs_compiler
GROUP = "test_disk"


@pytest.fixture(scope="module")
def short():
    return tried(GROUP)


@pytest.mark.parametrize("fault", names(GROUP))
def test_what_was_there_stays(short, fault):
    assert_held(short[fault])


@pytest.mark.long
@pytest.mark.slow
def test_what_was_there_stays_everywhere():
    for row in tried(GROUP, long=True).values():
        assert_held(row)
