"""Reading of items: rows of features, pictures, texts, or a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from labelwise._random import torch_seeded
from labelwise.classifier.items import (
    as_ids,
    check_bad_items,
    column_names,
    in_order,
    item_shape,
    known_items,
    take,
    texts_or_paths,
)
from labelwise.classifier.options import FitOptions
from labelwise.classifier.record import Record, weights_of
from labelwise.classifier.sources import (
    Contents,
    FeatureSource,
    FrozenNetwork,
    NumberColumns,
    contents_of,
    embedded,
    new_source,
    record_of_sources,
    source_of,
    sources_from_record,
    tokenizer_definition,
)
from labelwise.data import (
    BadItem,
    Capabilities,
    ImageSource,
    as_matrix,
    as_source,
    check_lengths,
    check_sparse,
    is_source,
    refuse_too_many,
)
from labelwise.embedding import Resident
from labelwise.errors import UserError, shown
from labelwise.methods import Method, Problem
from labelwise.models import (
    BackboneCapabilities,
    Preprocessing,
    ReadsMaps,
    is_blocks,
    preprocessing_from_dict,
    side_by_side,
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

    def rows(self, places: NDArray[np.int64]) -> ReadItems:
        """Return some of the items that could be read, by their places among these."""
        return ReadItems(take(self.X, places), self.kept[places])


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
        kind: "text" or "image" where the backbone reads those, None for numbers.
        sources: What reads every item once, where the backbone is several sources of features or words.
    """

    tune: Literal["head", "all"]
    preprocessing: Preprocessing | None
    item_shape: tuple[int, ...] = ()
    n_features: int | None = None
    columns: NDArray[np.object_] | None = None
    embedder: nn.Module | None = None
    tokenizer: str | None = None
    kind: str | None = None
    sources: tuple[FeatureSource, ...] = ()

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
        if options.sources:
            contents = contents_of(X, options.kind, items, framed="columns" in options.sources)
            check_lengths(contents, labels)
            sources = tuple(new_source(name, contents, options) for name in options.sources)
            return cls("head", None, kind=options.kind, sources=sources), contents
        blank = cls(options.tuning, options.preprocessing, columns=column_names(X), kind=options.kind)
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
        X = known_items(X)
        if self.columns is not None:
            X = in_order(X, list(self.columns))
        X = self._converted(X, options, items)
        if not self.sources:
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
        if self.sources:
            return self._read_sources(X, options)
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

    def _read_sources(self, items: Contents, options: FitOptions) -> ReadItems:
        """Read all items by every source; one that any cannot read is left out."""
        parts, bad = {}, dict[int, BadItem]()
        for source in self.sources:
            parts[source.name], unread = source.read(items, options, options.on_bad_item)
            bad |= {item.row: item for item in unread}
        left_out = tuple(bad[row] for row in sorted(bad))
        refuse_too_many(left_out, len(items))
        features = side_by_side(parts)
        rows = np.setdiff1d(np.arange(len(items)), list(bad))
        return ReadItems(features[rows] if bad else features, rows, left_out)

    def resident(self, options: FitOptions) -> Self:
        """Return a reader whose networks are kept ready, for few items at a time and without the cache.

        Features are the same but for the last digits.
        """

        def ready(network: nn.Module, kind: str | None) -> nn.Module:
            return Resident(network, kind, device=options.device)

        sources = tuple(
            replace(one, network=ready(one.network, one.kind)) if isinstance(one, FrozenNetwork) else one
            for one in self.sources
        )
        embedder = None if self.embedder is None else ready(self.embedder, self.kind)
        return replace(self, embedder=embedder, sources=sources)

    @property
    def embeds(self) -> bool:
        """Whether a frozen backbone reads every item once."""
        return self.embedder is not None or any(isinstance(one, FrozenNetwork) for one in self.sources)

    @property
    def makes_features(self) -> bool:
        """Whether items are read into features, on which the head alone is trained."""
        return self.embedder is not None or bool(self.sources)

    @property
    def frame_columns(self) -> tuple[str, ...]:
        """The columns of the frames that are read, contents first; empty where items come in none."""
        columns = self._number_columns()
        return () if columns is None else (columns.content, *columns.columns)

    def _number_columns(self) -> NumberColumns | None:
        return next((one for one in self.sources if isinstance(one, NumberColumns)), None)

    def fixed_features(self, options: FitOptions) -> bool:
        """Return whether a head is trained on features that never change.

        On those a closed form chooses how to scale them.
        """
        return self.tune == "head" and (options.backbone == "features" or self.makes_features)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the reader's entries and weights for a model directory."""
        preprocessing, columns = self.preprocessing, self.columns
        record: dict[str, Any] = {
            "item_shape": list(self.item_shape),
            "preprocessing": None if preprocessing is None else preprocessing.to_dict(),
            "frozen_backbone": self.makes_features,
            "n_features": self.n_features,
            "feature_names": None if columns is None else [str(name) for name in columns],
        }
        if (tokenizer := tokenizer_definition(preprocessing, self.tokenizer)) is not None:
            record["tokenizer"] = tokenizer
        if self.sources:
            record["sources"], arrays = record_of_sources(self.sources)
            return record, arrays
        if self.embedder is None:
            return record, {}
        record["architecture"] = BackboneCapabilities.of(self.embedder).architecture
        return record, weights_of(self.embedder, "embedder.")

    @classmethod
    def from_record(cls, record: Record, options: FitOptions) -> Self:
        """Return the reader of a model directory, with its frozen backbone."""
        config, embedder = record.config, None
        names, shape = config["feature_names"], tuple(config["item_shape"])
        if config.get("sources"):
            sources = sources_from_record(record)
            kind = next((one.kind for one in sources if one.kind is not None), None)
            return cls("head", None, kind=kind, sources=sources)
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
            None if preprocessing is None else preprocessing.kind,
        )

    def _converted(self, X: Any, options: FitOptions, items: Sequence[str] | None) -> Any:
        """Return ``X`` as an array, a CSR matrix or a source, checked.

        Texts, and paths of pictures, are read as the backbone takes them. ``items`` names them in messages.

        Raises:
            UserError: For what is neither numbers nor finite, with the rows or columns named, and for texts or paths
                where the backbone takes numbers.
        """
        if self.sources:
            columns = self._number_columns()
            return contents_of(X, self.kind, items, framed=columns is not None, columns=columns)
        if is_source(X):
            return X
        if is_blocks(X):
            return as_matrix(X)
        if (words := texts_or_paths(X, self.kind)) is not None:
            if self.preprocessing is None:
                raise UserError(
                    "X holds texts or paths, and this backbone reads numbers: give backbone='efficientnet-lite0' for "
                    "pictures, 'minilm:layers+words' for texts, or an array of features"
                )
            items = None if items is None else as_ids(items, len(words))
            folder = None if self.tune == "head" else options.picture_cache
            return source_of(words, self.preprocessing, items, tokenizer=self.tokenizer, cache=folder)
        if hasattr(X, "tocsr"):
            check_sparse(X)
            X = X.tocsr()
        elif not hasattr(X, "columns"):
            try:
                X = np.asarray(X)
            except Exception as error:  # an object's own __array__ may raise anything
                raise UserError(f"X is not an array: {shown(str(error), 200)}") from None
            if self.kind == "image" and X.ndim in (3, 4):
                return ImageSource(X, mean=0.0, std=1.0)
        as_source(X)
        return X.to_numpy(dtype=np.float64, na_value=np.nan) if hasattr(X, "columns") else X

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
