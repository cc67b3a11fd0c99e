"""Write the files of `tests/faults/attacks`: `python -m tests.faults.make_attacks`.

What is right for each stands in `manifest.toml` beside them.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("attacks")


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG whose header says what it likes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def lying_npz(shape: str) -> bytes:
    """Return arrays of held-out items whose header says another shape than they have."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, kind in (("labels", np.int8), ("scores", np.float32)):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.zeros((4, 2), kind))
            data = array.getvalue().replace(
                b"(4, 2), }" + b" " * (len(shape) - 6), shape.encode() + b", }", 1
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data)
    return file.getvalue()


def safetensors(header: dict[str, object], data: bytes = b"") -> bytes:
    """Return a file of weights with a header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def laughs() -> str:
    """Return XML whose entities multiply by ten at each of nine steps."""
    steps = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    document = f'<!DOCTYPE annotations [<!ENTITY e0 "ha">{steps}]>'
    return f'<?xml version="1.0"?>{document}<annotations><image name="&e9;"/></annotations>'


FILES: dict[str, bytes] = {
    "bomb.png": png(65_000, 65_000, zlib.compress(b"\0" * 1000)),
    "wide.png": png(2**31 - 1, 1),
    "noise.png": png(20, 20, b"noise" * 9),
    "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(rm) run\n",
    "quote.csv": b'text,cat\n"a,1\nb,0\nc,1\n',
    "nul.csv": b"f0,cat\n1,1\n\0\0\0,0\n",
    "lines.csv": b"text,cat\n" + b"\r" * 3000 + b"a,1\n",
    "twice.csv": b"f0,f0,cat\n1,2,1\n3,4,0\n",
    "out_of_folder.csv": b"image,cat\n../../secret.png,1\n/etc/hostname,0\n",
    "deep.json": b'[{"id": 1, "tags": ' + b"[" * 5000 + b"]" * 5000 + b"}]",
    "number.jsonl": b'{"id": 1, "f1": ' + b"9" * 6000 + b', "cat": 1}\n',
    "surrogate.jsonl": b'{"text": "\\ud800", "cat": 1}\n{"text": "b", "cat": 0}\n',
    "footer.parquet": b"PAR1" + b"\x15\x04" * 8 + struct.pack("<I", 2**31 - 1) + b"PAR1",
    "zeros.csv.gz": zlib.compress(b"f0,cat\n" + b"1,1\n" * 10, wbits=31)[:-4] + b"\xff\xff\xff\x7f",
    "attribute.arff": b"@relation r\n@attribute x {" + b"'a'," * 3 + b"\n@data\n1\n",
    "laughs.xml": laughs().encode(),
    "nested.toml": b"name = " + b"[" * 5000 + b"]" * 5000,
    "dotted.toml": b".".join([b"a"] * 2000) + b" = 1\n",
    "shape.npz": lying_npz("(999999999999, 2)"),
    "header.safetensors": safetensors(
        {"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "overlap.safetensors": safetensors(
        {k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"}, b"\0" * 4
    ),
    "pickle.safetensors": b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system"
    b"\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    "other.sqlite": b"SQLite format 3\0" + b"\x10\0\x01\x01\0\x40\x20\x20" + b"\xff" * 76,
    "answer.csv": b"item,label,answer\n=cmd|' /C calc'!A1,cat,7\n",
    "deep_body.json": b'{"answers": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    "long_body.json": b'{"reviewer": "' + b"a" * 5000 + b'", "answers": []}',
}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
