"""The rows of the table of faults that a file of tests shows."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.faults.__main__ import rows
from tests.faults.disk import Tally
from tests.faults.injection import compiler
from tests.faults.table import FAULTS

needs_compiler = pytest.mark.skipif(
    compiler() is None or sys.platform != "linux", reason="needs Linux and a C compiler"
)


def names(group: str) -> list[str]:
    """Return the faults of a file of tests."""
    return [name for name, fault in FAULTS.items() if fault.group == group]


def tried(group: str, *, long: bool = False) -> dict[str, dict[str, Any]]:
    """Try the faults of a file of tests in one process."""
    return {row["fault"]: row for row in rows([group], long)}


def assert_held(found: Tally | dict[str, Any]) -> None:
    """Assert that a promise held at every try."""
    row = found if isinstance(found, dict) else vars(found)
    assert row["tries"] > 0
    assert not row["failures"], "\n".join(row["failures"][:20])
