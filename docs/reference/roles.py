"""What griffe does not read in our docstrings by itself: their style, roles, and fields of several names at once."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(`[^`]+`)")
STYLES = {
    griffe.Parser.numpy: re.compile(r"^ *(Parameters|Attributes|Returns)\n *---+$", re.MULTILINE),
    griffe.Parser.google: re.compile(r"^ *(Args|Attributes|Raises|Returns|Yields):$", re.MULTILINE),
}
SHARED = re.compile(r"^( *):(\w+) (\w+(?:, \w+)+):((?:.*)(?:\n\1 +\S.*)*)", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring once, before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of ``obj``, and say how to read it."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.parser = next(
                (s for s, mark in STYLES.items() if mark.search(text)), griffe.Parser.sphinx
            )
            if obj.docstring.parser is griffe.Parser.google:
                # What is returned is one thing; its text runs over lines.
                obj.docstring.parser_options = {"returns_multiple_items": False, "returns_named_value": False}
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """Return ``text`` with roles as code, and one field a name."""
    return SHARED.sub(_one_each, ROLE.sub(r"`\1`", text))


def _one_each(found: re.Match[str]) -> str:
    indent, field, names, said = found.groups()
    return "\n".join(f"{indent}:{field} {name}:{said}" for name in names.split(", "))
