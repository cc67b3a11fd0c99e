"""Broken and hostile files cost one line each: they never hang, fill the memory or change the process."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from labelwise.data import ImageFiles, Table, Texts, read_table
from labelwise.data.images.decode import MOST_PIXELS, Unusable, decode
from labelwise.errors import UserError
from tests.data.images.picture_files import SMALL, folder_of, scene
from tests.memory import cost_of
from tests.refusals import refusal
from tests.timing import least_seconds


def png(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG whose header says what it likes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def webp_header(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sizes + b"\0" * 100
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\0;"


def half(path: Path, **keywords: object) -> bytes:
    Image.fromarray(scene(0)).save(path, **keywords)  # type: ignore[arg-type]
    content = path.read_bytes()
    return content[: len(content) // 2]


def floating(path: Path) -> bytes:
    Image.fromarray(np.ones((4, 4), np.float32)).save(path)
    return path.read_bytes()


def wide_integers(path: Path) -> bytes:
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)).save(path)
    return path.read_bytes()


BYTES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "bomb": ("a.png", lambda _: png(60_000, 60_000, zlib.compress(b"\0" * 9)), "60,000 x 60,000 pixels"),
    "bomb, just past the limit": ("a.png", lambda _: png(MOST_PIXELS + 1, 1, b""), "more than 89,478,485"),
    "bomb, WebP": ("a.webp", lambda _: webp_header(16_000, 16_000), "16,000 x 16,000 pixels"),
    "bomb, GIF by its frame": ("a.gif", lambda _: gif(1, 1, (60_000, 60_000)), "damaged|pixels, more than"),
    "no pixels": ("a.png", lambda _: png(0, 0, b""), "no pixels|damaged"),
    "no pixels, GIF": ("a.gif", lambda _: gif(0, 0, (0, 0)), "no pixels|damaged"),
    "truncated JPEG": ("a.jpg", half, "damaged or cut short"),
    "truncated PNG": ("a.png", half, "damaged or cut short"),
    "truncated WebP": ("a.webp", half, "damaged or cut short"),
    "truncated GIF": ("a.gif", half, "damaged or cut short"),
    "truncated BMP": ("a.bmp", half, "damaged or cut short"),
    "truncated TIFF": ("a.tiff", lambda path: half(path, compression="tiff_deflate"), "damaged or cut short"),
    "header alone": ("a.jpg", lambda _: b"\xff\xd8\xff", "damaged or cut short"),
    "PNG of noise": ("a.png", lambda _: png(20, 20, b"noise" * 9), "damaged or cut short"),
    "one byte": ("a.jpg", lambda _: b"x", "no picture"),
    "zero bytes": ("a.jpg", lambda _: b"", r"is empty \(0 bytes\)"),
    "a text": ("a.jpg", lambda _: b"Dear Sir or Madam, " * 20, "no picture that can be read"),
    "a web page": ("a.jpg", lambda _: b"<!doctype html><title>404</title>", "no picture that can be read"),
    "PostScript": ("a.jpg", lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    "a text that begins as a BMP": ("a.bmp", lambda _: b"BMW and others " * 20, "damaged or cut short"),
    "floating point": ("a.tiff", floating, "floating-point pixels"),
    "32 bits": ("a.tiff", wide_integers, "32-bit pixels"),
}


def refused(path: Path, reason: str) -> None:
    """Check that the scan and the batch both say ``reason``, in one line, and leave warnings alone."""
    source = ImageFiles([path], SMALL, items=["the item"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [bad] = source.scan()
        with refusal() as caught:
            source.batch(np.zeros(1, dtype=np.int64), "weak", seed=0, epoch=0)
    assert (bad.row, bad.item) == (0, "the item")
    assert re.search(reason, bad.reason), bad.reason
    message = str(caught.value)
    assert len(message) < 700
    assert "'the item' (row 0, counted from 0)" in message
    assert re.search(reason, message), message
    assert "--on-bad-item skip" in message


@pytest.mark.parametrize("case", BYTES.values(), ids=BYTES.keys())
def test_what_is_no_picture(tmp_path: Path, case: tuple[str, Callable[[Path], bytes], str]) -> None:
    name, content, reason = case
    path = tmp_path / name
    path.write_bytes(content(path))
    refused(path, reason)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    refused(tmp_path / "folder.jpg", "is a folder")
    os.mkfifo(tmp_path / "pipe.jpg")
    started = time.monotonic()
    refused(tmp_path / "pipe.jpg", "is a pipe, socket or device")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
        refused(tmp_path / "socket.jpg", "is a pipe, socket or device")
    refused(Path("/dev/zero"), "is a pipe, socket or device")
    assert time.monotonic() - started < 5
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    refused(tmp_path / "round.jpg", "cannot be opened")
    refused(tmp_path / ("x" * 5000), "cannot be opened")
    refused(tmp_path / "none.jpg", "does not exist")
    refused(tmp_path / "a\0b.jpg", "null character")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    path.chmod(0)
    refused(path, "cannot be opened")


def test_a_bomb_takes_no_memory_and_changes_no_setting(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    path = tmp_path / "a.png"
    path.write_bytes(png(65_000, 65_000, zlib.compress(b"\0" * (1 << 20))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "65,000 x 65,000")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path.write_bytes(png(10_000, 9_000, zlib.compress(b"\0" * 99)))
        refused(path, "10,000 x 9,000")
    assert not caught


def test_the_limit_is_an_argument(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    assert ImageFiles([path], SMALL, most_pixels=48 * 64).scan() == []
    [bad] = ImageFiles([path], SMALL, most_pixels=48 * 64 - 1).scan()
    assert "64 x 48 pixels, more than 3,071 in all" in bad.reason


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_of_an_animation_the_first_frame(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue", "green")]
    exact = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **exact)
    assert decode(tmp_path / name).getcolors() == [(16 * 12, (255, 0, 0))]


def test_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(scene(0)).save(tmp_path / "a.txt", format="PNG")
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.txt")), scene(0))


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_the_first_bad_item_is_named_whatever_the_workers(tmp_path: Path, workers: int) -> None:
    paths = folder_of(tmp_path, 40)
    for row in (7, 8, 30):
        paths[row].write_text("no picture")
    source = ImageFiles(paths, SMALL, workers=workers)
    assert [bad.row for bad in source.scan()] == [7, 8, 30]
    with pytest.raises(UserError, match=r"\(row 7, counted from 0\)"):
        source.batch(np.arange(40), "weak", seed=0, epoch=0)
    rest = source[np.delete(np.arange(40), [7, 8, 30])]
    assert rest.scan() == []
    assert rest.batch(np.arange(37), "weak", seed=0, epoch=0).shape == (37, 3, 24, 32)
    assert [bad.row for bad in source[5:].scan()] == [2, 3, 25]


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 3)
    source = ImageFiles(paths, SMALL)
    assert source.scan() == []
    before = source.digests()
    paths[1].unlink()
    with refusal(r"001.jpg does not exist; put the file back, drop the row"):
        source.batch(np.arange(3), "strong", seed=0, epoch=0)
    assert source.digests() == [before[0], b"", before[2]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder_of(folder / "new", 2)
    (tmp_path / "secret.jpg").write_text("secret")
    (tmp_path / "photos-private").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "in.jpg").symlink_to(folder / "new" / "000.jpg")
    return folder


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("../secret.jpg", "leads out of"),
        ("new/../../secret.jpg", "leads out of"),
        ("../photos-private/x.jpg", "leads out of"),
        ("out/secret.jpg", "leads out of"),
        ("out/photos/../secret.jpg", "leads out of"),
        ("out.jpg", "leads out of"),
        ("/etc/passwd", "leads out of"),
        (".", "leads out of"),
        ("..", "leads out of"),
        ("new/..", "leads out of"),
        ("http://example.org/a.jpg", "is an address"),
        ("HTTPS://example.org/a.jpg", "is an address"),
        ("file:///etc/passwd", "is an address"),
        ("s3://bucket/a.jpg", "is an address"),
        ("data:image/png;base64,AAAA", "is an address"),
        ("a\0b.jpg", "null character"),
    ],
)
def test_paths_that_leave_the_folder(photos: Path, given: str, reason: str) -> None:
    path = photos.parent / "t.jsonl"
    rows = [{"image": name, "fur": 1} for name in ("new/000.jpg", "in.jpg", given)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with refusal(reason) as caught:
        read_table(path, images=photos)
    assert "t.jsonl: row 3 (line 3), column 'image'" in str(caught.value)
    with pytest.raises(UserError, match=reason):
        ImageFiles(["in.jpg", given], SMALL, root=photos)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    assert read_table(path, images=photos).contents == [str((photos / "new" / "000.jpg").resolve())] * 2


def test_the_folder_of_pictures_must_be_one(photos: Path) -> None:
    path = photos.parent / "t.csv"
    path.write_text("image,fur\na.jpg,1\n")
    with pytest.raises(UserError, match=r"images \(--images\): .*photo' is no folder"):
        read_table(path, images=photos.parent / "photo")


def test_fields_of_10_megabytes(tmp_path: Path) -> None:
    big = "x" * 10_000_000
    path = tmp_path / "t.csv"
    path.write_text(f'text,more,most,a\n{big},{big},{big},1\n"{big}\n{big}",,,0\nshort,,,\n')
    table = read_table(path, label_columns="a")
    assert [len(text) for text in table.contents or []] == [10**7, 2 * 10**7 + 1, 5]
    assert table.annotations.matrix.ravel().tolist() == [1, 0, -1]
    path.write_text(f"text,a\n{big},1\n{big},7\n")
    with pytest.raises(UserError, match=r"row 2 \(line 3\), column 'a': '7'"):
        read_table(path)
    path.write_text(f"text,a\nx,1\ny,{big}\n")
    with pytest.raises(UserError) as caught:
        read_table(path)
    assert len(str(caught.value)) < 500
    lines = tmp_path / "t.jsonl"
    lines.write_text(json.dumps({"text": big, "a": 1}) + "\n")
    assert len(read_table(lines).contents or []) == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_10_000_columns_in_a_few_seconds(tmp_path: Path, kind: str) -> None:
    names = [f"label{k}" for k in range(10_000)]
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        states = ",".join(["1", "0", "", "1"] * 2500)
        path.write_text("text," + ",".join(names) + "\n" + f"hi,{states}\n" * 20)
    else:
        states = dict(zip(names, [1, 0, None, 1] * 2500, strict=True))
        path.write_text((json.dumps({"text": "hi"} | states) + "\n") * 20)
    ways = ({}, {"label_columns": names}, {"expect": ([], names), "require_labels": False})
    tables: list[Table] = []
    for keywords in ways if kind == "csv" else ways[:1]:
        read = partial(read_table, path, **keywords)  # type: ignore[arg-type]
        assert least_seconds(lambda: tables.append(read()), below=8) < 8  # noqa: B023
        table = tables[-1]
        assert table.annotations.matrix.shape == (20, 10_000)
        assert table.annotations.matrix[3, :4].tolist() == [1, 0, -1, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "text,a\ncaf\u00e9,1\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("t.csv", "text,a\nhi,1\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("t.csv", "text,a\nhi,1\n".encode("utf-32"), "line 1 is not UTF-8"),
        ("t.csv", "text,a\n\u65e5\u672c,1\n".encode("shift-jis"), "line 2 is not UTF-8"),
        ("t.jsonl", '{"text": "caf\u00e9"}\n'.encode("latin-1"), "line 1 is not UTF-8"),
        ("t.jsonl", b'{"text": "\\ud800", "a": 1}\n', "row 1, column 'text': half a character"),
        ("t.jsonl", b'{"text": "x", "\\udc00": 1}\n', "half a character"),
        ("t.jsonl", b"[" * 200_000, "line 1 is JSON that nests too deep"),
        ("t.jsonl", b'{"text": "x", "a": ' + b"1" * 10_000 + b"}", "holds a number too long"),
        ("t.csv", b'text,a\n"hi,1\nyou,0\n', "row 1 .line 2.: a quote .*opens that never closes"),
    ],
)
def test_tables_in_other_encodings(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with refusal(message) as caught:
        read_table(path)
    assert str(caught.value).isprintable()


def test_nulls_and_odd_characters_are_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("text,a\nx\0y,1\n\u202eabc\u0301,0\n".encode())
    table = read_table(path)
    assert table.contents == ["x\0y", "\u202eabc\u0301"]


def test_texts_that_are_none() -> None:
    with pytest.raises(UserError, match="row 1"):
        Texts(["a", float("nan")], None)  # type: ignore[list-item, arg-type]


def test_to_import_the_room_loads_no_codec() -> None:
    code = "import sys, labelwise.data; print(sorted({'PIL', 'torch', 'pyarrow'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("mode", "most", "fine"),
    [
        ("RGB", 1600, True),
        ("RGBA", 1600, False),
        ("RGBA", 2200, True),
        ("L", 1600, True),
        ("I;16", 1600, True),
        ("I", 1600, False),
    ],
)
def test_pixels_are_counted_with_their_channels_and_depth(tmp_path, mode, most, fine):
    path = tmp_path / "a.tiff"
    Image.new(mode, (40, 40)).save(path)
    if fine:
        assert decode(path, most_pixels=most).size == (40, 40)
        return
    with pytest.raises(Unusable, match="4 bytes"):
        decode(path, most_pixels=most)


def why_unusable(path, most_pixels):
    with pytest.raises(Unusable) as caught:
        decode(path, most_pixels=most_pixels)
    return str(caught.value)


def test_a_bomb_of_every_format_is_refused_by_its_header(tmp_path):
    for ending in ("png", "gif", "tiff", "webp", "bmp"):
        path = tmp_path / f"a.{ending}"
        side = 1000
        frames = [Image.new("L", (side, side), k) for k in range(2)]
        more = {"save_all": True, "append_images": frames[1:]} if ending in ("gif", "webp", "tiff") else {}
        frames[0].save(path, **more)
        cost = cost_of(why_unusable, path, side * side - 1)
        assert "pixels" in cost.result
        assert cost.peak < 2e6


def test_a_jpeg_of_many_scans_is_refused_and_what_lies_past_its_end_does_not_count():
    from io import BytesIO

    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", progressive=True, restart_marker_blocks=2)
    whole = file.getvalue()
    assert decode(whole).size == (64, 64)
    assert decode(whole + b"\xff\xda\0\0" * 1000).size == (64, 64)
    start = whole.rindex(b"\xff\xda")
    last = whole[start:-2]
    assert decode(whole[:-2] + last * 50 + whole[-2:]).size == (64, 64)
    with pytest.raises(Unusable, match="more than 100 scans"):
        decode(whole[:-2] + last * 100 + whole[-2:])


def fuzz(n: int, seed: int) -> None:
    """Decode pictures of every format with bytes changed, doubled, taken out or cut off."""
    from io import BytesIO

    draw, wholes = np.random.default_rng(seed), []
    picture = Image.fromarray(scene(0)).resize((24, 20))
    for name, more in (
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WebP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ):
        file = BytesIO()
        picture.save(file, name, **more)  # type: ignore[arg-type]
        wholes.append(file.getvalue())
    refused: list[str] = []
    for _ in range(n):
        data = bytearray(wholes[int(draw.integers(len(wholes)))])
        for at in draw.integers(min(len(data), 2000), size=draw.integers(1, 6)):
            at = min(int(at), len(data) - 1)
            what = draw.integers(6)
            if what == 0:
                del data[at : at + int(draw.integers(1, 9))]
            elif what == 1:
                data[at:at] = data[at : at + int(draw.integers(1, 30))]
            else:
                data[at] = draw.integers(256)
        try:
            assert decode(bytes(data), most_pixels=1_000_000).mode == "RGB"
        except Unusable as error:
            refused.append(str(error))
    assert len(refused) > n / 10
    assert not any("\n" in line for line in refused)


@pytest.mark.filterwarnings("ignore")
def test_pictures_with_random_damage_are_decoded_or_refused() -> None:
    fuzz(400, seed=0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_pictures_with_very_much_random_damage_are_decoded_or_refused() -> None:
    fuzz(40_000, seed=1)


def test_a_picture_too_narrow_to_be_cut_is_named(tmp_path):
    from labelwise.models import ImagePreprocessing

    path = tmp_path / "a.png"
    Image.new("L", (60_000, 1)).save(path)
    source = ImageFiles([path], ImagePreprocessing((224, 224), "crop"), workers=0)
    (bad,) = source.scan()
    assert "too narrow" in bad.reason
    with pytest.raises(UserError, match="too narrow"):
        source.batch(np.arange(1), "plain", seed=0, epoch=0)
    assert not ImageFiles([path], ImagePreprocessing((224, 224), "squash"), workers=0).scan()
