"""The eight sets: sizes, licences, layouts, and the form of one read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, listed

Kind = Literal["image", "text", "features"]


@dataclass(frozen=True, eq=False)
class Part:
    """Part of a set.

    Its rows are in the order of the owners' files or of the papers' released code.

    ``items``: n ids. ``labels``: int8 (n, K) in {1, 0, -1}, the truth as far as the owners give it.
    ``contents``: n absolute image paths or n texts, None for features. ``features``: float32 (n, D), an
    array or CSR, None for images and texts. ``observed``: int8 (n, K) in {1, 0, -1}, the labels that a
    released ``labels_obs`` file lets a method see, translated to these codes; None where there is none.
    ``groups``: n names of what items belong to, such as a recording; None where nothing is known of that.
    Rows may have no positive label: they are kept.
    """

    items: tuple[str, ...]
    labels: NDArray[np.int8]
    contents: list[str] | None = None
    features: Any = None
    observed: NDArray[np.int8] | None = None
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __post_init__(self) -> None:
        columns = [self.labels, self.contents, self.observed, self.groups]
        lengths = {len(values) for values in columns if values is not None} | {len(self.items)}
        if self.features is not None:
            lengths.add(int(self.features.shape[0]))
        if len(lengths) > 1:
            raise UserError(f"items, labels and contents differ in number: {listed(sorted(lengths))}")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A set as it was read.

    It has a ``name``, the ``kind`` of its items, its K ``label_names`` and its ``parts``.

    ``parts`` has "train" and "test", and "validation" where the owners have one.
    """

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    parts: Mapping[str, Part]

    def missing_files(self, part: str) -> list[str]:
        """Return the image files of a part that are not there.

        None are missing of texts and features.
        """
        paths = self.parts[part].contents if self.kind == "image" else None
        return [path for path in paths or [] if not os.path.exists(path)]

    def counts(self) -> list[dict[str, Any]]:
        """Return one record a part, for JSON.

        It has the part's size, positives an item, and what is out of the ordinary.

        ``without_positive``: rows with no positive label; ``unknown``: entries that are -1; ``missing_files``:
        images that are named and not there.
        """
        return [
            {
                "part": name,
                "items": len(part),
                "labels": len(self.label_names),
                "cardinality": float((part.labels == 1).sum() / max(len(part), 1)),
                "without_positive": int((~(part.labels == 1).any(axis=1)).sum()),
                "unknown": int((part.labels == -1).sum()),
                "missing_files": len(self.missing_files(name)),
            }
            for name, part in self.parts.items()
        ]


