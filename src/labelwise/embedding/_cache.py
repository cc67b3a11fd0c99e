"""The folder of cached features: opened under a lock, listed, cleared."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._locks import held
from labelwise.embedding._entry import FILES, Entry, read_meta, refused
from labelwise.errors import UserError, near

__all__ = ["CachedFeatures", "FeatureCache"]

_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class CachedFeatures:
    """One entry of the cache.

    ``bytes`` is what it takes on disk; ``items`` and ``features`` its shape (0 where the entry is damaged);
    ``created`` and ``used`` are ISO times, UTC; ``complete`` is False for one that a later run will go on with.
    """

    key: str
    backbone: str
    kind: str
    precision: str
    items: int
    features: int
    bytes: int
    created: str
    used: str
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


class FeatureCache:
    """Features on disk, one folder an entry, named by a digest of items, backbone, preprocessing and precision.

    :param directory: where; None stands for ``$LABELWISE_CACHE``, else ``labelwise`` in the user's cache folder
        (``$XDG_CACHE_HOME`` or ``~/.cache``). Entries lie in its subfolder ``features``.

    Nothing in it can execute: arrays are read without pickle, the rest is JSON. Several processes may use it at once.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = Path(_default() if directory is None else directory).expanduser() / "features"

    def entries(self) -> list[CachedFeatures]:
        """Return what is cached, the last used first."""
        found = (_described(folder) for folder in self._folders())
        there = [entry for entry in found if entry is not None]
        return sorted(there, key=lambda entry: (entry.used, entry.key), reverse=True)

    @property
    def nbytes(self) -> int:
        """What all entries take on disk, in bytes."""
        return sum(entry.bytes for entry in self.entries())

    def clear(self, keys: Sequence[str] = ()) -> tuple[list[CachedFeatures], list[CachedFeatures]]:
        """Delete entries and return (those deleted, those left because a run is writing them).

        :param keys: their keys, or beginnings of keys that fit one entry only; none stands for all.
        :raises UserError: for a key that fits no entry, or several.
        """
        entries = self.entries()
        chosen = entries if not keys else [_match(key, entries) for key in keys]
        gone: list[CachedFeatures] = []
        busy: list[CachedFeatures] = []
        for entry in dict.fromkeys(chosen):
            lock = self.directory / f"{entry.key}.lock"
            with held(lock, wait=False) as free:
                if not free:
                    busy.append(entry)
                    continue
                if _delete(self.directory / entry.key):
                    gone.append(entry)
                lock.unlink(missing_ok=True)
        return gone, busy

    @contextmanager
    def open(
        self,
        key: str,
        space: str,
        digests: NDArray[np.uint8],
        meta: dict[str, Any],
        on_wait: Callable[[], None] | None = None,
    ) -> Iterator[Entry]:
        """Yield the entry ``key`` for writing, alone; rows that other entries of the space hold are taken over.

        :param meta: what it is, for those who list it.
        :param on_wait: called once where another process holds the entry.
        :raises UserError: when the folder cannot be written to.
        """
        with ExitStack() as stack:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.directory / f"{key}.lock", on_wait=on_wait))
                whole = {**meta, "key": key, "space": space, "items": len(digests), "created": _now()}
                entry = Entry(self.directory / key, whole, digests)
            except OSError as error:
                raise refused(error) from error
            for folder in self._folders() if entry.features is None else ():
                other = read_meta(folder)
                if folder.name != key and other is not None and other.get("space") == space:
                    entry.take_from(folder)
            stack.callback(entry.flush)
            yield entry

    def _folders(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        found = (path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))
        return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def _default() -> str:
    if named := os.environ.get("LABELWISE_CACHE"):
        return named
    home = os.environ.get("XDG_CACHE_HOME")
    return str((Path(home) if home else Path.home() / ".cache") / "labelwise")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _described(folder: Path) -> CachedFeatures | None:
    """Return what an entry is, or None where another process has deleted it meanwhile."""
    meta = read_meta(folder) or {}
    try:
        size, used = 0, folder.stat().st_mtime
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return None
    for path in paths:
        try:
            state = path.lstat()
        except OSError:
            continue
        size += state.st_size
        used = state.st_mtime if path.name == "meta.json" else used
    return CachedFeatures(
        key=folder.name,
        backbone=str(meta.get("backbone", "damaged")),
        kind=str(meta.get("kind", "")),
        precision=str(meta.get("precision", "")),
        items=_count(meta.get("items")),
        features=_count(meta.get("features")),
        bytes=size,
        created=str(meta.get("created", "")),
        used=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        complete=meta.get("complete") is True,
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _match(key: str, entries: Sequence[CachedFeatures]) -> CachedFeatures:
    fit = [entry for entry in entries if key and entry.key.startswith(key)]
    if len(fit) != 1:
        what = f"fits {len(fit)} entries: give more of it" if fit else "is not in the cache; "
        raise UserError(f"key {key!r} {what}" + ("" if fit else near(key, [e.key[:12] for e in entries])))
    return fit[0]


def _delete(folder: Path) -> bool:
    """Delete the files of an entry, and its folder when nothing else is in it; return whether it was there."""
    if not folder.is_dir():
        return False
    for name in (*FILES, "meta.json.draft"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
    return True
