"""Sources of features: frozen networks, the words of texts, columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from torch import nn

from labelwise._files import entries_under
from labelwise._random import torch_seeded
from labelwise.classifier.items import as_ids, columns_of_words, in_order, texts_or_paths
from labelwise.classifier.options import FitOptions
from labelwise.classifier.record import Record, weights_of
from labelwise.data import (
    BadItem,
    Capabilities,
    ImageFiles,
    ImageSource,
    Source,
    Texts,
    as_matrix,
    is_source,
)
from labelwise.embedding import Embedded, FeatureCache, embed
from labelwise.errors import UserError, listed
from labelwise.models import (
    BackboneCapabilities,
    InputScaling,
    Preprocessing,
    TextPreprocessing,
    Words,
    build_backbone,
    build_tokenizer,
    preprocessing_from_dict,
)

Arrays: TypeAlias = dict[str, np.ndarray]
Entry: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Contents:
    """Items that several sources read, as they were given.

    Attributes:
        values: N texts, paths or pictures' bytes, or an array (n, C, H, W) of pictures.
        ids: Their names in messages, or None.
        frame: The frame (n rows) that they came in, with columns of numbers beside them, or None.
    """

    values: Any
    ids: Sequence[str] | None = None
    frame: Any = None

    def __len__(self) -> int:
        return len(self.values)


class FeatureSource(Protocol):
    """A part of every item's features, made as at the fit."""

    @property
    def name(self) -> str:
        """Its name in the backbone's."""
        ...

    @property
    def kind(self) -> str | None:
        """Kind of items that it reads: "text" or "image"; None for either."""
        ...

    def read(self, items: Contents, options: FitOptions, on_bad: str) -> tuple[Any, Sequence[BadItem]]:
        """Return features (n, D), dense or CSR, and the items that cannot be read.

        Their rows hold zeros.
        """
        ...

    def record(self) -> tuple[Entry, Arrays]:
        """Return the source's entry and arrays for a model directory."""
        ...


@dataclass(frozen=True, eq=False)
class FrozenNetwork:
    """A frozen backbone, which reads every item once.

    Attributes:
        preprocessing: How pictures or texts are prepared for it.
        tokenizer: The definition of the tokenizer that a model directory holds; None for the backbone's own.
    """

    name: str
    preprocessing: Preprocessing
    network: nn.Module
    tokenizer: str | None = None

    @property
    def kind(self) -> str:
        """Kind of items that it reads: "text" or "image"."""
        return self.preprocessing.kind

    @classmethod
    def of(cls, name: str, options: FitOptions) -> Self:
        """Return the backbone of a name, with its weights."""
        preprocessing = options.preprocessing_of(name)
        assert preprocessing is not None
        with torch_seeded(options.seed):
            network = build_backbone(name, (), weights=options.backbone_weights)
        return cls(name, preprocessing, network.requires_grad_(False).eval())

    def read(self, items: Contents, options: FitOptions, on_bad: str) -> Embedded:
        """Return the network's features (n, D), and the unusable items."""
        if isinstance(items.values, np.ndarray):
            source: Source = ImageSource(items.values, mean=0.0, std=1.0)
        else:
            source = source_of(items.values, self.preprocessing, items.ids, tokenizer=self.tokenizer)
        return embedded(options, self.network, source, on_bad, self.name)

    def record(self) -> tuple[Entry, Arrays]:
        """Return the network's preprocessing, architecture and weights."""
        entry = {
            "preprocessing": self.preprocessing.to_dict(),
            "architecture": BackboneCapabilities.of(self.network).architecture,
            "tokenizer": tokenizer_definition(self.preprocessing, self.tokenizer),
        }
        return entry, weights_of(self.network, "")

    @classmethod
    def from_record(cls, entry: Mapping[str, Any], record: Record, prefix: str) -> Self:
        """Return the backbone of a model directory, without any look-up."""
        name = entry["name"]
        preprocessing = record.read("preprocessing", preprocessing_from_dict, entry)
        rebuilt = {"architecture": entry["architecture"]} if name.startswith("hf/") else {}
        with record.bounded():
            network = build_backbone(name, (), pretrained=False, **rebuilt)
        record.load_state(network, prefix)
        return cls(name, preprocessing, network.requires_grad_(False).eval(), entry["tokenizer"])


