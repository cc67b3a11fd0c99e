"""Vectors of the labels' names, by the encoder that reads the items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.classifier.sources import FrozenNetwork
from labelwise.data import Texts
from labelwise.embedding import checked_label_texts, embed, label_vectors
from labelwise.ensemble import LabelVectors
from labelwise.errors import UserError, listed
from labelwise.models import ImageBackbone, Preprocessing, TextPreprocessing, TextTower, build_tokenizer

_NO_WORD = re.compile(r"label_\d+|[\W\d_]*")
"""The names of labels that nobody named, and names without a letter."""


class _Encoder(NamedTuple):
    """A frozen backbone, and its place among the items' features."""

    name: str
    network: nn.Module
    preprocessing: Preprocessing
    tokenizer: str | None
    block: str | None


def vectors_of_labels(
    options: FitOptions, reader: ItemReader, label_names: Sequence[str]
) -> LabelVectors | None:
    """Return the vectors of the labels' names, or None where no backbone reads names.

    The first backbone of texts reads them itself; of pictures, the first whose model has a tower of texts. Labels that
    nobody named have no words to read, and then there is nothing to set the others apart from: None.

    Raises:
        UserError: For ``label_texts`` of no label, or that leave a label without words.
    """
    given = checked_label_texts(options.label_texts, label_names)
    wordless = [name for name in label_names if name not in given and _NO_WORD.fullmatch(name)]
    if wordless and given:
        raise UserError(
            f"label_texts lacks {listed(map(repr, wordless))}, whose names are no words: give a text for each"
        )
    if wordless or reader.tune == "all":
        return None
    for one in _encoders(options, reader):
        vectors = _vectors(one, options, partial(label_vectors, label_names, label_texts=given))
        if vectors is not None:
            return vectors
    return None


def _encoders(options: FitOptions, reader: ItemReader) -> Iterator[_Encoder]:
    several = len(reader.sources) > 1
    for one in reader.sources:
        if isinstance(one, FrozenNetwork):
            block = one.name if several else None
            yield _Encoder(one.name, one.network, one.preprocessing, one.tokenizer, block)
    if reader.embedder is not None and reader.preprocessing is not None:
        yield _Encoder(options.backbone_name, reader.embedder, reader.preprocessing, reader.tokenizer, None)


def _vectors(encoder: _Encoder, options: FitOptions, make: Any) -> LabelVectors | None:
    if isinstance(encoder.preprocessing, TextPreprocessing):
        tokenizer = build_tokenizer(encoder.preprocessing, encoder.tokenizer)

        def encode(texts: list[str]) -> np.ndarray:
            return embed(encoder.network, Texts(texts, tokenizer), device=options.device).features

        return LabelVectors(make(encode, kind="text"), None, encoder.block)
    tower = _tower(encoder, options)
    if tower is None:
        return None
    return LabelVectors(make(tower.encode, kind="image"), tower.projection, encoder.block)


def _tower(encoder: _Encoder, options: FitOptions) -> TextTower | None:
    """Return the tower of texts beside a backbone of pictures, or None.

    Its space is that of the model's own pooled features, by the model's own weights.
    """
    pooled = (
        isinstance(encoder.network, ImageBackbone) and getattr(encoder.network, "pooling", "") == "pooler"
    )
    if not (pooled and encoder.name.startswith("hf/")) or options.backbone_weights is not None:
        return None
    try:
        return TextTower.of(encoder.name.removeprefix("hf/"))
    except UserError:
        # A model whose pictures are read can lack files of the other tower: names are then no evidence.
        if options.label_texts is not None:
            raise
        return None
