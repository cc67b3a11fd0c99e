"""Names of classes that the ``datasets`` library keeps in a Parquet file's metadata.

Its columns of ``ClassLabel`` and of lists of them hold numbers, which mean nothing without these names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.errors import UserError, shown

_KEY = b"huggingface"
_LISTS = ("Sequence", "List", "LargeList")


def declared_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Return the class names of the columns that hold numbers of classes.

    Metadata of another form declare nothing.
    """
    try:
        features = json.loads((metadata or {})[_KEY])["info"]["features"]
        return {name: found for name, feature in features.items() if (found := _names(feature)) is not None}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _names(feature: Any) -> tuple[str, ...] | None:
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    elif isinstance(feature, dict) and feature.get("_type") in _LISTS:
        feature = feature.get("feature")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        return None
    return tuple(names) if len(set(names)) == len(names) else None


def named(path: Path, name: str, column: Any, names: tuple[str, ...]) -> Any:
    """Return a column of classes' numbers, or of lists of them, by the classes' names.

    In a column of single numbers -1 is no class, as in test sets without labels.

    Raises:
        UserError: For a number that is none of a class.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not pa.types.is_integer(kind.value_type if nested else kind):
        return column
    array = column.combine_chunks()
    numbers = (array.flatten() if nested else array).cast(pa.int64())
    if not nested:
        numbers = pc.if_else(pc.equal(numbers, -1), None, numbers)
    wrong = pc.or_(pc.less(numbers, 0), pc.greater_equal(numbers, len(names)))
    if pc.any(wrong, min_count=0).as_py():
        number = next(
            value for value in numbers.to_pylist() if value is not None and not 0 <= value < len(names)
        )
        raise UserError(
            f"{path.name}: column {shown(name)} holds the class {number}, and its metadata name {len(names):,} classes;"
            " write the file anew"
        )
    texts = pa.array(names, pa.string()).take(numbers)
    if not nested:
        return pa.chunked_array([texts])
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(kind.value_type))
    # Offsets from 0, as those of the flattened values are, also where null lists hold values.
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_pylist()
    offsets, end = [0], 0
    for length in lengths:
        end += length
        offsets.append(end)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts, mask=array.is_null())
    return pa.chunked_array([lists])
