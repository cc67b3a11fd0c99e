"""Files of a table's pictures: found by name, inside one folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from labelwise.errors import UserError, listed

_ADDRESS = re.compile(r"^[a-z][a-z0-9+.\-]+://|^data:", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:[\\/]|\\\\", re.IGNORECASE)
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)


def is_picture_name(value: str | None) -> bool:
    """Return whether a text ends as a picture's file does."""
    return value is not None and _PICTURE.search(value) is not None


def resolve_inside(
    paths: Sequence[str | os.PathLike[str]], folder: str | Path, where: Callable[[int], str], flag: str
) -> list[str]:
    """Return absolute paths inside ``folder``, with links followed.

    Relative ones start at ``folder``. They need not exist.

    Args:
        where: Gives the place of a row for a message.
        flag: The name of the argument that gives the folder, for messages.

    Raises:
        UserError: For an address, and for a path that leaves the folder.
    """
    base = os.path.realpath(folder)
    if not os.path.isdir(base):
        raise UserError(f"{flag}: {str(folder)!r} is no folder; give the folder of the pictures")
    inside = base.rstrip(os.sep) + os.sep
    folders: dict[str, str] = {}
    resolved = []
    for row, raw in enumerate(paths):
        path = os.fspath(raw)
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
        # Compared after links are followed, with the separator: /photos-2 does not lie in /photos.
        if not real.startswith(inside):
            raise UserError(
                f"{where(row)}: {path[:80]!r} leads out of {base}; move the picture there or give a folder that"
                f" holds all of them with {flag}"
            )
        resolved.append(real)
    return resolved


class _Listing:
    """The names in a folder.

    They are known by their composed form, those of pictures by their name without the ending too.
    """

    def __init__(self, folder: str, inside: str) -> None:
        self.names: dict[str, list[str]] = {}
        self.stems: dict[str, list[str]] = {}
        try:
            # Names are looked up inside the pictures' folder alone.
            is_inside = (os.path.realpath(folder) + os.sep).startswith(inside)
            names = sorted(os.listdir(folder)) if is_inside else []
        except (OSError, ValueError):
            names = []
        for name in names:
            self.names.setdefault(_composed(name), []).append(name)
            if is_picture_name(name):
                self.stems.setdefault(_composed(_PICTURE.sub("", name)), []).append(name)


def find_pictures(
    paths: Sequence[str], folder: str | Path, suffix: str | None, where: Callable[[int], str]
) -> tuple[list[str], list[str]]:
    """Return the files that a table's ``paths`` mean.

    Beside their names there are sentences on what differs.

    A name that is no file's may lack its ending (``suffix``, or found by looking), or be spelt in another form of
    Unicode, as some systems store it. A name that is not found so stays as it is.

    Raises:
        UserError: Where several files differ in their ending alone, and for a wrong ``suffix``.
    """
    if suffix is not None:
        suffix = suffix if suffix.startswith(".") else f".{suffix}"
        if not is_picture_name(suffix):
            raise UserError(
                f"image_suffix (--image-suffix) is {suffix!r}: give the ending of a picture's file, such as .jpg"
            )
    base = os.path.realpath(folder)
    inside = base.rstrip(os.sep) + os.sep
    listings: dict[str, _Listing] = {}
    files, endings, other_forms, slashed = [], Counter[str](), 0, 0
    for row, path in enumerate(paths):
        if _ADDRESS.match(path) or "\0" in path or not path:
            files.append(path)
            continue
        named = path if suffix is None or path.lower().endswith(suffix.lower()) else path + suffix
        full = os.path.join(base, named)
        if os.sep == "/" and "\\" in named and not os.path.lexists(full):
            if _DRIVE.match(named) and is_picture_name(named):
                raise UserError(
                    f"{where(row)}: {path[:80]!r} is a path of a Windows computer; write names that start at the folder"
                    " of the pictures, and give that by images (--images)"
                )
            turned = named.replace("\\", "/")
            if not turned.startswith("/") and os.path.lexists(os.path.join(base, turned)):
                named, full, slashed = turned, os.path.join(base, turned), slashed + 1
        if os.path.lexists(full) and not (suffix is None and os.path.isdir(full)):
            files.append(named)
            continue
        parent, name = os.path.split(full)
        if parent not in listings:
            listings[parent] = _Listing(parent, inside)
        same = listings[parent].names.get(_composed(name), [])
        longer = listings[parent].stems.get(_composed(name), []) if suffix is None else []
        same = [one for one in same if one not in (name,)]
        if len(same or longer) > 1:
            raise UserError(
                f"{where(row)}: {path[:80]!r} can be {listed(map(repr, same or longer))}: say which by image_suffix"
                " (--image-suffix .jpg), or write the whole name"
            )
        if not (same or longer):
            files.append(named)
            continue
        chosen = (same or longer)[0]
        other_forms += not chosen.startswith(name)
        if longer and not same:
            endings[os.path.splitext(chosen)[1]] += 1
        files.append(os.path.join(os.path.dirname(named), chosen))
    notes = []
    if endings:
        shown = listed(f"{ending} ({count:,})" for ending, count in endings.most_common())
        notes.append(f"the pictures' names have no ending; found by looking in {folder}: {shown}")
    if other_forms:
        notes.append(
            f"{other_forms:,} of the pictures' names are spelt in another form of Unicode than their files"
        )
    if slashed:
        notes.append(
            f"{slashed:,} of the pictures' names have a backslash between folders, as on Windows: read as /"
        )
    return files, notes


def names_files(values: Sequence[str], folder: str | Path, *, named: bool) -> bool:
    """Return whether nearly all values name pictures' files in ``folder``.

    They may lack the ending.

    Args:
        named: The user named the folder, so that files without an ending count too.
    """
    if not values or any(_ADDRESS.match(value) or _DRIVE.match(value) or "\0" in value for value in values):
        return False
    try:
        files, _ = find_pictures(values, folder, None, str)
    except UserError:
        return True
    hits = [(named or is_picture_name(path)) and os.path.isfile(os.path.join(folder, path)) for path in files]
    return sum(hits) >= 0.9 * len(hits)


def list_pictures(folder: Path) -> list[str]:
    """Return the pictures' files in a folder and those below it.

    They are sorted relative paths; no link is followed.
    """
    pictures = []
    for place, folders, names in os.walk(folder):
        # Changed in place, which is how os.walk is told where not to go.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = os.path.join(place, name)
            if is_picture_name(name) and not name.startswith(".") and os.path.isfile(path):
                pictures.append(os.path.relpath(path, folder))
    return sorted(pictures)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
