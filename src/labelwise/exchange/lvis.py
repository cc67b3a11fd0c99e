"""LVIS: COCO with the categories that were checked and are absent.

A category is relevant where the picture has an annotation of it, irrelevant in ``neg_category_ids``, and unknown
otherwise: pictures were checked for some categories only. One in ``not_exhaustive_category_ids`` has instances without
an annotation, which changes nothing for a picture that has one; alone, it is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.coco import has_layout, own, read_document, write_document
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.silence import FIELD
from labelwise.exchange.source import Source

TITLE = "LVIS"


def recognises(source: Source) -> bool:
    """Return whether a file of COCO's lists names categories that are absent."""
    document = source.first() if source.ending == ".json" else None
    images = document["images"] if isinstance(document, dict) and has_layout(document) else None
    return isinstance(images, list) and any(
        isinstance(image, dict) and "neg_category_ids" in image for image in images
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read all three states."""
    return read_document(source, TITLE, unlisted=options.unlisted, rest=-1, more=_checked)


def _checked(image: Mapping[str, Any], names: Mapping[Any, str], place: str) -> tuple[list[str], list[str]]:
    lists = []
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        ids = image.get(key, [])
        if not isinstance(ids, list):
            raise UserError(f"{place}: {key!r} is {shown(ids)}, not a list of ids")
        for one in ids:
            if not isinstance(one, int | str) or one not in names:
                raise UserError(f"{place}: {key!r} names {shown(one)}, which is none of the categories")
        lists.append([names[one] for one in ids])
    return lists[0], lists[1]


def write(path: Path, items: LabelledItems) -> Written:
    """Write all three states in LVIS's own lists."""

    def more(row: int, ids: dict[str, int]) -> dict[str, Any]:
        absent = [ids[name] for name in items.names_in(row, 0)]
        record = own(items, row, (1, 0))
        fields: dict[str, Any] = {"neg_category_ids": absent, "not_exhaustive_category_ids": []}
        # Only an id that is not the file's name needs a second place.
        return fields | ({FIELD: {"item": record["item"]}} if "item" in record else {})

    write_document(path, items, TITLE, {}, more)
    return Written(left_out=left_out(items, "image", "size"))


FORMAT = Format(
    name="lvis",
    title=TITLE,
    endings=(".json",),
    says=(1, 0, -1),
    silence="says all three states",
    recognises=recognises,
    read=read,
    write=write,
    options=(),
)
