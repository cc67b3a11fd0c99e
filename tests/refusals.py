"""Mistakes as users meet them: one line, from a call or from a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typer.testing import Result

from labelwise.errors import UserError


@contextmanager
def refusal(match: str | None = None) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expect one line, in which the pattern is found."""
    with pytest.raises(UserError, match=match) as caught:
        yield caught
    assert "\n" not in str(caught.value)


def refused(call: Callable[[], object], *words: object) -> str:
    """Expect one line that holds all the words from a call, and return it."""
    with refusal() as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert str(word) in message, message
    return message


def refused_command(result: Result) -> str:
    """Expect exit code 2 and one line on stderr, nothing on stdout, and return that line."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()
