"""Features of one space on disk: rows, and an index with checksums.

Rows are appended to one file; the index beside it says which items they are.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise import _files
from labelwise._locks import hold_lock
from labelwise.errors import UserError

FORMAT = 2
FILES = ("meta.json", "items.bin", "rows.bin")
_RECORD = np.dtype([("digest", "S16"), ("mark", "<u8")])
_BLANK = np.frombuffer(hashlib.blake2b(b"", digest_size=16).digest(), np.uint8)
_ROWS = 1 << 10
_RECORDS = 1 << 20
_LONGEST_META = 1 << 20
_WIDEST = 1 << 20
_IN_MEMORY = 1 << 28
"""Bytes of features kept in memory; more lie in a nameless file."""


def row_marks(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a checksum (b,) of each row (b, D), never 0.

    It is the sum over words j of ``word_j (2j + 1)`` mod 2^64.

    The factors are odd and below 2^32, so any one changed word changes the sum; the top bit is always set.
    """
    words = np.ascontiguousarray(rows).view(np.uint32)
    factors = 2 * np.arange(words.shape[1], dtype=np.uint64) + 1
    sums: NDArray[np.uint64] = np.einsum("ij,j->i", words, factors, dtype=np.uint64, casting="safe")
    return sums | np.uint64(1 << 63)


