"""Items of requests as a model takes them: checked, decoded, in one form."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data import ImageFiles
from labelwise.data.images.decode import Unusable, decode
from labelwise.errors import UserError, listed
from labelwise.models import ImagePreprocessing
from labelwise.serving.limits import Limits
from labelwise.serving.models import ServedModel
from labelwise.serving.refusals import Refused


def prepare(
    items: Sequence[Mapping[str, Any]], model: ServedModel, limits: Limits, *, single: bool = False
) -> list[Any]:
    """Return items of a parsed body as ``ServedModel.logits`` takes them.

    Args:
        items: Each has the text, the image (base64, a data: URL, or bytes) and the features that the model asks for.
        single: Whether the body was the item itself, which messages then do not number.

    Raises:
        Refused: For pictures that cannot be read, and features that are none of the model's.
    """
    places = [""] if single else [f"items.{row}." for row in range(len(items))]
    rows = _rows([item["features"] for item in items], places, model) if model.n_features else None
    if model.kind == "features":
        assert rows is not None
        return list(rows)
    if model.kind == "text":
        contents: list[Any] = [item["text"] for item in items]
    else:
        reader = PictureReader(model, limits)
        contents = [
            reader.read(item["image"], f"{place}image") for item, place in zip(items, places, strict=True)
        ]
    return contents if rows is None else list(zip(contents, rows, strict=True))


class PictureReader:
    """Reads pictures into what the model's backbone takes, within a limit of pixels."""

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        found = model.preprocessing
        # Two backbones of other sizes, and frames, take the files themselves.
        whole = found is not None and model.content is None
        self._preprocessing = found if whole and isinstance(found, ImagePreprocessing) else None
        self._pixels = limits.pixels

    def read(self, given: str | bytes, place: str) -> NDArray[np.uint8] | bytes:
        """Return a picture (3, H, W) uint8 of the backbone's size, or its bytes once they are known to be one.

        Raises:
            Refused: For what is no picture, with the reason.
        """
        content = given if isinstance(given, bytes) else decoded(given, place)
        if self._preprocessing is None:
            try:
                decode(content, most_pixels=self._pixels)
            except Unusable as error:
                raise _no_picture(place, str(error)) from None
            return content
        source = ImageFiles(
            [content], self._preprocessing, items=[place], workers=0, most_pixels=self._pixels
        )
        try:
            batch = source.batch(np.zeros(1, np.int64), "plain", seed=0, epoch=0)
        except UserError:
            # What it says is meant for a table's rows; the reason alone is asked for once more.
            raise _no_picture(place, source.scan()[0].reason) from None
        picture: NDArray[np.uint8] = batch[0].numpy()
        return picture


def _no_picture(place: str, reason: str) -> Refused:
    return Refused(413 if "pixels, more than" in reason else 422, f"{place}: the picture {reason}")


def decoded(text: str, place: str) -> bytes:
    """Return the bytes of base64, with or without the head of a data: URL.

    Raises:
        Refused: For what is neither.
    """
    head, comma, rest = text.partition(",")
    if comma and (not head.startswith("data:") or not head.endswith(";base64")):
        raise Refused(422, f"{place}: neither base64 nor a data: URL with base64; send one of them")
    try:
        return base64.b64decode("".join((rest if comma else text).split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(422, f"{place}: not base64; send the picture's bytes in base64, or as a file") from None


def _rows(given: Sequence[Any], places: Sequence[str], model: ServedModel) -> NDArray[np.float32]:
    """Return features (n, D) float32, in the model's order."""
    names = model.raw_names
    cells = [
        _in_order(one, names, place) if isinstance(one, Mapping) else one
        for one, place in zip(given, places, strict=True)
    ]
    if model.preparation is None:
        return np.asarray(cells, dtype=np.float32)
    import pyarrow as pa

    from labelwise.data.tables.columns import Columns

    try:
        data = {
            name: pa.array(list(column)) for name, column in zip(names, zip(*cells, strict=True), strict=True)
        }
    except pa.ArrowException:
        raise Refused(
            422, "features: a column holds words in one item and numbers in another: give one kind"
        ) from None
    try:
        rows, _, _ = model.preparation.apply(Columns(Path("features"), data, len(cells)))
    except UserError as error:
        raise Refused(422, str(error)) from None
    if not np.isfinite(rows).all():
        raise Refused(422, "features: a cell is empty that the model has no value for: give a number")
    return rows


def _in_order(given: Mapping[str, Any], names: Sequence[str], place: str) -> list[Any]:
    missing = [name for name in names if name not in given]
    strange = [name for name in given if name not in set(names)]
    if missing or strange:
        parts = [f"lacks {listed(map(repr, missing))}"] if missing else []
        parts += [f"has {listed(map(repr, strange))}, which the model does not know"] if strange else []
        raise Refused(422, f"{place}features {' and '.join(parts)}: give the model's {len(names)} features")
    return [given[name] for name in names]
