"""A backbone's features of every item, computed once and kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelwise.embedding.cache import CachedFeatures, FeatureCache
from labelwise.embedding.names import TEMPLATES, LabelTexts, checked_label_texts, label_vectors, spoken

if TYPE_CHECKING:
    from labelwise.embedding.extraction import Embedded, Resident, embed
    from labelwise.embedding.keys import backbone_digest

__all__ = [
    "TEMPLATES",
    "CachedFeatures",
    "Embedded",
    "FeatureCache",
    "LabelTexts",
    "Resident",
    "backbone_digest",
    "checked_label_texts",
    "embed",
    "label_vectors",
    "spoken",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import, and listing what is cached does not need it.
    if name in ("Embedded", "Resident", "embed"):
        from labelwise.embedding import extraction as _embed

        return getattr(_embed, name)
    if name == "backbone_digest":
        from labelwise.embedding.keys import backbone_digest

        return backbone_digest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
