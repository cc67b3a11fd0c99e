"""The bytes of a table's file: format, unpacking within bounds, UTF-8."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from labelwise.annotations import check_label_names
from labelwise.data.tables.numerals import is_number
from labelwise.errors import UserError, listed, repeated, shown

FORMATS = {".csv": "CSV", ".tsv": "TSV", ".tab": "TSV", ".parquet": "Parquet", ".pq": "Parquet"}
FORMATS |= {".jsonl": "JSONL", ".ndjson": "JSONL", ".json": "JSON", ".arff": "ARFF"}
PACKED = (".gz", ".bz2", ".xz", ".zst")
_OTHERS = dict.fromkeys(
    (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"),
    "a spreadsheet is not read; save the sheet as CSV UTF-8, and give that",
)
_OTHERS |= dict.fromkeys(
    (".zip", ".7z", ".rar", ".tar", ".tgz"), "an archive is not read; unpack it, and give the table"
)
_OTHERS |= dict.fromkeys(
    (".txt", ".dat", ".text"),
    "name it .tsv where tabs separate its fields, and .csv where other characters do",
)
_OTHERS |= dict.fromkeys(
    (".feather", ".arrow", ".pkl", ".pickle", ".h5", ".hdf5", ".dta", ".sav", ".sas7bdat", ".rds", ".npz"),
    "this format is not read; load it where it came from, and write Parquet (pandas: to_parquet) or CSV",
)
MOST_ROWS = 50_000_000
"""Most rows of a table, unless ``max_rows`` says otherwise."""
_MOST_BYTES, _TIMES = 4 << 30, 50
_PIECE = 1 << 24


def kind_of(path: Path) -> tuple[str, str | None]:
    """Return the format of a table, and its packer or None.

    The name decides: "a.csv.gz" is ("CSV", ".gz").
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packer = suffixes.pop() if suffixes and suffixes[-1] in PACKED else None
    kind = FORMATS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        ending = "".join(path.suffixes[-2:] if packer else path.suffixes[-1:])
        if how := _OTHERS.get(path.suffix.lower()):
            raise UserError(f"{path.name}: {how}")
        raise UserError(
            f"{path.name}: unknown ending {ending!r}; a table ends in {', '.join(FORMATS)}, packed or not"
            f" ({', '.join(PACKED)})"
        )
    if kind == "Parquet" and packer:
        raise UserError(
            f"{path.name}: Parquet packs its columns itself; unpack the file and give it without {packer}"
        )
    return kind, packer


def most_bytes(size: int) -> int:
    """Return the bytes that a file may unpack or decode to.

    They are 4 GiB, or 50 times its ``size`` in bytes where that is more.
    """
    return max(_MOST_BYTES, _TIMES * size)


def check_rows(path: Path, rows: int, max_rows: int | None) -> None:
    """Refuse more rows than ``max_rows`` (None: ``MOST_ROWS``)."""
    most = MOST_ROWS if max_rows is None else max_rows
    if rows > most:
        raise UserError(
            f"{path.name} has {rows:,} rows, more than {most:,}; give max_rows (--max-rows) if they are meant"
        )


def read_bytes(path: Path) -> bytes:
    """Return the content of a UTF-8 file of any ending, unpacked.

    Raises:
        UserError: For a file that cannot be read, is damaged, unpacks to too much, or is not UTF-8.
    """
    ending = path.suffix.lower()
    data = bytes_of(path, ending if ending in PACKED else None)
    check_utf8(path, data)
    return data


