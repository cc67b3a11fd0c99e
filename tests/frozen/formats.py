"""The files of the first format: how they were made, and what is read from them again."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

import labelwise as lw
from labelwise.cli import app
from labelwise.data import ImageFiles
from labelwise.embedding import FeatureCache, embed
from labelwise.experiments import Job, Measured, Measurement, collect, load_spec, run_jobs, spec_names
from labelwise.models import ImagePreprocessing, SmallCNN
from tests.frozen import cases

NAMES = ("cat", "dog", "sea", "sky")
PLACE = "@FOLDER@"
"""What stands in the place of the folder of the tables."""
RUN = (
    *("--method", "bbam", "--prior", "1.1", "--epochs", "6", "--batch-size", "8", "--validation", "0.4"),
    *("--seed", "5", "--device", "cpu", "--learning-rate", "0.01"),
)
_TEMPORARY = (".lock", "report.html")


def features(table):
    """Return the features (n, D) float32 and labels (n, K) of one of the tables."""
    rows = list(csv.DictReader((cases.FILES / table).open(newline="")))
    X = np.array([[float(row[f"f{j}"]) for j in range(cases.D)] for row in rows], np.float32)
    return X, np.array([[int(row[name] or -1) for name in NAMES] for row in rows], np.int8)


def write_tables():
    """Write `table.csv`, a third of which is labelled, and `test.csv`, which is labelled."""
    for name, n, seed in (("table.csv", cases.N, 0), ("test.csv", 20, 3)):
        X, Y = cases.items(n, seed)
        Y = cases.hide(Y, "semi_supervised") if name == "table.csv" else Y
        with (cases.FILES / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", *(f"f{j}" for j in range(cases.D)), *NAMES])
            for row in range(n):
                labels = ["" if y < 0 else int(y) for y in Y[row]]
                writer.writerow([f"i{row}", *(f"{x:.5f}" for x in X[row]), *labels])


def models():
    """Return the options of the models that are kept, by their folder's name."""
    common = {"epochs": 2, "batch_size": 16, "random_state": 2, "device": "cpu", "validation": None}
    whole = {"backbone": "mlp", "tune": "all", "learning_rate": 0.01}
    return {
        "linear": {**common, "method": "bce", "validation": 0.5},
        "closed": {**common, "method": "ridge", "validation": "auto"},
        "cosine": {**common, "method": "bbam", "prior": cases.PRIOR},
        "adaptive_cosine": {**common, "method": "hml", "hyperparameters": {"adaptive_rate": 0.01}},
        "buffers": {**common, "method": "softmatch", "prior": cases.PRIOR},
        "estimates": {**common, "method": "role", "prior": cases.PRIOR},
        "queries": {**common, "method": "mime"},
        "relations": {**common, "method": "drml", "hyperparameters": {"width": 16}},
        "whole": {**common, **whole, "method": "an"},
        "whole_from_closed": {**common, **whole, "method": "bce", "head_start": "ridge"},
    }


def of_model(model):
    """Return what is frozen of a model's answers on `test.csv`."""
    X, Y = features("test.csv")
    scores = model.predict_proba(X)
    return {
        "proba": [" ".join(f"{value:.6g}" for value in row) for row in scores],
        "digest": cases.digest(scores.tobytes()),
        "names": [" ".join(row) for row in model.predict_names(X)],
        "map": round(model.score(X, Y), 5),
        "rule": model.rule_.name,
        "rule_source": model.rule_source_,
        "attributes": sorted(
            name for name in dir(model) if name.endswith("_") and name[0] != "_" and hasattr(model, name)
        ),
    }


def command(*words):
    """Run `labelwise WORDS` in this process and return the result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CliRunner().invoke(app, [str(word) for word in words])


def answer(*words):
    """Return what a command with --json prints."""
    result = command(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@contextmanager
def stopped_after(epochs):
    """Ask every training to stop, as Ctrl-C does, once the final run has so many epochs."""
    fit = lw.MultiLabelClassifier.fit

    def stop(model, number):
        if number == epochs:
            signal.raise_signal(signal.SIGINT)

    def fitted(self, X, Y, **told):
        return fit(self, X, Y, **told, on_epoch=stop)

    try:
        lw.MultiLabelClassifier.fit = fitted
        yield
    finally:
        lw.MultiLabelClassifier.fit = fit


def write_runs():
    """Write a finished run, the same run stopped half way, and the finished one's predictions."""
    shutil.rmtree(cases.FILES / "runs", ignore_errors=True)
    finished, stopped = cases.FILES / "runs" / "finished", cases.FILES / "runs" / "stopped"
    trained = answer("train", cases.FILES / "table.csv", "--out", finished, *RUN)
    with stopped_after(4):
        assert command("train", cases.FILES / "table.csv", "--out", stopped, *RUN).exit_code == 130
    predicted = answer(
        "predict", finished, cases.FILES / "test.csv", "--out", cases.FILES / "predictions.parquet"
    )
    answers = {
        "train": trained,
        "predict": predicted,
        "evaluate": answer("evaluate", finished, cases.FILES / "test.csv"),
        "describe": answer("describe", cases.FILES / "table.csv"),
        "methods": answer("methods", "bbam"),
        "experiments": answer("experiment", "--list"),
        "datasets": answer("datasets"),
    }
    for run in (finished, stopped):
        for name in _TEMPORARY:
            for path in run.rglob(name):
                path.unlink()
        config = run / "run.toml"
        config.write_text(config.read_text().replace(str(cases.FILES), PLACE))
    figures = answers["evaluate"]["figures"]["metrics"]
    return {"keys": {name: cases.paths(data) for name, data in answers.items()}, "figures": figures}


