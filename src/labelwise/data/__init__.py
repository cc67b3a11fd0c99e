"""Items: tables, arrays, pictures, texts and the embedded digits; the batches and views that training draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelwise.data.checks import check_sparse
from labelwise.data.images.digits import DIGIT_NAMES, digits_canvases
from labelwise.data.images.files import BadItem, ImageFiles, refuse_too_many
from labelwise.data.images.memory import ImageSource
from labelwise.data.images.paths import list_pictures
from labelwise.data.images.strong import StrongView
from labelwise.data.sources import (
    ArraySource,
    Capabilities,
    Scaling,
    Source,
    TokenizerParts,
    as_source,
    check_lengths,
    is_source,
    select_rows,
    views_of,
)
from labelwise.data.tables.delimited import has_delimiter
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.preparation import Preparation
from labelwise.data.tables.table import Table, read_table
from labelwise.data.texts import Texts, token_spans
from labelwise.data.views import normal_numbers

if TYPE_CHECKING:
    from labelwise.data.images.patches import digits_features

__all__ = [
    "DIGIT_NAMES",
    "ArraySource",
    "BadItem",
    "Capabilities",
    "ImageFiles",
    "ImageSource",
    "Preparation",
    "Scaling",
    "Source",
    "StrongView",
    "Table",
    "TableOptions",
    "Texts",
    "TokenizerParts",
    "as_source",
    "check_lengths",
    "check_sparse",
    "digits_canvases",
    "digits_features",
    "has_delimiter",
    "is_source",
    "list_pictures",
    "normal_numbers",
    "read_table",
    "refuse_too_many",
    "select_rows",
    "token_spans",
    "views_of",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import, and reading a table does not need it.
    if name == "digits_features":
        from labelwise.data.images.patches import digits_features

        return digits_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
