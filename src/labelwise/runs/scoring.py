"""A table's labels beside scores of models that did not see the row, for a finished run."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import CannotWrite, replacing
from labelwise.completion import Answers, left_out_scores
from labelwise.data import Table
from labelwise.errors import UserError
from labelwise.runs.answering import ANSWERS
from labelwise.runs.tables import FinishedRun, items_of

_CACHE = "left_out_scores.npz"
_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class ScoredTable:
    """A table as a finished run's model sees it.

    Attributes:
        finished: The run.
        table: Its own table, or another.
        logits: (n, K) float32, calibrated where that is possible; NaN where an item could not be read.
        how: How the scores were made, in words.
    """

    finished: FinishedRun
    table: Table
    logits: NDArray[np.float32]
    how: str

    @classmethod
    def open(
        cls, run: str | Path, table: str | Path | None, *, progress: bool, given: dict[str, Any]
    ) -> Self:
        """Open a run, and score its own table (None), each row by a model that did not see it, or another."""
        pictures = {name: given.pop(name, None) for name in ("images", "on_bad_item")}
        finished = FinishedRun.open(run, progress=progress, **pictures)
        own = str(finished.config.table)
        data = finished.read_table(own if table is None else table, given=given)
        if not (data.annotations.matrix == -1).any():
            raise UserError(f"{data.path.name} has no unknown entry: there is nothing to complete")
        if table is None or Path(table).absolute() == Path(own).absolute():
            return cls(finished, data, *_left_out(finished, data))
        model, items = finished.model, items_of(data)
        read = model.read(items, items=data.items)
        logits = np.full(data.annotations.matrix.shape, np.nan, np.float32)
        logits[read.kept] = model.decision_function(read)
        return cls(finished, data, logits, "the model's own; it has not seen these rows")

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores (n, K) in [0, 1]."""
        from scipy.special import expit

        return np.asarray(expit(self.logits.astype(np.float64)))

    @property
    def calibrated(self) -> bool:
        """Whether the model's probabilities are calibrated."""
        return self.finished.model.calibration_ is not None

    def predicted(self) -> NDArray[np.bool_]:
        """Return what the run's rule says (n, K) of these scores."""
        read = ~np.isnan(self.logits).any(axis=1)
        predicted = np.zeros(self.logits.shape, bool)
        predicted[read] = self.finished.model.decision_.sets(self.logits[read].astype(np.float64)) == 1
        return predicted

    def answers(self, file: str | Path | None = None) -> Answers:
        """Return the answers beside the run and those of a file."""
        there = (self.finished.directory.path / ANSWERS).is_file()
        answers = Answers.read(self.finished.directory.path) if there else Answers()
        return answers if file is None else answers.merge(read_answered(file))

    def contents(self, rows: NDArray[np.int64]) -> list[Any] | None:
        """Return the texts or paths of some items, None where a table of features has none."""
        contents = self.table.contents
        return None if contents is None else [contents[row] for row in rows.tolist()]


def read_answered(path: str | Path) -> Answers:
    """Return the answers of a file; rows of a CSV file without an answer are left out.

    So is every column that is none of an answer's, such as the text that was asked about.
    """
    import pandas as pd

    path = Path(path)
    if path.suffix.lower() != ".csv":
        return Answers.read(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the answered file that 'labelwise audit' wrote")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as CSV ({error})") from None
    if not {"item", "label", "answer"} <= set(frame.columns):
        raise UserError(
            f"{path} has no columns item, label and answer: give the file that 'labelwise audit' wrote"
        )
    from labelwise.completion.answers import COLUMNS

    frame = frame.loc[frame["answer"].str.strip() != "", [name for name in COLUMNS if name in frame.columns]]
    return Answers.from_frame(frame)


def _left_out(finished: FinishedRun, table: Table) -> tuple[NDArray[np.float32], str]:
    """Return left-out logits of a run's own table, from the file beside the run where it is of this table and model."""
    labels, path = table.annotations.matrix, finished.directory.path / _CACHE
    digest = hashlib.sha256(np.ascontiguousarray(labels).tobytes())
    digest.update("\n".join(map(str, (*table.items, *table.annotations.label_names))).encode())
    digest.update((finished.directory.model / "model.json").read_bytes())
    kept = _read_cache(path, digest.hexdigest(), labels.shape)
    if kept is not None:
        return kept
    result = left_out_scores(finished.model, items_of(table), labels)
    logits = result.logits.astype(np.float32)
    try:
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, logits=logits, digest=np.array(digest.hexdigest()), how=np.array(result.how))
    except CannotWrite:
        pass
    return logits, result.how


def _read_cache(path: Path, digest: str, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], str] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["digest"]) != digest:
                return None
            logits, how = np.asarray(file["logits"], np.float32), str(file["how"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (logits, how) if logits.shape == shape else None
