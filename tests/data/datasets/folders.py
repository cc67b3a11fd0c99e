"""Small trees of the papers' sets: in their owners' layouts, and as the released codes' arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from labelwise.data.datasets import DATASETS

NAMES = """aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person
pottedplant sheep sofa train tvmonitor"""
VOC = NAMES.split()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def write_voc(root: Path, ids: dict[str, list[str]], marks: dict[tuple[str, str], int]) -> Path:
    """Write VOC's lists: ``marks`` of (image, class), -1 where absent, padded as the owners pad them."""
    main = root / "VOCdevkit/VOC2012/ImageSets/Main"
    for part, images in ids.items():
        for name in VOC:
            lines = [f"{image} {marks.get((image, name), -1):2d}\n" for image in images]
            write(main / f"{name}_{part}.txt", "".join(lines))
    (root / "VOCdevkit/VOC2012/JPEGImages").mkdir()
    return root


CATEGORIES = [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}, {"id": 13, "name": "stop sign"}]


def write_coco(root: Path, annotations: list[tuple[int, int]], images: list[int]) -> Path:
    """Write both annotation files with the same (image, category) pairs; ids of val are higher by 1000."""
    for part, start in (("train", 0), ("val", 1000)):
        record = {
            "images": [
                {"id": start + i, "file_name": f"COCO_{part}2014_{start + i:012d}.jpg"} for i in images
            ],
            "annotations": [
                {"id": n, "image_id": start + i, "category_id": c, "iscrowd": n % 2}
                for n, (i, c) in enumerate(annotations)
            ],
            "categories": CATEGORIES,
        }
        write(root / f"annotations/instances_{part}2014.json", json.dumps(record))
        (root / f"{part}2014").mkdir()
    return root


def write_l48(root: Path) -> Path:
    """Write two training recordings, of which the second validates, and a test recording."""
    codes = ["norcar", "blujay", "amecro"]
    write(
        root / "taxa.csv",
        "common_name,species_code\nNorthern Cardinal,norcar\nBlue Jay,blujay\nCrow,amecro\n",
    )
    assets = [(0, "train", "norcar"), (1, "train", "amecro"), (2, "test", "blujay")]
    record = [{"id": n, "split": split, "target_species_code": code} for n, split, code in assets]
    write(root / "assets.json", json.dumps(record))
    clips = [
        (0, 0, ["norcar", "blujay"], []),
        (0, 1, ["blujay"], ["amecro"]),
        (1, 0, ["amecro"], ["norcar", "blujay"]),
        (2, 0, ["blujay", "osprey"], []),
    ]
    held = [
        {
            "id": n,
            "asset_id": asset,
            "clip_order": place,
            "file_path": f"images/{asset}/{place}.jpg",
            "width": 750,
            "height": 236,
            "present_species_codes": present,
            "absent_species_codes": [code for code in reversed(codes) if code not in (*present, *unknown)],
            "unknown_species_codes": unknown,
            "boxes": [
                {"id": 0, "species_code": present[0], "status": "active", "bbox": [0.1, 0.2, 0.5, 0.6]}
            ],
        }
        for n, (asset, place, present, unknown) in enumerate(clips)
    ]
    write(root / "clips.json", json.dumps(held))
    np.save(root / "val_split.npy", np.array([1, 7]))
    (root / "images").mkdir()
    return root


def write_bag(path: Path, **changes: object) -> np.ndarray:
    X = csr_matrix(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.float32))
    held = {
        "Y": np.array([[1, 0], [1, 1], [0, 1]], dtype=np.uint8),
        "X_data": X.data,
        "X_indices": X.indices,
        "X_indptr": X.indptr,
        "X_shape": np.array(X.shape),
        "label_names": np.array(["C01", "C02"]),
        "n_train": np.array(2),
    } | changes
    np.savez(path, **held)
    return X.toarray()


def write_learnable_bag(path: Path) -> None:
    """Write a bag of 60 texts and 3 labels, the first two of which are told by the words."""
    rng = np.random.default_rng(0)
    Y = (rng.random((60, 3)) < 0.4).astype(np.uint8)
    np.savez(
        path,
        Y=Y,
        X_data=np.ones(120, np.float32),
        X_indices=np.stack([Y[:, 0], 2 + Y[:, 1]], 1).ravel().astype(np.int32),
        X_indptr=np.arange(0, 121, 2, dtype=np.int32),
        X_shape=np.array([60, 4]),
        label_names=np.array(["a", "b", "c"]),
        n_train=40,
    )


FOLDERS = {
    "voc2012": "VOCdevkit/VOC2012/JPEGImages",
    "coco2014": ".",
    "nuswide": "Flickr",
    "cub200": "CUB_200_2011/CUB_200_2011/images",
    "awa2": "JPEGImages",
}


def labels_of(name: str, n_items: int = 4) -> np.ndarray:
    """Return float labels as the released codes write them; the last row has none."""
    Y = (np.random.default_rng(0).random((n_items, DATASETS[name].n_labels)) < 0.3).astype(np.float64)
    Y[:, 0], Y[-1] = 1, 0
    return Y


def write_formatted(root: Path, name: str, items: list[str], /, **arrays: Any) -> Path:
    """Write both parts; keywords replace or add arrays of the training part."""
    (root / FOLDERS[name]).mkdir(parents=True, exist_ok=True)
    for part in ("train", "val"):
        held = {"images": np.array(items), "labels": labels_of(name, len(items))}
        for kind, array in {**held, **(arrays if part == "train" else {})}.items():
            np.save(root / f"formatted_{part}_{kind}.npy", array)
    return root


IMAGES = [f"a_{i}.jpg" for i in range(4)]
