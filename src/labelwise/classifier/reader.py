"""Reading of items: rows of features, pictures, texts, or a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from labelwise._random import torch_seeded
from labelwise.annotations import from_tensor
from labelwise.classifier.options import FitOptions
from labelwise.classifier.record import Record, weights_of
from labelwise.data import (
    BadItem,
    Capabilities,
    ImageFiles,
    ImageSource,
    Source,
    Texts,
    as_source,
    check_lengths,
    check_sparse,
    is_source,
    refuse_too_many,
    select_rows,
)
from labelwise.embedding import Embedded, FeatureCache, embed
from labelwise.errors import UserError, listed, shown
from labelwise.methods import Method, Problem
from labelwise.models import (
    BackboneCapabilities,
    ImagePreprocessing,
    Preprocessing,
    ReadsMaps,
    TextPreprocessing,
    build_tokenizer,
    preprocessing_from_dict,
)

_NUMBERS = (
    "an array of features (items, features), a frame, a scipy sparse matrix, or a list of texts or paths"
)


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


@dataclass(frozen=True, eq=False)
class ItemReader:
    """Reader of items, the same in a fit and at prediction.

    Attributes:
        tune: ``"head"`` or ``"all"``, as the network is trained.
        preprocessing: How pictures or texts are prepared for the backbone; None for arrays.
        item_shape: The shape of one item.
        n_features: Numbers in a row of features; None where items are no rows.
        columns: (n_features,) names of a frame's columns, None where they have none.
        embedder: The frozen backbone that turns every item into features once; None where there is none.
        tokenizer: The definition of the tokenizer that a model directory holds; None for the backbone's own.
    """

    tune: Literal["head", "all"]
    preprocessing: Preprocessing | None
    item_shape: tuple[int, ...] = ()
    n_features: int | None = None
    columns: NDArray[np.object_] | None = None
    embedder: nn.Module | None = None
    tokenizer: str | None = None

    @classmethod
    def of(
        cls,
        options: FitOptions,
        method: type[Method],
        X: Any,
        labels: np.ndarray,
        items: Sequence[str] | None,
    ) -> tuple[Self, Any]:
        """Return the reader for items like ``X``, and ``X`` made ready.

        There must be one item for each row of ``labels`` (n, K).
        """
        X = known_items(X)
        blank = cls(options.tuning, options.preprocessing, columns=column_names(X))
        X = blank._converted(X, options, items)
        check_lengths(X, labels)
        shape = item_shape(X)
        n_features = None if is_source(X) or X.ndim != 2 else int(X.shape[1])
        embedder = _embedder(options, method, shape, labels.shape[1])
        return replace(blank, item_shape=shape, n_features=n_features, embedder=embedder), X

    def read(self, X: Any, options: FitOptions, items: Sequence[str] | None = None) -> ReadItems:
        """Read new items, which must be like those of the fit.

        ``items`` names them in messages.
        """
        return self.read_all(self.matching(X, options, items), options)

    def matching(self, X: Any, options: FitOptions, items: Sequence[str] | None = None) -> Any:
        """Return new items made ready and checked, not yet read."""
        X = self._converted(self._in_order(known_items(X)), options, items)
        self._check_alike(X)
        return X

    def read_all(self, X: Any, options: FitOptions, *, scan: bool = False) -> ReadItems:
        """Read all items, and return those that can be read.

        They come as features (n, D) where there is an embedder, else as they are.

        Args:
            scan: Look through files that will be read again in every epoch before the first; "skip" does so anyway.

        Raises:
            UserError: For a bad item where the policy is to stop, or for too many of them.
        """
        policy = options.on_bad_item
        all_rows = np.arange(len(X) if is_source(X) else X.shape[0])
        if self.embedder is None:
            look_through = Capabilities(X).scan
            if look_through is None or not (scan or policy == "skip"):
                return ReadItems(X, all_rows)
            bad = check_bad_items(look_through(), len(all_rows), policy)
            rows = np.setdiff1d(all_rows, [item.row for item in bad])
            return ReadItems(take(X, rows) if bad else X, rows, bad)
        result = embedded(options, self.embedder, as_source(X), policy)
        rows = np.setdiff1d(all_rows, [item.row for item in result.bad])
        features = np.ascontiguousarray(result.features[rows]) if result.bad else result.features
        return ReadItems(features, rows, tuple(result.bad))

    def fixed_features(self, options: FitOptions) -> bool:
        """Return whether a head is trained on features that never change.

        On those a closed form chooses how to scale them.
        """
        return self.tune == "head" and (options.backbone == "features" or self.embedder is not None)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the reader's entries and weights for a model directory."""
        preprocessing, columns = self.preprocessing, self.columns
        record: dict[str, Any] = {
            "item_shape": list(self.item_shape),
            "preprocessing": None if preprocessing is None else preprocessing.to_dict(),
            "frozen_backbone": self.embedder is not None,
            "n_features": self.n_features,
            "feature_names": None if columns is None else [str(name) for name in columns],
        }
        if isinstance(preprocessing, TextPreprocessing) and preprocessing.tokenizer.startswith("hf/"):
            record["tokenizer"] = self.tokenizer or build_tokenizer(preprocessing).definition()
        if self.embedder is None:
            return record, {}
        record["architecture"] = BackboneCapabilities.of(self.embedder).architecture
        return record, weights_of(self.embedder, "embedder.")

    @classmethod
    def from_record(cls, record: Record, options: FitOptions) -> Self:
        """Return the reader of a model directory, with its frozen backbone."""
        config, embedder = record.config, None
        names, shape = config["feature_names"], tuple(config["item_shape"])
        preprocessing = record.read("preprocessing", preprocessing_from_dict)
        if config["frozen_backbone"]:
            with record.bounded():
                embedder = options.new_backbone(shape, **record.rebuilt).requires_grad_(False).eval()
            record.load_state(embedder, "embedder.")
        return cls(
            config["tune"],
            preprocessing,
            shape,
            config["n_features"],
            None if names is None else np.asarray(names, dtype=object),
            embedder,
            config.get("tokenizer"),
        )

    def _converted(self, X: Any, options: FitOptions, items: Sequence[str] | None) -> Any:
        """Return ``X`` as an array, a CSR matrix or a source, checked.

        Texts, and paths of pictures, are read as the backbone takes them. ``items`` names them in messages.

        Raises:
            UserError: For what is neither numbers nor finite, with the rows or columns named, and for texts or paths
                where the backbone takes numbers.
        """
        preprocessing = self.preprocessing
        if is_source(X):
            return X
        if (words := texts_or_paths(X, preprocessing)) is not None:
            if preprocessing is None:
                raise UserError(
                    "X holds texts or paths, and this backbone reads numbers: give backbone='efficientnet-lite0' for "
                    "pictures, 'minilm' for texts, or an array of features"
                )
            items = None if items is None else as_ids(items, len(words))
            if isinstance(preprocessing, TextPreprocessing):
                return Texts(words, build_tokenizer(preprocessing, self.tokenizer), items=items)
            folder = None if self.tune == "head" else options.picture_cache
            return ImageFiles(
                words, preprocessing, items=items, cache=None if folder is None else Path(folder)
            )
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

    def _in_order(self, X: Any) -> Any:
        """Return a frame's columns in the order of the fit.

        Anything but a frame is returned as it is.

        Raises:
            UserError: For columns that are missing, or that the model does not know.
        """
        columns, names = column_names(X), self.columns
        if columns is None or names is None or list(columns) == list(names):
            return X
        missing = [name for name in names if name not in set(columns)]
        extra = [name for name in columns if name not in set(names)]
        if missing or extra or len(columns) != len(names):
            lacking = f"X lacks columns {listed(map(repr, missing))}" if missing else ""
            unknown = (
                f"X has columns {listed(map(repr, extra))}, which the model was not trained on"
                if extra
                else ""
            )
            double = "" if missing or extra else "X has columns of the same name"
            raise UserError(
                f"{'; '.join(filter(None, (lacking, unknown, double)))}: give the columns that it was trained on, "
                f"{listed(map(repr, names))}"
            )
        return X[list(names)]

    def _check_alike(self, X: Any) -> None:
        """Refuse items that are not like those of the fit."""
        n_features = self.n_features
        if n_features is not None and (is_source(X) or X.ndim != 2 or X.shape[1] != n_features):
            raise UserError(
                f"X has {X.shape[1]} features, but MultiLabelClassifier is expecting {n_features} features as input"
            )
        shape, known = item_shape(X), tuple(self.item_shape)
        if shape != known:
            raise UserError(f"X has items of shape {shape}, the model was trained on {known}")