def bytes_of(path: Path, packer: str | None) -> bytes:
    """Return a file's content, unpacked, without a byte order mark.

    Raises:
        UserError: For a file that cannot be read, is damaged or cut short, or unpacks to more than ``most_bytes``.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if packer is not None and raw:
        raw = _unpacked(path, raw, packer, most_bytes(len(raw)))
    return raw.removeprefix(codecs.BOM_UTF8)


def _unpacked(path: Path, raw: bytes, packer: str, most: int) -> bytes:
    pieces = []
    total = 0
    try:
        for piece in _pieces(raw, packer):
            total += len(piece)
            # Counted piece by piece: a file that unpacks to a terabyte is refused at the bound, not after.
            if total > most:
                raise UserError(
                    f"{path.name} unpacks to more than {most:,} bytes, {most // len(raw)} times its size; unpack it"
                    " first if that is meant"
                )
            pieces.append(piece)
    except UserError:
        raise
    except Exception as error:  # each packer has errors of its own
        raise UserError(
            f"{path.name} is damaged or cut short: {shown(str(error), 120)}; pack it anew"
        ) from None
    return b"".join(pieces)


def _pieces(raw: bytes, packer: str) -> Iterator[bytes]:
    """Yield the content of each stream of a packed file.

    The end of the file must be the end of a stream.
    """
    import bz2
    import lzma
    import zlib

    if packer == ".zst":
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(raw), "zstd") as stream:
            while piece := stream.read(_PIECE):
                yield piece
        return
    makers: dict[str, Callable[[], Any]] = {
        ".gz": lambda: zlib.decompressobj(wbits=31),
        ".bz2": bz2.BZ2Decompressor,
        ".xz": lzma.LZMADecompressor,
    }
    while raw:
        stream = makers[packer]()
        while not stream.eof:
            piece = stream.decompress(raw, _PIECE)
            # zlib hands back what it has not looked at; the others keep it.
            raw = getattr(stream, "unconsumed_tail", b"")
            if not piece and not raw and not stream.eof and getattr(stream, "needs_input", True):
                raise EOFError("the file ends in the middle")
            yield piece
        raw = stream.unused_data.lstrip(b"\0")


def check_utf8(path: Path, data: bytes) -> None:
    """Raise ``UserError`` that names the first line that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _PIECE):
            decoder.decode(data[start : start + _PIECE], final=start + _PIECE >= len(data))
        return
    except UnicodeDecodeError:
        pass
    # Only a file that is refused is split into lines, to name the one at fault.
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path.name}: line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at"
                f" {error.start + 1}){_looks_like(data)}; save the file as UTF-8"
                f"{_how_to_save(path, data)}"
            ) from None


def _looks_like(data: bytes) -> str:
    """Return the likely format of a misnamed file, for a message."""
    magic = {
        b"\x1f\x8b": "packed by gzip: name it .gz",
        b"PK\x03\x04": "an Excel or zip file",
        b"PAR1": "Parquet: name it .parquet",
        b"\xff\xfe": "UTF-16",
        b"\xfe\xff": "UTF-16",
    }
    return next((f"; it looks like {kind}" for start, kind in magic.items() if data.startswith(start)), "")


def _how_to_save(path: Path, data: bytes) -> str:
    """Return how to write a text file anew as UTF-8; nothing for what is no text."""
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if _looks_like(data) and not wide:
        return ""
    source = "UTF-16" if wide else "CP1252"
    where = "" if wide else ", where Windows wrote it"
    command = f"iconv -f {source} -t UTF-8 {shlex.quote(path.name)}"
    return f" (Excel calls it 'CSV UTF-8'; in a shell{where}: {command} > new{path.suffix})"


def check_names(path: Path, names: Sequence[str], place: str = "") -> None:
    """Refuse double column names, and those with control characters.

    Half a character counts as one.
    """
    unnamed = [number for number, name in enumerate(names, 1) if not name]
    if len(unnamed) > 1:
        few = 2 * len(unnamed) > len(names)
        raise UserError(
            f"{path.name}{place}: columns {listed(unnamed)} have no name; "
            + (
                "if line 1 is a title above the names, take it out; else name them"
                if few
                else "name them in the first row"
            )
        )
    if doubles := repeated(names):
        row = all(is_number(name) for name in doubles)
        raise UserError(
            f"{path.name}{place}: columns named more than once: {listed(map(shown, doubles))}; "
            + ("if line 1 is a row, write names above it" if row else "rename them")
        )
    for number, name in enumerate(names, 1):
        try:
            check_label_names([name])
            name.encode()
        except (UserError, UnicodeEncodeError):
            raise UserError(
                f"{path.name}{place}: the name of column {number}, {shown(name)}, holds a control character or half"
                " a character (a lone surrogate); rename it"
            ) from None
