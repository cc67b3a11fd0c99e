"""The formats, by name, by a file's content, and by the ending of a file to write."""

from __future__ import annotations

from pathlib import Path

from labelwise.errors import UserError, listed, near, shown
from labelwise.exchange import (
    argilla,
    coco,
    cvat,
    doccano,
    fiftyone,
    hugging_face,
    hugging_face_multihot,
    label_studio,
    label_studio_min,
    libsvm,
    lvis,
    meka,
    open_images,
    tables,
)
from labelwise.exchange.format import Format
from labelwise.exchange.source import Source

FORMATS: tuple[Format, ...] = (
    label_studio.FORMAT,
    label_studio_min.FORMAT,
    argilla.FORMAT,
    lvis.FORMAT,
    coco.FORMAT,
    open_images.FORMAT,
    cvat.FORMAT,
    fiftyone.FORMAT,
    hugging_face.FORMAT,
    hugging_face_multihot.FORMAT,
    doccano.FORMAT,
    libsvm.FORMAT,
    meka.FORMAT,
    *tables.FORMATS,
)
"""All formats; a file is of the first that recognises it, so that tables come last."""


def names() -> list[str]:
    """Return the names of the formats."""
    return [one.name for one in FORMATS]


def get(name: str) -> Format:
    """Return a format by its name.

    Raises:
        UserError: For an unknown name, with the nearest ones.
    """
    for one in FORMATS:
        if one.name == name:
            return one
    raise UserError(f"there is no format {shown(name)}; {near(name, names(), most=len(names()))}")


def of_file(source: Source) -> Format:
    """Return the format of a file, from its ending and its beginning.

    Raises:
        UserError: Where none recognises it.
    """
    for one in FORMATS:
        if one.recognises(source):
            return one
    raise UserError(
        f"{source.name}: no format knows it by its ending {source.ending!r} and its beginning; name one by --from:"
        f" {', '.join(names())}"
    )


def of_ending(path: Path) -> Format:
    """Return the format of a file to write, where its ending says it.

    Raises:
        UserError: Where several have the ending, or none.
    """
    ending = path.suffix.lower()
    fitting = [one for one in FORMATS if ending in one.endings]
    if owners := [one for one in fitting if one.owns_ending]:
        return owners[0]
    if not fitting:
        raise UserError(f"{path.name}: no format ends in {ending!r}; name one by --to: {', '.join(names())}")
    if len(fitting) > 1:
        raise UserError(
            f"{path.name}: a file {ending} is of one of several formats; name it by --to:"
            f" {listed([one.name for one in fitting], most=20)}"
        )
    return fitting[0]
