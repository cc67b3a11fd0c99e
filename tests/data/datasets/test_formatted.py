"""The ``formatted_*.npy`` layout of the released codes: above all its codes, which are not ours."""

from __future__ import annotations

import numpy as np
import pytest

from labelwise import simulate
from labelwise.data.datasets import DATASETS, read_dataset
from labelwise.errors import UserError
from tests.data.datasets.folders import FOLDERS, IMAGES, labels_of
from tests.data.datasets.folders import write_formatted as write
from tests.refusals import refusal


@pytest.mark.parametrize("name", FOLDERS)
def test_files_give_rows_labels_and_paths(name, tmp_path):
    held = read_dataset(name, write(tmp_path, name, IMAGES))
    folder = tmp_path / FOLDERS[name]
    for part in ("train", "test"):
        assert held.parts[part].items == tuple(IMAGES)
        assert held.parts[part].labels.dtype == np.int8
        assert (held.parts[part].labels == labels_of(name)).all()
        assert held.parts[part].observed is None
        inside = "a/" if name == "awa2" else ""
        assert held.parts[part].contents == [str(folder / f"{inside}{item}") for item in IMAGES]
    assert held.counts()[0]["without_positive"] == 1
    assert len(held.label_names) == DATASETS[name].n_labels


def test_the_name_that_awa2s_script_writes_is_found(tmp_path):
    """It saves ``formatted_test_*``, which the released loader wants renamed to ``val``."""
    write(tmp_path, "awa2", IMAGES)
    for path in tmp_path.glob("formatted_val_*"):
        path.rename(path.with_name(path.name.replace("_val_", "_test_")))
    assert read_dataset("awa2", tmp_path).parts["test"].items == tuple(IMAGES)
    (tmp_path / "formatted_test_labels.npy").unlink()
    with pytest.raises(UserError, match=r"looked for .*formatted_val_labels\.npy"):
        read_dataset("awa2", tmp_path)


def test_labels_have_their_names_where_a_file_or_the_set_says_them(tmp_path):
    write(tmp_path, "nuswide", IMAGES)
    assert read_dataset("nuswide", tmp_path).label_names[:2] == ("label 0", "label 1")
    names = [f"concept{k}" for k in range(81)]
    (tmp_path / "Concepts81.txt").write_text("\n".join(names))
    assert read_dataset("nuswide", tmp_path).label_names == tuple(names)
    coco = read_dataset("coco2014", write(tmp_path / "coco2014", "coco2014", IMAGES)).label_names
    assert (coco[0], coco[10], coco[11], coco[79]) == ("person", "fire hydrant", "stop sign", "toothbrush")
    assert len(set(coco)) == 80


def test_observed_codes_are_translated(tmp_path):
    Y = np.zeros((4, 20))
    Y[:, :2] = 1
    codes = np.zeros((4, 20))  # all unknown, in the released codes
    codes[0, 1] = 1
    codes[1, 5] = -1
    write(tmp_path, "voc2012", IMAGES, labels=Y, labels_obs=codes)
    observed = read_dataset("voc2012", tmp_path).parts["train"].observed
    expected = np.full((4, 20), -1)
    expected[0, 1], expected[1, 5] = 1, 0
    assert observed.dtype == np.int8
    assert (observed == expected).all()


def test_observed_labels_are_the_simulations(tmp_path):
    """A released single-positive file, rewritten by hand from its rule, is what ``simulate`` gives."""
    Y = labels_of("voc2012", 40)
    codes, random = np.zeros_like(Y), np.random.RandomState(1200)
    for row in range(len(Y)):
        positives, negatives = np.flatnonzero(Y[row] == 1), np.flatnonzero(Y[row] == 0)
        random.shuffle(positives)
        random.shuffle(negatives)
        codes[row, positives[:1]] = 1
    images = [f"{i}.jpg" for i in range(40)]
    # Later versions of the released code name the kind of observation.
    write(tmp_path, "voc2012", images, labels=Y, uniform_labels_obs=codes)
    part = read_dataset("voc2012", tmp_path).parts["train"]
    assert (part.observed == simulate.single_positive(part.labels)).all()


def test_a_file_in_our_own_codes_is_noticed(tmp_path):
    ours = simulate.single_positive(labels_of("voc2012").astype(np.int8))
    write(tmp_path, "voc2012", IMAGES, labels_obs=ours)
    with pytest.raises(UserError, match=r"contradicts the labels .*0 unknown, -1 an observed negative"):
        read_dataset("voc2012", tmp_path)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"images": np.array(IMAGES, dtype=object)}, "holds Python objects"),
        ({"images": np.array(IMAGES[:3])}, r"are not \(n, 20\) and n file names"),
        ({"images": np.arange(4)}, r"are not \(n, 20\) and n file names"),
        ({"labels": np.zeros((4, 19))}, r"are not \(n, 20\)"),
        ({"labels": np.full((4, 20), 2.0)}, "of 0 and 1"),
        ({"labels": np.full((4, 20), -1)}, "of 0 and 1"),
        ({"labels": np.full((4, 20), np.nan)}, "of 0 and 1"),
        ({"labels_obs": np.zeros((3, 20))}, r"shape \(3, 20\), its labels are \(4, 20\)"),
        ({"labels_obs": np.full((4, 20), 0.5)}, "of 1 and 0 and -1"),
    ],
)
def test_bad_arrays_are_one_line(arrays, why, tmp_path):
    with refusal(why) as error:
        read_dataset("voc2012", write(tmp_path, "voc2012", IMAGES, **arrays))
    assert "formatted_train" in str(error.value)


def test_names_in_bytes_are_names(tmp_path):
    root = write(tmp_path, "coco2014", IMAGES, images=np.array(IMAGES).astype("S"))
    assert read_dataset("coco2014", root).parts["train"].items == tuple(IMAGES)


def test_a_cut_or_missing_file_is_named(tmp_path):
    root = write(tmp_path, "voc2012", IMAGES)
    path = root / "formatted_val_labels.npy"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"formatted_val_labels.npy: not a whole .npy file"):
        read_dataset("voc2012", root)
    path.unlink()
    with pytest.raises(UserError, match=r"looked for .*formatted_val_labels.npy"):
        read_dataset("voc2012", root)


def test_the_layout_can_be_chosen(tmp_path):
    root = write(tmp_path, "voc2012", IMAGES)
    with pytest.raises(UserError, match=r"looked for VOCdevkit/VOC2012/ImageSets/Main"):
        read_dataset("voc2012", root, layout="owners")
    with pytest.raises(UserError, match=r"looked for VOCdevkit/VOC2012/ImageSets/Main"):
        read_dataset("voc2012", root, difficult="unknown")
    with pytest.raises(UserError, match=r"formatted files no longer say which"):
        read_dataset("voc2012", root, layout="formatted", difficult="unknown")
    with pytest.raises(UserError, match=r"looked for formatted_train_labels.npy"):
        read_dataset("coco2014", tmp_path / "VOCdevkit", layout="formatted")
    with pytest.raises(UserError, match=r"aapd: the formatted layout is one of images"):
        read_dataset("aapd", tmp_path, layout="formatted")
