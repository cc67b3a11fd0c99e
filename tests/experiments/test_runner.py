"""The runner: what is missing is run, nothing is lost, and every failure is one line."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.experiments import Job, collect, read_results, run_jobs
from labelwise.experiments import runner as _runner
from tests.experiments import runner_cases as cases
from tests.timing import wait_until


def shard(out, job):
    return json.loads((out / "shards" / f"{job.key}.json").read_text())


def test_jobs_run_once_and_a_second_call_finds_them_done(tmp_path):
    out = tmp_path / "out"
    told = []
    first = run_jobs(
        cases.jobs(), cases.measure, out, data=tmp_path, progress=lambda *event: told.append(event)
    )
    assert (first.before, first.done, first.failed, first.left) == (0, 4, 0, 0)
    assert [(finished, of) for finished, of, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    second = run_jobs(cases.jobs(6), cases.measure, out, data=tmp_path)
    assert (second.before, second.done) == (4, 2)
    assert cases.calls(tmp_path) == [0, 1, 2, 3, 4, 5]
    frame = collect(out)
    assert len(frame) == 12
    by_map = frame[frame.metric == "map"].sort_values("seed")
    np.testing.assert_allclose(by_map.value, np.arange(6) / 10)
    assert frame[frame.metric == "micro_f1"].value.isna().all()
    assert (frame.memory_mb > 5).all()
    assert (frame.seconds >= 0).all()
    read = read_results(out / "results.parquet")
    assert list(read.columns) == list(frame.columns)
    assert read.value.fillna(-1).tolist() == frame.value.fillna(-1).tolist()


def test_a_dotted_reference_names_the_function(tmp_path):
    run_jobs(cases.jobs(1), "tests.experiments.runner_cases:measure", tmp_path / "out", data=tmp_path)
    assert cases.calls(tmp_path) == [0]
    for wrong in (
        "tests.experiments.runner_cases:nothing",
        "no_such_module:measure",
        "tests.experiments.runner_cases",
    ):
        with pytest.raises(UserError, match=r"cannot be found|write it as"):
            run_jobs(cases.jobs(1), wrong, tmp_path / "other", data=tmp_path)


def test_workers_have_one_thread(tmp_path):
    run_jobs(cases.jobs(1), cases.threads, tmp_path, workers=1)
    assert collect(tmp_path).value.tolist() == [1]


def test_a_key_tells_jobs_apart_by_what_the_result_depends_on():
    job = Job("VOC", "semi_supervised", "bbam", 1, labelled_fraction=0.05, hyperparameters={"scale": 20.0})
    assert job.key == Job.from_dict(json.loads(json.dumps(job.to_dict()))).key
    assert job.key == Job(**{**vars(job), "experiment": "other", "row": "other"}).key
    changes = [
        {"dataset": "COCO"},
        {"setting": "full"},
        {"method": "bam"},
        {"seed": 2},
        {"labelled_fraction": 0.1},
        {"labelled_fraction": None, "positives_fraction": 0.05},
        {"protocol": "published"},
        {"hyperparameters": {"scale": 10.0}},
        {"options": {"epochs": 2}},
    ]
    keys = {Job(**{**vars(job), **change}).key for change in changes}
    assert len(keys | {job.key}) == len(changes) + 1


@pytest.mark.parametrize(
    ("execute", "error"),
    [
        (cases.fail_on_one, "seed 1 does not work"),
        (cases.raise_on_one, "ZeroDivisionError: by zero (runner_cases.py:"),
        (cases.die_on_one, "its process was killed by signal 9 (out of memory?)"),
    ],
    ids=["mistake", "fault", "death"],
)
def test_a_job_that_fails_is_written_down_and_the_others_go_on(tmp_path, execute, error):
    tally = run_jobs(cases.jobs(), execute, tmp_path / "out", data=tmp_path)
    assert (tally.done, tally.failed) == (3, 1)
    frame = collect(tmp_path / "out")
    (row,) = frame[frame.status == "failed"].itertuples()
    assert row.seed == 1
    assert row.error.startswith(error)
    assert "\n" not in row.error
    assert cases.calls(tmp_path) == [0, 2, 3]


def test_a_failed_job_is_tried_again(tmp_path):
    run_jobs(cases.jobs(), cases.fail_on_one, tmp_path / "out", data=tmp_path)
    (tmp_path / "mended").touch()
    tally = run_jobs(cases.jobs(), cases.fail_on_one, tmp_path / "out", data=tmp_path)
    assert (tally.before, tally.done, tally.failed) == (3, 1, 0)
    assert (collect(tmp_path / "out").status == "done").all()


def test_a_cap_of_time_stops_a_job_which_a_higher_cap_runs_again(tmp_path, monkeypatch):
    out, now, told = tmp_path / "out", [0.0], []
    # Its own clock, which passes the cap once the others are done: how long a worker takes to start is chance.
    monkeypatch.setattr(_runner, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def progress(finished, of, shard):
        told.append(shard["status"])
        now[0] = 3.1 * (told == ["done", "done"])

    tally = run_jobs(cases.jobs(3), cases.sleep_on_one, out, data=tmp_path, time_cap=3, progress=progress)
    assert (tally.done, tally.capped) == (2, 1)
    assert cases.calls(tmp_path) == [0, 2]
    assert shard(out, cases.jobs()[1])["error"] == "stopped after 3 s"
    assert run_jobs(cases.jobs(3), cases.measure, out, data=tmp_path, time_cap=3).before == 3
    assert run_jobs(cases.jobs(3), cases.measure, out, data=tmp_path).done == 1


def test_a_limit_leaves_the_rest_for_next_time(tmp_path):
    tally = run_jobs(cases.jobs(), cases.measure, tmp_path / "out", data=tmp_path, limit=3, workers=1)
    assert (tally.done, tally.left) == (3, 1)
    assert cases.calls(tmp_path) == [0, 1, 2]


def test_a_partly_written_shard_is_done_again(tmp_path):
    out = tmp_path / "out"
    run_jobs(cases.jobs(2), cases.measure, out, data=tmp_path)
    path = out / "shards" / f"{cases.jobs()[0].key}.json"
    whole = path.read_text()
    without = {
        name: json.dumps({**json.loads(whole), name: None}) for name in ("job", "facts", "measurements")
    }
    for damaged in (whole[: len(whole) // 2], "", "[]", '{"format": 1}', *without.values()):
        path.write_text(damaged)
        (out / "shards" / ".left.json.draft").touch()
        assert len(collect(out)) == 2
        assert run_jobs(cases.jobs(2), cases.measure, out, data=tmp_path).done == 1
        assert len(collect(out)) == 4
        assert not list((out / "shards").glob(".*"))


def test_shards_and_results_of_another_version_are_refused(tmp_path):
    out = tmp_path / "out"
    run_jobs(cases.jobs(1), cases.measure, out, data=tmp_path)
    collect(out)
    path = out / "shards" / f"{cases.jobs()[0].key}.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 7'))
    for act in (lambda: run_jobs(cases.jobs(1), cases.measure, out, data=tmp_path), lambda: collect(out)):
        with pytest.raises(UserError, match="has format 7, this version of labelwise reads 1"):
            act()
    import pyarrow.parquet as pq

    table = pq.read_table(out / "results.parquet")
    pq.write_table(table.replace_schema_metadata({b"labelwise_format": b"7"}), out / "results.parquet")
    with pytest.raises(UserError, match="has format 7"):
        read_results(out / "results.parquet")
    pq.write_table(table.replace_schema_metadata({}), out / "results.parquet")
    with pytest.raises(UserError, match="holds no results"):
        read_results(out / "results.parquet")
    (out / "results.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(UserError, match="no whole Parquet file"):
        read_results(out / "results.parquet")
    with pytest.raises(UserError, match="no such file"):
        read_results(out / "nothing.parquet")


COMMAND = (
    "import sys, tests.experiments.runner_cases as c; from labelwise.experiments import run_jobs; "
    "run_jobs(c.jobs(8), c.wait_after_one, sys.argv[1], data=sys.argv[2])"
)


def test_a_killed_run_leaves_its_shards_and_frees_the_output_and_the_next_goes_on(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", COMMAND, str(out), str(tmp_path)])
    try:
        wait_until(lambda: any((out / "shards").glob("*.json")))
        with pytest.raises(UserError, match=rf"another run is writing to .*process {process.pid}"):
            run_jobs(cases.jobs(8), cases.measure, out, data=tmp_path)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        (tmp_path / "go").touch()
    before = len(list((out / "shards").glob("*.json")))
    assert 0 < before < 8
    tally = run_jobs(cases.jobs(8), cases.measure, out, data=tmp_path)
    assert (tally.before, tally.done) == (before, 8 - before)
    assert len(collect(out)) == 16


def test_an_interrupt_stops_the_workers_and_keeps_what_is_done(tmp_path):
    out = tmp_path / "out"

    def stop(finished, of, shard):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(cases.jobs(), cases.measure, out, data=tmp_path, progress=stop)
    assert run_jobs(cases.jobs(), cases.measure, out, data=tmp_path).before == 1


@pytest.mark.parametrize("place", [1, 2, 3], ids=["the first", "the second", "one that follows a dead one"])
def test_ctrl_c_while_a_worker_starts_ends_the_run_and_the_worker(tmp_path, monkeypatch, place):
    """One Ctrl-C, to the run and to the process that it is starting: neither is lost, neither is left."""
    original, started, before = SpawnProcess.start, [], signal.getsignal(signal.SIGINT)

    def start(process):
        started.append(process)
        if len(started) == place:
            os.kill(os.getpid(), signal.SIGINT)
        original(process)
        if len(started) == place:
            os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", start)
    with pytest.raises(KeyboardInterrupt, match=r"of 4 runs are kept in .*; the same command goes on"):
        run_jobs(cases.jobs(4), cases.die_on_one, tmp_path / "out", data=tmp_path)
    assert len(started) == place
    assert [process.exitcode for process in started if process.is_alive()] == []
    # Idle at the end of its pipe, killed in a job, or dead by its job: none of them by Ctrl-C.
    assert {process.exitcode for process in started} <= {0, -signal.SIGKILL}
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a group of processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("started", [False, True], ids=["while workers start", "while they work"])
def test_what_stops_a_run_leaves_no_tracebacks_of_workers(tmp_path, number, started):
    """Ctrl-C goes to every process of the terminal: what it comes to is told once."""
    out = tmp_path / "out"
    command = f"import sys\ntry:\n exec({COMMAND!r})\nexcept KeyboardInterrupt as stop:\n print(stop)"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(out), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: any(out.glob("shards/*.json" if started else ".lock")))
    time.sleep(0.3)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    try:
        said, errors = process.communicate(timeout=120)
    finally:
        (tmp_path / "go").touch()
    assert errors == ""
    if number == signal.SIGINT:
        assert f"are kept in {out}; the same command goes on" in said


def test_a_worker_that_is_gone_before_its_job_comes_is_a_failure_of_that_job(tmp_path, monkeypatch):
    assign = _runner._assign

    def late(worker, waiting):
        if worker.job is not None:
            worker.process.kill()
            worker.process.join()
        assign(worker, waiting)

    monkeypatch.setattr(_runner, "_assign", late)
    tally = run_jobs(cases.jobs(3), cases.measure, tmp_path / "out", data=tmp_path, workers=1)
    assert (tally.done, tally.failed) == (1, 2)


def test_a_disk_that_is_full_is_one_line_that_says_where(tmp_path, monkeypatch):
    out = tmp_path / "out"

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            UserError, match=rf"^{re.escape(str(out))}/shards/.*: No space left on device: what is"
        ):
            run_jobs(cases.jobs(2), cases.measure, out, data=tmp_path, workers=1)
    run_jobs(cases.jobs(2), cases.measure, out, data=tmp_path)
    import pyarrow.parquet as pq

    def torn(table, path):
        Path(path).write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    collect(out)
    whole = (out / "results.parquet").read_bytes()
    monkeypatch.setattr(pq, "write_table", torn)
    with pytest.raises(UserError, match=r"results.parquet: .*what is done is kept"):
        collect(out)
    assert (out / "results.parquet").read_bytes() == whole
    assert list(out.glob(".*")) == []


def test_an_output_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/out: Not a directory: give --out a folder"):
        run_jobs(cases.jobs(1), cases.measure, tmp_path / "file" / "out", data=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "workers=0: give a whole number from 1"),
        ({"limit": -1}, "limit=-1"),
        ({"time_cap": 0}, "time_cap=0"),
        ({"data": lambda: 1}, "must be found by another process"),
    ],
)
def test_arguments_that_cannot_be_are_one_line(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        run_jobs(cases.jobs(1), cases.measure, tmp_path, **changes)


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="is a file"):
        run_jobs(cases.jobs(1), cases.measure, tmp_path / "out", data=tmp_path)
