"""The papers' eight sets, in their owners' layouts or the released codes'."""

from __future__ import annotations

from labelwise.data.datasets.catalogue import DATASETS, Dataset, DatasetInfo, Part, names
from labelwise.data.datasets.reading import read_dataset

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "Part", "names", "read_dataset"]
