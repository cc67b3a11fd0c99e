"""Loggers: what each writes of the same fit, by its own library where it is installed."""

from __future__ import annotations

import csv
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from labelwise import MultiLabelClassifier
from labelwise.errors import UserError
from labelwise.tracking import CsvLog, MlflowLog, TensorBoardLog, WandbLog, open_logs

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((90, 4)).astype(np.float32)
Y = (X[:, :3] > 0).astype(np.int8)


def fit(*logs, **options):
    options = {"epochs": 2, "device": "cpu", **options}
    return MultiLabelClassifier("bce", **options).fit(X, Y, callbacks=list(logs))


def test_csv_holds_parameters_epochs_and_figures(tmp_path):
    model = fit(CsvLog(tmp_path / "deep" / "log.csv"), learning_rate=0.01)
    with (tmp_path / "deep" / "log.csv").open(newline="") as file:
        rows = [(row["step"], row["name"], row["value"]) for row in csv.DictReader(file)]
    assert ("", "learning_rate", "0.01") in rows
    assert ("", "items", "90") in rows
    losses = {int(step): float(value) for step, name, value in rows if name == "loss"}
    assert losses == {number + 1: record["loss"] for number, record in enumerate(model.history_)}
    assert ("", "figures/map", repr(model.validation_["map"])) in rows
    assert sorted(step for step, name, _ in rows if name == "selection/validation") == ["1", "2"]
    again = (tmp_path / "deep" / "log.csv").read_text().count("\n")
    fit(CsvLog(tmp_path / "deep" / "log.csv"), learning_rate=0.01)
    assert (tmp_path / "deep" / "log.csv").read_text().count("\n") == again


def test_a_csv_of_another_s_is_left_alone(tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"CsvLog failed in on_fit_start.*is no log of labelwise"):
        fit(CsvLog(tmp_path / "mine.csv"))
    assert (tmp_path / "mine.csv").read_text() == "a,b\n1,2\n"


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = fit(TensorBoardLog(tmp_path))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    told = [(event.step, event.value) for event in events.Scalars("loss")]
    assert told == [(n + 1, pytest.approx(r["loss"])) for n, r in enumerate(model.history_)]
    assert events.Scalars("figures/map")[0].value == pytest.approx(model.validation_["map"])
    assert "method" in str(events.Tensors("parameters/text_summary"))


class Recorder:
    """Stands for a library: it has the calls of the real one, with its signatures."""

    def __init__(self):
        self.calls = []


def mlflow_like(record):
    class MlflowClient:
        def __init__(self, tracking_uri=None, registry_uri=None):
            record.calls.append(("client", tracking_uri))

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name, artifact_location=None, tags=None):
            return "7"

        def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
            record.calls.append(("run", experiment_id, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

        def log_param(self, run_id, key, value, synchronous=None):
            record.calls.append(("param", key, value))

        def log_metric(self, run_id, key, value, timestamp=None, step=None, synchronous=None):
            record.calls.append(("metric", key, value, step))

        def set_tag(self, run_id, key, value, synchronous=None):
            record.calls.append(("tag", key, value))

        def set_terminated(self, run_id, status=None, end_time=None):
            record.calls.append(("end", status))

    module = ModuleType("mlflow.tracking")
    module.MlflowClient = MlflowClient
    return {"mlflow": ModuleType("mlflow"), "mlflow.tracking": module}


def wandb_like(record):
    class Run:
        summary: dict = {}  # noqa: RUF012

        def log(self, data, step=None, commit=None):
            record.calls.append(("log", data))

        def finish(self, exit_code=None, quiet=None):
            record.calls.append(("end", exit_code, dict(self.summary)))

    module = ModuleType("wandb")

    def init(entity=None, project=None, dir=None, config=None, mode=None, settings=None):
        record.calls.append(("init", project, mode, config))
        return Run()

    module.init, module.Settings = init, lambda **given: given
    return {"wandb": module}


def stand_in(monkeypatch, modules):
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_mlflow_is_called_as_its_client_wants(tmp_path, monkeypatch):
    record = Recorder()
    stand_in(monkeypatch, mlflow_like(record))
    model = fit(MlflowLog(tmp_path, run_name="first"))
    assert record.calls[0] == ("client", f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}")
    assert ("run", "7", "first") in record.calls
    assert ("param", "method", "bce") in record.calls
    assert ("metric", "loss", model.history_[1]["loss"], 2) in record.calls
    assert record.calls[-1] == ("end", "FINISHED")


def test_wandb_is_called_as_it_wants_offline(tmp_path, monkeypatch):
    record = Recorder()
    stand_in(monkeypatch, wandb_like(record))
    model = fit(WandbLog(tmp_path / "wandb"))
    assert record.calls[0][:3] == ("init", "labelwise", "offline")
    assert any(call[0] == "log" and call[1].get("loss") == model.history_[0]["loss"] for call in record.calls)
    assert record.calls[-1][:2] == ("end", None)
    assert record.calls[-1][2]["figures/map"] == model.validation_["map"]


class Stop:
    def on_epoch(self, epoch):
        raise ValueError("enough")


def test_logs_of_a_fit_that_stops_say_so(tmp_path, monkeypatch):
    record = Recorder()
    stand_in(monkeypatch, {**mlflow_like(record), **wandb_like(record)})
    logs = [CsvLog(tmp_path / "log.csv"), MlflowLog(tmp_path), WandbLog(tmp_path)]
    with pytest.raises(UserError, match="enough"):
        fit(*logs, Stop())
    assert ("end", "FAILED") in record.calls
    assert any(call[0] == "end" and call[1] == 1 for call in record.calls)


@pytest.mark.slow
def test_the_real_mlflow(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    model = fit(MlflowLog(tmp_path))
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("labelwise").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["method"] == "bce"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [
        (n + 1, r["loss"]) for n, r in enumerate(model.history_)
    ]


@pytest.mark.slow
def test_the_real_wandb_offline(tmp_path):
    pytest.importorskip("wandb")
    fit(WandbLog(tmp_path))
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(run.glob("run-*.wandb"))
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_library_that_is_missing_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="log 'wandb' needs wandb: pip install wandb"):
        open_logs(["wandb"], "nowhere")