class Store:
    """The features of a list of items.

    Those on disk are there at once, those that are computed as they are written.

    Args:
        folder: Where the rows of the space lie; made when there is something to keep.
        lock: A file beside it, held while rows are added.
        meta: What the space is, for those who list it.
        digests: (n, 16) uint8, the items' content. Items of equal content are one row.

    A row is an item's once its record is in the index, which is written after the row; a record names the item and has
    a checksum of both, so that what a kill, a full disk or damage leaves is computed anew. Files only grow. What was
    stored first is what every run gets. ``notes`` are sentences on what could not be read or written.
    """

    def __init__(self, folder: Path, lock: Path, meta: dict[str, Any], digests: NDArray[np.uint8]) -> None:
        self.folder, self.meta, self.digests = folder, meta, digests
        self.notes: list[str] = []
        self.features: NDArray[np.float32] | None = None
        self._lock, self._writable, self._damaged = lock, True, 0
        self._names = np.ascontiguousarray(digests).view("S16").reshape(-1)
        self._known = (digests != _BLANK).any(1)
        self._first = _firsts(self._names, self._known)
        self._missing = self._first == np.arange(len(digests))
        self._n_read, self._others = 0, dict[bytes, tuple[int, int]]()
        self.look()

    @property
    def pending(self) -> NDArray[np.int64]:
        """The rows still to be computed.

        There is one of each content that is not on disk.
        """
        return np.flatnonzero(self._missing)

    @property
    def twins(self) -> dict[int, list[int]]:
        """The rows of the same content as another, by that one."""
        twins: dict[int, list[int]] = {}
        for row in np.flatnonzero(self._first != np.arange(len(self._first))).tolist():
            twins.setdefault(int(self._first[row]), []).append(row)
        return twins

    def look(self) -> None:
        """Read what is on disk of the pending rows."""
        if _files.is_link(self.folder):
            self.give_up(OSError(errno.ELOOP, "it is a link: remove it", str(self.folder)))
            return
        try:
            width = width_of(_parsed(self.folder), self.folder.name)
            if width is None:
                self._note_damage("its record meta.json is damaged, and all of it")
                return
            with _opened(self.folder / "items.bin") as items, _opened(self.folder / "rows.bin") as rows:
                places, marks = self._find(items, _count(items, rows, width))
                stored = np.flatnonzero(self._missing & (places >= 0))
                if len(stored):
                    self._load(rows, stored, places, marks, width)
        except (FileNotFoundError, NotADirectoryError):
            # Where nothing was stored yet there is nothing, or the record alone.
            if sum((self.folder / name).exists() for name in FILES) == 2:
                self._note_damage("one of its files is gone, and all of it")
        except OSError as error:
            self.notes.append(
                f"the feature cache cannot be read {_place(error)}: what it holds is computed anew"
            )
        if self._damaged:
            self._note_damage(f"{self._damaged:,} of its rows are damaged, and")

    def write(self, index: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Take the features of some pending rows, and keep them."""
        features = self._begin(rows.shape[1])
        if self._writable and 0 < rows.shape[1] <= _WIDEST:
            try:
                rows = self._append(index, rows)
            except OSError as error:
                self.give_up(error)
        features[index] = rows
        self._missing[index] = False

    def give_up(self, error: OSError) -> None:
        """Keep nothing more, and say why."""
        self._writable = False
        self.notes.append(
            f"the feature cache cannot be written {_place(error)}: this run goes on, and keeps no more features; free"
            " some space, or name another folder by the environment variable LABELWISE_CACHE"
        )

    def close(self) -> NDArray[np.float32] | None:
        """Return the features (n, D), zeros where none were written.

        None where there are none at all.
        """
        if self.features is not None:
            for rows in _spans(len(self.digests)):
                same = np.flatnonzero(self._first[rows] != np.arange(rows.start, rows.stop)) + rows.start
                if len(same):
                    self.features[same] = self.features[self._first[same]]
        return self.features

    def _begin(self, width: int) -> NDArray[np.float32]:
        if self.features is None:
            self.features = _allocated((len(self.digests), width), self.folder.parent)
        elif self.features.shape[1] != width:
            raise UserError(
                f"the backbone gives {width} features, and the cache holds {self.features.shape[1]} of the same items:"
                f" delete them by 'labelwise cache --clear {self.folder.name[:12]}'"
            )
        return self.features

    def _find(self, items: FileIO, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return each row's place on disk (n,), and its checksum.

        The place is -1 for none; the last record holds.
        """
        rows = np.flatnonzero(self._missing & self._known)
        # Sorted once, so that the index of any length is searched in blocks rather than held whole.
        rows = rows[np.argsort(self._names[rows])]
        names = self._names[rows]
        places, marks = np.full(len(self.digests), -1), np.zeros(len(self.digests), np.uint64)
        self._n_read = count
        if not len(names):
            return places, marks
        for start in range(0, count, _RECORDS):
            records = _records(items, start, min(start + _RECORDS, count))
            at = np.minimum(np.searchsorted(names, records["digest"]), len(names) - 1)
            hits = np.flatnonzero(names[at] == records["digest"])
            places[rows[at[hits]]], marks[rows[at[hits]]] = start + hits, records["mark"][hits]
        return places, marks

    def _load(
        self,
        file: FileIO,
        stored: NDArray[np.int64],
        places: NDArray[np.int64],
        marks: NDArray[np.uint64],
        width: int,
    ) -> None:
        stored = stored[np.argsort(places[stored])]
        for span in _spans(len(stored)):
            index = stored[span]
            rows = _rows(file, places[index], width)
            # The checksum covers row and item, so a row under a wrong record fails as a damaged one does.
            intact = (self._marks(index, rows) == marks[index]) & np.isfinite(rows).all(1)
            if intact.any():
                self._begin(width)[index[intact]] = rows[intact]
            self._missing[index[intact]] = False
            self._damaged += int((~intact).sum())

    def _marks(self, index: NDArray[np.int64], rows: NDArray[np.float32]) -> NDArray[np.uint64]:
        words = np.ascontiguousarray(self.digests[index]).view("<u8")
        marks: NDArray[np.uint64] = row_marks(rows) ^ words[:, 0] ^ words[:, 1]
        return marks

    def _append(self, index: NDArray[np.int64], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add the rows to the files, and return them as stored.

        Another process may have been first.
        """
        width = rows.shape[1]
        with hold_lock(self._lock):
            self._prepare(width)
            flags = os.O_RDWR | os.O_CREAT
            with (
                _opened(self.folder / "items.bin", flags) as items,
                _opened(self.folder / "rows.bin", flags) as stored,
            ):
                # Under the lock: the end of the files is where the next row goes, and others move it.
                count = _count(items, stored, width)
                new_records = _records(items, min(self._n_read, count), count)
                rows, from_others = self._reuse_stored(stored, index, rows, new_records, count)
                new = np.flatnonzero(self._known[index] & ~from_others)
                stored_rows = np.ascontiguousarray(rows[new], "<f4")
                records = np.empty(len(new), _RECORD)
                records["digest"] = self._names[index[new]]
                records["mark"] = self._marks(index[new], stored_rows)
                # The row before its record, which makes it count: a kill between them leaves bytes that the next run
                # overwrites. Nothing is flushed to disk: what a power cut spoils fails its checksum.
                _write(self.folder / "rows.bin", stored, count * width * 4, stored_rows.tobytes())
                _write(self.folder / "items.bin", items, count * _RECORD.itemsize, records.tobytes())
        self._n_read = count + len(new)
        return rows

    def _reuse_stored(
        self,
        stored: FileIO,
        index: NDArray[np.int64],
        rows: NDArray[np.float32],
        new_records: NDArray[Any],
        count: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the rows, and a mask of those stored by other processes.

        What others have stored meanwhile takes the place of ours.
        """
        if len(new_records):
            pending = np.isin(new_records["digest"], self._names[self._missing])
            for at in np.flatnonzero(pending).tolist():
                place = count - len(new_records) + at
                self._others[bytes(new_records["digest"][at])] = (place, int(new_records["mark"][at]))
        from_others = np.zeros(len(index), bool)
        for k, name in enumerate(self._names[index].tolist() if self._others else ()):
            if name in self._others:
                place, mark = self._others.pop(name)
                row = _rows(stored, np.array([place]), rows.shape[1])
                if self._marks(index[k : k + 1], row)[0] == mark:
                    rows[k], from_others[k] = row[0], True
        return rows, from_others

    def _prepare(self, width: int) -> None:
        """Make the folder and its record.

        Files that are damaged, or have another width, are deleted.
        """
        _files.make_folder(self.folder)
        # A record that the system does not let us read now may be whole: nothing is deleted for it.
        with suppress(FileNotFoundError):
            if width_of(_parsed(self.folder), self.folder.name) == width:
                return
        # Deleted and not cut short: a process that is reading them goes on doing so.
        for name in FILES[1:]:
            (self.folder / name).unlink(missing_ok=True)
        self._n_read = 0
        record = {**self.meta, "format": FORMAT, "key": self.folder.name, "features": width}
        _files.write(self.folder / "meta.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def _note_damage(self, what: str) -> None:
        self.notes.append(f"the feature cache {self.folder} is damaged: {what} computed anew")
        self._damaged = 0


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return a folder's record, None where it cannot be read."""
    try:
        return _parsed(folder)
    except OSError:
        return None


def _parsed(folder: Path) -> dict[str, Any] | None:
    """Return a folder's record, None for a damaged one.

    ``OSError`` where the file cannot be read.
    """
    with _opened(folder / "meta.json") as file:
        content = file.read(_LONGEST_META)
    try:
        meta = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None


def width_of(meta: dict[str, Any] | None, key: str) -> int | None:
    """Return the number of features of a row.

    None for a record that is not one of this format and key.
    """
    if meta is None or meta.get("format") != FORMAT or meta.get("key") != key:
        return None
    width = meta.get("features")
    return width if type(width) is int and 0 < width <= _WIDEST else None


def count_rows(folder: Path, width: int) -> int:
    """Return the number of rows on disk, of a width.

    It is 0 where they cannot be read.
    """
    try:
        with _opened(folder / "items.bin") as items, _opened(folder / "rows.bin") as rows:
            return _count(items, rows, width)
    except OSError:
        return 0


def _opened(path: Path, flags: int = os.O_RDONLY) -> FileIO:
    return FileIO(_files.open_unshared(path, flags), "r" if flags == os.O_RDONLY else "r+")


def _count(items: FileIO, rows: FileIO, width: int) -> int:
    """Return the number of records that have a row.

    The end of either file may be missing.
    """
    sizes = os.fstat(items.fileno()).st_size, os.fstat(rows.fileno()).st_size
    return min(sizes[0] // _RECORD.itemsize, sizes[1] // (4 * width))


def _records(items: FileIO, start: int, stop: int) -> NDArray[Any]:
    items.seek(start * _RECORD.itemsize)
    content = items.read((stop - start) * _RECORD.itemsize)
    return np.frombuffer(content[: len(content) // _RECORD.itemsize * _RECORD.itemsize], _RECORD)


def _rows(file: FileIO, places: NDArray[np.int64], width: int) -> NDArray[np.float32]:
    """Return the rows at ascending places, neighbours read at once.

    Zeros stand for what the file lacks.
    """
    rows = np.zeros((len(places), width), "<f4")
    starts = np.flatnonzero(np.diff(places, prepend=-2) != 1).tolist()
    for start, stop in zip(starts, [*starts[1:], len(places)], strict=True):
        file.seek(int(places[start]) * width * 4)
        file.readinto(rows[start:stop].reshape(-1).view(np.uint8).data)
    return rows.astype(np.float32, copy=False)


def _write(path: Path, file: FileIO, at: int, content: bytes) -> None:
    file.seek(at)
    try:
        _files.write_all(file, content)
    except OSError as error:
        error.filename = str(path)
        raise


def _firsts(names: NDArray[np.bytes_], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return each row's first row of the same content (n,).

    Rows without content stand for themselves.
    """
    first = np.arange(len(names))
    rows = np.flatnonzero(known)
    _, at, back = np.unique(names[rows], return_index=True, return_inverse=True)
    first[rows] = rows[at[back]]
    return first


def _allocated(shape: tuple[int, int], folder: Path) -> NDArray[np.float32]:
    """Return zeros, in a file without a name where they are many.

    The disk must have room for it.
    """
    size = shape[0] * shape[1] * 4
    if size > _IN_MEMORY and hasattr(os, "posix_fallocate"):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                # A full disk is an error here; met while writing to the map, it would kill.
                os.posix_fallocate(file.fileno(), 0, size)
                return np.memmap(file, np.float32, "r+", shape=shape)
        except OSError:
            pass
    return np.zeros(shape, np.float32)


def _spans(n: int) -> Iterator[slice]:
    for start in range(0, n, _ROWS):
        yield slice(start, min(start + _ROWS, n))


def _place(error: OSError) -> str:
    place = f"at {error.filename} " if error.filename else ""
    return f"{place}({error.strerror or error})"