@dataclass(frozen=True, eq=False)
class TextWords:
    """The words of texts, as known from the training items."""

    words: Words
    name: str = "words"
    kind: str | None = "text"

    @classmethod
    def of(cls, items: Contents) -> Self:
        """Learn the words of the training items, labelled or not."""
        return cls(Words.fit(items.values))

    def read(self, items: Contents, options: FitOptions, on_bad: str) -> tuple[Any, Sequence[BadItem]]:
        """Return sparse features (n, D); every text can be read."""
        return self.words.transform(items.values), ()

    def record(self) -> tuple[Entry, Arrays]:
        """Return the words and their weights."""
        entry, arrays = self.words.record()
        return {"words": entry}, arrays

    @classmethod
    def from_record(cls, entry: Mapping[str, Any], record: Record, prefix: str) -> Self:
        """Return the words of a model directory."""
        arrays = entries_under(record.arrays, prefix)
        return cls(record.read("words", lambda words: Words.from_record(words, arrays), entry))


@dataclass(frozen=True, eq=False)
class NumberColumns:
    """Columns of numbers beside texts or pictures, standardised.

    Attributes:
        content: The column of texts or pictures.
        columns: The columns of numbers, in their order.
        scaling: The means and deviations of the training items.
    """

    content: str
    columns: tuple[str, ...]
    scaling: InputScaling
    name: str = "columns"
    kind: str | None = None

    @classmethod
    def of(cls, items: Contents) -> Self:
        """Learn the means and deviations of the training items."""
        content, columns = _roles(items.frame)
        return cls(content, columns, InputScaling.fit(_numbers(items, columns), "standardise"))

    def read(self, items: Contents, options: FitOptions, on_bad: str) -> tuple[Any, Sequence[BadItem]]:
        """Return the standardised numbers (n, D) of every item."""
        return self.scaling.transform(_numbers(items, self.columns)), ()

    def record(self) -> tuple[Entry, Arrays]:
        """Return the columns' names, means and deviations."""
        entry = {"content": self.content, "columns": list(self.columns), "scaling": self.scaling.config()}
        return entry, self.scaling.state()

    @classmethod
    def from_record(cls, entry: Mapping[str, Any], record: Record, prefix: str) -> Self:
        """Return the columns of a model directory."""
        arrays = entries_under(record.arrays, prefix)
        scaling = record.read("scaling", lambda config: InputScaling.from_state(config, arrays), entry)
        return cls(entry["content"], tuple(entry["columns"]), scaling)


def new_source(name: str, items: Contents, options: FitOptions) -> FeatureSource:
    """Return the source of a name, fitted to the training items."""
    if name == "words":
        return TextWords.of(items)
    return NumberColumns.of(items) if name == "columns" else FrozenNetwork.of(name, options)


def record_of_sources(sources: Sequence[FeatureSource]) -> tuple[list[Entry], Arrays]:
    """Return the sources' entries and arrays for a model directory."""
    entries, arrays = [], dict[str, np.ndarray]()
    for number, source in enumerate(sources):
        entry, own = source.record()
        entries.append({"name": source.name, **entry})
        arrays |= {f"{_prefix(number)}{name}": array for name, array in own.items()}
    return entries, arrays


def sources_from_record(record: Record) -> tuple[FeatureSource, ...]:
    """Return the sources of a model directory."""
    kinds: dict[str, Any] = {"words": TextWords, "columns": NumberColumns}
    return tuple(
        kinds.get(entry["name"], FrozenNetwork).from_record(entry, record, _prefix(number))
        for number, entry in enumerate(record.config["sources"])
    )


