"""A table's labels beside scores of models that did not see the row, for a finished run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import CannotWrite, file_digest, is_link, replacing
from labelwise.completion import Answers, left_out_scores
from labelwise.data import Table
from labelwise.errors import UserError
from labelwise.runs.answering import ANSWERS, answers_since, known_table, trained_table
from labelwise.runs.directory import RunDirectory
from labelwise.runs.records import read_scores
from labelwise.runs.tables import FinishedRun, items_of, select_items

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_CACHE = "left_out_scores.npz"
_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class RowScores:
    """Scores of a run's own rows by models that did not see the row.

    Attributes:
        logits: (n, K) float32, calibrated where that is possible; NaN where an item could not be read.
        how: How they were made, in words.
        unreadable: The reason for each row whose item could not be read.
    """

    logits: NDArray[np.float32]
    how: str
    unreadable: Mapping[int, str] = field(default_factory=dict)


def row_scores(directory: RunDirectory, model: MultiLabelClassifier, table: Table) -> RowScores:
    """Return the scores of the rows of a run's own table, kept beside the run for the next time.

    Args:
        directory: The run.
        model: Its model.
        table: With the labels that the model was trained on, in the order of the model.
    """
    kept = kept_row_scores(directory, table)
    if kept is not None:
        return kept
    found = left_out_scores(model, items_of(table), table.annotations.matrix)
    scores = RowScores(found.logits.astype(np.float32), found.how, found.unreadable)
    words = {"digest": _digest(directory, table), "how": scores.how, "unreadable": dict(scores.unreadable)}
    try:
        with replacing(directory.path / _CACHE) as draft, draft.open("wb") as file:
            np.savez(file, logits=scores.logits, words=np.array(json.dumps(words)))
    except CannotWrite:
        pass
    return scores


def kept_row_scores(directory: RunDirectory, table: Table) -> RowScores | None:
    """Return what ``row_scores`` kept, None where it is not of this table, these labels and this model."""
    path, shape = directory.path / _CACHE, table.annotations.matrix.shape
    if not path.is_file() or is_link(path):
        return None
    if (found := read_scores(path, shape)) is None:
        return None
    logits, words = found
    try:
        if words["digest"] != _digest(directory, table):
            return None
        reasons = {int(row): str(why) for row, why in words["unreadable"].items()}
        return RowScores(logits, str(words["how"]), reasons)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _digest(directory: RunDirectory, table: Table) -> str:
    """Return what tells scores of this table, these labels and this model from others."""
    labels = table.annotations
    digest = hashlib.sha256(np.ascontiguousarray(labels.matrix).tobytes())
    digest.update("\n".join(map(str, (*table.items, *labels.label_names))).encode("utf-8", "surrogatepass"))
    # Features and texts lie in the table's file, which may have been edited in place.
    digest.update(file_digest(table.path).encode())
    digest.update((directory.model / "model.json").read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ScoredTable:
    """A table as a finished run's model sees it.

    Answers that joined the run's labels before it was trained are given entries here: the scores depend on them, so
    that they are no evidence of how good these are.

    Attributes:
        finished: The run.
        file: The table as its file has it.
        table: The same with answers that joined the run's labels, those of no included.
        logits: (n, K) float32, calibrated where that is possible; NaN where an item could not be read. None for
            another table than the run's own, which is scored in blocks.
        how: How the scores were made, in words.
        notes: Sentences on items that were not scored, and answers that are no evidence.
    """

    finished: FinishedRun
    file: Table
    table: Table
    logits: NDArray[np.float32] | None
    how: str
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        run: str | Path,
        table: str | Path | None,
        *,
        progress: bool,
        given: dict[str, Any],
        moved: bool = False,
    ) -> Self:
        """Open a run, and score its own table (None), each row by a model that did not see it, or another.

        ``moved`` says that ``table`` is the run's own, which lies elsewhere now.
        """
        pictures = {name: given.pop(name, None) for name in ("images", "on_bad_item")}
        finished = FinishedRun.open(run, progress=progress, **pictures)
        own = str(finished.config.table)
        data = finished.read_table(own if table is None else table, given=given)
        if moved or table is None or Path(table).absolute() == Path(own).absolute():
            return cls._of_own(finished, data)
        _check_unknown(data)
        return cls(finished, data, data, None, "the model's own; it has not seen these rows")

    @classmethod
    def _of_own(cls, finished: FinishedRun, data: Table) -> Self:
        known = known_table(finished.directory, data)
        _check_unknown(known)
        scores = row_scores(finished.directory, finished.model, trained_table(finished.directory, data))
        notes = []
        if joined := int((known.annotations.matrix != data.annotations.matrix).sum()):
            notes.append(
                f"{joined:,} answers joined this run's labels before it was trained: they are given here, and no"
                " evidence of its scores"
            )
        if scores.unreadable:
            notes.append(f"{len(scores.unreadable):,} items could not be read, and are not ranked")
        return cls(finished, data, known, scores.logits, scores.how, tuple(notes))

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """Yield the logits of blocks of rows, in order."""
        model, items = self.finished.model, None if self.logits is not None else items_of(self.table)
        for start in range(0, len(self.table), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(self.table)))
            if self.logits is not None:
                yield self.logits[rows].astype(np.float64)
                continue
            read = model.read(
                select_items(items, rows), items=[self.table.items[row] for row in rows.tolist()]
            )
            logits = np.full((len(rows), len(model.label_names_)), np.nan)
            logits[read.kept] = model.decision_function(read)
            yield logits

    @property
    def own_logits(self) -> NDArray[np.float64]:
        """The logits (n, K) of the run's own table."""
        assert self.logits is not None
        return self.logits.astype(np.float64)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores (n, K) in [0, 1], of the run's own table."""
        from scipy.special import expit

        return np.asarray(expit(self.own_logits))

    @property
    def calibrated(self) -> bool:
        """Whether the model's probabilities are calibrated."""
        return self.finished.model.calibration_ is not None

    @cached_property
    def _joined(self) -> NDArray[np.bool_]:
        return np.asarray(self.table.annotations.matrix != self.file.annotations.matrix)

    def seed(self, seed: int) -> int:
        """Return the seed of a random order that is independent of what chose the answers in the labels.

        Without such answers it is ``seed``.
        """
        if not self._joined.any():
            return seed
        # What an earlier order asked lies early in it: used again, what is left of it would be no random order.
        digest = hashlib.sha256(f"{seed} ".encode() + np.packbits(self._joined).tobytes())
        return int.from_bytes(digest.digest()[:4], "big")

    def predicted(self) -> NDArray[np.bool_]:
        """Return what the run's rule says (n, K) of these scores."""
        logits = self.own_logits
        read = ~np.isnan(logits).any(axis=1)
        predicted = np.zeros(logits.shape, bool)
        predicted[read] = self.finished.model.decision_.sets(logits[read]) == 1
        return predicted

    def answers(self, file: str | Path | None = None) -> Answers:
        """Return the answers that came since the run began, and those of a file."""
        answers = answers_since(self.finished.directory)
        return answers if file is None else answers.merge(read_answered(file))

    def added_labels(self, file: str | Path | None = None) -> tuple[str, ...]:
        """Return the labels that reviewers added, beside those of the model: of the run, and of a file of answers."""
        from labelwise.completion.store import read_added_labels

        paths = [self.finished.directory.path / ANSWERS, *(() if file is None else (Path(file),))]
        names = dict.fromkeys(name for path in paths for name in read_added_labels(path))
        return tuple(name for name in names if name not in self.table.annotations.label_names)

    def contents(self, rows: NDArray[np.int64]) -> list[Any] | None:
        """Return the texts or paths of some items, None where a table of features has none."""
        contents = self.table.contents
        return None if contents is None else [contents[row] for row in rows.tolist()]


def _check_unknown(table: Table) -> None:
    if not (table.annotations.matrix == -1).any():
        raise UserError(f"{table.path.name} has no unknown entry: there is nothing to complete")


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
    from labelwise.completion.answer import COLUMNS

    frame = frame.loc[frame["answer"].str.strip() != "", [name for name in COLUMNS if name in frame.columns]]
    return Answers.from_frame(frame)
