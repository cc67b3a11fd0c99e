"""Answers of reviewers to single entries: a table with its history, and how it joins labels."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labelwise._files import read_text, write
from labelwise.annotations import as_matrix, check_label_names
from labelwise.completion.answer import COLUMNS, SKIPPED, Answer, of_key, rank, sort_key, stamped
from labelwise.errors import UserError, listed, near

if TYPE_CHECKING:
    import pandas as pd

DATABASES = (".sqlite", ".sqlite3", ".db")
FILE_NAME = "answers.sqlite"
"""The name of the database beside a run."""
JOINED_NAME = "answers_joined.csv"
"""The name of the answers, beside a run, that joined its labels when it was trained."""


class Joined(NamedTuple):
    """Labels with answers in them, and what became of each answer.

    Attributes:
        Y: (n, K) int8 in {1, 0, -1}.
        source: (n, K) object: ``"given"``, ``"confirmed"`` (from an answer) or ``""`` (unknown).
        joined: The unknown entries that an answer filled.
        agreeing: The given entries that an answer repeats.
        conflicts: The given entries that an answer contradicts, as (item, label).
        unknown_items: Item ids of answers that the table lacks.
        unknown_labels: Label names of answers that the table lacks.
        skipped: The entries that were skipped and stay as they were.
        overwritten: Whether conflicts were decided for the answer.
        kept_out: The unknown entries that stay unknown though they were answered with no (``negatives=False``).
    """

    Y: NDArray[np.int8]
    source: NDArray[np.object_]
    joined: int
    agreeing: int
    conflicts: tuple[tuple[str, str], ...]
    unknown_items: tuple[str, ...]
    unknown_labels: tuple[str, ...]
    skipped: int
    overwritten: bool = False
    kept_out: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what joined and what did not."""
        notes = [f"{self.joined:,} answers joined the labels; {self.agreeing:,} repeat a given entry"]
        if self.skipped:
            notes.append(f"{self.skipped:,} entries were skipped by reviewers and stay as they were")
        if self.kept_out:
            notes.append(
                f"{self.kept_out:,} answers of no stay unknown in training, since the table itself knows no negative:"
                " unknown entries count as absent, and a few chosen negatives would be taken for all there are"
            )
        if self.conflicts:
            names = listed(f"{item} / {label}" for item, label in self.conflicts)
            fate = "the answers won" if self.overwritten else "the given ones were kept"
            notes.append(f"{len(self.conflicts):,} answers contradict a given entry ({names}): {fate}")
        if self.unknown_items:
            notes.append(
                f"answers on {len(self.unknown_items):,} items that the table lacks were left out"
                f" ({listed(self.unknown_items)})"
            )
        if self.unknown_labels:
            notes.append(
                f"answers on {len(self.unknown_labels):,} labels that the table lacks were left out"
                f" ({listed(self.unknown_labels)})"
            )
        return tuple(notes)


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers with their history, in the order of their times.

    An answer is never changed: a later one of the same entry wins, and an undo is a row of its own. Equal rows are one
    answer, so that merging is the union, in any order. Ties in time are broken by reviewer, item, label and source.

    Args:
        rows: Answers with times; checked and sorted here.
    """

    rows: tuple[Answer, ...] = field(default=())

    def __post_init__(self) -> None:
        self._set(stamped(row.checked() for row in self.rows))

    def _set(self, rows: Iterable[Answer]) -> None:
        object.__setattr__(self, "rows", tuple(map(of_key, sorted({*map(sort_key, rows)}))))

    @classmethod
    def _of(cls, rows: Iterable[Answer]) -> Self:
        """Return answers that were checked before."""
        answers = cls()
        answers._set(rows)
        return answers

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answers) and [*map(sort_key, self.rows)] == [*map(sort_key, other.rows)]

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_frame(cls, frame: Any) -> Self:
        """Return the answers in a frame with the columns of ``Answer``.

        Only item, label and answer are required. Where there are no times the order of the rows is that of the answers.
        """
        names = [str(name) for name in frame.columns]
        return cls(tuple(_rows(names, frame.itertuples(index=False, name=None), "the frame")))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a CSV file, a SQLite database, or all answers beside a run.

        Beside a run are those that joined its labels when it was trained, and those that were given since.

        Raises:
            UserError: For what cannot be read, and for a run without answers.
        """
        path = Path(path)
        if path.is_dir():
            parts = [path / name for name in (JOINED_NAME, FILE_NAME) if (path / name).is_file()]
            if not parts:
                raise UserError(
                    f"{path} holds no {FILE_NAME}: answer some entries first ('labelwise review {path}'), or give a"
                    " CSV file of answers"
                )
            return cls(tuple(row for part in parts for row in cls.read(part).rows))
        if path.suffix.lower() in DATABASES:
            from labelwise.completion.store import read_database

            return cls(tuple(read_database(path)))
        try:
            text = read_text(path, 1 << 30)
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror or error}): give a file of answers"
            ) from None
        except UnicodeDecodeError:
            raise UserError(f"{path} is not in UTF-8: save it as CSV UTF-8") from None
        lines = csv.reader(io.StringIO(text, newline=""))
        try:
            names = [name.strip() for name in next(lines, [])]
            return cls(tuple(_rows(names, (line for line in lines if line), str(path))))
        except csv.Error as error:
            raise UserError(f"{path} is not CSV ({error}, line {lines.line_num}): mend that line") from None

    def write(self, path: str | Path) -> None:
        """Write the history to a CSV file, or add it to a SQLite database.

        A CSV file is replaced whole. To a database only the answers are added that it lacks: it may be in use.
        """
        path = Path(path)
        if path.suffix.lower() in DATABASES:
            from labelwise.completion.store import AnswerStore

            with AnswerStore.open(path) as store:
                store.append(self.rows)
            return
        if path.suffix.lower() != ".csv":
            raise UserError(
                f"{path}: answers are written to .csv, {', '.join(DATABASES)}: give one of these endings"
            )
        write(path, self.to_csv())

    def to_csv(self) -> str:
        """Return the history as the text of a CSV file."""
        text = io.StringIO(newline="")
        # Of its line ends alone does the writer know that they must be quoted: a lone CR ends a line for readers too.
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            writer.writerow([*row[:-1], "" if math.isnan(row.probability) else repr(row.probability)])
        return text.getvalue()

    @property
    def frame(self) -> pd.DataFrame:
        """The history as a frame, the oldest answer first."""
        import pandas as pd

        return pd.DataFrame(
            {
                name: np.array([row[place] for row in self.rows], dtype=_DTYPES.get(name, object))
                for place, name in enumerate(COLUMNS)
            }
        )

    def merge(self, other: Answers) -> Answers:
        """Return the answers of both; the order of merging changes nothing."""
        return Answers._of((*self.rows, *other.rows))

    def latest(self, *, each_reviewer: bool = False) -> Answers:
        """Return the answer of each entry that counts: the last one.

        Answers that were taken back are gone, and the one before counts again. A skip is no answer: it counts where
        there is nothing else.

        Args:
            each_reviewer: Whether each reviewer has a last answer of his own.
        """
        left: dict[tuple[str, str, str], list[Answer]] = {}
        for row in self.rows:
            entry = left.setdefault((row.item, row.label, row.reviewer), [])
            if row.source != "undo":
                entry.append(row)
            elif entry:
                entry.pop()
        best: dict[tuple[str, ...], Answer] = {}
        for (item, label, reviewer), rows in left.items():
            place = (item, label, reviewer) if each_reviewer else (item, label)
            for row in rows:
                if place not in best or rank(row) > rank(best[place]):
                    best[place] = row
        return Answers._of(best.values())

    def drawn(self, draw: str | None = None) -> Answers:
        """Return what counts of the entries that an audit asked for.

        Each has draw and probability of the audit, and the last answer, also where that came later from elsewhere.

        Args:
            draw: The name of one draw; None takes all, an entry of two draws twice.
        """
        counts = {(row.item, row.label): row for row in self.latest().rows}
        asked = {
            (row.draw, row.item, row.label): row for row in self.rows if row.draw and row.source != "undo"
        }
        return Answers._of(
            counts[row.item, row.label]._replace(draw=row.draw, probability=row.probability)
            for row in asked.values()
            if draw in (None, row.draw) and (row.item, row.label) in counts
        )

    def join(
        self,
        Y: Any,
        items: Sequence[Any],
        labels: Sequence[Any],
        *,
        overwrite: bool = False,
        negatives: bool = True,
    ) -> Joined:
        """Return labels with the last answers in their unknown entries.

        Args:
            Y: (n, K) annotation matrix; it stays as it is.
            items: n item ids. An id of several rows stands for all of them.
            labels: K label names.
            overwrite: Whether an answer wins over a given entry that it contradicts.
            negatives: False leaves unknown entries unknown that were answered with no. Where ``Y`` has no negative,
                methods count what is unknown as absent; with some negatives they would learn from known entries
                alone, and answers are not chosen at random: the ranking of the rest falls apart.
        """
        matrix = as_matrix(Y)
        names, ids = check_label_names(labels), [str(item) for item in items]
        if matrix.shape != (len(ids), len(names)):
            raise UserError(
                f"Y has shape {matrix.shape}, and there are {len(ids)} items and {len(names)} labels: give the ids of"
                " its rows and the names of its columns"
            )
        out = matrix.copy()
        source = np.where(matrix >= 0, "given", "").astype(object)
        rows: dict[str, list[int]] = {}
        for place, item in enumerate(ids):
            rows.setdefault(item, []).append(place)
        columns = {name: place for place, name in enumerate(names)}
        joined = agreeing = skipped = kept_out = 0
        conflicts: list[tuple[str, str]] = []
        no_items: dict[str, None] = {}
        no_labels: dict[str, None] = {}
        for answer in self.latest().rows:
            if answer.item not in rows:
                no_items[answer.item] = None
            if answer.label not in columns:
                no_labels[answer.label] = None
            for row in rows.get(answer.item, ()) if answer.label in columns else ():
                column = columns[answer.label]
                before = matrix[row, column]
                if answer.answer == SKIPPED:
                    skipped += 1
                elif before == answer.answer:
                    agreeing += 1
                elif before < 0 and answer.answer == 0 and not negatives:
                    kept_out += 1
                elif before < 0 or overwrite:
                    out[row, column], source[row, column] = answer.answer, "confirmed"
                    joined += before < 0
                if answer.answer != SKIPPED and before >= 0 and before != answer.answer:
                    conflicts.append((answer.item, answer.label))
        found = (int(joined), agreeing, tuple(conflicts), tuple(no_items), tuple(no_labels), skipped)
        return Joined(out, source, *found, overwritten=overwrite, kept_out=kept_out)

    def apply(
        self, Y: Any, items: Sequence[Any], labels: Sequence[Any], *, overwrite: bool = False
    ) -> NDArray[np.int8]:
        """Return ``join``'s labels; warn where some answers could not join.

        Never changes a given entry unless ``overwrite``.

        Warns:
            Notice: Of conflicts with given entries, and of ids and labels that ``Y`` lacks.
        """
        import warnings

        from labelwise.errors import Notice

        joined = self.join(Y, items, labels, overwrite=overwrite)
        if joined.conflicts or joined.unknown_items or joined.unknown_labels:
            warnings.warn("; ".join(joined.notes), Notice, stacklevel=2)
        return joined.Y

    def agreement(self) -> pd.DataFrame:
        """Return how far reviewers agree on each label.

        Over the entries that two reviewers answered, by each one's last answer; skips are no answers. ``kappa`` is
        Cohen's, ``(p_o - p_e) / (1 - p_e)``; of more than two reviewers the mean over pairs, weighted by the entries
        they share. NaN where a pair gave one answer throughout, so that nothing tells agreement from chance.

        Returns:
            A frame with columns label, entries, agreement (share), kappa, disagreements; the last row, of label
            ``""``, is of all labels together.
        """
        import pandas as pd

        given: dict[str, dict[str, dict[tuple[str, str], int]]] = {}
        for row in self.latest(each_reviewer=True).rows:
            if row.answer == SKIPPED:
                continue
            for label in (row.label, ""):
                given.setdefault(label, {}).setdefault(row.reviewer, {})[row.item, row.label] = row.answer
        order = sorted(given, key=lambda label: (label == "", label))
        return pd.DataFrame(
            [(label, *_agreement(given[label])) for label in order],
            columns=["label", "entries", "agreement", "kappa", "disagreements"],
        )


