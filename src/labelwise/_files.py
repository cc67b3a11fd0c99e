"""Files and folders written whole or not at all.

Nothing here writes through a link.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, TypeVar

from labelwise._locks import try_lock
from labelwise.errors import UserError

Value = TypeVar("Value")

_DRAFT = ".draft"
_EARLIER = ".draft-"
"""Beginning of the names of a checkpoint's drafts in earlier versions."""
_LONGEST_NAME = 200
_A_DAY = 86_400
_PART = 1 << 20
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class CannotWrite(UserError, OSError):
    """A file or folder that cannot be written.

    ``filename`` is its place, ``strerror`` the operating system's words.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error) or type(error).__name__
        mend = "free some space" if error.errno in _FULL else "mend that, or give another place"
        super().__init__(f"{path} cannot be written ({reason}): {mend}")
        self.errno, self.strerror, self.filename = error.errno, reason, str(path)

    def __str__(self) -> str:
        return str(self.args[0])


def is_link(path: Path) -> bool:
    """Return whether ``path`` itself is a link; on Windows a junction too."""
    return path.is_symlink() or bool(getattr(path, "is_junction", bool)())


def is_draft(name: str) -> bool:
    """Return whether a name is that of an unfinished draft of ``replacing``."""
    return name.startswith(".") and (name.endswith(_DRAFT) or name.startswith(_EARLIER))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty draft that replaces the file ``path`` at the end.

    The draft lies beside ``path`` and is flushed to disk before it takes its place.

    A link at ``path`` is replaced, not followed. Where the block fails, the draft goes and ``path`` stays as it was.
    Drafts that killed processes left of the same file are cleared.

    Raises:
        CannotWrite: For every refusal of the operating system, with the name ``path``.
    """
    with _named(path):
        clear_drafts(path.parent, path.name)
        draft, handle = _begun(path, _new_file)
    try:
        with _named(path, draft):
            yield draft
        with _named(path):
            # Content first, then the name: a power cut between them leaves the earlier file, never an empty one.
            sync_file(draft)
            put_in_place(draft, path)
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty draft folder that becomes ``path`` at the end.

    It lies beside ``path``, where there is nothing or an empty folder.

    All that is in it is flushed to disk first. Where the block fails, the draft goes.

    Raises:
        CannotWrite: For every refusal of the operating system, also where ``path`` is there and not empty.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_drafts(path.parent, path.name)
        draft, handle = _begun(path, _new_folder)
    try:
        with _named(path, draft):
            yield draft
        with _named(path):
            # Files, then the folder that names them, at last its new name: each lasts before what points to it.
            for folder, _, names in os.walk(draft):
                for name in names:
                    sync_file(Path(folder, name))
                sync_folder(Path(folder))
            # Windows renames a folder onto none that is there, not even an empty one.
            if os.name == "nt" and path.is_dir():
                path.rmdir()
            put_in_place(draft, path)
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(draft, ignore_errors=True)