def copied_runs(folder):
    """Copy the runs and tables into `folder`, as if they had been made there."""
    shutil.copytree(cases.FILES / "runs", folder / "runs")
    for table in ("table.csv", "test.csv"):
        shutil.copy(cases.FILES / table, folder / table)
    for config in (folder / "runs").rglob("run.toml"):
        config.write_text(config.read_text().replace(PLACE, str(folder)))
    return folder / "runs"


class Squares:
    """Four pictures (3, 8, 8) that are known by their numbers; `fetched` says which were read."""

    kind = "image"
    shape = (3, 8, 8)

    def __init__(self):
        self.fetched = []

    def __len__(self):
        return 4

    def batch(self, index, view, *, seed, epoch):
        self.fetched += index.tolist()
        pictures = [np.arange(192).reshape(3, 8, 8) % (row + 7) for row in index.tolist()]
        return torch.from_numpy(np.stack(pictures).astype(np.float32) / 8)

    def digests(self):
        return [f"square {row}".encode() for row in range(4)]


def backbone(shape, preprocessing=None):
    """Return a small network of ours with weights by a formula."""
    net = SmallCNN(shape, widths=(4, 6)).eval()
    for parameter in net.parameters():
        place = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = (torch.sin(place + 1) / 3).float().reshape(parameter.shape)
    if preprocessing is not None:
        net.preprocessing = preprocessing
        net.register_forward_pre_hook(lambda module, given: given[0].float() / 255)
    return net


def write_pictures():
    """Write three small pictures."""
    (cases.FILES / "pictures").mkdir(exist_ok=True)
    for number in range(3):
        pixels = (np.arange(12 * 10 * 3).reshape(12, 10, 3) * (number + 1) % 251).astype(np.uint8)
        Image.fromarray(pixels).save(cases.FILES / "pictures" / f"{number}.png")


def embedded(folder):
    """Return the features of both sources through the cache in `folder`, and the rows that were computed."""
    how = ImagePreprocessing((8, 8))
    squares = Squares()
    files = ImageFiles(sorted((cases.FILES / "pictures").glob("*.png")), how)
    told = {"cache": FeatureCache(folder), "device": "cpu", "precision": "32"}
    read, net = [], backbone((3, 8, 8), how)
    net.register_forward_hook(lambda module, given, out: read.append(len(out)))
    found = {
        "squares": embed(backbone((3, 8, 8)), squares, **told).features,
        "pictures": embed(net, files, **told).features,
    }
    return found, [*squares.fetched, *read]


def write_cache():
    """Write a cache with two entries, and return what the features are."""
    shutil.rmtree(cases.FILES / "cache", ignore_errors=True)
    found, _ = embedded(cases.FILES / "cache")
    for lock in (cases.FILES / "cache").rglob("*.lock"):
        lock.unlink()
    return {name: [" ".join(f"{v:.6g}" for v in row) for row in rows] for name, rows in found.items()}


def jobs():
    """Return runs of an experiment, the last of which fails."""
    common = {"experiment": "case", "row": "first", "hyperparameters": {"scale": 20.0}}
    return [
        Job("VOC", "semi_supervised", "bbam", 1, labelled_fraction=0.05, **common),
        Job("scene", "single_positive", "an", 0, protocol="published", options={"epochs": 2, "tune": "all"}),
        Job("COCO", "partial_positive", "em", 7, positives_fraction=0.5),
    ]


def measure(job, data):
    """Answer with the seed; fail on the last of the runs."""
    if job.seed == 7:
        raise lw.UserError("seed 7 does not work")
    return Measured(
        [Measurement("map", job.seed / 8), Measurement("micro_f1", float("nan"), "threshold(0.5)")],
        {"notes": ["one"], "epochs": 2},
    )


def write_results():
    """Write shards and their table."""
    shutil.rmtree(cases.FILES / "results", ignore_errors=True)
    run_jobs(jobs(), "tests.frozen.formats:measure", cases.FILES / "results", workers=1)
    collect(cases.FILES / "results")
    (cases.FILES / "results" / ".lock").unlink(missing_ok=True)


def job_keys():
    """Return the keys of the first and the last run of every experiment."""
    found = {}
    for name in spec_names():
        if keys := [job.key for job in load_spec(name).jobs("honest")]:
            found[name] = [keys[0], keys[-1]]
    return found


def write_all():
    """Write all files, and return what is read from them."""
    write_tables()
    X, Y = features("table.csv")
    found = {}
    shutil.rmtree(cases.FILES / "models", ignore_errors=True)
    for name, options in models().items():
        model = lw.MultiLabelClassifier(**options).fit(X, Y, label_names=NAMES)
        model.save(cases.FILES / "models" / name)
        found[name] = of_model(model)
    write_pictures()
    write_results()
    return {
        "platform": cases.platform(),
        "models": found,
        "cache": write_cache(),
        "answers": write_runs(),
        "jobs": {job.key: job.to_dict() for job in jobs()},
        "experiments": job_keys(),
    }


def weights(folder: Path):
    """Return the tensors of a model directory."""
    from safetensors.numpy import load_file

    return load_file(folder / "weights.safetensors")
