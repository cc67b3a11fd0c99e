"""The folder of cached features: opened under a lock, listed, cleared."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise import _files
from labelwise._locks import hold_lock
from labelwise.embedding.store import FILES, Store, count_rows, read_meta, width_of
from labelwise.errors import UserError, near, printable

_NAME = re.compile(r"[0-9a-f]{32}")
_EARLIER = ("features.npy", "marks.npy", "digests.npy", "meta.json.draft")
"""Files of an entry of the first format."""


@dataclass(frozen=True)
class CachedFeatures:
    """Entry of the cache: features of items in one space.

    A space is one backbone, preprocessing and precision.

    ``bytes`` is what it takes on disk; ``items`` and ``features`` its shape (0 where it cannot be read);
    ``created`` and ``used`` are ISO times, UTC. ``state`` is "kept"; "outdated" for an entry of an earlier version,
    which is no longer read; or "damaged" for one that the next run makes anew. ``complete`` says that it is kept.
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
    state: str

    @property
    def complete(self) -> bool:
        """Whether the entry is read."""
        return self.state == "kept"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return {**asdict(self), "complete": self.complete}


class FeatureCache:
    """Features on disk, in a folder for each backbone, preprocessing and precision.

    Items are known by their content.

    Args:
        directory: Where; None stands for ``$LABELWISE_CACHE``, else ``labelwise`` in the user's cache folder
            (``$XDG_CACHE_HOME`` or ``~/.cache``). Entries lie in its subfolder ``features``.

    Nothing in it can execute: numbers and JSON. Several processes may use it at once, and one that may not write to it
    reads it. Links in it are not followed.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = Path(_default() if directory is None else directory).expanduser() / "features"

    def entries(self) -> list[CachedFeatures]:
        """Return the cached entries, the last used first."""
        described = (_described(folder) for folder in self._folders())
        entries = [entry for entry in described if entry is not None]
        return sorted(entries, key=lambda entry: (entry.used, entry.key), reverse=True)

    @property
    def nbytes(self) -> int:
        """Bytes that all entries take on disk."""
        return sum(entry.bytes for entry in self.entries())

    def clear(self, keys: Sequence[str] = ()) -> tuple[list[CachedFeatures], list[CachedFeatures]]:
        """Delete entries; return those deleted, and those left.

        Entries that a run is writing are left.

        Args:
            keys: Their keys, or beginnings of keys that fit one entry only; none stands for all.

        Raises:
            UserError: For a key that fits no entry, or several.
        """
        entries = self.entries()
        chosen = entries if not keys else [_match(key, entries) for key in keys]
        deleted: list[CachedFeatures] = []
        busy: list[CachedFeatures] = []
        for entry in dict.fromkeys(chosen):
            with ExitStack() as stack:
                locks = [self._lock(entry.key), *self.directory.glob(f"{entry.key}-*.lock")]
                for link in filter(_files.is_link, locks):
                    link.unlink()
                if not all(stack.enter_context(hold_lock(lock, wait=False)) for lock in locks):
                    busy.append(entry)
                    continue
                if _delete(self.directory / entry.key):
                    deleted.append(entry)
                for lock in locks:
                    lock.unlink(missing_ok=True)
        return deleted, busy

    @contextmanager
    def open(
        self,
        space: str,
        digests: NDArray[np.uint8],
        meta: dict[str, Any],
        on_wait: Callable[[], None] | None = None,
    ) -> Iterator[Store]:
        """Yield the store of some items' features in a space.

        Those on disk are read, the others are to be computed and written.

        Args:
            space: The digest of all that decides an item's features but the item.
            digests: (n, 16) uint8, the items' content.
            meta: What the space is, for those who list it.
            on_wait: Called once where another process computes the features of the same items, before it is waited
                for; with nothing to compute there is nothing to wait for, and nothing is written.
        """
        store = Store(self.directory / space, self._lock(space), {**meta, "created": _now()}, digests)
        if not _files.is_link(store.folder):
            with suppress(OSError):
                os.utime(store.folder / "meta.json", follow_symlinks=False)
        with ExitStack() as stack:
            if len(store.pending):
                self._note_earlier(store)
                items = hashlib.blake2b(digests.tobytes(), digest_size=8).hexdigest()
                try:
                    self.directory.mkdir(parents=True, exist_ok=True)
                    # Locks of killed passes are free, and nobody else would delete them.
                    for stale in self.directory.glob(f"{space}-*.lock"):
                        _clear_lock(stale)
                    stack.enter_context(_one_pass(self.directory / f"{space}-{items}.lock", store, on_wait))
                except OSError as error:
                    store.give_up(error)
            yield store

    def _lock(self, space: str) -> Path:
        return self.directory / f"{space}.lock"

    def _note_earlier(self, store: Store) -> None:
        """Note entries of an earlier version, which are no longer read.

        That is said once, where a space begins.
        """
        earlier = [] if store.folder.exists() else [e for e in self.entries() if e.state == "outdated"]
        if earlier:
            store.notes.append(
                f"the feature cache {self.directory} holds entries of an earlier version ({len(earlier):,}), which"
                " are no longer read: 'labelwise cache' lists them, and with --clear deletes them"
            )

    def _folders(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        paths = (path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))
        return sorted(path for path in paths if path.is_dir() and not path.is_symlink())


def _default() -> str:
    if named := os.environ.get("LABELWISE_CACHE"):
        return named
    cache_home = os.environ.get("XDG_CACHE_HOME")
    return str((Path(cache_home) if cache_home else Path.home() / ".cache") / "labelwise")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _one_pass(lock: Path, store: Store, on_wait: Callable[[], None] | None) -> Iterator[None]:
    """Hold a pass's lock, and read what its last holder stored."""
    waited = False

    def waiting() -> None:
        nonlocal waited
        waited = True
        if on_wait is not None:
            on_wait()

    with hold_lock(lock, on_wait=waiting):
        # Whoever was waited for has most likely computed these items.
        if waited:
            store.look()
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


