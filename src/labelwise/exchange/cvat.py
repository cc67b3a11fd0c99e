"""CVAT for images 1.1: an XML element a picture, with a tag for each label.

A box, polygon or other shape says as much of the whole picture as a tag. What is not listed is as ``unlisted`` says.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.data.tables import read_bytes
from labelwise.errors import UserError, shown
from labelwise.exchange.fields import text_of
from labelwise.exchange.format import Format, Written, check_pictures, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import Beside, count_open, read_beside, write_beside
from labelwise.exchange.source import Source
from labelwise.exchange.xml import Element, parse

TITLE = "CVAT for images 1.1"
_SHAPES = ("box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton")
_DECLARED = (("meta", "task"), ("meta", "project"), ("meta", "job"))


def recognises(source: Source) -> bool:
    """Return whether an XML file begins as CVAT's do."""
    return source.ending == ".xml" and "<annotations>" in source.head


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read the tags and shapes of pictures."""
    root = parse(source.name, read_bytes(source.path))
    if root.tag != "annotations":
        raise UserError(
            f"{source.name}: its root is {shown(root.tag)}, not 'annotations'; give CVAT's own file"
        )
    if any(root.all("track")):
        raise UserError(f"{source.name} holds tracks of a video; export the task as {TITLE}")
    entries, shapes = [], 0
    for number, image in enumerate(root.all("image"), 1):
        place = f"{source.name}: image {number}"
        found: dict[str, None] = {}
        for child in image.children:
            if child.tag == "tag" or child.tag in _SHAPES:
                shapes += child.tag != "tag"
                found[text_of(child.attributes.get("label"), f"{place}: the label of a {child.tag}")] = None
        name = text_of(image.attributes.get("name"), f"{place}: its name")
        entries.append(Entry(item=name, relevant=list(found), content=name, size=_size(image)))
    labels = [
        text_of(label.text, f"{source.name}: the name of a label")
        for path in _DECLARED
        for label in root.all(*path, "labels", "label", "name")
    ]
    return to_items(
        source.name,
        TITLE,
        entries,
        kind="image",
        labels=labels,
        beside=read_beside(source.path) or Beside(),
        unlisted=options.unlisted,
        notes=[f"{shapes:,} boxes and other shapes are read as labels of their picture"] if shapes else [],
    )


def _size(image: Element) -> tuple[int, int]:
    width, height = (image.attributes.get(key, "") for key in ("width", "height"))
    plain = all(side.isascii() and side.isdigit() and len(side) < 10 for side in (width, height))
    return (int(width), int(height)) if plain else (0, 0)


def write(path: Path, items: LabelledItems) -> Written:
    """Write an image element for each picture, with a tag for each relevant label."""
    check_pictures(items, TITLE)
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(f"  <meta><task><size>{len(items)}</size><mode>annotation</mode><labels>\n")
        for name in items.label_names:
            file.write(
                f"    <label><name>{escape(name)}</name><type>tag</type><attributes></attributes></label>\n"
            )
        file.write("  </labels></task></meta>\n")
        for row in range(len(items)):
            file.write(_image(items, row))
        file.write("</annotations>\n")
    place = write_beside(path, Beside.of(items))
    assert place is not None
    return Written(second=f"{place.name}: {count_open(items, (1,))}", left_out=left_out(items, "size"))


def _image(items: LabelledItems, row: int) -> str:
    width, height = (0, 0) if items.sizes is None else items.sizes[row].tolist()
    head = f'  <image id="{row}" name={_attribute(items.items[row])} width="{width}" height="{height}">\n'
    tags = "".join(
        f'    <tag label={_attribute(name)} source="manual"></tag>\n' for name in items.names_in(row, 1)
    )
    return f"{head}{tags}  </image>\n"


def _attribute(text: str) -> str:
    # Parsers turn line ends and tabs in attributes to blanks unless they are written as numbers.
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


FORMAT = Format(
    name="cvat",
    title=TITLE,
    endings=(".xml",),
    says=(1,),
    silence="lists tags; irrelevant and unknown labels go to FILE.states.csv",
    recognises=recognises,
    read=read,
    write=write,
    owns_ending=True,
)
