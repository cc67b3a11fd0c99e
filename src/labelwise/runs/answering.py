"""Answers beside a run, and answers that join the labels of a run's table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.data import Table
from labelwise.errors import UserError, listed
from labelwise.runs.audited import NAME as AUDITED
from labelwise.runs.audited import AuditedTable
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.tables import with_labels

if TYPE_CHECKING:
    from labelwise.completion import Answers, AnswerStore

ANSWERS, JOINED = "answers.sqlite", "answers_joined.csv"


@dataclass(frozen=True)
class TrainingAnswers:
    """Answers that join a table's labels.

    Attributes:
        answers: With their history.
        added_labels: Labels that reviewers added: the table gets a column of unknown entries for each.
        audited: What an audit among them says of the table; None without one.
    """

    answers: Answers
    added_labels: tuple[str, ...] = ()
    audited: AuditedTable | None = None

    def files(self) -> dict[str, str]:
        """Return the files, by name, that keep them beside a run."""
        audited = {} if self.audited is None else {AUDITED: self.audited.to_json()}
        return {JOINED: self.answers.to_csv(), **audited}

    def of_entries(self, table: Table) -> NDArray[np.bool_]:
        """Return which entries (n, K) of a table have an answer."""
        rows = {item: row for row, item in enumerate(table.items)}
        columns = {name: k for k, name in enumerate(table.annotations.label_names)}
        found = np.zeros(table.annotations.matrix.shape, np.bool_)
        for one in self.answers.latest().rows:
            if one.item in rows and one.label in columns:
                found[rows[one.item], columns[one.label]] = True
        return found


def run_identity(state: Mapping[str, Any]) -> str:
    """Return what tells the answers of a run from those of another: its table and its labels."""
    facts = [state.get("files", {}).get("table", ""), *sorted(state.get("label_names", ()))]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def open_answers(directory: RunDirectory) -> AnswerStore:
    """Open the answers beside a finished run, made where there are none.

    Raises:
        UserError: For a database of another run, and where it cannot be written.
    """
    from labelwise.completion import AnswerStore

    return AnswerStore.open(directory.path / ANSWERS, run_identity(directory.finished()))


def answers_since(directory: RunDirectory) -> Answers:
    """Return the answers that were given beside a finished run, none where there is no database.

    Raises:
        UserError: For a database of another run, and one that cannot be read.
    """
    from labelwise.completion import Answers
    from labelwise.completion.store import read_database

    path = directory.path / ANSWERS
    if not path.is_file():
        return Answers()
    return Answers(tuple(read_database(path, run_identity(directory.finished()))))


def read_answers(path: str | Path) -> TrainingAnswers:
    """Read a file of answers, or all that stand beside a run, with the labels that reviewers added.

    Raises:
        UserError: For what cannot be read, for a run without answers, and for one beside which those of another stand.
    """
    from labelwise.completion import Answers
    from labelwise.completion.store import read_added_labels

    path = Path(path)
    if not path.exists():
        raise UserError(f"answers (--answers) {path}: there is no such file or run")
    answers, added = Answers.read(path), []
    database = path / ANSWERS if path.is_dir() else path
    if path.is_dir() and (directory := RunDirectory(path)).exists():
        answers_since(directory)
        added += directory.state().get("added_labels", [])
    added += read_added_labels(database)
    return TrainingAnswers(answers, tuple(dict.fromkeys(added)))


def joined_answers(directory: RunDirectory, state: Mapping[str, Any]) -> TrainingAnswers | None:
    """Return the answers that joined a run's labels when it began, or None."""
    from labelwise.completion import Answers

    path = directory.path / JOINED
    if not path.is_file():
        if directory.config().answers is not None:
            raise UserError(f"{path}, the answers that {directory.path} was begun with, is gone: put it back")
        return None
    audited = directory.path / AUDITED
    return TrainingAnswers(
        Answers.read(path),
        tuple(state.get("added_labels", ())),
        AuditedTable.read(audited) if audited.is_file() else None,
    )


def join_answers(
    table: Table, found: TrainingAnswers, config: RunConfig, *, negatives: bool | None = None
) -> tuple[Table, list[str]]:
    """Return the table with answers in its unknown entries, and what became of them in words.

    A given entry that an answer contradicts stays, unless ``config`` lets answers win.

    Args:
        negatives: Whether answers of no join; None: where the table itself knows a negative (see ``Answers.join``).

    Raises:
        UserError: Where no answer is of an item of the table.
    """
    names = table.annotations.label_names
    table = with_labels(table, tuple(dict.fromkeys((*names, *found.added_labels))))
    labels = table.annotations
    overwrite = config.conflicts == "answer"
    joined = found.answers.join(
        labels.matrix,
        table.items,
        labels.label_names,
        overwrite=overwrite,
        negatives=bool((labels.matrix == 0).any()) if negatives is None else negatives,
    )
    if len(found.answers) and len(joined.unknown_items) == len(
        {row.item for row in found.answers.latest().rows}
    ):
        raise UserError(
            f"answers (--answers) {config.answers}: {table.path.name} has none of their items"
            f" ({listed(joined.unknown_items, 3)}): name the column of ids that they speak of (--item-column)"
        )
    notes = [f"answers: {note}" for note in joined.notes]
    if found.added_labels:
        notes.append(f"answers: labels that reviewers added: {listed(found.added_labels)}")
    return replace(table, labels=Annotations(joined.Y, labels.label_names, labels.notes)), notes


def trained_table(directory: RunDirectory, table: Table) -> Table:
    """Return a run's table, as its file has it, with the labels that the model was trained on."""
    joined = joined_answers(directory, directory.state())
    return table if joined is None else join_answers(table, joined, directory.config())[0]


def known_table(directory: RunDirectory, table: Table) -> Table:
    """Return a run's table with all answers that it was begun with, those of no that training left out included."""
    joined = joined_answers(directory, directory.state())
    return table if joined is None else join_answers(table, joined, directory.config(), negatives=True)[0]


def new_label_states(
    answers: Answers, items: Sequence[str], names: Sequence[str]
) -> dict[str, NDArray[np.int8]]:
    """Return the states (n,) of labels that reviewers of a run added.

    Args:
        answers: Those that count.
        items: n item ids.
        names: The labels.
    """
    states = {name: np.full(len(items), -1, np.int8) for name in names}
    row_of = {item: row for row, item in enumerate(items)} if names else {}
    for one in answers.latest().rows if names else ():
        if one.label in states and one.item in row_of:
            states[one.label][row_of[one.item]] = one.answer
    return states
