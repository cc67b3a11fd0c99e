"""What a classifier is given as items: rows of features, pictures, texts, or a source of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise import engine
from labelwise.classifier.given import known_items, words_of
from labelwise.data import (
    Capabilities,
    ImageFiles,
    ImageSource,
    Source,
    Texts,
    as_source,
    check_sparse,
    is_source,
    refuse_too_many,
    select_rows,
)
from labelwise.embedding import Embedded, FeatureCache, embed
from labelwise.errors import UserError, listed, shown
from labelwise.models import (
    ImagePreprocessing,
    Preprocessing,
    TextPreprocessing,
    build_tokenizer,
    preprocessing_of,
)

if TYPE_CHECKING:
    from torch import nn

    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import BadItem


@dataclass(frozen=True, eq=False)
class ReadItems:
    """Items that were read once and can be scored again and again.

    Attributes:
        X: The items that could be read, as the model takes them.
        kept: (m,) int64, their rows among all items.
        bad: The others, with the reason.
    """

    X: Any
    kept: NDArray[np.int64]
    bad: tuple[BadItem, ...] = ()


def sized(preprocessing: Preprocessing | None, side: int | None) -> Preprocessing | None:
    """Return ``preprocessing`` for square pictures of ``side`` pixels, its cut in proportion; None changes nothing."""
    if side is None:
        return preprocessing
    if not isinstance(preprocessing, ImagePreprocessing):
        raise UserError(f"image_size={side}: it goes with a pretrained backbone for pictures; leave it out")
    if not (isinstance(side, Integral) and side >= 8):
        raise UserError(f"image_size={side!r}: give a whole number of pixels from 8")
    short = preprocessing.short_side
    if short is not None:
        short = max(int(side), round(int(side) * short / max(preprocessing.size)))
    return replace(preprocessing, size=(int(side), int(side)), short_side=short)


def cut(
    backbone: str | nn.Module, preprocessing: Preprocessing | None, length: int | None
) -> Preprocessing | None:
    """Return ``preprocessing`` for at most ``length`` tokens of a text; None changes nothing.

    A module of one's own has places for what its own preprocessing lets through.
    """
    if length is None:
        return preprocessing
    if not isinstance(preprocessing, TextPreprocessing):
        raise UserError(f"max_length={length}: it goes with a pretrained backbone for texts; leave it out")
    if not (isinstance(length, Integral) and length >= 3):
        raise UserError(
            f"max_length={length!r}: give a whole number of tokens from 3, the special ones included"
        )
    if isinstance(backbone, str):
        return preprocessing_of(backbone, max_length=int(length))
    if length > preprocessing.max_length:
        raise UserError(
            f"max_length={length}: this backbone reads at most {preprocessing.max_length} tokens; give fewer"
        )
    return replace(preprocessing, max_length=int(length))


def prepared(model: MultiLabelClassifier) -> Preprocessing | None:
    """Return how items are prepared for the backbone of ``model``: its own way, but for what was asked for."""
    return cut(model.backbone, sized(preprocessing_of(model.backbone), model.image_size), model.max_length)


def item_shape(X: Any) -> tuple[int, ...]:
    """Return the shape of one item."""
    if is_source(X) or X.ndim == 2:
        return tuple(X.shape if is_source(X) else X.shape[1:])
    # One picture tells the shape: a source of all would look through every pixel again.
    return tuple(as_source(X[:1]).shape)


def column_names(X: Any) -> NDArray[np.object_] | None:
    """Return the names of a frame's columns, None where they are no names."""
    names = list(getattr(X, "columns", []))
    return np.array(names, dtype=object) if names and all(isinstance(name, str) for name in names) else None


def take(X: Any, index: NDArray[np.int64]) -> Any:
    """Return the items of these rows, of an array, a sparse matrix or a source."""
    return select_rows(X, index) if is_source(X) else X[index]


def as_items(model: MultiLabelClassifier, X: Any, items: Sequence[str] | None = None) -> Any:
    """Return ``X`` as an array, a CSR matrix or a source, checked.

    Texts, and paths of pictures, are read as the model's backbone takes them. ``items`` names them in messages.

    Raises:
        UserError: For what is neither numbers nor finite, with the rows or columns named, and for texts or paths
            where the backbone takes numbers.
    """
    preprocessing = model.preprocessing_
    if is_source(X):
        return X
    if (words := words_of(X, preprocessing)) is not None:
        if preprocessing is None:
            raise UserError(
                "X holds texts or paths, and this backbone reads numbers: give backbone='efficientnet-lite0' for "
                "pictures, 'minilm' for texts, or an array of features"
            )
        items = None if items is None else as_ids(items, len(words))
        if isinstance(preprocessing, TextPreprocessing):
            return Texts(words, build_tokenizer(preprocessing, model._tokenizer), items=items)
        decoded = None if model.picture_cache is None or model.tune_ == "head" else Path(model.picture_cache)
        return ImageFiles(words, preprocessing, items=items, cache=decoded)
    if hasattr(X, "tocsr"):
        check_sparse(X)
        X = X.tocsr()
    elif not hasattr(X, "columns"):
        try:
            X = np.asarray(X)
        except Exception as error:  # an object's own __array__ may raise anything
            raise UserError(f"X is not an array: {shown(str(error), 200)}") from None
        if isinstance(preprocessing, ImagePreprocessing) and X.ndim in (3, 4):
            return ImageSource(X, mean=0.0, std=1.0)
    as_source(X)
    return X.to_numpy(dtype=np.float64, na_value=np.nan) if hasattr(X, "columns") else X


