"""The directory of a run: its files, its lock, its checks."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import (
    CannotWrite,
    check_no_links,
    clear_drafts,
    is_link,
    make_folder,
    replacing,
    replacing_folder,
    write,
)
from labelwise._locks import claim_lock
from labelwise.errors import UserError, listed
from labelwise.runs.config import RunConfig
from labelwise.runs.records import read_evaluation, read_held_out, read_left_out, read_state

FORMAT = 1
_CONFIG, _STATE, _HELD_OUT = "run.toml", "state.json", "held_out.npz"
_LOCK, _LEFT_OUT = ".lock", "left_out.json"


@dataclass(frozen=True)
class RunDirectory:
    """A run's folder and the places in it."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of what training resumes from."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "history.jsonl"

    @property
    def model(self) -> Path:
        """The model directory."""
        return self.path / "model"

    @property
    def evaluation(self) -> Path:
        """The validation figures."""
        return self.path / "evaluation.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def has_checkpoint(self) -> bool:
        """Return whether there is a checkpoint to resume from."""
        return self.checkpoints.is_dir() and any(self.checkpoints.rglob("step-*"))

    def keep_held_out(self, labels: NDArray[np.int8], scores: NDArray[np.float32]) -> None:
        """Write labels and scores of held-out items for later reports."""
        with replacing(self.path / _HELD_OUT) as draft, draft.open("wb") as file:
            np.savez_compressed(file, labels=labels, scores=scores)

    def held_out(
        self, n_items: int | None = None, n_labels: int | None = None
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
        """Return what ``keep_held_out`` wrote, or None.

        A file of more than ``n_items`` items or of other than ``n_labels`` labels is refused.
        """
        path = self.path / _HELD_OUT
        return read_held_out(path, n_items, n_labels) if path.exists() else None

    def exists(self) -> bool:
        """Return whether there is a run in the folder."""
        return (self.path / _CONFIG).is_file() and (self.path / _STATE).is_file()

    def check_free(self) -> None:
        """Raise ``UserError`` unless a new run can be made here."""
        if self.exists():
            raise UserError(
                f"{self.path} holds another run: give another --out, or go on with it by"
                f" 'labelwise train {self.path} --resume'"
            )
        if self.path.is_file():
            raise UserError(f"{self.path} is a file: give --out a folder that does not exist yet")
        if is_link(self.path):
            raise UserError(
                f"{self.path} is a link: give --out a folder that does not exist yet, or"
                f" {os.path.realpath(self.path)} itself"
            )
        if self.path.is_dir() and (inside := sorted(entry.name for entry in self.path.iterdir())):
            raise UserError(
                f"{self.path} is not empty ({listed(inside)}): give --out a new or an empty folder"
            )

    def create(
        self, config: RunConfig, state: dict[str, Any], files: Mapping[str, str] | None = None
    ) -> None:
        """Make the folder with its first files, whole or not at all.

        ``files`` are further texts by name.
        """
        self.check_free()
        try:
            with replacing_folder(self.path) as draft:
                write(draft / _CONFIG, config.to_toml())
                write_json(draft / _STATE, {"format": FORMAT, **state})
                for name, text in (files or {}).items():
                    write(draft / name, text)
        except CannotWrite:
            # Another process may have made it since the check: then the message is about that.
            self.check_free()
            raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the run until the block or the process ends.

        What a killed process left half written is deleted.

        Raises:
            UserError: At once, where another process trains it, where the folder cannot be written to, or where
                there are links in it, which may have come with it from elsewhere.
        """
        self.check_links()
        with ExitStack() as stack:
            try:
                holder = stack.enter_context(claim_lock(self.path / _LOCK))
            except OSError as error:
                self._check()
                raise UserError(
                    f"{self.path} cannot be written to ({error.strerror}): mend that, or train to another --out"
                ) from None
            if holder is not None:
                raise UserError(
                    f"{self.path} is being trained by {holder}: wait for it, or stop it and give this command again;"
                    " nothing was changed"
                )
            # Only under the lock: a draft may be what another process is writing.
            clear_drafts(self.path)
            clear_drafts(self.checkpoints)
            yield

    def check_links(self) -> None:
        """Raise ``UserError`` where anything in the folder is a link."""
        check_no_links(self.path, "a run")

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def config(self) -> RunConfig:
        """Return the configuration."""
        self._check()
        return RunConfig.build({}, file=self.path / _CONFIG)

    def change_config(self, config: RunConfig) -> None:
        """Replace the configuration."""
        write(self.path / _CONFIG, config.to_toml())

    def keep_left_out(self, reasons: Mapping[str, str]) -> None:
        """Write the items that could not be read, with their reasons.

        The file lies beside the checkpoints, which hold for these items alone.
        """
        make_folder(self.checkpoints)
        write_json(self.checkpoints / _LEFT_OUT, dict(reasons))

    def left_out(self) -> dict[str, str] | None:
        """Return what ``keep_left_out`` wrote, or None."""
        path = self.checkpoints / _LEFT_OUT
        return read_left_out(path) if path.exists() else None

    def state(self) -> dict[str, Any]:
        """Return the state of the run.

        It holds the status, the model's columns, digests of the input files, and the result once finished.
        """
        self._check()
        return read_state(self.path / _STATE, FORMAT)

    def update(self, **changes: Any) -> None:
        """Change entries of the state."""
        write_json(self.path / _STATE, {**self.state(), **changes})

    def write_history(self, records: list[dict[str, Any]]) -> None:
        """Write the training history, one JSON line an epoch."""
        write(self.history, "".join(json.dumps(record) + "\n" for record in records))

    def figures(self) -> dict[str, Any] | None:
        """Return a finished run's validation figures, None without any."""
        figures: dict[str, Any] | None = read_evaluation(self.evaluation)["figures"]
        return figures

    def drop_checkpoints(self) -> None:
        """Delete the checkpoints, which a finished run no longer needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def finished(self) -> dict[str, Any]:
        """Return the state of a finished run.

        Raises:
            UserError: For another, with the command that finishes it.
        """
        state = self.state()
        if state["status"] != "finished":
            raise UserError(
                f"{self.path} is not finished: 'labelwise train {self.path} --resume' finishes it"
            )
        return state

    def _check(self) -> None:
        if self.exists():
            return
        if not self.path.exists():
            raise UserError(
                f"{self.path}: there is no such run; give the folder that 'labelwise train --out' made"
            )
        if (self.path / "model.json").is_file():
            raise UserError(
                f"{self.path} is a model directory: give the run directory, {self.path.absolute().parent}"
            )
        raise UserError(
            f"{self.path} is not a run directory: give the folder that 'labelwise train --out' made"
        )


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as JSON, whole or not at all."""
    write(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def check_output(path: str | Path, inputs: Iterable[str | Path], endings: Sequence[str]) -> Path:
    """Return ``path`` as a file that can be written.

    It has one of ``endings``, lies in a folder that exists, and is none of ``inputs``.
    """
    out = Path(path)
    if out.suffix.lower() not in endings:
        raise UserError(f"--out {out}: the ending {out.suffix!r} is none of {', '.join(endings)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        why = "it is a folder" if out.is_dir() else f"there is no folder {str(out.parent)!r}"
        raise UserError(f"--out {out}: {why}; name a file in a folder that exists")
    if out.exists() and not out.is_file():
        raise UserError(f"--out {out}: it is no file but a pipe, socket or device; name a file")
    # Not Path.resolve, which raises for links that lead to themselves.
    if any(os.path.realpath(out) == os.path.realpath(source) for source in inputs):
        raise UserError(f"--out {out} is the table itself: give another file")
    return out