_DTYPES: dict[str, Any] = {"answer": np.int8, "probability": np.float64}


def _rows(names: Sequence[str], lines: Iterable[Sequence[Any]], where: str) -> Iterable[Answer]:
    for name in ("item", "label", "answer"):
        if name not in names:
            raise UserError(f"{where} has no column {name!r}, which answers need; {near(name, names)}")
    places = {name: names.index(name) for name in COLUMNS if name in names}
    for number, line in enumerate(lines):
        if len(line) < len(names):
            raise UserError(
                f"{where}: answer {number + 1} has {len(line)} fields of {len(names)}: mend that row"
            )
        values = {name: line[place] for name, place in places.items()}
        values["source"] = values.get("source") or "import"
        try:
            yield Answer(**values).checked()
        except UserError as error:
            raise UserError(f"{where}, answer {number + 1}: {error}") from None


def _agreement(given: Mapping[str, Mapping[tuple[str, str], int]]) -> tuple[int, float, float, int]:
    """Return entries with two answers, agreement, kappa and disagreements."""
    from sklearn.metrics import cohen_kappa_score

    entries: set[tuple[str, str]] = set()
    pairs = agreed = weights = 0
    kappas = 0.0
    for first, second in combinations(sorted(given), 2):
        shared = [entry for entry in given[first] if entry in given[second]]
        if not shared:
            continue
        entries.update(shared)
        ours, theirs = ([given[name][entry] for entry in shared] for name in (first, second))
        pairs += len(shared)
        agreed += sum(a == b for a, b in zip(ours, theirs, strict=True))
        if len({*ours, *theirs}) > 1:
            kappas += len(shared) * float(cohen_kappa_score(ours, theirs))
            weights += len(shared)
    disagreements = sum(
        len({given[name][entry] for name in given if entry in given[name]}) > 1 for entry in entries
    )
    agreement = agreed / pairs if pairs else math.nan
    return len(entries), agreement, kappas / weights if weights else math.nan, disagreements
