"""Workers of a local Ray cluster: the bits of one process, from files to features, the model and its predictions."""

import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from labelwise import runs
from labelwise.data import TableOptions, TableStream
from labelwise.errors import UserError
from labelwise.models import solve_stream
from labelwise.workers import HERE, open_workers
from tests.models.backbones.hub_cases import bert, text_folder

# Read when Ray is imported: its store of objects takes a third of the machine's memory otherwise.
os.environ.setdefault("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(100 << 20))
pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
psutil = pytest.importorskip("psutil", reason="psutil is not installed")
NAMES = np.array(["cat", "dog", "fox"])


@pytest.fixture(scope="module")
def crew():
    """Two workers of a Ray that starts once; nothing of it outlives the module."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield open_workers("ray", 2)
    import ray

    started = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    assert {"gcs_server", "raylet"} <= {one.name() for one in started}
    ray.shutdown()
    _, left = psutil.wait_procs(started, timeout=60)
    assert left == []


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """14 fragments of two files, whose row groups do not end with them."""
    folder = tmp_path_factory.mktemp("rows")
    for seed, n in enumerate((250, 170)):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, 6)).astype(np.float32)
        Y = X[:, :3] + 0.5 * rng.normal(size=(n, 3)) > 0.5
        tags = pa.array(
            [list(NAMES[row]) if i % 7 else None for i, row in enumerate(Y)], pa.list_(pa.string())
        )
        table = pa.table({"emb": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6), "tags": tags})
        parquet.write_table(table, folder / f"{seed}.parquet", row_group_size=70)
    options = TableOptions(labels_column="tags", unlisted="absent")
    return replace(TableStream.open(folder, options), most_rows=32)


def test_results_come_in_the_order_of_the_tasks_from_other_processes(crew):
    results = list(crew.map(lambda task: (task**2, os.getpid()), range(9)))
    assert [square for square, _ in results] == [task**2 for task in range(9)]
    assert os.getpid() not in {process for _, process in results}
    assert list(crew.map(abs, [])) == []


def test_a_refusal_comes_in_the_words_of_the_worker(crew):
    def refuse(task):
        raise UserError(f"fragment {task} is damaged: write it anew")

    with pytest.raises(UserError, match="fragment 0 is damaged: write it anew"):
        list(crew.map(refuse, [0, 1]))


def test_a_streaming_fit_is_that_of_one_process_to_the_bit(crew, stream):
    alone, together = solve_stream(stream), solve_stream(replace(stream, workers=crew))
    for name in ("weight", "bias", "loo_scores", "thresholds", "lambdas_averaged"):
        one, other = (np.asarray(getattr(fit.solution, name)) for fit in (alone, together))
        np.testing.assert_array_equal(other, one, err_msg=name)
    np.testing.assert_array_equal(together.index, alone.index)
    assert (
        together.counts.finalize(NAMES.tolist()).to_dict() == alone.counts.finalize(NAMES.tolist()).to_dict()
    )


def test_nothing_listens_to_other_machines(crew):
    import ray

    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_part_of_a_stream_is_read_from_its_first_row_on(stream):
    everything = list(stream.rows())
    for first, stop in ((0, 3), (5, 9), (13, 14)):
        some = list(stream.part(range(first, stop)).rows())
        assert [number for number, *_ in some] == list(range(first, stop))
        for (_, X, _), (_, expected, _) in zip(some, everything[first:stop], strict=True):
            np.testing.assert_array_equal(X, expected)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run trained by one process on the same files, and predictions and pseudo-labels that it made."""
    place = tmp_path_factory.mktemp("run")
    folder = place / "items"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part in range(3):
        X = rng.normal(size=(60, 4)).astype(np.float32)
        tags = pa.array([list(NAMES[row]) for row in X[:, :3] > 0.4], pa.list_(pa.string()))
        columns = {"emb": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4), "tags": tags}
        parquet.write_table(pa.table(columns), folder / f"{part}.parquet")
    settings = {"table": str(folder), "labels_column": "tags", "unlisted": "absent", "device": "cpu"}
    runs.train(runs.RunConfig.build(settings), place / "run")
    return place


def same_files(one, other):
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_a_refresh_is_that_of_one_process_to_the_bit(crew, run, tmp_path):
    for out, engine in (("alone", {}), ("together", {"engine": "ray", "workers": 2})):
        runs.refresh(
            run / "run", run / "items", tmp_path / out, positive_share=0.8, negative_share=0.9, **engine
        )
    same_files(tmp_path / "alone", tmp_path / "together")


def begun(whole, folder, *left_out):
    """Make the folder of a command that was killed before it had written some fragments."""
    shutil.copytree(whole, folder)
    for name in left_out:
        (folder / name).unlink()


def test_predictions_go_on_to_those_of_one_process(crew, run, tmp_path):
    """A pool of actors, each of which holds the model."""
    runs.predict(run / "run", run / "items", tmp_path / "alone")
    begun(tmp_path / "alone", tmp_path / "together", "000000-0.parquet", "000002-2.parquet")
    again = runs.predict(run / "run", run / "items", tmp_path / "together", engine="ray", workers=2)
    assert any("1 of 3 fragments were there already" in note for note in again.notes)
    same_files(tmp_path / "alone", tmp_path / "together")


def test_embeddings_go_on_to_those_of_one_process(crew, tmp_path):
    """An actor holds the backbone, a small BERT from a folder as a hub would hold it, for all its fragments."""
    text_folder(tmp_path / "bert", bert())
    (tmp_path / "items").mkdir()
    for part in range(3):
        rows = {"text": [f"a b {'c d ' * row}" for row in range(part + 3)], "tags": [["cat"]] * (part + 3)}
        parquet.write_table(pa.table(rows), tmp_path / "items" / f"{part}.parquet")
    given = {"column": "text", "backbone": f"hf/{tmp_path / 'bert'}", "device": "cpu"}
    alone = runs.embed(tmp_path / "items", tmp_path / "alone", **given)
    begun(tmp_path / "alone", tmp_path / "together", "000000-0.parquet", "000002-2.parquet")
    again = runs.embed(tmp_path / "items", tmp_path / "together", engine="ray", workers=1, **given)
    assert (alone.n_items, again.n_items, again.n_features, again.n_found) == (12, 8, 8, 1)
    same_files(tmp_path / "alone", tmp_path / "together")


def test_a_task_whose_worker_was_killed_is_done_again(crew, tmp_path):
    def once(task):
        mark = tmp_path / f"killed {task}"
        if task == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    assert list(crew.map(once, [0, 1, 2])) == [0, 1, 2]


def test_a_cluster_that_does_not_start_is_tried_again_and_then_one_line(monkeypatch):
    import ray

    tries = []

    def init(**given):
        tries.append(given)
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(
        UserError, match=r"'ray' did not start \(The current node timed out during startup.\): give"
    ):
        open_workers("ray", 2)
    assert len(tries) == 3
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match="look at the cluster of RAY_ADDRESS"):
        open_workers("ray", 2)
    assert len(tries) == 4


def test_engines_that_are_not_there_and_workers_of_none_are_refused():
    with pytest.raises(UserError, match="it is one of here, ray"):
        open_workers("dask")
    with pytest.raises(UserError, match="give --engine ray too"):
        open_workers("here", 2)
    with pytest.raises(UserError, match="a whole number from 1"):
        open_workers("ray", 0)
    assert open_workers() is HERE