@dataclass(frozen=True)
class DatasetInfo:
    """Set of the catalogue.

    ``sizes`` are items a part, ``layout`` is one line a file or folder, and ``note`` what to know of it.
    """

    name: str
    title: str
    kind: Kind
    n_labels: int
    sizes: Mapping[str, int]
    licence: str
    url: str
    layout: tuple[str, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return {**asdict(self), "sizes": dict(self.sizes), "layout": list(self.layout)}


_FORMATTED = (
    "or formatted_{train,val}_{images,labels}.npy, and formatted_{train,val}_labels_obs.npy where used"
)
_BITS = "or {train,dev,test}.tsv    one line a text: its bits, a tab, the text (dev may be absent)"

_SETS = (
    DatasetInfo(
        "voc2012",
        "Pascal VOC 2012, classification",
        "image",
        20,
        {"train": 5717, "test": 5823},
        "images under Flickr's terms of use",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        (
            "VOCdevkit/VOC2012/ImageSets/Main/CLASS_{train,val}.txt    'ID 1|0|-1', 0: difficult",
            "VOCdevkit/VOC2012/JPEGImages/ID.jpg",
            _FORMATTED,
        ),
        "train trains, val tests; difficult objects count as irrelevant, as in the papers",
    ),
    DatasetInfo(
        "coco2014",
        "COCO 2014, objects",
        "image",
        80,
        {"train": 82081, "test": 40137},
        "annotations CC BY 4.0, images under Flickr's terms of use",
        "https://cocodataset.org/#download",
        (
            "annotations/instances_{train,val}2014.json",
            "{train,val}2014/COCO_{train,val}2014_000000000009.jpg",
            _FORMATTED,
        ),
        "images with an annotation only, in the order of their ids as strings, as the released codes have them",
    ),
    DatasetInfo(
        "nuswide",
        "NUS-WIDE, 81 concepts",
        "image",
        81,
        {"train": 161789, "test": 107859},
        "research use; images under Flickr's terms of use",
        "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html",
        (
            "ConceptsList/Concepts81.txt",
            "ImageList/{Train,Test}Imagelist.txt",
            "Groundtruth/TrainTestLabels/Labels_CONCEPT_{Train,Test}.txt    1 or 0 a line, as in the image list",
            "Flickr/CONCEPT/0001_2124494179.jpg    or images/, image/",
            _FORMATTED,
        ),
        "sizes are those of the official release; the papers' formatted files hold a re-crawl of 150,000 and"
        " 60,260 images, so their figures do not compare; rows without any label stay",
    ),
    DatasetInfo(
        "cub200",
        "CUB-200-2011, attributes",
        "image",
        312,
        {"train": 5994, "test": 5794},
        "non-commercial research and education",
        "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        (
            "attributes.txt    beside or inside CUB_200_2011, or in its attributes/",
            "CUB_200_2011/images.txt, CUB_200_2011/train_test_split.txt",
            "CUB_200_2011/attributes/image_attribute_labels.txt    image, attribute, present, certainty, time",
            "CUB_200_2011/images/001.Black_footed_Albatross/...jpg",
            _FORMATTED,
        ),
        "an attribute counts as it is marked, whatever the annotator's certainty, as in the papers",
    ),
    DatasetInfo(
        "awa2",
        "Animals with Attributes 2",
        "image",
        85,
        {"train": 30337, "test": 6985},
        "images under the Creative Commons licences listed with them",
        "https://cvml.ista.ac.at/AwA2/",
        (
            "classes.txt, predicates.txt, predicate-matrix-binary.txt",
            "trainclasses.txt, testclasses.txt    40 and 10 classes",
            "JPEGImages/CLASS/CLASS_10001.jpg",
            _FORMATTED,
        ),
        "split by animal: no test class is trained on, and all images of a class share their labels",
    ),
    DatasetInfo(
        "l48",
        "Merlin L48, spectrograms of bird recordings",
        "image",
        100,
        {"train": 85193, "validation": 12448, "test": 31365},
        "the owners' terms of use, which a download accepts",
        "https://github.com/visipedia/ml48s",
        (
            "assets.json    recordings: id, split, target_species_code",
            "clips.json    windows of 3 s: asset_id, file_path, {present,absent,unknown}_species_codes",
            "taxa.csv    a line a species, with the column species_code",
            "images/ASSET/CLIP.jpg",
            "val_split.npy    ids of recordings that validate, from the owners' code; without it all others train",
        ),
        "single positives by nature: of a recording its target species alone was asked for, where it is heard; windows"
        " of one recording are a group",
    ),
    DatasetInfo(
        "ohsumed",
        "Ohsumed, first 20,000 abstracts of 1991",
        "text",
        23,
        {"train": 6286, "test": 7643},
        "research use; abstracts from MEDLINE",
        "https://disi.unitn.it/moschitti/corpora.htm",
        (
            "{training,test}/C01/0000001    one file an abstract, once in the folder of each of its classes",
            _BITS,
            "or ohsumed.npz    bag of words: Y, X_data, X_indices, X_indptr, X_shape, label_names, n_train",
        ),
        "sizes are those of the class folders; the bag of words has a split of its own",
    ),
    DatasetInfo(
        "aapd",
        "Arxiv Academic Paper Dataset",
        "text",
        54,
        {"train": 53840, "validation": 1000, "test": 1000},
        "none stated; abstracts under their authors' terms",
        "https://github.com/lancopku/SGM",
        (
            "text_{train,val,test}    one abstract a line",
            "label_{train,val,test}    its subjects, with spaces between: cs.it math.it",
            _BITS,
        ),
        "labels of the two-file layout are ordered by name",
    ),
)

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType({info.name: info for info in _SETS})
"""The sets by name."""


def names() -> tuple[str, ...]:
    """Return the names of the sets."""
    return tuple(DATASETS)
