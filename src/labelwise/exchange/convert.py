"""From one format to another, with the three label states kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelwise.data import TableOptions
from labelwise.errors import UserError
from labelwise.exchange.format import Format
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.registry import get, of_ending, of_file
from labelwise.exchange.silence import path_beside
from labelwise.exchange.source import Source

_WITHIN = "the pictures within the file (each is named by its item)"


@dataclass(frozen=True)
class Conversion:
    """What was read, and what was written where.

    Attributes:
        source: The file read, and the title of its format.
        target: The file written, and the title of its format.
        kind: The kind of the items.
        n_items: Their number.
        n_labels: The number of labels.
        relevant: The number of entries that are so, and of the other two states.
        second: What was written to a second place, and where; empty where the format says it all.
        left_out: What the format has no place for.
        notes: Sentences on what was guessed.
    """

    source: tuple[str, str]
    target: tuple[str, str]
    kind: str
    n_items: int
    n_labels: int
    relevant: int
    irrelevant: int
    unknown: int
    second: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the conversion as plain data."""
        return asdict(self)


def read_labels(path: str | Path, format: str | None = None, **given: Any) -> tuple[LabelledItems, Format]:
    """Read items with label states from a file of any format.

    Args:
        path: The file.
        format: The name of its format; None: from its ending and its beginning.
        given: Fields of ``labelwise.data.TableOptions`` that the format uses, as ``unlisted``.

    Raises:
        UserError: For a file that cannot be read, and where nothing says what its silence means.
    """
    source = Source(path)
    found = of_file(source) if format is None else get(format)
    given = {name: value for name, value in given.items() if value is not None}
    if unused := [f"--{name.replace('_', '-')}" for name in given if name not in found.options]:
        uses = ", ".join(f"--{name.replace('_', '-')}" for name in found.options)
        raise UserError(
            f"{source.name} is {found.title}, which has no use for {', '.join(unused)}; it takes {uses}"
        )
    items = found.read(source, TableOptions(**given))
    notes = list(items.notes)
    beside = path_beside(source.path)
    if beside.is_file():
        notes.append(f"read beside it: {beside.name}")
    return LabelledItems(**(vars(items) | {"notes": tuple(notes)})), found


def _named_pictures(items: LabelledItems, to: Format) -> LabelledItems:
    """Return the items with their ids in the place of pictures' bytes, for a format that names files."""
    contents = items.contents or ()
    if to.holds_bytes or not any(isinstance(content, bytes) for content in contents):
        return items
    names = [
        item if isinstance(content, bytes) else content
        for item, content in zip(items.items, contents, strict=True)
    ]
    return replace(items, contents=names)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    **given: Any,
) -> Conversion:
    """Write a file's items and label states in another format.

    What the other format cannot say is written to a second place, of which ``Conversion.second`` tells.

    Args:
        source: The file to read.
        target: The file to write; one that is there is replaced.
        from_format: The name of the first's format; None: recognised.
        to_format: The name of the other's; None: from its ending, where that says it.
        given: Fields of ``labelwise.data.TableOptions`` that the first format uses, as ``unlisted``.

    Raises:
        UserError: One line on what cannot be read or written; then nothing was written.
    """
    place = Path(target)
    to = of_ending(place) if to_format is None else get(to_format)
    if place.exists() and Path(source).exists() and place.samefile(source):
        raise UserError(f"{place.name} is the file to read: give another name to write to")
    items, found = read_labels(source, from_format, **given)
    named = _named_pictures(items, to)
    written = to.write(place, named)
    relevant, irrelevant, unknown = items.counts()
    return Conversion(
        source=(str(source), found.title),
        target=(str(target), to.title),
        kind=items.kind,
        n_items=len(items),
        n_labels=len(items.label_names),
        relevant=relevant,
        irrelevant=irrelevant,
        unknown=unknown,
        second=written.second,
        left_out=(*written.left_out, *(() if named is items else (_WITHIN,))),
        notes=(*items.notes, *written.notes),
    )