def as_ids(items: Any, n_items: int) -> list[str]:
    """Return the items' ids as texts, one for each item."""
    listing = hasattr(items, "__iter__") and not isinstance(items, str | bytes | Mapping | type)
    ids = list(items) if listing else None
    if ids is None or len(ids) != n_items:
        has = f"is {shown(items)}" if ids is None else f"has {len(ids)} ids"
        raise UserError(f"items {has}, and there are {n_items} items: give one id an item")
    return [str(name) for name in ids]


def in_order(model: MultiLabelClassifier, X: Any) -> Any:
    """Return a frame with the columns that ``model`` was trained on, in that order; else what ``known_items`` does.

    Raises:
        UserError: For columns that are missing, or that the model does not know.
    """
    X = known_items(X)
    columns, names = column_names(X), getattr(model, "feature_names_in_", None)
    if columns is None or names is None or list(columns) == list(names):
        return X
    missing = [name for name in names if name not in set(columns)]
    extra = [name for name in columns if name not in set(names)]
    if missing or extra or len(columns) != len(names):
        lacks = f"X lacks columns {listed(map(repr, missing))}" if missing else ""
        beside = (
            f"X has columns {listed(map(repr, extra))}, which the model was not trained on" if extra else ""
        )
        twice = "" if missing or extra else "X has columns of the same name"
        raise UserError(
            f"{'; '.join(filter(None, (lacks, beside, twice)))}: give the columns that it was trained on, "
            f"{listed(map(repr, names))}"
        )
    return X[list(names)]


def check_alike(model: MultiLabelClassifier, X: Any) -> None:
    """Refuse items that are not like those that the model was trained on."""
    n_features = getattr(model, "n_features_in_", None)
    if n_features is not None and (is_source(X) or X.ndim != 2 or X.shape[1] != n_features):
        raise UserError(
            f"X has {X.shape[1]} features, but MultiLabelClassifier is expecting {n_features} features as input"
        )
    shape, known = item_shape(X), tuple(model.item_shape_)
    if shape != known:
        raise UserError(f"X has items of shape {shape}, the model was trained on {known}")


def read_items(model: MultiLabelClassifier, X: Any, *, scan: bool = False) -> ReadItems:
    """Return the items that can be read: as features (n, D) where the model has an embedder, else as they are.

    Args:
        scan: Look through files that will be read again in every epoch before the first; "skip" does so anyway.

    Raises:
        UserError: For a bad item where the policy is to stop, or for too many of them.
    """
    on_bad = model.on_bad_item
    everything = np.arange(len(X) if is_source(X) else X.shape[0])
    if model.embedder_ is None:
        look_through = Capabilities(X).scan
        if look_through is None or not (scan or on_bad == "skip"):
            return ReadItems(X, everything)
        bad = settle(look_through(), len(everything), on_bad)
        kept = np.setdiff1d(everything, [item.row for item in bad])
        return ReadItems(take(X, kept) if bad else X, kept, bad)
    found = embedded(model, model.embedder_, as_source(X), on_bad)
    kept = np.setdiff1d(everything, [item.row for item in found.bad])
    features = np.ascontiguousarray(found.features[kept]) if found.bad else found.features
    return ReadItems(features, kept, tuple(found.bad))


def embedded(
    model: MultiLabelClassifier, backbone: nn.Module, source: Source, on_bad: str = "stop"
) -> Embedded:
    """Return the features that ``backbone`` has of every item of ``source``, kept on disk where ``model`` says so."""
    with engine.RichProgress("reading") if model.progress else nullcontext() as bar:
        return embed(
            backbone,
            source,
            device=model.device,
            progress=bar,
            cache=FeatureCache() if model.cache and Capabilities(source).digests is not None else None,
            on_bad=on_bad,
            name=model.backbone if isinstance(model.backbone, str) else type(model.backbone).__name__,
        )


def settle(bad: Sequence[BadItem], n_items: int, policy: str) -> tuple[BadItem, ...]:
    """Return the items to leave out, or raise ``UserError`` where the policy is to stop or they are too many."""
    if bad and policy == "stop":
        more = f" ({len(bad) - 1} others besides)" if len(bad) > 1 else ""
        raise UserError(
            f"item {bad[0].item}: {bad[0].reason}{more}; mend or remove it, or leave such items out: "
            "on_bad_item='skip' (--on-bad-item skip)"
        )
    refuse_too_many(bad, n_items)
    return tuple(bad)
