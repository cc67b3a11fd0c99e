"""Finding files in a tree, and the one line that says what was looked for, where, and who publishes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.data.datasets._catalogue import DATASETS
from labelwise.errors import UserError

__all__ = ["Tree"]


class Tree:
    """The tree of one set below ``directory``; everything that is missing or damaged is a ``UserError``."""

    def __init__(self, name: str, directory: str | Path) -> None:
        self.name = name
        self.directory = Path(directory).expanduser().absolute()

    def find(self, *candidates: str, what: str | None = None) -> Path:
        """Return the first of the paths that exists below the directory, or below its folder NAME."""
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
        """Return the error that says what was looked for, where, and where its owners publish it."""
        where = f"in {self.directory}" if self.directory.is_dir() else f"in {self.directory}, no such folder"
        return UserError(
            f"{self.name}: looked for {what} {where}; its owners publish it at {DATASETS[self.name].url}"
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
        except UnicodeDecodeError as error:
            raise self.damaged(path, f"byte {error.start} is not UTF-8") from None

    def lines(self, path: Path) -> list[str]:
        """Return a file's lines, without the last line break; blank lines in between stay."""
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