def _prefix(number: int) -> str:
    return f"sources.{number}."


def contents_of(
    X: Any,
    kind: str | None,
    ids: Sequence[str] | None,
    *,
    framed: bool,
    columns: NumberColumns | None = None,
) -> Contents:
    """Return items of a kind as several sources read them.

    Args:
        X: Texts, paths or pictures; with ``framed`` in a frame, beside columns of numbers.
        kind: "text" or "image".
        ids: Their names in messages.
        columns: Those of the fit; None at the fit.

    Raises:
        UserError: For items that are none of these, with the row or column.
    """
    if is_source(X):
        raise UserError(
            f"X is a {type(X).__name__}, which one backbone reads, and this one is several sources: give a list of"
            f" {_NOUNS[str(kind)]}"
        )
    frame = None
    if framed:
        if not hasattr(X, "columns"):
            raise UserError(
                f"X is no frame, and backbone 'columns' reads columns of numbers beside {_NOUNS[str(kind)]}: give a"
                " frame with both"
            )
        frame = X if columns is None else in_order(X, (columns.content, *columns.columns))
        X = frame[_roles(frame)[0] if columns is None else columns.content]
    values = texts_or_paths(X, kind)
    if values is None and kind == "image" and getattr(X, "ndim", 0) in (3, 4):
        values = np.asarray(X)  # type: ignore[assignment]
    if values is None and getattr(X, "ndim", 1) == 1 and not len(X):
        values = []
    if values is None:
        raise UserError(f"X holds numbers, and this backbone reads {_NOUNS[str(kind)]}: give a list of them")
    if kind == "text":
        # Half characters cannot be hashed, tokenised or counted: they become question marks once, for all sources.
        values = [text.encode("utf-8", "replace").decode() for text in values]
    return Contents(values, None if ids is None else as_ids(ids, len(values)), frame)


_NOUNS = {"text": "texts", "image": "pictures or their paths"}


def _roles(frame: Any) -> tuple[str, tuple[str, ...]]:
    """Return the column of contents and the columns of numbers."""
    words = columns_of_words(frame)
    numbers = [name for name in frame.columns if name not in words]
    if len(words) != 1 or not numbers:
        raise UserError(
            f"X has columns {listed(map(repr, words)) if words else 'none'} of texts or paths and {len(numbers)} of"
            " numbers: give one of the former and one or more of the latter"
        )
    return words[0], tuple(numbers)


def _numbers(items: Contents, columns: Sequence[str]) -> Any:
    return as_matrix(items.frame[list(columns)])


def source_of(
    values: Sequence[Any],
    preprocessing: Preprocessing,
    ids: Sequence[str] | None,
    *,
    tokenizer: str | None = None,
    cache: str | Path | None = None,
) -> Source:
    """Return texts or files of pictures as a backbone reads them.

    ``cache`` is a folder for decoded pictures.
    """
    if isinstance(preprocessing, TextPreprocessing):
        return Texts(values, build_tokenizer(preprocessing, tokenizer), items=ids)
    return ImageFiles(values, preprocessing, items=ids, cache=None if cache is None else Path(cache))


def tokenizer_definition(preprocessing: Preprocessing | None, known: str | None) -> str | None:
    """Return a hub tokenizer's definition to keep; None for others."""
    if not (isinstance(preprocessing, TextPreprocessing) and preprocessing.tokenizer.startswith("hf/")):
        return None
    return known or build_tokenizer(preprocessing).definition()


def embedded(
    options: FitOptions, backbone: nn.Module, source: Source, on_bad: str = "stop", name: str | None = None
) -> Embedded:
    """Return a backbone's features of every item, cached if asked for."""
    with options.bar("reading") as bar:
        return embed(
            backbone,
            source,
            device=options.device,
            progress=bar,
            cache=FeatureCache() if options.cache and Capabilities(source).digests is not None else None,
            on_bad=on_bad,
            name=name or options.backbone_name,
        )
