"""The papers' seven sets, read as their owners lay them out, or as the released codes format them."""

from __future__ import annotations

from labelwise.data.datasets.catalogue import DATASETS, Dataset, DatasetInfo, Part, names
from labelwise.data.datasets.reading import read_dataset

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "Part", "names", "read_dataset"]
