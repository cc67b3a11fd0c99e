"""Learn again: train on the answers in a process of its own, beside the page."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelwise.errors import UserError
from labelwise.runs.reviewing import ReviewData

_PROGRAM = "from labelwise.cli import main; main()"


class Learning:
    """At most one training at a time; the page asks how it stands.

    Args:
        command: Makes the arguments of ``labelwise`` for a new run in a folder.
        opened: Reads the finished run, when its process has ended.
        taken: Called with it; then the page shows the new order.
    """

    def __init__(
        self,
        run: Path,
        expected: float,
        command: Callable[[Path], list[str]],
        opened: Callable[[Path], ReviewData],
        taken: Callable[[ReviewData], str],
    ) -> None:
        self._run, self._expected = run, expected
        self._command, self._opened, self._taken = command, opened, taken
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._state: dict[str, Any] = {"state": "idle", "words": ""}
        self._began = 0.0

    def start(self) -> dict[str, Any]:
        """Begin, unless it is under way."""
        with self._lock:
            if self._state["state"] == "running":
                return self._shown()
            out = self._free_folder()
            arguments = self._command(out)
            self._began = time.monotonic()
            self._state = {"state": "running", "words": "Training."}
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            except OSError as error:
                raise UserError(f"the training could not be started ({error})") from None
            threading.Thread(target=self._wait, args=(self._process, out), daemon=True).start()
            return self._shown()

    def state(self) -> dict[str, Any]:
        """Return how it stands: idle, running, done or failed, with words."""
        with self._lock:
            return self._shown()

    def stop(self) -> None:
        """End a training that is under way; the answers stay."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    def _shown(self) -> dict[str, Any]:
        seconds = round(time.monotonic() - self._began, 1) if self._state["state"] == "running" else 0.0
        return {**self._state, "seconds": seconds, "expected": self._expected}

    def _free_folder(self) -> Path:
        """Return the first folder beside the run that does not exist: RUN-2, RUN-3 ..."""
        run = self._run.absolute()
        number = 2
        while (out := run.with_name(f"{run.name}-{number}")).exists():
            number += 1
        return out

    def _wait(self, process: subprocess.Popen[str], out: Path) -> None:
        _, errors = process.communicate()
        seconds = time.monotonic() - self._began
        try:
            if process.returncode:
                lines = [line for line in errors.splitlines() if line.strip()]
                if not lines:
                    raise UserError(f"the training ended with {process.returncode} and said nothing")
                raise UserError(lines[-1].removeprefix("error: "))
            with self._lock:
                self._state["words"] = "Reading the new scores."
            words = self._taken(self._opened(out))
            new = {"state": "done", "words": words, "run": str(out)}
            self._expected = seconds
        except Exception as error:
            what = (
                str(error) if isinstance(error, UserError) else f"unexpected {type(error).__name__}: {error}"
            )
            new = {"state": "failed", "words": f"Learning again failed: {what}"}
        with self._lock:
            self._state = new
