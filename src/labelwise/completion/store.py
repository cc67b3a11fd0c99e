"""The database of answers: every one on disk before ``append`` returns."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Self

from labelwise._files import is_link
from labelwise.annotations import check_label_names
from labelwise.completion.answer import Answer, after, now
from labelwise.completion.answers import DATABASES, Answers
from labelwise.errors import UserError

FORMAT = 1
_WAIT = 30.0
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS answers (
        seq INTEGER PRIMARY KEY, id TEXT UNIQUE, item TEXT NOT NULL, label TEXT NOT NULL, answer INTEGER NOT NULL,
        reviewer TEXT NOT NULL, time TEXT NOT NULL, source TEXT NOT NULL, draw TEXT NOT NULL, probability REAL,
        undoes TEXT)""",
    # Each answer looks for its like and for the last time: among 100,000 rows neither may read them all.
    "CREATE INDEX IF NOT EXISTS answers_of_entry ON answers (item, label)",
    "CREATE INDEX IF NOT EXISTS answers_by_time ON answers (time)",
    "CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
_FIELDS = ", ".join(Answer._fields)
_MARKS = ", ".join("?" * len(Answer._fields))
_SAME = " AND ".join(f"{name} IS ?" for name in Answer._fields)
_INSERT = (
    f"INSERT OR IGNORE INTO answers (id, {_FIELDS}) SELECT ?, {_MARKS}"
    f" WHERE NOT EXISTS (SELECT 1 FROM answers WHERE {_SAME})"
)


