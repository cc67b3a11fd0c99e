"""The readers of the papers' image sets, on small trees of their owners' layouts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from labelwise import simulate
from labelwise.data.datasets import DATASETS, names, read_dataset
from labelwise.errors import UserError
from tests.data.datasets.folders import VOC, write, write_coco, write_l48, write_voc
from tests.refusals import refusal


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    marks = {("2008_000015", "bus"): 1, ("2008_000008", "dog"): 0, ("2008_000008", "person"): 1}
    marks |= {("2008_000002", "tvmonitor"): 1}
    return write_voc(tmp_path, {"train": ["2008_000015", "2008_000008"], "val": ["2008_000002"]}, marks)


def test_voc_has_its_lists_and_its_images(voc):
    held = read_dataset("voc2012", voc)
    train, test = held.parts["train"], held.parts["test"]
    assert held.kind == "image"
    assert list(held.label_names) == VOC
    assert train.items == ("2008_000008", "2008_000015")
    assert train.contents == [str(voc / f"VOCdevkit/VOC2012/JPEGImages/{item}.jpg") for item in train.items]
    assert train.labels.dtype == np.int8
    assert np.argwhere(train.labels == 1).tolist() == [[0, VOC.index("person")], [1, VOC.index("bus")]]
    assert np.argwhere(test.labels == 1).tolist() == [[0, VOC.index("tvmonitor")]]
    (voc / "VOCdevkit/VOC2012/JPEGImages/2008_000015.jpg").touch()
    assert held.missing_files("train") == [train.contents[0]]


@pytest.mark.parametrize("start", ["VOCdevkit", "VOCdevkit/VOC2012", "."])
def test_voc_is_found_from_any_of_its_folders(voc, start):
    assert len(read_dataset("voc2012", voc / start).parts["train"]) == 2


@pytest.mark.parametrize(("difficult", "state"), [("irrelevant", 0), ("unknown", -1), ("relevant", 1)])
def test_vocs_difficult_objects_count_as_asked(voc, difficult, state):
    labels = read_dataset("voc2012", voc, difficult=difficult).parts["train"].labels
    assert labels[0, VOC.index("dog")] == state
    assert (np.delete(labels[0], VOC.index("dog")) != -1).all()


def test_vocs_difficult_objects_are_absent_unless_asked(voc):
    labels = read_dataset("voc2012", voc).parts["train"].labels
    assert labels[0, VOC.index("dog")] == 0


def test_a_class_list_that_differs_is_named(voc):
    path = voc / "VOCdevkit/VOC2012/ImageSets/Main/cow_train.txt"
    path.write_text("2008_000008 -1\n")
    with pytest.raises(
        UserError, match=r"cow_train.txt: lists other images than aeroplane_train.txt; get it"
    ):
        read_dataset("voc2012", voc)
    path.write_text("2008_000015 -1\n2008_000008 2\n")
    with pytest.raises(UserError, match=r"cow_train.txt: holds '2' where it should be 1 or 0 or -1"):
        read_dataset("voc2012", voc)
    path.unlink()
    with pytest.raises(UserError, match=r"looked for .*cow_train.txt"):
        read_dataset("voc2012", voc)


def test_coco_orders_labels_by_id_and_rows_by_ids_as_strings(tmp_path):
    root = write_coco(tmp_path, [(9, 90), (9, 90), (100, 13), (25, 1), (9, 1)], [9, 25, 100, 7])
    held = read_dataset("coco2014", root)
    assert held.label_names == ("person", "stop sign", "toothbrush")
    # 7 has no annotation: it is no row.
    assert held.parts["train"].items == ("100", "25", "9")
    assert held.parts["train"].labels.tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 1]]
    assert held.parts["train"].contents[2] == str(root / "train2014/COCO_train2014_000000000009.jpg")
    assert held.parts["test"].items == ("1009", "1025", "1100")
    assert held.parts["test"].labels.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert held.parts["test"].contents[0] == str(root / "val2014/COCO_val2014_000000001009.jpg")


def test_cocos_damage_is_one_line(tmp_path):
    root = write_coco(tmp_path, [(9, 2)], [9])
    with pytest.raises(UserError, match=r"instances_train2014.json: an annotation names id 2"):
        read_dataset("coco2014", root)
    path = root / "annotations/instances_train2014.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(UserError, match=r"not whole JSON.*cocodataset.org"):
        read_dataset("coco2014", root)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"not COCO's format"):
        read_dataset("coco2014", root)


@pytest.fixture
def nuswide(tmp_path: Path) -> Path:
    write(tmp_path / "ConceptsList/Concepts81.txt", "airport\nanimal\nbeach\n")
    (tmp_path / "Flickr").mkdir()
    write(tmp_path / "ImageList/TrainImagelist.txt", "actor\\0001_21.jpg\r\nzoo\\0002_5.jpg\r\n")
    write(tmp_path / "ImageList/TestImagelist.txt", "actor\\0003_7.jpg\n")
    for concept, column in (("airport", "0\n0\n"), ("animal", "0 \n1 \n"), ("beach", "0\n1\n")):
        labels = tmp_path / "Groundtruth/TrainTestLabels"
        write(labels / f"Labels_{concept}_Train.txt", column)
        write(labels / f"Labels_{concept}_Test.txt", "1\n")
    return tmp_path


def test_nuswide_keeps_rows_without_labels(nuswide):
    held = read_dataset("nuswide", nuswide)
    train = held.parts["train"]
    assert held.label_names == ("airport", "animal", "beach")
    assert train.items == ("actor/0001_21.jpg", "zoo/0002_5.jpg")
    assert train.contents[1] == str(nuswide / "Flickr/zoo/0002_5.jpg")
    assert train.labels.tolist() == [[0, 0, 0], [0, 1, 1]]
    assert held.parts["test"].labels.tolist() == [[1, 1, 1]]
    assert held.counts()[0]["without_positive"] == 1
    # The official simulation leaves such a row wholly unknown.
    assert simulate.single_positive(train.labels)[0].tolist() == [-1, -1, -1]


def test_nuswides_short_column_is_named(nuswide):
    write(nuswide / "Groundtruth/TrainTestLabels/Labels_animal_Train.txt", "0\n")
    with pytest.raises(
        UserError, match=r"Labels_animal_Train.txt: 1 labels for 2 images of TrainImagelist.txt"
    ):
        read_dataset("nuswide", nuswide)


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    root = tmp_path / "CUB_200_2011"
    write(
        tmp_path / "attributes.txt", "1 has_bill_shape::curved_(up_or_down)\n2 has_size::small_(5_-_9_in)\n"
    )
    write(root / "images.txt", "1 001.Albatross/a.jpg\n2 002.Auklet/b.jpg\n3 002.Auklet/c.jpg\n")
    write(root / "train_test_split.txt", "1 0\n2 1\n3 1\n")
    # The second line has one column too many, the fourth two, as lines of the release have.
    lines = ["1 1 0 3 27.7", "1 2 1 4 0 27.7", "2 1 1 3 1.0", "2 2 0 1 0 0 2.5", "3 1 0 2 1.1", "3 2 1 1 0.2"]
    write(root / "attributes/image_attribute_labels.txt", "\n".join(lines) + "\n")
    (root / "images").mkdir()
    return tmp_path


def test_cubs_lines_with_extra_columns_are_read(cub):
    held = read_dataset("cub200", cub)
    assert held.label_names == ("has_bill_shape::curved_(up_or_down)", "has_size::small_(5_-_9_in)")
    assert held.parts["train"].items == ("002.Auklet/b.jpg", "002.Auklet/c.jpg")
    # Certainty 1, "not visible", changes nothing: image 3 keeps its second attribute.
    assert held.parts["train"].labels.tolist() == [[1, 0], [0, 1]]
    assert held.parts["test"].labels.tolist() == [[0, 1]]
    assert held.parts["test"].contents == [str(cub / "CUB_200_2011/images/001.Albatross/a.jpg")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("3 2", "not 'IMAGE ATTRIBUTE PRESENT ...' a line"),
        ("3 3 1 1 0.2", "'3 3 1' is not a listed image"),
        ("4 1 1 1 0.2", "'4 1 1' is not a listed image"),
        ("3 2 2 1 0.2", "'3 2 2' is not a listed image"),
        ("", "1 entries are absent or not readable, first image 3, attribute 2"),
    ],
)
def test_cubs_damage_is_one_line(cub, line, why):
    path = cub / "CUB_200_2011/attributes/image_attribute_labels.txt"
    path.write_text(path.read_text().replace("3 2 1 1 0.2", line))
    with pytest.raises(UserError) as error:
        read_dataset("cub200", cub)
    assert why in str(error.value)
    assert "image_attribute_labels.txt" in str(error.value)


@pytest.fixture
def awa2(tmp_path: Path) -> Path:
    root = tmp_path / "Animals_with_Attributes2"
    write(root / "classes.txt", "     1\tantelope\n     2\tgrizzly+bear\n     3\tseal\n")
    write(root / "predicates.txt", "     1\tblack\n     2\tnew world\n")
    write(root / "predicate-matrix-binary.txt", "0 1\n1 1\n1 0\n")
    write(root / "trainclasses.txt", "seal\nantelope\n")
    write(root / "testclasses.txt", "grizzly+bear\n")
    for name, numbers in (("seal", (2, 1)), ("antelope", (1,)), ("grizzly+bear", (1,))):
        for number in numbers:
            write(root / f"JPEGImages/{name}/{name}_1000{number}.jpg", "")
    write(root / "JPEGImages/seal/.DS_Store", "")
    return tmp_path


def test_awa2_is_split_by_class_and_labelled_by_class(awa2):
    held = read_dataset("awa2", awa2)
    train, test = held.parts["train"], held.parts["test"]
    assert held.label_names == ("black", "new world")
    assert train.items == ("seal/seal_10001.jpg", "seal/seal_10002.jpg", "antelope/antelope_10001.jpg")
    assert train.labels.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert test.items == ("grizzly+bear/grizzly+bear_10001.jpg",)
    assert test.labels.tolist() == [[1, 1]]
    assert held.missing_files("train") == held.missing_files("test") == []


def test_awa2_refuses_a_class_in_both_parts(awa2):
    write(awa2 / "Animals_with_Attributes2/testclasses.txt", "grizzly+bear\nseal\n")
    with pytest.raises(UserError, match=r"testclasses.txt: classes seal are unknown or in both parts"):
        read_dataset("awa2", awa2)


def test_awa2_names_a_missing_class_folder(awa2):
    (awa2 / "Animals_with_Attributes2/JPEGImages/antelope").rename(awa2 / "gone")
    with pytest.raises(UserError, match=r"looked for .*JPEGImages/antelope in .*cvml.ista.ac.at"):
        read_dataset("awa2", awa2)


def test_l48_has_single_positives_by_nature_and_recordings_as_groups(tmp_path):
    held = read_dataset("l48", write_l48(tmp_path))
    assert held.label_names == ("norcar", "blujay", "amecro")
    train, test = held.parts["train"], held.parts["test"]
    assert list(held.parts) == ["train", "validation", "test"]
    assert train.labels.tolist() == [[1, 1, 0], [0, 1, -1]]
    assert train.observed.tolist() == [[1, -1, -1], [-1, -1, -1]]
    assert held.parts["validation"].labels.tolist() == [[-1, -1, 1]]
    assert test.labels.tolist() == [[0, 1, 0]]
    assert (train.groups, test.groups) == (("0", "0"), ("2",))
    assert train.contents == [str(tmp_path / f"images/0/{place}.jpg") for place in (0, 1)]
    (tmp_path / "val_split.npy").unlink()
    assert len(read_dataset("l48", tmp_path).parts["train"]) == 3
    with pytest.raises(UserError, match="l48: no released code shares formatted files"):
        read_dataset("l48", tmp_path, layout="formatted")


@pytest.mark.parametrize("name", names())
def test_a_missing_tree_is_one_line(name, tmp_path):
    for where in (tmp_path, tmp_path / "nowhere"):
        with refusal() as error:
            read_dataset(name, where)
        message = str(error.value)
        assert message.startswith(f"{name}: looked for ")
        assert str(where) in message
        assert DATASETS[name].url in message


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no set 'coco'; did you mean"):
        read_dataset("coco", tmp_path)
    with pytest.raises(UserError, match=r"layout='zip'"):
        read_dataset("coco2014", tmp_path, layout="zip")
    with pytest.raises(UserError, match=r"difficult='skip'"):
        read_dataset("voc2012", tmp_path, difficult="skip")


@pytest.mark.data
def test_voc_at_its_real_size(tmp_path):
    """The whole label matrix through the owners' lists, and back."""
    root = os.environ.get("LABELWISE_DATA")
    if root is None:
        pytest.skip("LABELWISE_DATA is not set: it names the folder that holds voc12_labels/voc12_labels.npz")
    held = np.load(Path(root) / "voc12_labels/voc12_labels.npz")
    ids = {part: held[f"{part}_names"].tolist() for part in ("train", "val")}
    marks = {
        (ids[part][row], VOC[k]): 1 for part in ids for row, k in np.argwhere(held[f"{part}_Y"]).tolist()
    }
    found = read_dataset("voc2012", write_voc(tmp_path, ids, marks))
    for part, theirs in (("train", "train"), ("test", "val")):
        assert len(found.parts[part]) == DATASETS["voc2012"].sizes[part]
        assert found.parts[part].items == tuple(ids[theirs])
        assert (found.parts[part].labels == held[f"{theirs}_Y"]).all()
