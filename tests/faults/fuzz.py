"""Changed inputs in very great number: what reads them ends soon, in its result or in one line, in bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from labelwise.errors import UserError
from tests.faults.disk import Tally

SECONDS = 10
"""Processor time that one input may take."""
ROOM = 1 << 30
"""Bytes of address space that one input may take beyond what the process holds before the first."""
_LONGEST = 2000

TOKENS = [
    b'"', b"'", b",", b";", b"\t", b"|", b"\n", b"\r\n", b"\0", b"\\", b"[", b"]", b"{", b"}", b":", b"=", b"<", b">",
    b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5000, b"[" * 2000, b'{"a":' * 500, b"\xff", b"\xc3",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xe2\x80\xae", b"true", b"-1", b"0.5", b"a" * 300,
    b"id", b"\x1f\x8b", b"PAR1", b"@data", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"../", b"%s", b"{}", b"[]",
    b'""', b"-0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"0x10", b"1979-05-27", b"{a=1}",
    b"[[a]]", b"[a]", b"# ",
]  # fmt: skip


class Hangs(BaseException):
    """An input that took too long."""


def changed(draw: random.Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with bytes changed, taken out, doubled, or put in from a list or another seed."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice([1, 1, 1, 2, 3, 8])):
        at, kind = draw.randrange(len(data) + 1), draw.randrange(9)
        if kind == 0:
            data[at:at] = draw.choice(TOKENS)
        elif kind == 1:
            data[at : at + draw.choice([1, 1, 4, 20])] = draw.choice(TOKENS)
        elif kind == 2:
            del data[at : at + draw.choice([1, 1, 4, 20, 200])]
        elif kind == 3:
            data[at:at] = data[at : at + draw.choice([4, 40])] * draw.choice([1, 1, 50])
        elif kind == 4:
            other = draw.choice(seeds)
            start = draw.randrange(len(other) + 1)
            data[at : at + 16] = other[start : start + draw.choice([4, 16, 64])]
        elif kind == 5:
            del data[at:]
        elif data:
            at = min(at, len(data) - 1)
            data[at] = draw.choice([0, 1, 127, 255, data[at] ^ (1 << draw.randrange(8)), draw.randrange(256)])
    return bytes(data[:1_000_000])


def _template(message: str) -> str:
    """Return a message without what is of the input in it."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+|\([^)]*\)|/\S+", "_", message)[:150]


def attack(use: Callable[[bytes], object], seeds: list[bytes], count: int, seed: str) -> Iterator[str | None]:
    """Give changed inputs to ``use``, and yield for each what is wrong, None where nothing is.

    An input that is refused in new words becomes a seed itself, so that later ones get further.
    """
    draw, seen = random.Random(seed), set[str]()
    seeds = list(seeds)

    def late(number: int, frame: FrameType | None) -> None:
        raise Hangs

    signal.signal(signal.SIGPROF, late)
    for _ in range(count):
        data, wrong = changed(draw, seeds), None
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            use(data)
        except UserError as refusal:
            message = str(refusal)
            if "\n" in message or len(message) > _LONGEST:
                wrong = f"a refusal of {len(message)} characters: {message[:300]}"
            elif (words := _template(message)) not in seen and len(seen) < 400:
                seen.add(words)
                seeds.append(data[:20_000])
        except Hangs:
            wrong = f"no end within {SECONDS} s of processor time"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            place = next((f for f in reversed(frames) if "labelwise" in f.filename), frames[-1])
            where = f"{Path(place.filename).name}:{place.lineno}"
            wrong = f"{type(error).__name__} at {where}: {str(error)[:200]}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        yield wrong if wrong is None else f"{wrong} [{data[:60]!r}, {len(data)} bytes]"


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Let this process take ``ROOM`` more and no more."""
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def here(name: str, count: int, seed: str, report: Callable[[int, str | None], None]) -> None:
    """Attack a target in this process."""
    from tests.faults.targets import TARGETS

    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = Path(folder).resolve()
        with target.opened(place) as (use, seeds):
            for whole in seeds:
                # What is whole is read, which also imports all that reading needs before room is bounded.
                with contextlib.suppress(UserError):
                    use(whole)

            def kept(data: bytes) -> None:
                (place / "input.bin").write_bytes(data)
                use(data)

            with bounded():
                for number, wrong in enumerate(attack(kept, seeds, count, seed)):
                    if wrong is not None or number % 500 == 499:
                        report(number, wrong)


def apart(name: str, count: int, seed: str, patience: float = 600) -> Tally:
    """Attack a target in a process of its own, whose end or silence is a failure too."""
    began, tally = time.monotonic(), Tally(count)
    command = [sys.executable, "-m", "tests.faults.fuzz", name, str(count), seed]
    last = 0
    # An arena for each thread would count as room that is taken.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    # Decoders say what they think, more than a pipe that nobody empties holds.
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        while select.select([process.stdout], [], [], patience)[0] and (line := process.stdout.readline()):
            last, wrong = json.loads(line)
            if wrong is not None:
                tally.failures.append(f"{name}, input {last} of seed {seed}: {wrong}")
        where = f"{name}, after input {last} of seed {seed}"
        if process.poll() is None and not _ended(process, patience):
            process.kill()
            tally.failures.append(f"{where}: nothing for {patience} s")
        elif process.wait():
            said.seek(0)
            tally.failures.append(f"{where}: exit {process.returncode}: {said.read()[-500:]}")
    tally.seconds = time.monotonic() - began
    return tally


def _ended(process: subprocess.Popen[str], patience: float) -> bool:
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def kinds(failures: Iterable[str]) -> list[str]:
    """Return one failure of each kind, by its exception and place."""
    found: dict[str, str] = {}
    for failure in failures:
        found.setdefault(_template(failure.partition(": ")[2].partition(" [")[0]), failure)
    return [*found.values()]


def main() -> None:
    """Attack the target that is named, and print what is wrong as JSON lines."""
    name, count, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def report(number: int, wrong: str | None) -> None:
        out.write(json.dumps([number, wrong]) + "\n")
        out.flush()

    here(name, count, seed, report)
    report(count, None)


if __name__ == "__main__":
    main()