def embedded(options: FitOptions, backbone: nn.Module, source: Source, on_bad: str = "stop") -> Embedded:
    """Return a backbone's features of every item, cached if asked for."""
    with options.bar("reading") as bar:
        return embed(
            backbone,
            source,
            device=options.device,
            progress=bar,
            cache=FeatureCache() if options.cache and Capabilities(source).digests is not None else None,
            on_bad=on_bad,
            name=options.backbone_name,
        )


def _embedder(
    options: FitOptions, method: type[Method], shape: Sequence[int], n_labels: int
) -> nn.Module | None:
    """Return the frozen backbone that reads every item once, or None.

    A head that reads maps trains behind its frozen backbone instead, since maps are too large to keep.
    """
    if options.tuning == "all" or options.backbone == "features" or len(shape) == 1:
        return None
    probe = method(Problem(np.zeros((0, n_labels), np.int8)), options.hyperparameters)
    with torch_seeded(options.seed):
        # Of any width: the head's class alone is asked for.
        reads_maps = isinstance(probe.head(8), ReadsMaps)
    if reads_maps:
        return None
    # Seeded again: what the probe drew must not move the backbone's weights.
    with torch_seeded(options.seed):
        return options.new_backbone(shape).requires_grad_(False).eval()


def check_bad_items(bad: Sequence[BadItem], n_items: int, policy: str) -> tuple[BadItem, ...]:
    """Return the items to leave out, or refuse to go on."""
    if bad and policy == "stop":
        others = f" ({len(bad) - 1} others besides)" if len(bad) > 1 else ""
        raise UserError(
            f"item {bad[0].item}: {bad[0].reason}{others}; mend or remove it, or leave such items out: "
            "on_bad_item='skip' (--on-bad-item skip)"
        )
    refuse_too_many(bad, n_items)
    return tuple(bad)


