"""Pictures are found whose names have no ending or another form of Unicode, and read where a table holds them."""

from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelwise.data import ImageFiles, read_table
from labelwise.errors import UserError
from tests.data.images.picture_files import SMALL, scene


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(["a_0.jpg", "a_1.JPG", "a_2.png", "v1.2_x.jpg"]):
        Image.fromarray(scene(number)).save(folder / name, format="PNG")
    return folder


def table_of(folder: Path, names: list[str], column: str = "image_name", **options: object):
    tags = ["sea beach" if row % 2 else "sea" for row in range(len(names))]
    frame = pd.DataFrame({column: names, "tags": tags})
    frame.to_csv(folder.parent / "t.csv", index=False)
    return read_table(folder.parent / "t.csv", labels_column="tags", separator=" ", **options)  # type: ignore[arg-type]


def test_endings_are_found_by_looking(photos: Path) -> None:
    names = ["a_0", "a_1", "a_2", "v1.2_x"]
    for options in ({"item_column": "image_name"}, {}):
        table = table_of(photos, names, images=photos, **options)
        assert table.kind == "image"
        assert table.items == (names if options else ["1", "2", "3", "4"])
        assert [Path(str(path)).name for path in table.contents or []] == [
            "a_0.jpg",
            "a_1.JPG",
            "a_2.png",
            "v1.2_x.jpg",
        ]
        assert any("no ending" in note and ".jpg (2)" in note for note in table.notes)


def test_an_ending_that_is_given_is_added_where_it_lacks(photos: Path) -> None:
    for suffix in (".jpg", "jpg"):
        table = table_of(
            photos, ["a_0", "v1.2_x.jpg"], item_column="image_name", images=photos, image_suffix=suffix
        )
        assert [os.path.basename(str(path)) for path in table.contents or []] == ["a_0.jpg", "v1.2_x.jpg"]
    with pytest.raises(UserError, match="--image-suffix"):
        table_of(photos, ["a_0"], item_column="image_name", images=photos, image_suffix=".txt")


def test_two_files_that_differ_in_their_ending_are_asked_about(photos: Path) -> None:
    Image.fromarray(scene(7)).save(photos / "a_0.png")
    with pytest.raises(UserError, match=r"row 1 \(line 2\).*'a_0.jpg', 'a_0.png'.*--image-suffix"):
        table_of(photos, ["a_0", "a_1"], item_column="image_name", images=photos)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_another_form_of_unicode_are_found(photos: Path, forms: tuple[str, str]) -> None:
    there, written = (unicodedata.normalize(form, "café.png") for form in forms)
    Image.fromarray(scene(9)).save(photos / there)
    for name in (written, written.removesuffix(".png")):
        table = table_of(photos, [name], item_column="image_name", images=photos)
        assert [os.path.basename(str(path)) for path in table.contents or []] == [there]
        assert any("Unicode" in note for note in table.notes)


def test_nothing_is_looked_up_outside_the_folder(photos: Path) -> None:
    (photos.parent / "secret.png").write_bytes(b"")
    with pytest.raises(UserError, match="leads out of"):
        table_of(photos, ["../secret"], column="image", images=photos)
    with pytest.raises(UserError, match="leads out of"):
        table_of(photos, ["../secret.png"], column="image", images=photos)


def test_names_that_are_not_found_stay_for_the_reader_to_name(photos: Path) -> None:
    table = table_of(photos, ["none", "a_0.jpg"], column="image", images=photos)
    assert os.path.basename(str((table.contents or [])[0])) == "none"


def test_a_column_of_names_of_pictures_is_found_whatever_its_name(photos: Path) -> None:
    table = table_of(photos, ["a_0.jpg", "a_2.png"], column="datei", images=photos)
    assert (table.kind, table.content_column) == ("image", "datei")
    assert any("'datei' is read as the pictures" in note for note in table.notes)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene(number)).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("name", ["image", "photo"])
