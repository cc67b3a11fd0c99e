"""Files of a set's folder, with errors that name the publisher.

An error says what was looked for, where, and where its owners publish it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.datasets.catalogue import DATASETS
from labelwise.errors import UserError, listed, repeated

_DIGITS = 9
"""Most digits of an id; a longer one would take memory."""

UNREADABLE = (KeyError, ValueError, EOFError, OSError, OverflowError, MemoryError, zipfile.BadZipFile)
"""Errors of ``numpy.load`` for a file that is damaged or foreign."""


def why_unreadable(path: Path, error: Exception) -> str:
    """Say why ``numpy.load(path, allow_pickle=False)`` could not read a file."""
    if path.is_file():
        with path.open("rb") as file:
            mark = file.read(6)
        expected = b"PK" if path.suffix == ".npz" else b"\x93NUMPY"
        if not mark.startswith(expected):
            return f"no {path.suffix} file"
    return (
        "holds Python objects, which can run code when read" if "allow_pickle" in str(error) else str(error)
    )


class Tree:
    """Folder of one set.

    Everything that is missing or damaged is a ``UserError``.
    """

    def __init__(self, name: str, directory: str | Path) -> None:
        self.name = name
        self.directory = Path(directory).expanduser().absolute()

    def find(self, *candidates: str, what: str | None = None) -> Path:
        """Return the first of the paths that exists.

        They are looked for below the directory, then below its folder NAME.
        """
        for root in (self.directory, self.directory / self.name):
            for candidate in candidates:
                if (root / candidate).exists():
                    return root / candidate
        raise self.missing(what or candidates[0])

    def has(self, *candidates: str) -> bool:
        """Return whether ``find`` would find one."""
        return any(
            (root / candidate).exists()
            for root in (self.directory, self.directory / self.name)
            for candidate in candidates
        )

    def missing(self, what: str | Path) -> UserError:
        """Return the error for a file that is not there.

        It says what was looked for, where, and where its owners publish it.
        """
        place = f"in {self.directory}" if self.directory.is_dir() else f"in {self.directory}, no such folder"
        return UserError(
            f"{self.name}: looked for {what} {place}; its owners publish it at {DATASETS[self.name].url}"
            f" ('labelwise datasets {self.name}' shows the layout)"
        )

    def damaged(self, path: Path, why: str) -> UserError:
        """Return the error for a file that is there but not whole."""
        return UserError(f"{self.name}: {path}: {why}; get it again from {DATASETS[self.name].url}")

    def text(self, path: Path) -> str:
        """Return a file's text."""
        try:
            return path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise self.missing(path) from None
        except OSError as error:
            raise self.damaged(path, f"cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise self.damaged(path, f"byte {error.start} is not UTF-8") from None

    def json(self, path: Path) -> Any:
        """Return a file's JSON; numbers with fractions, such as those of boxes, become None."""
        try:
            with path.open("rb") as file:
                # Outlines and boxes are most of a file, all in fractions, and none of them is wanted.
                return json.load(file, parse_float=lambda _: None)
        except FileNotFoundError:
            raise self.missing(path) from None
        except OSError as error:
            raise self.damaged(path, f"cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise self.damaged(path, f"not whole JSON ({error})") from None

    def lines(self, path: Path) -> list[str]:
        """Return a file's lines, without the last line break.

        Blank lines in between stay.
        """
        lines = self.text(path).replace("\r\n", "\n").split("\n")
        while lines and not lines[-1]:
            lines.pop()
        if not lines:
            raise self.damaged(path, "empty")
        return lines

    def states(self, path: Path, values: Sequence[str], known: Sequence[int] = (0, 1)) -> NDArray[np.int8]:
        """Return words as int8, all of which must be among ``known``."""
        digits = "".join(values)
        if len(digits) == len(values) and digits.isascii() and min(known) >= 0:
            codes = np.frombuffer(digits.encode(), dtype=np.int8) - np.int8(ord("0"))
            if np.isin(codes, known).all():
                return codes
        allowed = {str(code): code for code in known}
        try:
            return np.fromiter((allowed[value] for value in values), dtype=np.int8, count=len(values))
        except KeyError as error:
            raise self.damaged(
                path, f"holds {error.args[0]!r} where it should be {' or '.join(allowed)}"
            ) from None

    def pairs(self, path: Path) -> list[tuple[str, str]]:
        """Return the lines 'NUMBER VALUE' of a file, in its order.

        No number may come twice.
        """
        pairs = [line.split(maxsplit=1) for line in self.lines(path) if line.strip()]
        wrong = [
            row
            for row, pair in enumerate(pairs, 1)
            if len(pair) != 2 or not pair[0].isdecimal() or len(pair[0]) > _DIGITS
        ]
        if wrong:
            raise self.damaged(path, f"lines {listed(wrong)} are not a number and a value")
        self.check_unique(path, (int(pair[0]) for pair in pairs), "numbers")
        return [(str(int(pair[0])), pair[1].strip()) for pair in pairs]

    def numbered(self, path: Path) -> tuple[str, ...]:
        """Return label names from 'NUMBER VALUE' lines, by their numbers.

        The numbers must be 1, 2, ...
        """
        values = {int(number): value for number, value in self.pairs(path)}
        if sorted(values) != list(range(1, len(values) + 1)):
            raise self.damaged(path, f"its numbers are not 1 to {len(values)}")
        return self.labels(path, [values[number] for number in sorted(values)])

    def labels(self, path: Path, names: Sequence[str]) -> tuple[str, ...]:
        """Return names of labels, none of them empty or double."""
        if not names:
            raise self.damaged(path, "names no label")
        if "" in names:
            raise self.damaged(path, f"line {names.index('') + 1} names no label")
        self.check_unique(path, names, "labels")
        return tuple(names)

    def pictures(self, path: Path, names: Sequence[str], folder: Path) -> list[str]:
        """Return the absolute paths of the images that a file names.

        None of them may lead out of ``folder``.
        """
        if not names:
            raise self.damaged(path, "no items")
        for row, name in enumerate(names, 1):
            if not name.strip():
                raise self.damaged(path, f"item {row} names no image")
            if os.path.isabs(name) or "\0" in name or ".." in name.split("/"):
                raise self.damaged(path, f"item {row}, {name[:80]!r} leads out of {folder}")
        return [str(folder / name) for name in names]

    def check_unique(self, path: Path, values: Iterable[Hashable], what: str) -> None:
        """Refuse a file in which a value comes more than once."""
        if doubles := repeated(values):
            raise self.damaged(path, f"{what} {listed(doubles)} are listed more than once")

    def check_disjoint(self, path: Path, train: Iterable[str], test: Iterable[str]) -> None:
        """Refuse images that are in both parts."""
        if both := sorted(set(train) & set(test)):
            raise self.damaged(path, f"images {listed(both)} are in both parts")
