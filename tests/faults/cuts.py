"""Files cut at every 4 KiB and with a byte changed in each: refused in one line, or read as they were."""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labelwise.errors import UserError
from tests.faults import scenarios
from tests.faults.disk import Tally

BLOCK = 4096


@dataclass(frozen=True)
class Stored:
    """Files on disk, and how they are read.

    Attributes:
        make: Write them below a folder.
        files: Their names, as a pattern.
        read: Read them; raise ``UserError`` for a refusal.
        right: Whether what was read may be believed, beside what was read of the whole files.
        flips: Whether a changed byte must be noticed too; a cut always must.
    """

    make: Callable[[Path], object]
    files: str
    read: Callable[[Path], Hashable]
    right: Callable[[Hashable, Hashable], bool] = lambda found, whole: found == whole
    flips: bool = True


def _answers(folder: Path) -> None:
    scenarios.answer(folder, [f"item {number} " + "x" * 200 for number in range(60)])


def _answers_in_use(folder: Path) -> None:
    """Leave a database as a killed process does: with what was written last in the log beside it."""
    from labelwise.completion import Answer, AnswerStore

    place = folder / "source"
    place.mkdir()
    with AnswerStore.open(place / "answers.sqlite", run="r") as store:
        for number in range(60):
            row = Answer(f"item {number:02d}", "x" * 200, 1, "Ann", "2026-01-01T00:00:00Z")
            store.append([row], [str(number)])
        for path in place.iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, folder)
    shutil.rmtree(place)


def _beginning(found: Hashable, whole: Hashable) -> bool:
    """Whether answers are the first of all: what a torn log loses is the last ones, never one in the middle."""
    assert isinstance(found, tuple)
    assert isinstance(whole, tuple)
    return found == whole[: len(found)]


STORED = {
    "a model": Stored(lambda f: scenarios.model(f, "new"), "m/*", scenarios.which_model),
    "a checkpoint": Stored(
        scenarios.checkpoints, "c/**/*", scenarios.latest, lambda found, _: found in (1, 2)
    ),
    "features": Stored(lambda f: scenarios.embed_numbers(f, range(30)), "features/*/*", scenarios.embedded),
    "answers": Stored(_answers, "answers.sqlite", scenarios.answers, flips=False),
    "the log of answers": Stored(_answers_in_use, "answers.sqlite-wal", scenarios.answers, _beginning),
}


def _damages(content: bytes, flips: bool, step: int) -> Iterator[tuple[str, bytes]]:
    for place in range(0, len(content), BLOCK * step):
        yield f"cut to {place}", content[:place]
    for place in range(0, len(content) if flips else 0, BLOCK * step):
        # Not always the first of a block, which headers have.
        at = min(place + place * 7 // BLOCK % BLOCK, len(content) - 1)
        yield f"byte {at} changed", content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def everywhere(stored: Stored, step: int = 1) -> Tally:
    """Damage each ``step``-th block of each file."""
    began, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory(prefix="faults-") as base, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template, folder = Path(base, "template"), Path(base, "case")
        template.mkdir()
        stored.make(template)
        shutil.copytree(template, folder)
        whole = stored.read(folder)
        files = sorted(path.relative_to(template) for path in template.glob(stored.files) if path.is_file())
        assert files
        for name in files:
            for what, damaged in _damages((template / name).read_bytes(), stored.flips, step):
                shutil.rmtree(folder)
                shutil.copytree(template, folder)
                (folder / name).write_bytes(damaged)
                tally.tries += 1
                if (wrong := _wrong(stored, folder, whole)) is not None:
                    tally.failures.append(f"{name}, {what}: {wrong}")
    tally.seconds = time.monotonic() - began
    return tally


def _wrong(stored: Stored, folder: Path, whole: Hashable) -> str | None:
    try:
        found = stored.read(folder)
    except UserError as refusal:
        return "more than one line" if "\n" in str(refusal) else None
    except Exception as other:
        return f"{type(other).__name__}: {other!s:.200}"
    return None if stored.right(found, whole) else f"read as {found!r:.200}"