def item_shape(X: Any) -> tuple[int, ...]:
    """Return the shape of one item."""
    if is_source(X) or X.ndim == 2:
        return tuple(X.shape if is_source(X) else X.shape[1:])
    # One picture tells the shape: a source of all would look through every pixel again.
    return tuple(as_source(X[:1]).shape)


def column_names(X: Any) -> NDArray[np.object_] | None:
    """Return the names of a frame's columns, if all are texts."""
    names = list(getattr(X, "columns", []))
    return np.array(names, dtype=object) if names and all(isinstance(name, str) for name in names) else None


def take(X: Any, index: NDArray[np.int64]) -> Any:
    """Return these rows of an array, a sparse matrix or a source."""
    return select_rows(X, index) if is_source(X) else X[index]


def as_ids(items: Any, n_items: int) -> list[str]:
    """Return the items' ids as texts, one for each item."""
    listing = hasattr(items, "__iter__") and not isinstance(items, str | bytes | Mapping | type)
    ids = list(items) if listing else None
    if ids is None or len(ids) != n_items:
        has = f"is {shown(items)}" if ids is None else f"has {len(ids)} ids"
        raise UserError(f"items {has}, and there are {n_items} items: give one id an item")
    return [str(name) for name in ids]


def known_items(X: Any) -> Any:
    """Return tensors and masked arrays as arrays, other libraries' frames as pandas.

    All else is returned as it is.

    Raises:
        UserError: For what masks entries, is no collection at all, or must be collected first.
    """
    library = type(X).__module__.partition(".")[0]
    if is_source(X):
        return X
    if library == "torch":
        X = from_tensor(X, "X")
    if library in ("polars", "pyarrow"):
        if not hasattr(X, "to_pandas"):
            raise UserError(f"X is a {type(X).__name__}: collect it to a frame first")
        return X.to_pandas()
    if isinstance(X, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(X)
        masked = np.flatnonzero(mask.any(axis=tuple(range(1, X.ndim)))) if X.ndim else np.zeros(1, np.int64)
        if mask.any():
            raise UserError(
                f"X masks entries of rows {listed(masked)} (counted from 0): fill them, as in X.filled(0), or drop them"
            )
        return np.asarray(X)
    if isinstance(X, dict | set | frozenset | type) or not (
        hasattr(X, "__array__") or hasattr(X, "tocsr") or hasattr(X, "columns") or hasattr(X, "__getitem__")
    ):
        raise UserError(f"X is {shown(X)}: give {_NUMBERS}")
    return X


def texts_or_paths(X: Any, preprocessing: Preprocessing | None) -> list[Any] | None:
    """Return texts, paths or pictures' bytes as a list, else None.

    Raises:
        UserError: For one text or path, and for a cell that is none among others or where the backbone takes them,
            with its row.
    """
    if isinstance(X, str | bytes | Path):
        raise UserError(f"X is one {type(X).__name__}: give a list with one text or path an item")
    reads_text = isinstance(preprocessing, TextPreprocessing)
    if hasattr(X, "columns"):
        _refuse_frame(X, preprocessing)
    is_list = getattr(X, "ndim", 1) == 1 and not hasattr(X, "tocsr")
    if not is_list or getattr(getattr(X, "dtype", None), "kind", "O") not in "OUT":
        return None
    try:
        values = list(X)
    except Exception:  # what only claims to be an array
        return None
    valid = [isinstance(value, str | Path | bytes) for value in values]
    if not values or not (any(valid) or (preprocessing is not None and _is_cell(values[0]))):
        return None
    if not all(valid):
        row = valid.index(False)
        advice = "give '' where there is no text, or drop" if reads_text else "give one, or drop"
        kinds = {TextPreprocessing: "text", ImagePreprocessing: "path"}
        noun = kinds.get(type(preprocessing), "text or path")
        raise UserError(
            f"X: row {row} (counted from 0) is {shown(values[row])}, which is no {noun}: {advice} the row"
        )
    if reads_text and any(isinstance(value, bytes) for value in values):
        raise UserError(
            "X holds bytes, and this backbone reads texts: decode them, as in text.decode('utf-8')"
        )
    return [value if isinstance(value, bytes) else str(value) for value in values]


def _is_cell(value: Any) -> bool:
    """Return whether a value is one number or missing, not a row."""
    return np.ndim(value) == 0 and not hasattr(value, "__len__")


def _refuse_frame(frame: Any, preprocessing: Preprocessing | None) -> None:
    """Refuse a frame where the backbone reads texts or pictures.

    Which column holds them is the user's to say.
    """
    if preprocessing is None:
        return
    kind = "texts" if isinstance(preprocessing, TextPreprocessing) else "paths of pictures"
    columns = [
        name
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "fiubcmM"
    ]
    named = f"X[{columns[0]!r}]" if columns else "a list of them"
    raise UserError(f"X is a frame, and this backbone reads {kind}: give one column of them, as in {named}")
