import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from labelwise.completion import Answer, Answers, AnswerStore
from labelwise.errors import UserError


def test_answers_are_there_after_opening_again(tmp_path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore.open(path, "run one") as store:
        assert store.append([Answer("a", "x", 1, "Ann"), Answer("b", "x", 0, "Ann")]) == 2
        assert store.version() == 2
        assert [row.item for row in store.since(1)] == ["b"]
    with AnswerStore.open(path, "run one") as store:
        rows = store.answers().rows
    assert [(row.item, row.answer) for row in rows] == [("a", 1), ("b", 0)]
    assert rows[0].time < rows[1].time
    assert Answers.read(tmp_path) == Answers.read(path) == Answers(rows)


def test_a_database_of_another_run_is_refused(tmp_path) -> None:
    path = tmp_path / "answers.sqlite"
    AnswerStore.open(path, "run one").close()
    with pytest.raises(UserError, match="holds the answers of another run"):
        AnswerStore.open(path, "run two")
    AnswerStore.open(path).close()
    assert len(Answers.read(path)) == 0


def test_every_commit_is_flushed(tmp_path) -> None:
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        connection = store._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_request_sent_twice_is_one_answer(tmp_path) -> None:
    row = Answer("a", "x", 1, "Ann", "2026-01-01T00:00:00Z")
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        assert [store.append([row]), store.append([row, row])] == [1, 0]
        audit = row._replace(source="audit", draw="first", probability=0.5)
        assert [store.append([audit]), store.append([audit])] == [1, 0]


def test_undo_adds_a_row_and_removes_none(tmp_path) -> None:
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        store.append([Answer("a", "x", 1, "Ann"), Answer("a", "x", 0, "Ann")])
        assert not store.undo("a", "x", "Bo")
        assert store.undo("a", "x", "Ann")
        assert store.answers().latest().rows[0].answer == 1
        assert store.undo("a", "x", "Ann")
        assert not store.undo("a", "x", "Ann")
        assert (len(store.answers()), len(store.answers().latest())) == (4, 0)


def test_all_rows_or_none(tmp_path) -> None:
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        with pytest.raises(UserError, match="none of 1"):
            store.append([Answer("a", "x", 1), Answer("b", "x", 7)])
        assert len(store.answers()) == 0


def test_many_threads_lose_and_double_nothing(tmp_path) -> None:
    path = tmp_path / "answers.sqlite"

    def answer(reviewer: int) -> None:
        with AnswerStore.open(path) as own:
            for item in range(10):
                shared.append([Answer(str(item), "shared", 1, str(reviewer))])
                own.append([Answer(str(item), "own", 0, str(reviewer))])

    with AnswerStore.open(path) as shared, ThreadPoolExecutor(6) as pool:
        [*pool.map(answer, range(6))]
        rows = shared.answers().rows
    assert len(rows) == len({(row.item, row.label, row.reviewer) for row in rows}) == 120
    assert len({row.time for row in rows}) == 120


def test_a_kill_loses_no_answer_that_was_told(tmp_path) -> None:
    path = tmp_path / "answers.sqlite"
    program = (
        "import sys; from labelwise.completion import Answer, AnswerStore\n"
        "store = AnswerStore.open(sys.argv[1])\n"
        "for item in range(100000):\n"
        "    store.append([Answer(str(item), 'x', 1)]); print(item, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        told = [int(next(process.stdout)) for _ in range(20)]  # type: ignore[arg-type]
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.strip()]  # type: ignore[union-attr]
    kept = [int(row.item) for row in Answers.read(path).rows]
    assert kept[: len(told)] == told
    assert len(kept) <= len(told) + 1


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path) -> None:
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        store.append([Answer("a", "x", 1)])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(UserError, match=r"full.*free some space"):
            store.append([Answer(f"{place}" * 1000, "x", 1) for place in range(9)])
        assert [row.item for row in store.answers().rows] == ["a"]
        store._connection.execute("PRAGMA max_page_count=100000")
        assert store.append([Answer("b", "x", 1)]) == 1


def test_other_files_are_refused_and_left_as_they_are(tmp_path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    with pytest.raises(UserError, match="a database of another program"):
        AnswerStore.open(other)
    with pytest.raises(UserError, match="no database of answers"):
        Answers.read(other)
    (tmp_path / "link.sqlite").symlink_to(other)
    with pytest.raises(UserError, match="is a link"):
        AnswerStore.open(tmp_path / "link.sqlite")
    with pytest.raises(UserError, match="no such file of answers"):
        Answers.read(tmp_path / "gone.sqlite")
    with pytest.raises(UserError, match="cannot be used"):
        AnswerStore.open(tmp_path / "no" / "folder.sqlite")


def test_a_later_format_is_refused(tmp_path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore.open(path) as store:
        store._connection.execute("UPDATE about SET value='2' WHERE key='format'")
    for use in (AnswerStore.open, Answers.read):
        with pytest.raises(UserError, match="has format '2', this version of labelwise reads 1"):
            use(path)


def test_a_database_in_use_is_read_from_a_folder_that_cannot_be_written(tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    AnswerStore.open(folder / "answers.sqlite").append([Answer("a", "x", 1)])
    folder.chmod(0o555)
    try:
        assert len(Answers.read(folder)) == 1
    finally:
        folder.chmod(0o755)


def test_a_request_without_a_time_is_known_again_by_its_id(tmp_path) -> None:
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        assert [store.append([Answer("a", "x", 1)], ["k1"]) for _ in range(2)] == [1, 0]
        assert store.append([Answer("a", "x", 1)], ["k2"]) == 1
        assert len(store.answers()) == 2


def test_a_clock_that_was_set_back_does_not_turn_an_undo_around(tmp_path) -> None:
    answer = Answer("a", "x", 1, "Ann", "2026-01-01T00:00:05Z")
    undo = answer._replace(answer=-1, source="undo", time="2026-01-01T00:00:03Z")
    with AnswerStore.open(tmp_path / "answers.sqlite") as store:
        store.append([answer, undo], ["k1", "k2"])
        assert len(store.answers().latest()) == len(Answers.read(tmp_path).latest()) == 0
        # Answers from a file may be of any time, and keep it.
        store.append([answer._replace(time="2025-01-01T00:00:00Z", source="import")])
        assert store.answers().rows[0].time == "2025-01-01T00:00:00.000000Z"
