"""The study of whole networks: pictures in one file, views, shards, and rates chosen on clean validation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks import pictures
from benchmarks.studies import whole_networks as study
from labelwise.data import ImageFiles
from labelwise.models import ImagePreprocessing


def jpeg(seed, size=(40, 30)):
    """Return a smooth random picture's file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def some():
    labels = (np.arange(24).reshape(12, 2) % 3 == 0).astype(np.int8)
    return pictures.Pictures([jpeg(i) for i in range(12)], labels, np.arange(12) < 8)


def test_a_pack_holds_the_pictures_labels_and_parts(some, tmp_path):
    size = pictures.export_pack(some, tmp_path / "pack.npz", side=20)
    assert size == (tmp_path / "pack.npz").stat().st_size
    back = pictures.from_pack(tmp_path / "pack.npz")
    np.testing.assert_array_equal(back.labels, some.labels)
    np.testing.assert_array_equal(back.train, some.train)
    assert [Image.open(io.BytesIO(file)).size for file in back.files] == [(27, 20)] * 12


def test_a_pack_that_is_too_large_is_refused(some, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 100)
    with pytest.raises(SystemExit, match="smaller --pack-size"):
        pictures.export_pack(some, tmp_path / "pack.npz")
    assert list(tmp_path.iterdir()) == []


def test_decoded_pictures_have_the_views_of_files(some, tmp_path):
    pixels = pictures.decoded(some, 16, tmp_path)
    source = pictures.DecodedPictures(pixels, np.arange(12), workers=0)
    files = ImageFiles(some.files, ImagePreprocessing((16, 16), "squash", "bicubic"), workers=0)
    assert source.shape == files.shape
    rows = np.array([7, 2, 2, 11])
    for view in ("plain", "weak", "strong"):
        ours, theirs = (one.batch(rows, view, seed=3, epoch=1) for one in (source, files))
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    part = source[np.array([2, 7])]
    np.testing.assert_array_equal(
        part.batch(np.array([1]), "strong", seed=3, epoch=1).numpy(),
        source.batch(np.array([7]), "strong", seed=3, epoch=1).numpy(),
    )


def test_other_pictures_are_decoded_anew(some, tmp_path):
    first = pictures.decoded(some, 8, tmp_path)
    other = pictures.decoded(some._replace(files=some.files[::-1]), 8, tmp_path)
    np.testing.assert_array_equal(other, first[::-1])


def parsed(*words):
    return study.parser().parse_args([*words, "--out", "somewhere"])


def test_shards_share_out_every_run_once():
    given = parsed("--methods", "hml", "an", "--seeds", "0", "1", "--starts", "pretrained", "frozen")
    runs = study.runs_of(given)
    # Two rates for a whole network, one for a frozen one.
    assert len({run.key for run in runs}) == len(runs) == 2 * 2 * 2 * (2 + 1)
    assert sorted(run.key for i in range(5) for run in runs[i::5]) == sorted(run.key for run in runs)


def test_texts_have_their_own_network_and_runs():
    texts, shown = (
        study.runs_of(parsed("--items", items, "--size", "40"))[0] for items in ("texts", "pictures")
    )
    assert texts.key != shown.key
    seen = np.array([[1, -1], [-1, 1]], np.int8)
    options = study.options(texts, seen, np.abs(seen))
    assert (options["backbone"], options["max_length"]) == ("minilm", 40)
    options = study.options(shown, seen, np.abs(seen))
    assert (options["backbone"], options["image_size"]) == ("efficientnet-lite0", 40)


def test_rows_from_before_texts_are_of_pictures(tmp_path):
    names = [name for name in study.FIELDS if name != "items"]
    (tmp_path / "runs-1-of-1.csv").write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert [row["items"] for row in study.rows_in(tmp_path)] == ["pictures"]


def test_the_rate_is_chosen_on_clean_validation_alone():
    row = dict.fromkeys(study.FIELDS, "x") | {"status": "trained"}
    rows = [
        row | {"rate": "0.001", "clean_map": "0.5", "map": "0.9"},
        row | {"rate": "0.0003", "clean_map": "0.6", "map": "0.2"},
        row | {"method": "y", "status": "refused: it", "clean_map": "", "map": ""},
    ]
    assert [one["map"] for one in study.chosen(rows)] == ["0.2"]


def test_rows_are_appended_and_known_again(tmp_path):
    run = study.runs_of(parsed("--methods", "hml"))[0]
    row = dict.fromkeys(study.FIELDS, "1") | dict(zip(study.KEY, run.key, strict=True))
    for _ in range(2):
        study.append(tmp_path / "runs-1-of-1.csv", row)
    with (tmp_path / "runs-2-of-2.csv").open("w") as file:
        file.write(",".join(study.FIELDS) + "\nhalf,a,li")
    found = list(study.rows_in(tmp_path))
    assert [tuple(one[name] for name in study.KEY) for one in found] == [run.key, run.key]


@pytest.mark.parametrize("words", [["--shard", "3/2"], ["--settings", "110%"], ["--settings", "ten"]])
def test_mistaken_options_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        parsed(*words)
    assert "give" in capsys.readouterr().err
