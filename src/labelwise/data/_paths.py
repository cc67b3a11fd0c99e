"""Where the pictures of a table lie: inside one folder, links followed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from labelwise.errors import UserError

__all__ = ["resolve_inside"]

_ADDRESS = re.compile(r"^[a-z][a-z0-9+.\-]+://|^data:", re.IGNORECASE)


def resolve_inside(
    paths: Sequence[str | os.PathLike[str]], folder: str | Path, where: Callable[[int], str], flag: str
) -> list[str]:
    """Return absolute paths with links followed; relative ones start at ``folder``. They need not exist.

    :param where: gives the place of a row for a message.
    :param flag: the name of the argument that gives the folder, for messages.
    :raises UserError: for an address, and for a path that leaves the folder.
    """
    base = os.path.realpath(folder)
    if not os.path.isdir(base):
        raise UserError(f"{flag}: {str(folder)!r} is no folder; give the folder of the pictures")
    inside = base.rstrip(os.sep) + os.sep
    folders: dict[str, str] = {}
    found = []
    for row, given in enumerate(paths):
        path = os.fspath(given)
        if _ADDRESS.match(path):
            raise UserError(f"{where(row)}: {path[:80]!r} is an address; fetch the picture and name its file")
        if "\0" in path:
            raise UserError(f"{where(row)}: the path holds a null character; mend the row")
        parent, name = os.path.split(os.path.join(base, path))
        # Most pictures share a few folders, and following every part of every path takes its time.
        if parent not in folders:
            folders[parent] = os.path.realpath(parent)
        real = os.path.join(folders[parent], name)
        if name in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(real)
        if not real.startswith(inside):
            raise UserError(
                f"{where(row)}: {path[:80]!r} leads out of {base}; move the picture there or give a folder that"
                f" holds all of them with {flag}"
            )
        found.append(real)
    return found
