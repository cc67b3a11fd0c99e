"""COCO 2014: one JSON of annotations a part."""

from __future__ import annotations

import numpy as np

from labelwise.data.datasets.catalogue import Dataset, Part
from labelwise.data.datasets.files import Tree

_COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote,
keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush
"""
COCO_LABELS = tuple(name.strip() for name in _COCO.split(","))
"""Labels of the columns, which the formatted layout does not name."""


def read(tree: Tree) -> Dataset:
    """Read the owners' layout.

    Labels are the categories in the order of their ids, which have gaps (80 of 1 to 90). Rows are the images
    that have an annotation, in the order of their ids *as strings* ("100" before "9"): so did the released
    code, and a seed's observed labels depend on it. An annotation of a crowd counts as any other.
    """
    parts: dict[str, Part] = {}
    names: tuple[str, ...] = ()
    for part, folder in (("train", "train2014"), ("test", "val2014")):
        path = tree.find(f"annotations/instances_{folder}.json")
        images = tree.find(folder, what=f"{folder}/ (images)")
        record = tree.json(path)
        try:
            categories = sorted((int(c["id"]), str(c["name"])) for c in record["categories"])
            pairs = np.array(
                [(a["image_id"], a["category_id"]) for a in record["annotations"]], dtype=np.int64
            ).reshape(-1, 2)
            listed = [(int(image["id"]), str(image["file_name"])) for image in record["images"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise tree.damaged(path, f"not COCO's format ({type(error).__name__}: {error})") from None
        del record
        if not categories or not len(pairs):
            raise tree.damaged(path, "no image has an annotation" if categories else "no categories")
        tree.check_unique(path, (category for category, _ in categories), "categories")
        tree.labels(path, [name for _, name in categories])
        tree.check_unique(path, (item for item, _ in listed), "images")
        files = dict(listed)
        if names and names != tuple(name for _, name in categories):
            raise tree.damaged(path, "its categories are not those of instances_train2014.json")
        names = tuple(name for _, name in categories)
        ids = sorted(map(str, np.unique(pairs[:, 0])))
        row = {int(item): i for i, item in enumerate(ids)}
        column = {category: k for k, (category, _) in enumerate(categories)}
        labels = np.zeros((len(ids), len(names)), dtype=np.int8)
        try:
            labels[[row[i] for i, _ in pairs.tolist()], [column[k] for _, k in pairs.tolist()]] = 1
            contents = tree.pictures(path, [files[int(item)] for item in ids], images)
        except KeyError as error:
            raise tree.damaged(
                path, f"an annotation names id {error}, which the file does not list"
            ) from None
        if parts:
            tree.check_disjoint(path, parts["train"].items, ids)
        parts[part] = Part(tuple(ids), labels, contents)
    return Dataset("coco2014", "image", names, parts)
