"""NUS-WIDE, the official release: concepts, image lists, a column a concept."""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree

CONCEPTS = ("ConceptsList/Concepts81.txt", "Concepts81.txt")
IMAGES = ("Flickr", "images", "image")


def read(tree: Tree) -> Dataset:
    """Read the official release, in the order of its image lists.

    More than a fifth of the images have none of the 81 concepts: these rows stay, all irrelevant.
    """
    concepts = concept_names(tree)
    images = tree.find(*IMAGES, what="Flickr/ (images)")
    columns = tree.find(
        *(f"{root}TrainTestLabels" for root in ("Groundtruth/", "GroundTruth/", "")),
        what="Groundtruth/TrainTestLabels",
    )
    parts: dict[str, Part] = {}
    for part, suffix in (("train", "Train"), ("test", "Test")):
        listed = tree.find(f"ImageList/{suffix}Imagelist.txt", f"{suffix}Imagelist.txt")
        # The list was written on Windows: folder\name.jpg.
        items = tuple(line.strip().replace("\\", "/") for line in tree.lines(listed))
        labels = np.empty((len(items), len(concepts)), dtype=np.int8)
        for k, concept in enumerate(concepts):
            path = columns / f"Labels_{concept}_{suffix}.txt"
            column = tree.states(path, tree.text(path).split())
            if len(column) != len(items):
                raise tree.damaged(path, f"{len(column)} labels for {len(items)} images of {listed.name}")
            labels[:, k] = column
        contents = tree.pictures(listed, items, images)
        tree.check_unique(listed, items, "images")
        if parts:
            tree.check_disjoint(listed, parts["train"].items, items)
        parts[part] = Part(items, labels, contents)
    return Dataset("nuswide", "image", concepts, parts)


def concept_names(tree: Tree) -> tuple[str, ...]:
    """Return the concepts in the order of their list."""
    path = tree.find(*CONCEPTS)
    return tree.labels(path, tree.text(path).split())