@pytest.mark.parametrize("form", ["struct", "bytes"])
def test_pictures_that_a_table_holds(tmp_path: Path, name: str, form: str) -> None:
    data = [png(number) for number in range(4)]
    cells = (
        [{"bytes": each, "path": f"p{i}.png"} for i, each in enumerate(data)] if form == "struct" else data
    )
    frame = pd.DataFrame({name: cells, "tags": [["a"], ["b"], ["a", "b"], []]})
    frame.to_parquet(tmp_path / "t.parquet")
    before = sorted(tmp_path.rglob("*"))
    table = read_table(tmp_path / "t.parquet", labels_column="tags")
    assert (table.kind, table.contents) == ("image", data)
    assert table.items == (
        [f"p{i}.png" for i in range(4)] if form == "struct" and name == "image" else list("1234")
    )
    source = ImageFiles(table.contents, SMALL, items=table.items, workers=0)
    files = []
    for number, each in enumerate(data):
        (tmp_path / f"{number}.png").write_bytes(each)
        files.append(tmp_path / f"{number}.png")
    index = np.arange(4)
    same = ImageFiles(files, SMALL, workers=0)
    assert (source.batch(index, "weak", seed=1, epoch=2) == same.batch(index, "weak", seed=1, epoch=2)).all()
    assert source.digests() == same.digests()
    assert set(before) <= set(tmp_path.rglob("*"))
    assert len(list(tmp_path.rglob("*"))) == len(before) + 4


def test_bytes_are_never_taken_for_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(png(1))
    trick = os.fsencode(tmp_path / "real.png")
    source = ImageFiles([trick, b"", png(2)], SMALL, workers=0, cache=tmp_path / "cache")
    assert [bad.reason.split(" (")[0] for bad in source.scan()] == [
        "is no picture that can be read",
        "is empty",
    ]


def test_a_held_picture_without_bytes_is_its_file_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png(1))
    cells = [{"bytes": None, "path": "p.png"}, {"bytes": png(2), "path": "q.png"}]
    pd.DataFrame({"image": cells, "a": [1, 0]}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.contents == [str((tmp_path / "p.png").resolve()), png(2)]
    cells[0]["path"] = "../p.png"
    pd.DataFrame({"image": cells, "a": [1, 0]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="leads out of"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("kind", ["text", "image"])
def test_rows_without_a_text_or_picture_are_refused_by_row_or_left_out(tmp_path: Path, kind: str) -> None:
    names = [f"n{i}.png" if kind == "image" else f"text {i}" for i in range(60)]
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(60)], kind: names, "a": [1, 0] * 30})
    frame.loc[[3, 7], kind] = ["", "  "]
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        UserError, match=rf"row 4 \(line 5\), column '{kind}': empty \(1 more rows\).*--on-bad-item skip"
    ):
        read_table(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv", on_bad_item="skip")
    assert [bad.row for bad in table.left_out] == [3, 7]
    assert len(table) == len(table.contents or []) == table.annotations.n_items == 58
    assert table.annotations.matrix[3, 0] == frame["a"][4]
    frame.loc[range(10), kind] = ""
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"10 of 60 items cannot be used"):
        read_table(tmp_path / "t.csv", on_bad_item="skip")


@pytest.mark.parametrize("names", [["a_0", "a_1", "gone", "lost"], ["gone", "lost"]])
def test_a_column_of_pictures_stays_one_where_files_are_missing(photos: Path, names: list[str]) -> None:
    options = {"item_column": "image_name", "images": photos}
    model = {"expect": ((), ("beach", "sea")), "kind": "image", "unlisted": "absent"}
    for more in ({}, model):
        table = table_of(photos, names, **options, **more)
        assert (table.kind, table.items) == ("image", names)
        bad = ImageFiles(table.contents, SMALL, items=table.items, workers=0).scan()
        assert [one.item for one in bad] == [name for name in names if name in ("gone", "lost")]
