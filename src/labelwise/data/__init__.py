"""Items: tables, arrays, pictures and texts; and the views that training draws."""

from __future__ import annotations

from labelwise.data.arrays import ArraySource, Scaling, as_matrix, check_sparse
from labelwise.data.images import (
    DIGIT_NAMES,
    BadItem,
    ImageFiles,
    ImageSource,
    StrongView,
    digits_canvases,
    digits_features,
    list_pictures,
    refuse_too_many,
)
from labelwise.data.sources import (
    Capabilities,
    Source,
    TokenizerParts,
    as_source,
    check_lengths,
    check_same_order,
    is_source,
    select_rows,
    views_of,
)
from labelwise.data.tables import (
    ContentStream,
    Fragment,
    Preparation,
    Table,
    TableOptions,
    TableStream,
    fragment_rows,
    has_delimiter,
    is_dataset,
    parquet_files,
    read_table,
    write_filled,
)
from labelwise.data.texts import Texts, token_spans
from labelwise.data.views import normal_numbers

__all__ = [
    "DIGIT_NAMES",
    "ArraySource",
    "BadItem",
    "Capabilities",
    "ContentStream",
    "Fragment",
    "ImageFiles",
    "ImageSource",
    "Preparation",
    "Scaling",
    "Source",
    "StrongView",
    "Table",
    "TableOptions",
    "TableStream",
    "Texts",
    "TokenizerParts",
    "as_matrix",
    "as_source",
    "check_lengths",
    "check_same_order",
    "check_sparse",
    "digits_canvases",
    "digits_features",
    "fragment_rows",
    "has_delimiter",
    "is_dataset",
    "is_source",
    "list_pictures",
    "normal_numbers",
    "parquet_files",
    "read_table",
    "refuse_too_many",
    "select_rows",
    "token_spans",
    "views_of",
    "write_filled",
]
