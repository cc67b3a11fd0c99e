"""Log in one CSV file: a row for each number."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from labelwise._files import write
from labelwise.errors import UserError
from labelwise.tracking.base import MetricLog

_HEAD = ("step", "name", "value")


class CsvLog(MetricLog):
    """Rows step, name, value; parameters and final figures have no step.

    A fit that is resumed goes on in the file: what it says again takes the place of what stood there.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: dict[tuple[str, str], str] = {}

    def begin(self, parameters: Mapping[str, str]) -> None:
        """Read the file, where there is one, and write the parameters."""
        self._rows = {}
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            if not rows or tuple(rows[0]) != _HEAD or any(len(row) != len(_HEAD) for row in rows):
                raise UserError(f"{self.path} is no log of labelwise: give another file, or remove it")
            self._rows = {(step, name): value for step, name, value in rows[1:]}
        self._put("", parameters)

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers of an epoch."""
        self._put(str(step), {name: repr(value) for name, value in numbers.items()})

    def end(self, figures: Mapping[str, float]) -> None:
        """Write the final figures."""
        self._put("", {name: repr(value) for name, value in figures.items()})

    def _put(self, step: str, values: Mapping[str, str]) -> None:
        self._rows |= {(step, name): value for name, value in values.items()}
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(_HEAD)
        lines.writerows((*place, value) for place, value in self._rows.items())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write(self.path, text.getvalue())
