"""Preprocessing of a backbone's items: pictures of a size, token ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from labelwise.errors import UserError, near

RESIZES = ("squash", "crop")
"""``squash`` resizes to the size whatever the picture's shape; ``crop`` resizes and then cuts out the centre."""

INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class ImagePreprocessing:
    """Preprocessing of pictures, from any size to uint8 (3, H, W).

    Values are 0..255, red, green, blue; no mean is subtracted. ``size`` is (H, W) in pixels. ``crop`` resizes the
    picture, its shape kept, to the smallest size that holds ``short_side`` / max(H, W) times (H, W), and cuts out the
    central (H, W); None stands for max(H, W), so that the picture then just covers the cut. ``interpolation`` is
    Pillow's of that name.
    """

    size: tuple[int, int]
    resize: str = "squash"
    interpolation: str = "bilinear"
    short_side: int | None = None
    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(int(side) for side in self.size))
        if len(self.size) != 2 or min(self.size) < 1:
            raise UserError(f"size is {self.size}: give the height and width in pixels")
        if self.resize not in RESIZES:
            raise UserError(f"resize {self.resize!r} does not exist; {near(self.resize, RESIZES)}")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"interpolation {self.interpolation!r} does not exist; {near(self.interpolation, INTERPOLATIONS)}"
            )
        if self.short_side is not None and self.short_side < max(self.size):
            raise UserError(f"short_side is {self.short_side}: give at least the longer of {self.size}")

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) after resizing and before any cut."""
        if self.resize == "squash":
            return self.size
        wider = 1.0 if self.short_side is None else self.short_side / max(self.size)
        scale = wider * max(self.size[0] / height, self.size[1] / width)
        return max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale))

    def to_dict(self) -> dict[str, Any]:
        """Return the record that ``preprocessing_from_dict`` reads, fit for JSON."""
        return {"kind": self.kind, **asdict(self), "size": list(self.size)}


@dataclass(frozen=True)
class TextPreprocessing:
    """Preprocessing of texts: the tokenizer, and the most token ids.

    Special tokens are counted.

    ``tokenizer`` is ``minilm`` or ``hf/NAME``; ``pad_id`` is the id that fills up the shorter texts of a batch: it
    stands for nothing else (-1 where the tokenizer has no such id).
    """

    tokenizer: str
    max_length: int
    pad_id: int = 0
    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise UserError(f"max_length is {self.max_length}: give at least 3 tokens")

    def to_dict(self) -> dict[str, Any]:
        """Return the record that ``preprocessing_from_dict`` reads, fit for JSON."""
        return {"kind": self.kind, **asdict(self)}


Preprocessing: TypeAlias = ImagePreprocessing | TextPreprocessing


def preprocessing_from_dict(record: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing that ``to_dict`` recorded.

    Raises:
        UserError: For a record of something else.
    """
    kinds: dict[str, type[Preprocessing]] = {"image": ImagePreprocessing, "text": TextPreprocessing}
    values = dict(record)
    kind = str(values.pop("kind", None))
    if kind not in kinds:
        raise UserError(f"preprocessing of kind {kind!r} does not exist; {near(kind, kinds)}")
    try:
        return kinds[kind](**values)
    except TypeError as error:
        raise UserError(f"the record of the {kind} preprocessing does not fit: {error}") from error
