"""What griffe does not read in our docstrings: roles (``:func:`parse` ``), and fields of several names at once."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(`[^`]+`)")
SHARED = re.compile(r"^( *):(\w+) (\w+(?:, \w+)+):((?:.*)(?:\n\1 +\S.*)*)", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring once, before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of ``obj``."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """Return ``text`` with roles as code, and one field a name."""
    return SHARED.sub(_one_each, ROLE.sub(r"`\1`", text))


def _one_each(found: re.Match[str]) -> str:
    indent, field, names, said = found.groups()
    return "\n".join(f"{indent}:{field} {name}:{said}" for name in names.split(", "))
