"""Preprocessing as asked for, and the checks of sources side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from labelwise.errors import UserError, listed, repeated
from labelwise.models import SOURCES, ImagePreprocessing, Preprocessing, TextPreprocessing, preprocessing_of


def kind_of(preprocessing: Preprocessing | None) -> str | None:
    """Return the kind of items that it prepares, None without any."""
    return None if preprocessing is None else preprocessing.kind


def check_sources(
    backbone: str, names: Sequence[str], preprocessing: Callable[[str], Preprocessing | None]
) -> int:
    """Refuse sources that cannot stand side by side.

    Args:
        backbone: Their names as they were given.
        names: The name of each.
        preprocessing: Returns that of one backbone.

    Returns:
        How many of them are networks.
    """
    named = f"backbone {backbone!r}"
    if doubles := repeated(names):
        raise UserError(f"{named} names {doubles[0]!r} twice: name each source once")
    if names == ("columns",):
        raise UserError(
            f"{named} reads columns beside texts or pictures: give 'features' for columns alone, or name a backbone"
            " too, as in 'minilm+words+columns'"
        )
    networks = [name for name in names if name not in SOURCES]
    kinds = {"words": "text", **{name: kind_of(preprocessing(name)) for name in networks}}
    kinds = {name: kinds[name] for name in names if name != "columns"}
    if arrays := [name for name, kind in kinds.items() if kind is None]:
        raise UserError(
            f"{named}: {arrays[0]!r} reads arrays of numbers, and stands beside no other: leave it out"
        )
    if len(set(kinds.values())) > 1:
        words = [f"{name!r} reads {kind}s" for name, kind in kinds.items()]
        raise UserError(f"{named}: {listed(words)}: name sources of one kind of items")
    return len(networks)


def with_image_size(preprocessing: Preprocessing | None, side: int | None) -> Preprocessing | None:
    """Return preprocessing for square pictures of ``side`` pixels.

    The part that is cut out stays in proportion. None changes nothing.
    """
    if side is None:
        return preprocessing
    if not isinstance(preprocessing, ImagePreprocessing):
        raise UserError(f"image_size={side}: it goes with a pretrained backbone for pictures; leave it out")
    short = preprocessing.short_side
    if short is not None:
        short = max(int(side), round(int(side) * short / max(preprocessing.size)))
    return replace(preprocessing, size=(int(side), int(side)), short_side=short)


def with_max_length(
    backbone: str | nn.Module, preprocessing: Preprocessing | None, length: int | None
) -> Preprocessing | None:
    """Return preprocessing for at most ``length`` tokens of a text.

    None changes nothing. A module of one's own has places for what its own preprocessing lets through.
    """
    if length is None:
        return preprocessing
    if not isinstance(preprocessing, TextPreprocessing):
        raise UserError(f"max_length={length}: it goes with a pretrained backbone for texts; leave it out")
    if isinstance(backbone, str):
        return preprocessing_of(backbone, max_length=int(length))
    if length > preprocessing.max_length:
        raise UserError(
            f"max_length={length}: this backbone reads at most {preprocessing.max_length} tokens; give fewer"
        )
    return replace(preprocessing, max_length=int(length))
