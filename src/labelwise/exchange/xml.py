"""XML that anybody may have written: no document type, no entities, no depth without end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from labelwise.errors import UserError

_DEEPEST = 32


@dataclass
class Element:
    """An element: its tag, attributes, children and text."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, *path: str) -> Iterator[Element]:
        """Yield the elements that a path of tags leads to."""
        if not path:
            yield self
        for child in self.children:
            if path and child.tag == path[0]:
                yield from child.all(*path[1:])


def parse(name: str, data: bytes) -> Element:
    """Return the root of a document.

    Raises:
        UserError: For what is no XML, nests deeper than 32, or declares a document type: entities, which may grow
            without end or name files, can be declared there alone.
    """
    parser = expat.ParserCreate()
    top = Element("", {})
    stack = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise UserError(f"{name}: line {parser.CurrentLineNumber} nests deeper than {_DEEPEST}; mend it")
        element = Element(tag, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def text(part: str) -> None:
        stack[-1].text += part

    def refuse(*_: object) -> None:
        raise UserError(f"{name}: declares a document type (<!DOCTYPE), which is not read; take it out")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        words = expat.errors.messages[error.code]
        raise UserError(f"{name} is not XML: {words} at line {error.lineno}; mend it") from None
    except UserError:
        raise
    except (LookupError, ValueError) as error:
        # An encoding that Python does not know, or one that expat cannot read by it.
        raise UserError(f"{name} is in an encoding that is not read ({error}): save it as UTF-8") from None
    return top.children[0]
