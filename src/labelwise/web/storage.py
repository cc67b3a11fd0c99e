"""The page's file of answers: on disk before the page says so, each request once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from labelwise._files import is_link
from labelwise.completion import Answer
from labelwise.completion.store import AnswerStore
from labelwise.errors import UserError, listed

_TABLES = (
    "CREATE TABLE IF NOT EXISTS items (row INTEGER PRIMARY KEY, item TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS labels (name TEXT PRIMARY KEY, reviewer TEXT NOT NULL)",
)


class CannotStore(UserError):
    """An answer that was not stored; nothing of it is in the file."""


class Request(NamedTuple):
    """An answer with the id that the page made for it.

    A request that is sent twice, since nobody heard the first answer, has the same id, and is stored once.
    """

    id: str
    answer: Answer


class ReviewStore(AnswerStore):
    """The answers beside a run, with the ids of requests and the labels that reviewers added."""

    @classmethod
    def of_run(cls, path: Path, items: Sequence[str], run: str | None = None) -> Self:
        """Open the file of a run's answers, made where there is none.

        Args:
            items: The item ids of the run's table.
            run: What identifies the run.

        Raises:
            UserError: For a file that is no such database, and one with answers to another table, whose items that
                differ are counted and named.
        """
        store = cls.open(path, run)
        try:
            store._claim(items)
        except BaseException:
            store.close()
            raise
        return store

    def _claim(self, items: Sequence[str]) -> None:
        with self._writing() as connection:
            for statement in _TABLES:
                connection.execute(statement)
            if self.about("items") == _digest(items):
                return
            theirs = [item for (item,) in connection.execute("SELECT item FROM items ORDER BY row")]
            if theirs:
                raise self._other_table(theirs, items)
            # An audit may have asked before the first review: its answers alone say whose the file is.
            answered = [item for (item,) in connection.execute("SELECT DISTINCT item FROM answers")]
            if set(answered) - set(items):
                raise self._other_table(answered, items)
            connection.executemany("INSERT INTO items VALUES (?, ?)", enumerate(items))
            connection.execute("INSERT OR REPLACE INTO about VALUES ('items', ?)", (_digest(items),))

    def _other_table(self, theirs: Sequence[str], ours: Sequence[str]) -> UserError:
        extra = sorted(set(theirs) - set(ours))
        missing = sorted(set(ours) - set(theirs))
        if not extra and not missing:
            return UserError(
                f"{self.path} holds answers to the same {len(ours):,} items in another order: put the table back as it"
                " was"
            )
        parts = [f"{len(extra):,} of its items are not in this table ({listed(extra, 3)})"] if extra else []
        parts += [f"{len(missing):,} of this table are not in it ({listed(missing, 3)})"] if missing else []
        return UserError(
            f"{self.path} holds answers to another table: {'; '.join(parts)}: give the table that it belongs to, or"
            " move it away"
        )

    def answer(self, requests: Iterable[Request]) -> list[tuple[str, Answer]]:
        """Store answers in one transaction, and return those that are new, with their times.

        Raises:
            CannotStore: Where the disk is full or the file cannot be written; nothing is stored then.
        """
        return self._once([(one.id, one.answer) for one in requests])

    def undo_once(self, request: str, entries: Sequence[tuple[str, str]], reviewer: str) -> list[Answer]:
        """Take a reviewer's last answer of each entry back; a request that comes twice does it once."""
        rows = [
            (f"{request}.{place}", Answer(item, label, -1, reviewer, source="undo"))
            for place, (item, label) in enumerate(entries)
        ]
        return [row for _, row in self._once(rows)]

    def _once(self, rows: Sequence[tuple[str, Answer]]) -> list[tuple[str, Answer]]:
        fresh: list[tuple[str, Answer]] = []
        try:
            with self._writing():
                for identity, row in rows:
                    before = self.version()
                    if self.append([row], [identity]):
                        fresh.extend((identity, stored) for stored in self.since(before))
        except UserError as error:
            raise CannotStore(str(error)) from None
        return fresh

    def bring_in(self, rows: Iterable[Answer]) -> int:
        """Store answers of a file, those that are not here already, and return how many they are."""
        try:
            return self.append(rows)
        except UserError as error:
            raise CannotStore(str(error)) from None

    def entry_of(self, identity: str, reviewer: str) -> tuple[str, str] | None:
        """Return item and label of a reviewer's answer with an id, or None."""
        query = "SELECT item, label FROM answers WHERE id=? AND reviewer=?"
        with self._lock:
            row = self._connection.execute(query, (identity, reviewer)).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def add_label(self, name: str, reviewer: str) -> None:
        """Keep the name of a label that the run does not have."""
        try:
            with self._writing() as connection:
                connection.execute("INSERT OR IGNORE INTO labels VALUES (?, ?)", (name, reviewer))
        except UserError as error:
            raise CannotStore(str(error)) from None

    def added_labels(self) -> list[str]:
        """Return the names that ``add_label`` kept, in order."""
        with self._lock:
            return [name for (name,) in self._connection.execute("SELECT name FROM labels ORDER BY rowid")]

    def set_about(self, name: str, value: str) -> None:
        """Keep a fact, such as the run that learnt last from these answers."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def about(self, name: str) -> str | None:
        """Return a fact that ``set_about`` kept, or None."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM about WHERE key=?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Close the file; the log is folded into it first where nobody else reads it."""
        with self._lock:
            with suppress(Exception):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            super().close()


def last_learnt(path: Path) -> str | None:
    """Return the run that learnt last from the answers in a file, or None."""
    if not path.is_file() or is_link(path):
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM about WHERE key='learnt'").fetchone()
    except sqlite3.Error:
        # Whatever is wrong with the file is said when it is opened to write.
        return None
    return None if row is None or not Path(row[0]).is_dir() else str(row[0])


def _digest(items: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(item.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
