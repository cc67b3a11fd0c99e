"""Trees that are damaged in ways a download, an unpacker or an editor leaves: one line each, or read all the same."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pytest

from labelwise.data.datasets import read_dataset
from tests import refusals
from tests.data.datasets.folders import (
    IMAGES,
    write,
    write_bag,
    write_coco,
    write_formatted,
    write_l48,
    write_voc,
)

Edit = Callable[[bytes], bytes]
LISTS = "VOCdevkit/VOC2012/ImageSets/Main"
AWA2 = "Animals_with_Attributes2"
MARKS = "CUB_200_2011/attributes/image_attribute_labels.txt"


def voc(root: Path) -> None:
    write_voc(root, {"train": ["b", "a"], "val": ["c"]}, {("a", "dog"): 1})


def coco(root: Path) -> None:
    write_coco(root, [(9, 90), (100, 13)], [9, 100])


def nuswide(root: Path) -> None:
    write(root / "ConceptsList/Concepts81.txt", "airport\nbeach\n")
    (root / "Flickr").mkdir()
    for part, images in (("Train", "actor\\1.jpg\nzoo\\2.jpg\n"), ("Test", "actor\\3.jpg\n")):
        write(root / f"ImageList/{part}Imagelist.txt", images)
        for concept in ("airport", "beach"):
            labels = "1\n" * images.count("\n")
            write(root / f"Groundtruth/TrainTestLabels/Labels_{concept}_{part}.txt", labels)


def cub(root: Path) -> None:
    write(root / "attributes.txt", "1 bill\n2 size\n")
    write(root / "CUB_200_2011/images.txt", "1 a/1.jpg\n2 b/2.jpg\n3 b/3.jpg\n")
    write(root / "CUB_200_2011/train_test_split.txt", "1 0\n2 1\n3 1\n")
    write(root / MARKS, "1 1 0 3 1\n1 2 1 3 1\n2 1 1 3 1\n2 2 0 3 1\n3 1 0 3 1\n3 2 1 3 1\n")
    (root / "CUB_200_2011/images").mkdir()


def awa2(root: Path) -> None:
    write(root / AWA2 / "classes.txt", "1\tantelope\n2\tbear\n3\tseal\n")
    write(root / AWA2 / "predicates.txt", "1\tblack\n2\tnew world\n")
    write(root / AWA2 / "predicate-matrix-binary.txt", "0 1\n1 1\n1 0\n")
    write(root / AWA2 / "trainclasses.txt", "seal\nantelope\n")
    write(root / AWA2 / "testclasses.txt", "bear\n")
    for name in ("seal", "antelope", "bear"):
        write(root / AWA2 / f"JPEGImages/{name}/{name}_1.jpg", "")


def ohsumed(root: Path) -> None:
    for place, text in (("training/C1/1", "Heart."), ("training/C2/1", "Heart.\n"), ("test/C1/2", "Eye.")):
        write(root / place, text)


def aapd(root: Path) -> None:
    for part in ("train", "val", "test"):
        write(root / f"text_{part}", "one\ntwo\n")
        write(root / f"label_{part}", "cs.it\nmath.it cs.it\n")


def l48(root: Path) -> None:
    write_l48(root)


def bits(root: Path) -> None:
    for part in ("train", "test"):
        write(root / f"{part}.tsv", "01\tone\n10\ttwo\n")


TREES = {
    "voc2012": voc,
    "coco2014": coco,
    "nuswide": nuswide,
    "cub200": cub,
    "awa2": awa2,
    "l48": l48,
    "ohsumed": ohsumed,
    "aapd": aapd,
}


def to(text: str) -> Edit:
    return lambda _: text.encode()


def more(text: str) -> Edit:
    return lambda held: held + text.encode()


def swap(old: str, new: str) -> Edit:
    return lambda held: held.replace(old.encode(), new.encode())


def record(**changes: Any) -> Edit:
    """Change a JSON record; a list is added to the one there."""

    def edit(held: bytes) -> bytes:
        found = json.loads(held)
        for name, value in changes.items():
            found[name] = found[name] + value if value else value
        return json.dumps(found).encode()

    return edit


def refused(name: str, root: Path, **options: Any) -> str:
    return refusals.refused(lambda: read_dataset(name, root, **options))


INSTANCES = "annotations/instances_train2014.json"
DAMAGE: list[tuple[str, str, Edit, str]] = [
    ("voc2012", f"{LISTS}/*_train.txt", more("b -1\n"), "images b are listed more than once"),
    ("voc2012", f"{LISTS}/*_train.txt", to("c 1\n"), "images c are in both parts"),
    ("voc2012", f"{LISTS}/*_train.txt", to("../../a 1\n"), "'../../a.jpg' leads out of"),
    ("voc2012", f"{LISTS}/*_train.txt", to("/etc/passwd 1\n"), "'/etc/passwd.jpg' leads out of"),
    ("coco2014", INSTANCES, record(annotations=[]), "train2014.json: no image has an annotation"),
    ("coco2014", INSTANCES, record(categories=[]), "train2014.json: no categories"),
    (
        "coco2014",
        INSTANCES,
        record(categories=[{"id": 13, "name": "x"}]),
        "categories 13 are listed more than once",
    ),
    (
        "coco2014",
        INSTANCES,
        record(categories=[{"id": 14, "name": "person"}]),
        "labels person are listed more than once",
    ),
    (
        "coco2014",
        INSTANCES,
        record(images=[{"id": 9, "file_name": "x.jpg"}]),
        "images 9 are listed more than once",
    ),
    (
        "coco2014",
        INSTANCES,
        record(annotations=[{"image_id": 10**30, "category_id": 1}]),
        "not COCO's format (OverflowError",
    ),
    ("coco2014", INSTANCES, swap(": 9,", ": 1009,"), "images 1009 are in both parts"),
    ("coco2014", INSTANCES, swap("COCO_train2014_", "/etc/"), "leads out of"),
    ("coco2014", INSTANCES, to("[" * 200_000), "not whole JSON"),
    ("nuswide", "ImageList/TrainImagelist.txt", swap("zoo\\2", "actor\\1"), "images actor/1.jpg are listed more"),
    ("nuswide", "ImageList/TrainImagelist.txt", swap("zoo\\2", "actor\\3"), "images actor/3.jpg are in both parts"),
    ("nuswide", "ImageList/TrainImagelist.txt", swap("zoo", "..\\.."), "'../../2.jpg' leads out of"),
    ("nuswide", "ImageList/TrainImagelist.txt", swap("zoo\\2.jpg", " "), "item 2 names no image"),
    ("nuswide", "ConceptsList/Concepts81.txt", more("beach\n"), "labels beach are listed more than once"),
    ("nuswide", "ConceptsList/Concepts81.txt", to(""), "Concepts81.txt: names no label"),
    ("cub200", "CUB_200_2011/images.txt", more("1 c/4.jpg\n"), "numbers 1 are listed more than once"),
    ("cub200", "CUB_200_2011/images.txt", swap("3.jpg", "2.jpg"), "images b/2.jpg are listed more than once"),
    ("cub200", "CUB_200_2011/train_test_split.txt", more("1 1\n"), "numbers 1 are listed more than once"),
    ("cub200", "CUB_200_2011/train_test_split.txt", swap(" 1\n", " 0\n"), "no image is in the training part"),
    ("cub200", "CUB_200_2011/images.txt", swap("b/3", "../../b/3"), "'../../b/3.jpg' leads out of"),
    ("cub200", "CUB_200_2011/images.txt", swap("3 b", "9" * 25 + " b"), "lines 3 are not a number and a value"),
    ("cub200", "attributes.txt", to("1 bill\n3 size\n"), "attributes.txt: its numbers are not 1 to 2"),
    ("cub200", MARKS, more("1 1 1 3 1\n"), "image 1, attribute 1 is both 0 and 1"),
    ("cub200", MARKS, to(""), "6 entries are absent"),
    ("awa2", f"{AWA2}/trainclasses.txt", more("seal\n"), "trainclasses.txt: classes seal are listed more than once"),
    ("awa2", f"{AWA2}/trainclasses.txt", to("\n"), "trainclasses.txt: names no class"),
    ("awa2", f"{AWA2}/classes.txt", swap("3\t", "4\t"), "classes.txt: its numbers are not 1 to 3"),
    ("awa2", f"{AWA2}/classes.txt", swap("bear", "seal"), "classes.txt: labels seal are listed more than once"),
    ("awa2", f"{AWA2}/predicates.txt", swap("2\t", ""), "predicates.txt: lines 2 are not a number and a value"),
    ("awa2", f"{AWA2}/predicates.txt", swap("new world", "black"), "labels black are listed more than once"),
    ("l48", "assets.json", to("{}"), "assets.json: is no list of records"),
    ("l48", "assets.json", swap('"test"', '"later"'), "recording 3 has no id, no split train or test, or a target"),
    ("l48", "assets.json", swap('"id": 1,', '"id": 0,'), "recordings 0 are listed more than once"),
    ("l48", "assets.json", swap('"test"', '"train"'), "no clip is of a recording in the test part"),
    ("l48", "clips.json", swap('"asset_id": 1', '"asset_id": 7'), "clip 3 names no recording of assets.json"),
    ("l48", "clips.json", swap("images/1/", "images/../../"), "leads out of"),
    ("l48", "clips.json", swap("images/0/1", "images/0/0"), "files images/0/0.jpg are listed more than once"),
    ("l48", "clips.json", swap('"absent_species_codes": ["amecro"', '"absent_species_codes": ["norcar"'), "two states"),
    ("l48", "clips.json", swap("unknown_species", "other_species"), "clip 1 has no list unknown_species_codes"),
    ("l48", "taxa.csv", swap("species_code", "code"), "taxa.csv: has no column species_code"),
    ("l48", "taxa.csv", swap("blujay", "norcar"), "labels norcar are listed more than once"),
    ("l48", "val_split.npy", to("1"), "val_split.npy: no .npy file"),
    ("ohsumed", "training/C2/1", to("Lungs."), "training/C2/1: another text than"),
    ("ohsumed", "training/C2/1", gzip.compress, "is not UTF-8"),
    ("aapd", "text_train", swap("one", " "), "text_train: lines 1 hold no text"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "files", "edit", "why"), DAMAGE)
def test_damage_is_one_line(name: str, files: str, edit: Edit, why: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    assert len(read_dataset(name, tmp_path).parts["train"]) > 0
    if name == "cub200" and "9" * 25 in edit(b"3 b").decode():
        for path in (tmp_path / "CUB_200_2011").glob("train*.txt"):
            path.write_bytes(path.read_bytes().replace(b"3 ", b"9" * 25 + b" "))
    paths = list(tmp_path.glob(files))
    assert paths
    for path in paths:
        path.write_bytes(edit(path.read_bytes()))
    assert why in refused(name, tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    awa2(tmp_path)
    (tmp_path / AWA2 / "JPEGImages/seal/seal_1.jpg").unlink()
    assert "JPEGImages/seal/*.jpg" in refused("awa2", tmp_path)


@pytest.mark.parametrize("name", [name for name in TREES if name != "ohsumed"])
def test_windows_lines_and_byte_order_marks_change_nothing(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    before = read_dataset(name, tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix not in (".jpg", ".npy"):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    after = read_dataset(name, tmp_path)
    assert after.label_names == before.label_names
    for part, held in before.parts.items():
        assert after.parts[part].items == held.items
        assert after.parts[part].contents == held.contents
        assert (after.parts[part].labels == held.labels).all()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("voc2012", f"{LISTS}/cow_val.txt"),
        ("coco2014", INSTANCES),
        ("cub200", MARKS),
        ("awa2", f"{AWA2}/classes.txt"),
        ("aapd", "label_val"),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_one_line(name: str, file: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    (tmp_path / file).unlink()
    (tmp_path / file).mkdir()
    assert f"{tmp_path / file}: cannot be read (" in refused(name, tmp_path)


def test_numbers_decide_not_the_order_of_lines(tmp_path: Path) -> None:
    awa2(tmp_path)
    cub(tmp_path)
    before = [read_dataset(name, tmp_path) for name in ("awa2", "cub200")]
    for file in (f"{AWA2}/classes.txt", f"{AWA2}/predicates.txt", "attributes.txt", MARKS):
        lines = (tmp_path / file).read_text().splitlines()
        write(tmp_path / file, "".join(f"{line}\n" for line in reversed(lines)))
    for held in before:
        found = read_dataset(held.name, tmp_path)
        assert found.label_names == held.label_names
        for part in ("train", "test"):
            assert found.parts[part].items == held.parts[part].items
            assert (found.parts[part].labels == held.parts[part].labels).all()


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("train.tsv", "\tone\n", "line 1 is not 1 bits or more, a tab and a text"),
        ("train.tsv", "01\t \n", "line 1 is not 2 bits, a tab and a text"),
        ("labels.txt", "a\na\n", "labels.txt: labels a are listed more than once"),
        ("labels.txt", "a\n \n", "labels.txt: line 2 names no label"),
    ],
)
def test_damaged_bits_are_one_line(file: str, text: str, why: str, tmp_path: Path) -> None:
    bits(tmp_path)
    write(tmp_path / file, text)
    assert why in refused("aapd", tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Y": np.full((3, 2), 2)}, "Y is not (items, labels) of 0 and 1"),
        ({"Y": np.full((3, 2), np.nan)}, "Y is not (items, labels) of 0 and 1"),
        ({"Y": np.ones(3)}, "Y is not (items, labels) of 0 and 1"),
        ({"X_indices": np.array([0, 9, 1])}, "not a bag of words"),
        ({"X_indices": np.array([0, -1, 1])}, "not a bag of words"),
        ({"X_indptr": np.array([0, 5, 1, 3])}, "not a bag of words"),
        ({"X_data": np.full(3, np.nan)}, "X holds numbers that are not finite"),
        ({"X_shape": np.array(3)}, "not a bag of words"),
        ({"n_train": np.array([1, 2])}, "not a bag of words"),
        ({"label_names": np.array(["C01", "C01"])}, "labels C01 are listed more than once"),
        ({"label_names": np.array(["C01", None], dtype=object)}, "not a bag of words (holds Python objects"),
    ],
)
def test_a_damaged_bag_of_words_is_one_line(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    write_bag(tmp_path / "ohsumed.npz", **changes)
    message = refused("ohsumed", tmp_path)
    assert f"ohsumed.npz: {why}" in message
    assert "unsafe" not in message


@pytest.mark.parametrize("content", [b"x", b"", b"\x80\x04]\x94K\x01a.", gzip.compress(b"x", mtime=0)])
def test_what_is_no_file_of_arrays_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ohsumed.npz").write_bytes(content)
    assert "ohsumed.npz: not a bag of words (no .npz file)" in refused("ohsumed", tmp_path)
    write_formatted(tmp_path, "voc2012", IMAGES)
    (tmp_path / "formatted_train_labels.npy").write_bytes(content)
    message = refused("voc2012", tmp_path)
    assert "formatted_train_labels.npy: not a whole .npy file" in message
    assert "Python objects" not in message


def test_an_array_in_the_place_of_a_bag_is_one_line(tmp_path: Path) -> None:
    with (tmp_path / "ohsumed.npz").open("wb") as file:
        np.save(file, np.ones(3))
    assert "ohsumed.npz: not a bag of words (no .npz file)" in refused("ohsumed", tmp_path)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"images": np.array([], dtype=str), "labels": np.zeros((0, 20))}, "formatted_train_images.npy: no items"),
        ({"images": np.array([b"\xff", b"b", b"c", b"d"])}, "formatted_train_images.npy: names are not UTF-8"),
        ({"images": np.array(["../../a", "b", "c", "d"])}, "'../../a' leads out of"),
        ({"images": np.array(["", "b", "c", "d"])}, "formatted_train_images.npy: item 1 names no image"),
        ({"labels": np.zeros((20, 4))}, "are not (n, 20) and n file names"),
        ({"labels": np.zeros((4, 20), dtype=complex)}, "of 0 and 1"),
    ],
)  # fmt: skip
def test_formatted_arrays_that_cannot_be(arrays: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in refused("voc2012", write_formatted(tmp_path, "voc2012", IMAGES, **arrays))


def test_a_header_that_asks_for_all_memory_is_one_line(tmp_path: Path) -> None:
    write_formatted(tmp_path, "voc2012", IMAGES)
    with (tmp_path / "formatted_train_labels.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**13, 20)}
        npy.write_array_header_1_0(file, header)
    assert "formatted_train_labels.npy: not a whole .npy file" in refused("voc2012", tmp_path)


def test_an_image_that_the_released_file_lists_twice_stays_twice(tmp_path: Path) -> None:
    """The formatted files fix the rows of the papers' runs, whatever is in them."""
    write_formatted(tmp_path, "voc2012", IMAGES, images=np.array(["a", "b", "a", "c"]))
    assert read_dataset("voc2012", tmp_path).parts["train"].items == ("a", "b", "a", "c")


def test_names_beside_formatted_files_must_fit(tmp_path: Path) -> None:
    write_formatted(tmp_path, "nuswide", IMAGES)
    write(tmp_path / "Concepts81.txt", "a\nb\n")
    assert "Concepts81.txt: 2 names for 81 labels" in refused("nuswide", tmp_path)
    write_formatted(tmp_path, "awa2", IMAGES)
    write(tmp_path / AWA2 / "predicates.txt", "".join(f"{k} name {k}\n" for k in range(1, 86)))
    assert read_dataset("awa2", tmp_path).label_names[:2] == ("name 1", "name 2")


def test_missing_pictures_are_counted_not_read(tmp_path: Path) -> None:
    for name, write_tree in (("voc2012", voc), ("cub200", cub), ("nuswide", nuswide)):
        (tmp_path / name).mkdir()
        write_tree(tmp_path / name)
        assert [c["missing_files"] for c in read_dataset(name, tmp_path / name).counts()] == [2, 1]
