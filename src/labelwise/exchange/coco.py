"""COCO: pictures, categories, and annotations that name both.

A category applies to a picture that has an annotation of it. Of the others COCO says nothing; LVIS, its successor, does
(``lvis.py``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.errors import UserError, listed, repeated, shown
from labelwise.exchange.fields import field_of, id_number, text_of
from labelwise.exchange.format import Format, Written, check_pictures, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import FIELD, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "COCO"


def recognises(source: Source) -> bool:
    """Return whether a file holds images, annotations and categories."""
    return source.ending == ".json" and has_layout(source.first())


def has_layout(document: Any) -> bool:
    """Return whether a document has COCO's three lists."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read which categories each picture has; the others are as ``unlisted`` says."""
    return read_document(source, TITLE, unlisted=options.unlisted)


def read_document(
    source: Source,
    title: str,
    *,
    unlisted: str | None,
    rest: int | None = None,
    more: Callable[[Mapping[str, Any], Mapping[Any, str], str], tuple[list[str], list[str]]] | None = None,
) -> LabelledItems:
    """Read a document with COCO's three lists.

    Args:
        rest: The state of what is not listed, where the format says so.
        more: Gives a picture's irrelevant and unknown labels, from its record and the categories' names by id.
    """
    document = source.record()
    images, annotations, categories = (
        field_of(document, key, list, source.name) for key in ("images", "annotations", "categories")
    )
    names = category_names(source.name, categories)
    relevant: dict[Any, dict[str, None]] = {}
    for number, one in enumerate(annotations, 1):
        place = f"{source.name}: annotation {number}"
        image, category = _key(one, "image_id", place), _key(one, "category_id", place)
        if category not in names:
            raise UserError(f"{place}: category_id {shown(category)} is none of the categories")
        relevant.setdefault(image, {})[names[category]] = None
    entries = []
    for number, image in enumerate(images, 1):
        place = f"{source.name}: image {number}"
        key = _key(image, "id", place)
        listed_here = list(relevant.pop(key, ()))
        irrelevant, unknown = ([], []) if more is None else more(image, names, place)
        own = image.get(FIELD)
        entries.append(
            Entry(
                item=str(key),
                relevant=listed_here,
                irrelevant=irrelevant,
                unknown=[name for name in unknown if name not in listed_here],
                content=_file_name(image, place),
                size=_size(image),
                silence=None if own is None else Silence.from_dict(own, place),
            )
        )
    if relevant:
        raise UserError(
            f"{source.name}: annotations name images that are not there: {listed(relevant)}; add the images"
        )
    _name_by_files(entries)
    return to_items(
        source.name, title, entries, kind="image", labels=list(names.values()), unlisted=unlisted, rest=rest
    )


def category_names(name: str, categories: Iterable[Any]) -> dict[Any, str]:
    """Return the categories' names by id; ids and names must differ."""
    names: dict[Any, str] = {}
    for number, category in enumerate(categories, 1):
        place = f"{name}: category {number}"
        key = _key(category, "id", place)
        if key in names:
            raise UserError(
                f"{place}: id {shown(key)} is already that of {shown(names[key])}; give it its own"
            )
        names[key] = text_of(category.get("name"), f"{place}: its name")
    if doubles := repeated(names.values()):
        raise UserError(f"{name}: several categories are called {listed(map(shown, doubles))}; rename them")
    return names


def _key(record: Any, key: str, place: str) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UserError(f"{place}: {key!r} is {shown(value)}, not a whole number")
    # Refused here where it has more digits than Python writes.
    text_of(value, f"{place}: {key!r}")
    return value


def _file_name(image: Mapping[str, Any], place: str) -> str | None:
    """Return the picture's file name: that of its address where it has no other, as in LVIS."""
    name = image.get("file_name")
    if name is None and isinstance(address := image.get("coco_url"), str):
        name = address.rstrip("/").rpartition("/")[2]
    return None if name is None else text_of(name, f"{place}: 'file_name'")


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and 0 < width < 1 << 31 and 0 < height < 1 << 31:
        return width, height
    return 0, 0


def _name_by_files(entries: list[Entry]) -> None:
    """Call the items by their files' names, as a table of pictures does, where these are all there and differ."""
    files = [entry.content for entry in entries]
    if None not in files and len(set(files)) == len(files):
        for entry in entries:
            if entry.silence is None or entry.silence.item is None:
                entry.item = str(entry.content)


def write(path: Path, items: LabelledItems) -> Written:
    """Write a category for each label, and an annotation for each relevant entry."""
    write_document(path, items, TITLE, {}, lambda row, _: {FIELD: own(items, row, (1,))})
    return Written(
        second=f"{FIELD} of each image: {count_open(items, (1,))}", left_out=left_out(items, "image", "size")
    )


def own(items: LabelledItems, row: int, said: tuple[int, ...]) -> dict[str, Any]:
    """Return the second place of a picture, with its id where the file's name is another."""
    content = None if items.contents is None else items.contents[row]
    item = items.items[row]
    return Silence.of(items, row, said=said, item=item if content not in (None, item) else None).to_dict()


def write_document(
    path: Path,
    items: LabelledItems,
    title: str,
    info: Mapping[str, Any],
    more: Callable[[int, dict[str, int]], Mapping[str, Any]],
) -> None:
    """Write a document with COCO's three lists, ``more`` of a row being fields of its image."""
    check_pictures(items, title)
    ids = {name: place for place, name in enumerate(items.label_names, 1)}
    numbers = [id_number(item) for item in items.items]
    keys = list(range(1, len(items) + 1)) if None in numbers else [int(number or 0) for number in numbers]
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:

        def rows(key: str, values: Iterable[Any]) -> None:
            file.write(f',\n"{key}": [')
            for place, value in enumerate(values):
                file.write(
                    (",\n" if place else "\n") + json.dumps(value, ensure_ascii=False, allow_nan=False)
                )
            file.write("]")

        file.write('{"info": ' + json.dumps({"description": "labels of pictures", **info}))
        rows("images", (_image(items, row, key) | dict(more(row, ids)) for row, key in enumerate(keys)))
        rows("annotations", _annotations(items, keys))
        rows("categories", ({"id": ids[name], "name": name} for name in items.label_names))
        file.write("}\n")


def _image(items: LabelledItems, row: int, key: int) -> dict[str, Any]:
    content = None if items.contents is None else items.contents[row]
    image: dict[str, Any] = {"id": key, "file_name": items.items[row] if content is None else content}
    if items.sizes is not None and items.sizes[row].all():
        image |= {"width": int(items.sizes[row, 0]), "height": int(items.sizes[row, 1])}
    return image


def _annotations(items: LabelledItems, keys: list[int]) -> Iterable[dict[str, Any]]:
    """Yield an annotation for each relevant entry, with the whole picture as its box where the size is known."""
    number = 0
    for row, key in enumerate(keys):
        box = [0, 0, *(items.sizes[row].tolist() if items.sizes is not None else (0, 0))]
        for column in (items.matrix[row] == 1).nonzero()[0].tolist():
            number += 1
            one = {"id": number, "image_id": key, "category_id": column + 1, "iscrowd": 0}
            yield one | {"bbox": box, "area": box[2] * box[3], "segmentation": []}


FORMAT = Format(
    name="coco",
    title=TITLE,
    endings=(".json",),
    says=(1,),
    silence="lists the categories of a picture; irrelevant and unknown ones go to labelwise of each image",
    recognises=recognises,
    read=read,
    write=write,
)
