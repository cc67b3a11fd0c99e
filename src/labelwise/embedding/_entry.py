"""One cached set of features: a memory-mapped array, a checksum for every row that is done, and what it is."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError

__all__ = ["FILES", "Entry", "read_meta", "refused", "row_marks", "write_meta"]

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

FILES = ("meta.json", "features.npy", "marks.npy", "digests.npy")
_BLANK = np.frombuffer(hashlib.blake2b(b"", digest_size=16).digest(), np.uint8)
_ROWS = 1 << 10
_PAUSE = 2.0


def row_marks(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a checksum (b,) of each row (b, D), never 0: the sum over words j of ``word_j (2j + 1)`` mod 2^64.

    The factors are odd and below 2^32, so any one changed word changes the sum; the top bit is always set.
    """
    words = np.ascontiguousarray(rows).view(np.uint32)
    factors = 2 * np.arange(words.shape[1], dtype=np.uint64) + 1
    sums: NDArray[np.uint64] = np.einsum("ij,j->i", words, factors, dtype=np.uint64, casting="safe")
    return sums | np.uint64(1 << 63)


def _reported(call: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Turn the operating system's refusals into ``UserError``."""

    @functools.wraps(call)
    def reported(*args: Given.args, **options: Given.kwargs) -> Returned:
        try:
            return call(*args, **options)
        except OSError as error:
            raise refused(error) from error

    return reported


def refused(error: OSError) -> UserError:
    """Return the error that says that the cache cannot be written."""
    where = f" at {error.filename}" if error.filename else ""
    return UserError(
        f"the feature cache cannot be written{where} ({error.strerror or error}): free some space, or name another"
        " folder by the environment variable LABELWISE_CACHE"
    )


class Entry:
    """The files of one entry, opened for writing by whoever holds its lock.

    :param folder: where they lie; made when there is something to keep.
    :param meta: what the entry is; an entry on disk that says otherwise, or is damaged, is made anew.
    :param digests: (n, 16) uint8, the items' content.

    Rows whose checksum does not match what is written count as not done.
    """

    def __init__(self, folder: Path, meta: dict[str, Any], digests: NDArray[np.uint8]) -> None:
        self.folder, self.meta, self.digests = folder, meta, digests
        self.features: NDArray[np.float32] | None = None
        self._marks: NDArray[np.uint64] | None = None
        self._saved = time.monotonic()
        if self._open():
            self._check()

    @property
    def pending(self) -> NDArray[np.int64]:
        """The rows still to be computed."""
        if self._marks is None:
            return np.arange(len(self.digests))
        return np.flatnonzero(self._marks == 0)

    @_reported
    def begin(self, width: int) -> NDArray[np.float32]:
        """Return the features (n, width) to write to; makes the files where there are none of that width."""
        if self.features is not None and self.features.shape[1] == width:
            return self.features
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)
        n = len(self.digests)
        np.save(self.folder / "digests.npy", self.digests, allow_pickle=False)
        self.features = self._make("features.npy", np.float32, (n, width))
        self._marks = self._make("marks.npy", np.uint64, (n,))
        self.meta["features"] = width
        write_meta(self.folder, self.meta)
        return self.features

    @_reported
    def write(self, index: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Keep the features of some items; every two seconds all is flushed to disk."""
        features = self.begin(rows.shape[1])
        assert self._marks is not None
        features[index] = rows
        # An item that could not be read when digests were taken has none of its own to be known by.
        known = (self.digests[index] != _BLANK).any(1)
        self._marks[index] = np.where(known, row_marks(rows), np.uint64(0))
        if time.monotonic() - self._saved > _PAUSE:
            self.flush()

    def flush(self) -> None:
        """Bring what was written to disk, the features before the marks that vouch for them."""
        for array in (self.features, self._marks):
            if isinstance(array, np.memmap) and array.size:
                array.flush()
        self._saved = time.monotonic()

    @_reported
    def close(self, bad: Sequence[int] = ()) -> NDArray[np.float32] | None:
        """Flush, note the use, and return the features memory-mapped: changes to them stay in memory.

        :param bad: rows that cannot be used; they are zeros, and the next run tries them again.
        """
        if self.features is None:
            return None
        if len(bad):
            self.features[list(bad)] = 0
        self.flush()
        self.meta["complete"] = not len(self.pending)
        write_meta(self.folder, self.meta)
        shape = self.features.shape
        self.features = self._marks = None
        kept: NDArray[np.float32] = np.load(self.folder / "features.npy", mmap_mode="c" if shape[0] else None)
        return kept

    def take_from(self, other: Path) -> int:
        """Copy the rows of the same content that another entry of the same space holds; returns how many."""
        found = _arrays(other, read_meta(other))
        if found is None or not len(pending := self.pending):
            return 0
        features, marks, digests = found
        rows_there = np.flatnonzero(marks)
        there, here = _names(digests[rows_there]), _names(self.digests[pending])
        order = np.argsort(there)
        place = np.minimum(np.searchsorted(there, here, sorter=order), max(len(there) - 1, 0))
        same = there[order[place]] == here if len(there) else np.zeros(len(here), bool)
        mine, theirs = pending[same], rows_there[order[place[same]]]
        taken = 0
        for start in range(0, len(mine), _ROWS):
            rows = np.asarray(features[theirs[start : start + _ROWS]])
            whole = row_marks(rows) == marks[theirs[start : start + _ROWS]]
            self.write(mine[start : start + _ROWS][whole], rows[whole])
            taken += int(whole.sum())
        return taken

    def _open(self) -> bool:
        meta = read_meta(self.folder)
        found = _arrays(self.folder, meta, "r+")
        if (
            found is None
            or meta is None
            or any(meta.get(k) != self.meta[k] for k in ("format", "key", "space"))
        ):
            return False
        features, marks, digests = found
        if not np.array_equal(digests, self.digests):
            return False
        # A truncated file has been filled up with zeros, which no mark vouches for.
        for name in ("features.npy", "marks.npy"):
            _allocate(self.folder / name)
        self.features, self._marks, self.meta = features, marks, {**self.meta, **meta}
        return True

    def _check(self) -> None:
        assert self.features is not None
        assert self._marks is not None
        for rows in _spans(len(self.features)):
            marks = self._marks[rows]
            wrong = (marks != 0) & (row_marks(self.features[rows]) != marks)
            if wrong.any():
                self._marks[rows] = np.where(wrong, np.uint64(0), marks)

    def _make(self, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
        if 0 in shape:
            np.save(self.folder / name, np.zeros(shape, dtype), allow_pickle=False)
            return np.zeros(shape, dtype)
        made = np.lib.format.open_memmap(self.folder / name, "w+", dtype, shape)
        _allocate(self.folder / name)
        return made


def _allocate(path: Path) -> None:
    """Give a file its place on disk: a full disk is an error here; met while writing to the map, it would kill."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return what an entry says it is, or None where that cannot be read."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) else None


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write what an entry is; the file is there whole or not at all, and its time is that of the last use."""
    draft = folder / "meta.json.draft"
    draft.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, folder / "meta.json")


def _arrays(folder: Path, meta: dict[str, Any] | None, mode: Any = "r") -> tuple[Any, Any, Any] | None:
    """Return (features, marks, digests) of an entry, or None unless all have the shapes and types they should."""
    if meta is None:
        return None
    n, width = meta.get("items"), meta.get("features")
    wanted: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "features.npy": (np.float32, (n, width)),
        "marks.npy": (np.uint64, (n,)),
        "digests.npy": (np.uint8, (n, 16)),
    }
    found = []
    for name, (dtype, shape) in wanted.items():
        try:
            array = np.load(
                folder / name, mmap_mode=mode if n and name[0] != "d" else None, allow_pickle=False
            )
        except (OSError, ValueError, EOFError):
            return None
        if array.dtype != dtype or array.shape != shape:
            return None
        found.append(array)
    return found[0], found[1], found[2]


def _names(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return digests (n, 16) as n strings of bytes, which NumPy sorts."""
    return np.ascontiguousarray(digests).view("S16").reshape(-1)


def _spans(n: int) -> Iterator[slice]:
    for start in range(0, n, _ROWS):
        yield slice(start, min(start + _ROWS, n))
