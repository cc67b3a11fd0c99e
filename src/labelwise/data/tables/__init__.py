"""Tables: files of items, features and labels, in six formats.

They are CSV, TSV, Parquet, JSONL, JSON and ARFF.
"""

from __future__ import annotations

from labelwise.data.tables.columns import Columns
from labelwise.data.tables.contents import ContentStream
from labelwise.data.tables.delimited import has_delimiter
from labelwise.data.tables.filling import write_filled
from labelwise.data.tables.lines import read_bytes
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.parts import is_dataset, parquet_files
from labelwise.data.tables.preparation import Preparation
from labelwise.data.tables.stream import Fragment, TableStream, fragment_rows
from labelwise.data.tables.table import Table, read_columns, read_table

__all__ = [
    "Columns",
    "ContentStream",
    "Fragment",
    "Preparation",
    "Table",
    "TableOptions",
    "TableStream",
    "fragment_rows",
    "has_delimiter",
    "is_dataset",
    "parquet_files",
    "read_bytes",
    "read_columns",
    "read_table",
    "write_filled",
]