def _clear_lock(lock: Path) -> None:
    """Delete a pass's lock that nobody holds: its process was killed."""
    with suppress(OSError), hold_lock(lock, wait=False) as free:
        if free:
            lock.unlink()


def _described(folder: Path) -> CachedFeatures | None:
    """Return an entry's description, None for one deleted meanwhile."""
    meta = read_meta(folder)
    width = width_of(meta, folder.name)
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
    meta = meta or {}
    earlier = width is None and meta.get("format") == 1
    return CachedFeatures(
        key=folder.name,
        backbone=_words(meta.get("backbone", "damaged")),
        kind=_words(meta.get("kind", "")),
        precision=_words(meta.get("precision", "")),
        items=count_rows(folder, width) if width else _count(meta.get("items")) if earlier else 0,
        features=width or (_count(meta.get("features")) if earlier else 0),
        bytes=size,
        created=_words(meta.get("created", "")),
        used=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        state="kept" if width else "outdated" if earlier else "damaged",
    )


def _words(value: object) -> str:
    """Return a record's text on one line that a terminal can show.

    It holds whoever wrote it.
    """
    return printable(" ".join(value[:200].split())) if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _match(key: str, entries: Sequence[CachedFeatures]) -> CachedFeatures:
    fit = [entry for entry in entries if key and entry.key.startswith(key)]
    if len(fit) != 1:
        what = f"fits {len(fit)} entries: give more of it" if fit else "is not in the cache; "
        raise UserError(f"key {key!r} {what}" + ("" if fit else near(key, [e.key[:12] for e in entries])))
    return fit[0]


def _delete(folder: Path) -> bool:
    """Delete an entry's files; return whether the entry was there.

    Its folder goes when nothing else is in it.
    """
    if not folder.is_dir():
        return False
    _files.clear_drafts(folder)
    for name in (*FILES, *_EARLIER):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
    return True