class AnswerStore:
    """An open SQLite database of answers; rows are only ever added.

    Safe to use from several threads, and from several processes at once. WAL with ``synchronous=FULL``: what
    ``append`` returned from outlasts a kill and a power cut.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = RLock()

    @classmethod
    def open(cls, path: str | Path, run: str | None = None) -> Self:
        """Open a database, made where there is none.

        Args:
            path: The file; that beside a run is ``answers.sqlite``.
            run: What identifies the run that the answers are of. It is kept when the database is first opened with
                it, and must be the same from then on.

        Raises:
            UserError: For a database of another run, of another program, a damaged file, a link, and where nothing
                can be written.
        """
        path = Path(path)
        if is_link(path):
            raise UserError(f"{path} is a link: remove it, or give the file itself")
        with _errors(path):
            connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                store = cls(path, connection)
                store._prepare(run)
            except BaseException:
                connection.close()
                raise
        return store

    def _prepare(self, run: str | None) -> None:
        with self._writing() as connection:
            query = "SELECT name FROM sqlite_master WHERE type='table'"
            tables = {name for (name,) in connection.execute(query)}
            if tables and "answers" not in tables:
                raise UserError(
                    f"{self.path} is a database of another program: move it away, or give another file"
                )
            for statement in _SCHEMA:
                connection.execute(statement)
            about = dict(connection.execute("SELECT key, value FROM about"))
            _check_format(self.path, about)
            _check_run(self.path, about, run)
            if run is not None:
                about.setdefault("run", run)
            about.setdefault("format", str(FORMAT))
            connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())

    def append(self, rows: Iterable[Answer], ids: Iterable[str] | None = None) -> int:
        """Add answers, all or none, and return how many were new.

        They are on disk when this returns. One without a time gets the present one, later than every answer that is
        there. A row that is there already is not added again.

        Args:
            rows: The answers.
            ids: A text for each row, made by whoever asks: a request that is sent twice is then stored once, though
                it gives no time.

        Raises:
            UserError: For a row that is no answer, and where the disk refuses; nothing is added then.
        """
        checked = [row.checked() for row in rows]
        names: list[str | None] = [None] * len(checked) if ids is None else [*ids]
        with self._writing() as connection:
            before = connection.total_changes
            for name, row in zip(names, checked, strict=True):
                values = _values(row if row.time else row._replace(time=self._next_time()))
                connection.execute(_INSERT, (name, *values, *values))
            return connection.total_changes - before

    def undo(self, item: str, label: str, reviewer: str = "") -> bool:
        """Take the reviewer's last answer of an entry back, by a row more.

        Returns:
            False where there is nothing left to take back.
        """
        with self._writing():
            query = f"SELECT {_FIELDS} FROM answers WHERE item=? AND label=? AND reviewer=?"
            rows = self._connection.execute(query, (item, label, reviewer)).fetchall()
            left = Answers(tuple(map(_answer, rows))).latest(each_reviewer=True)
            if not len(left):
                return False
            row = Answer(item, label, -1, reviewer, source="undo")
            return bool(self.append([row]))

    def answers(self) -> Answers:
        """Return all answers with their history."""
        with self._lock, _errors(self.path):
            return Answers._of(_in_order(self._connection))

    def version(self) -> int:
        """Return a number that grows with every row, cheap to ask for."""
        with self._lock, _errors(self.path):
            return int(self._connection.execute("SELECT COALESCE(MAX(seq), 0) FROM answers").fetchone()[0])

    def since(self, version: int) -> list[Answer]:
        """Return the rows that were added after ``version``, as they came."""
        query = f"SELECT {_FIELDS} FROM answers WHERE seq > ? ORDER BY seq"
        with self._lock, _errors(self.path):
            return [*map(_answer, self._connection.execute(query, (version,)))]

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_time(self) -> str:
        last = self._connection.execute("SELECT MAX(time) FROM answers").fetchone()[0]
        return now() if last is None else max(now(), after(last))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection in a transaction that no other writer shares."""
        with self._lock, _errors(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def read_database(path: Path, run: str | None = None) -> list[Answer]:
    """Return the rows of a database that may be in use, without writing.

    Args:
        path: The file.
        run: What identifies the run that the answers must be of; None takes those of any.

    Raises:
        UserError: For a file that is none of ours, and for a database of another run.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of answers")
    # A folder that cannot be written to has no room for the shared index that a reader of WAL makes.
    modes = ("mode=ro", "mode=ro&immutable=1")
    for mode in modes:
        with _errors(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_WAIT)
            try:
                about = dict(connection.execute("SELECT key, value FROM about"))
                _check_format(path, about)
                _check_run(path, about, run)
                return _in_order(connection)
            except sqlite3.OperationalError as error:
                if "unable to open" not in str(error) or mode == modes[-1]:
                    raise
            finally:
                connection.close()
    raise AssertionError  # pragma: no cover - the last mode returns or raises


def _check_format(path: Path, about: dict[str, Any]) -> None:
    if (found := about.get("format", str(FORMAT))) != str(FORMAT):
        raise UserError(
            f"{path} has format {found!r:.80}, this version of labelwise reads {FORMAT}: use the version that wrote it"
        )


def _check_run(path: Path, about: dict[str, Any], run: str | None) -> None:
    if run is not None and about.get("run", run) != run:
        raise UserError(
            f"{path} holds the answers of another run: move it away, or give that run; 'labelwise train"
            f" --answers {path}' takes answers from any run"
        )


def read_added_labels(path: Path) -> tuple[str, ...]:
    """Return the labels that reviewers added, which a page keeps in a table ``labels`` of the database.

    A path that is no database names none.
    """
    if path.suffix.lower() not in DATABASES or not path.is_file():
        return ()
    with _errors(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT)
        try:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name='labels'").fetchone() is None:
                return ()
            return check_label_names(name for (name,) in connection.execute("SELECT name FROM labels"))
        finally:
            connection.close()


def _in_order(connection: sqlite3.Connection) -> list[Answer]:
    """Return all rows, those of one reviewer and entry with times in the order in which they were given."""
    rows: list[Answer] = []
    last: dict[tuple[str, str, str], str] = {}
    for given_live, *values in connection.execute(
        f"SELECT id IS NOT NULL, {_FIELDS} FROM answers ORDER BY rowid"
    ):
        row = _answer(tuple(values)).checked()
        entry = (row.item, row.label, row.reviewer)
        # A clock that was set back must not turn an answer and its undo around.
        if given_live and row.time <= last.get(entry, ""):
            row = row._replace(time=after(last[entry]))
        last[entry] = max(row.time, last.get(entry, ""))
        rows.append(row)
    return rows


def _values(row: Answer) -> tuple[Any, ...]:
    return (*row[:-1], None if math.isnan(row.probability) else row.probability)


def _answer(row: tuple[Any, ...]) -> Answer:
    *values, probability = row
    return Answer._make([*values, math.nan if probability is None else probability])


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn what SQLite refuses into one line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        words = str(error)
        if "no such" in words:
            raise UserError(f"{path} is no database of answers ({words}): give one") from None
        mend = "free some space" if "full" in words else "mend that; no earlier answer was lost"
        raise UserError(f"{path} cannot be used ({words}): {mend}") from None
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} is no database of answers ({error}): give one, or move it away") from None
