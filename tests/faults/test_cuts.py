"""Files cut short or changed: refused in one line, or read as they were."""

from __future__ import annotations

import pytest

from tests.faults.standing import assert_held, names
from tests.faults.table import FAULTS


@pytest.mark.parametrize("fault", names("test_cuts"))
def test_damage_is_noticed(fault):
    assert_held(FAULTS[fault].short())


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("fault", names("test_cuts"))
def test_damage_is_noticed_everywhere(fault):
    assert_held(FAULTS[fault].long())