def set_aside(path: Path) -> None:
    """Take a folder's name from it at one moment, then delete it; what a kill leaves is cleared as a draft is."""
    aside = _draft_of(path)
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def write(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8."""
    with replacing(path) as draft:
        if isinstance(data, bytes):
            draft.write_bytes(data)
        else:
            draft.write_text(data, encoding="utf-8", newline="\n")


def put_in_place(draft: Path, path: Path) -> None:
    """Rename a file or folder to ``path``, safe from power cuts."""
    os.replace(draft, path)
    sync_folder(path.parent)


def write_all(file: FileIO, content: bytes) -> None:
    """Write ``content`` to an unbuffered file, which may take less at once."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def append(path: Path, text: str) -> None:
    """Add ``text`` to a file, which is made where there is none.

    Raises:
        CannotWrite: Also for what is no file of one name: a link, a folder, a pipe.
    """
    with _named(path):
        handle = open_unshared(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(handle, "ab") as file:
            file.write(text.encode())


def open_unshared(path: Path, flags: int) -> int:
    """Return a handle of a regular file that has no other name.

    To write to it changes nothing elsewhere.

    Raises:
        OSError: For links, hard links, folders, pipes, devices, and where the system refuses.
    """
    if is_link(path):
        raise OSError(errno.ELOOP, "it is a link: remove it", str(path))
    handle = os.open(path, flags | _FLAGS | getattr(os, "O_NONBLOCK", 0), 0o666)
    status = os.fstat(handle)
    regular = stat.S_ISREG(status.st_mode)
    if not regular or status.st_nlink > 1:
        os.close(handle)
        what = "it is one file with another name elsewhere" if regular else "it is no file"
        raise OSError(errno.EMLINK if regular else errno.EINVAL, f"{what}: remove it", str(path))
    return handle


def read_bytes(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most ``most`` bytes.

    A link at ``path`` itself is not followed.

    Raises:
        OSError: With words for all else: a link, a folder, a pipe (never waits), a longer file.
    """
    if is_link(path):
        raise OSError(errno.ELOOP, "it is a link", str(path))
    # Opened without waiting and looked at afterwards: a pipe can take the file's place in between.
    handle = os.open(path, os.O_RDONLY | _FLAGS | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, more than {most:,}", str(path))
        return file.read()


def read_text(path: Path, most: int = 1 << 26) -> str:
    """Return the text of a file that a user names, in UTF-8.

    It may be a link or a pipe, with or without a byte order mark.

    Raises:
        UnicodeDecodeError: For another encoding.
        OSError: For what cannot be read, a name that no file can have, and more than ``most`` bytes.
    """
    try:
        with path.open("rb") as file:
            content = _read_at_most(file, most + 1)
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content.decode("utf-8-sig")


def _read_at_most(file: BinaryIO, most: int) -> bytes:
    """Return the bytes of a file up to ``most``, in parts: Python makes room for all that is asked for at once."""
    parts, left = [], most
    while left and (part := file.read(min(left, _PART))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entries_under(entries: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Return the entries whose names begin with ``prefix``, which is taken off."""
    return {name.removeprefix(prefix): value for name, value in entries.items() if name.startswith(prefix)}


def make_folder(path: Path) -> None:
    """Make the folder ``path`` where there is none, in its parent.

    Raises:
        CannotWrite: Also where a link or a file has its name.
    """
    with _named(path):
        if is_link(path):
            raise OSError(errno.ELOOP, "it is a link: remove it")
        path.mkdir(exist_ok=True)


def check_no_links(folder: Path, what: str) -> None:
    """Refuse links anywhere below ``folder`` with a ``UserError``.

    ``what`` says what the folder is.

    Nobody writes through links that came with a folder from elsewhere.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if is_link(path := Path(place, name)):
                raise UserError(f"{path} is a link: {what} has files of its own only; remove the link")


def clear_drafts(folder: Path, name: str | None = None) -> None:
    """Delete the drafts in ``folder`` that nobody is writing any more.

    ``name`` restricts them to those of one file.
    """
    start = "." if name is None else _prefix(name)
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(start) and is_draft(entry.name):
                _clear(Path(entry.path))


def _clear(draft: Path) -> None:
    with suppress(OSError):
        if is_link(draft):
            draft.unlink()
            return
        handle = os.open(draft, os.O_RDONLY | _FLAGS | getattr(os, "O_NONBLOCK", 0))
        try:
            # A draft under work is locked by its writer; without locks only its age can tell.
            free = try_lock(handle)
            old = time.time() - os.fstat(handle).st_mtime > _A_DAY
        finally:
            os.close(handle)
        if free or (free is None and old):
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink()


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        # Some network folders know no such thing.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Flush the content of a file to disk."""
    handle = os.open(path, os.O_RDWR | _FLAGS)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prefix(name: str) -> str:
    encoded = os.fsencode(name)
    return f".{name}." if len(encoded) <= _LONGEST_NAME else f".{hashlib.sha256(encoded).hexdigest()[:32]}."


def _draft_of(path: Path) -> Path:
    """Return a new name beside ``path``."""
    return path.with_name(f"{_prefix(path.name)}{secrets.token_hex(6)}{_DRAFT}")


def _begun(path: Path, make: Callable[[Path], int]) -> tuple[Path, int | None]:
    """Return a new draft and a handle that locks it.

    The lock tells others who clear drafts that somebody is at work.
    """
    while True:
        draft = _draft_of(path)
        handle = make(draft)
        if os.name == "nt":  # which renames no file that is open, nor deletes one
            os.close(handle)
            return draft, None
        # Whoever clears drafts may have met this one before it was locked.
        if try_lock(handle) is not False and draft.exists():
            return draft, handle
        os.close(handle)


def _new_file(draft: Path) -> int:
    return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)


def _new_folder(draft: Path) -> int:
    draft.mkdir()
    return os.open(draft if os.name != "nt" else os.devnull, os.O_RDONLY)


@contextmanager
def _named(path: Path, draft: Path | None = None) -> Iterator[None]:
    """Turn refusals of the operating system into ``CannotWrite`` of ``path``.

    While a ``draft`` is written, those that name another file are of that file.
    """
    try:
        yield
    except OSError as error:
        if draft is not None and error.filename is not None:
            about = Path(os.fsdecode(error.filename))
            if about != path and not about.is_relative_to(draft):
                raise
        raise CannotWrite(path, error) from error
