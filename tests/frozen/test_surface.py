"""What users call stays: names, signatures, commands, settings, methods; there may be more."""

from __future__ import annotations

import json

import pytest

from tests.frozen import cases, surface

FIXTURE = json.loads((cases.FILES / "surface.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now():
    return surface.surface(FIXTURE)


@pytest.mark.parametrize("part", FIXTURE)
def test_nothing_that_users_call_is_gone_or_differs(part, now):
    wrong = surface.lost(FIXTURE[part], now[part])
    assert not wrong, "\n".join(wrong)


def test_a_narrower_signature_is_found():
    old = {"f": "(a; b=1; *args; c=2#)"}
    assert not surface.lost(old, {"f": "(a; b=1; *args; c=2#; d=3#)"})
    for new in (
        "(a; b=2; *args; c=2#)",
        "(b=1; a; *args; c=2#)",
        "(a; b=1; c=2#)",
        "(a; b=1; *args; c=2#; d#)",
    ):
        assert surface.lost(old, {"f": new}), new
    assert surface.lost({"f": {"x": 1}}, {"g": {}})
