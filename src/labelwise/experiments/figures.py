"""The papers' figures: the columns that a run leaves for them, and their drawing, with the data saved beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.experiments.comparison import NAMES, compare, protocol_of, setting_of
from labelwise.experiments.jobs import Job
from labelwise.experiments.shards import writing
from labelwise.experiments.spec import OF_RESULTS, Figure, Spec

if TYPE_CHECKING:
    import pandas as pd

    from labelwise.analysis import Columns
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data.datasets import Dataset

_BY = {"cosine_gradients": "scenario", "vdfd_by_epoch": "run"}
"""The column that names a run in a figure of models; ``method`` elsewhere."""
_STRONG = 0.95
_SHARES = {
    "partial_positive": "share of positives kept",
    "partial": "share of labels known",
    "semi_supervised": "share of items labelled",
}
"""What the fraction of a setting is of."""


def model_columns(
    kind: str,
    model: MultiLabelClassifier,
    dataset: Dataset,
    train: tuple[Any, NDArray[np.int8]],
    test: tuple[Any, NDArray[np.float32]],
) -> Columns | None:
    """Return what a figure of ``kind`` shows of a fitted model; None where results tell all.

    ``train`` are the items and labels that it was trained on (all of the training part), ``test`` the test items and
    their scores.
    """
    from labelwise import analysis

    truth = dataset.parts["test"].labels
    if kind == "cosine_gradients":
        return analysis.cosine_gradients(model, *train, dataset.parts["train"].labels)
    if kind == "wasserstein_distances":
        distance = analysis.wasserstein_distances(test[1], truth)
        return {"label": np.array(dataset.label_names, dtype=str), "distance": distance}
    if kind == "prediction_densities":
        label = int((truth == 1).sum(0).argmax())
        columns = analysis.prediction_densities(test[1], truth, label)
        return columns | {"label": np.full(len(columns["low"]), dataset.label_names[label])}
    if kind == "loss_landscape":
        return analysis.loss_landscape(model, test[0], truth)
    if kind == "correlation_graph":
        given = {
            name: model.hyperparameters_[name]
            for name in ("scale", "margin")
            if name in model.hyperparameters_
        }
        return analysis.correlation_pairs(model, **given, least=0.0)
    if kind == "vdfd_by_epoch":
        return analysis.vdfd_by_epoch(model, *train, test[0], truth, label_names=dataset.label_names)
    return None


def keep_columns(columns: Columns, folder: Path, key: str) -> None:
    """Write columns to ``folder/KEY.csv``, whole or not at all."""
    import pandas as pd

    with writing(folder / f"{key}.csv") as draft:
        pd.DataFrame(columns).to_csv(draft, index=False)


def draw_figure(spec: Spec, jobs: Sequence[Job], results: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``figure.png``, ``figure.svg`` and ``figure.csv`` from the runs that are done; nothing without one.

    Each row's runs are of one protocol, which the data has in its last column. A figure of models shows one seed.
    """
    done = set(results.key[results.status == "done"])
    jobs = [job for job in jobs if job.key in done]
    if spec.figure is None or not jobs:
        return []
    if spec.figure.kind not in OF_RESULTS:
        jobs = [job for job in jobs if job.seed == jobs[0].seed]
    data = _collected(spec, spec.figure.kind, jobs, results, out)
    if data is None or not len(data):
        return []
    row = data.get(_BY.get(spec.figure.kind, "method"))
    data["protocol"] = (
        protocol_of(jobs[0]) if row is None else row.map({job.row: protocol_of(job) for job in jobs})
    )
    return _drawn(spec.figure, data, out, _caption(jobs))


def draw_theory(figure: Figure, out: Path) -> list[Path]:
    """Write the same three files of the closed form, which rests on no run."""
    import pandas as pd

    from labelwise.analysis.theory import curves

    theory = figure.theory
    assert theory is not None
    noise = [(positive, negative) for positive, negative in theory.noise]
    found = curves(
        noise=noise, label_shares=theory.label_shares, separation=theory.separation, points=theory.points
    )
    return _drawn(figure, pd.DataFrame(found), out)


def _drawn(figure: Figure, data: pd.DataFrame, out: Path, caption: str = "") -> list[Path]:
    from labelwise import plots

    draw: Callable[..., Any] = getattr(plots, figure.kind)
    drawn = draw(_shown(figure.kind, data), **_words(figure, data))
    png, svg, csv = (out / f"figure.{ending}" for ending in ("png", "svg", "csv"))
    with writing(png) as draft:
        plots.save_figure(drawn, draft, "png", caption=caption)
    with writing(svg) as draft:
        plots.save_figure(drawn, draft, "svg", caption=caption)
    with writing(csv) as draft:
        data.to_csv(draft, index=False)
    return [png, svg, csv]


def _caption(jobs: Sequence[Job]) -> str:
    """Return what runs have in common and differ in: sets, settings, protocol and seeds."""
    sets = dict.fromkeys(job.dataset for job in jobs)
    shares: dict[str, set[float | None]] = {}
    for job in jobs:
        shares.setdefault(job.setting, set()).add(job.fraction)
    settings = [setting_of(name, *(found if len(found) == 1 else ())) for name, found in shares.items()]
    seeds = sorted({job.seed for job in jobs})
    return (
        f"{', '.join(sets)}; {', '.join(settings)}; protocol {' and '.join(dict.fromkeys(map(protocol_of, jobs)))}; "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    )


def _words(figure: Figure, data: pd.DataFrame) -> dict[str, Any]:
    """Return what a drawing is told beside its data: labels with a panel each, the meaning of its axis."""
    if figure.kind == "vdfd_by_epoch":
        there = [label for label in figure.labels if (data.label == label).any()]
        return {"labels": there or None}
    if figure.kind == "fraction_curves":
        settings = list(dict.fromkeys(data.setting))
        return {"label": _SHARES.get(settings[0], "fraction") if len(settings) == 1 else "fraction"}
    if figure.kind == "prediction_densities" and "label" in data:
        return {"label": f"score of {data.label.iloc[0]}"}
    return {}


def _shown(kind: str, data: pd.DataFrame) -> pd.DataFrame:
    """Return what is drawn of the data, in words of readers.

    Of a label graph the pairs above .95, as the paper has it, if there are any.
    """
    if kind in _BY:
        return data.assign(**{_BY[kind]: data[_BY[kind]].str.replace("_", " ")})
    if kind == "sensitivity":
        ruled = data.rule.where(data.rule == "", ", " + data.rule)
        return data.assign(metric=data.metric.map(lambda name: NAMES.get(name, name)) + ruled)
    if kind != "correlation_graph":
        return data
    strong = data[data.correlation > _STRONG]
    return strong if len(strong) else data.head(10)


def _collected(
    spec: Spec, kind: str, jobs: list[Job], results: pd.DataFrame, out: Path
) -> pd.DataFrame | None:
    """Return the figure's rows: what models left, or means over seeds."""
    import pandas as pd

    if kind == "epoch_seconds":
        return _epochs(jobs, results)
    if kind == "sensitivity":
        return _sensitivity(spec, jobs, results)
    if kind in ("margin_sweep", "scale_margin", "fraction_curves"):
        return _sweep(jobs, results)
    parts = []
    for job in jobs:
        path = out / "columns" / f"{job.key}.csv"
        if path.exists():
            part = pd.read_csv(path, keep_default_na=True)
            part.insert(0, _BY.get(kind, "method"), job.row)
            parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else None


def _values(results: pd.DataFrame, key: str, metric: str) -> float:
    found = results.value[(results.key == key) & (results.metric == metric)]
    return float(found.iloc[0]) if len(found) else float("nan")


def _sweep(jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return mAP (mean and deviation over seeds) by data set, row, fraction and swept values."""
    import pandas as pd

    rows = [
        {
            "dataset": job.dataset,
            "setting": job.setting,
            "method": job.row,
            "fraction": np.nan if job.fraction is None else job.fraction,
            "scale": job.hyperparameters.get("scale", np.nan),
            "margin": job.hyperparameters.get("margin", np.nan),
            "seed": job.seed,
            "map": _values(results, job.key, "map"),
            "gradient_difference": _values(results, job.key, "gradient_difference"),
        }
        for job in jobs
    ]
    by = ["dataset", "setting", "method", "fraction", "scale", "margin"]
    grouped = pd.DataFrame(rows).groupby(by, sort=False, dropna=False)
    means = grouped[["map", "gradient_difference"]].mean()
    return means.assign(std=grouped["map"].std().fillna(0.0), seeds=grouped.size()).reset_index()


def _sensitivity(spec: Spec, jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return every metric by swept parameter and value, by the decision rule behind the printed figure."""
    import pandas as pd

    rows = []
    for name, row in spec.rows.items():
        for parameter in row.sweep:
            by_value: dict[Any, list[Job]] = {}
            for job in jobs:
                if job.row == name:
                    by_value.setdefault(job.hyperparameters[parameter], []).append(job)
            for value, group in by_value.items():
                for found in compare(spec, group, results):
                    if found.as_printed and found.measured is not None:
                        unit = 100 if spec.percent else 1
                        rows.append(
                            {
                                "parameter": parameter,
                                "value": value,
                                "metric": found.metric,
                                "rule": found.rule,
                                "score": found.measured / unit,
                                "std": (found.std or 0.0) / unit,
                            }
                        )
    return pd.DataFrame(rows)


def _epochs(jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return the median, shortest and longest seconds of an epoch by data set and row, over all seeds."""
    import pandas as pd

    facts = dict(zip(results.key, results.facts, strict=True))
    epochs: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        history = json.loads(facts[job.key])["history"]
        seconds = [record["seconds"] for record in history if "seconds" in record]
        epochs.setdefault((job.dataset, job.row), []).extend(seconds)
    rows = [
        (*place, len(seconds), float(np.median(seconds)), min(seconds), max(seconds))
        for place, seconds in epochs.items()
        if seconds
    ]
    return pd.DataFrame(rows, columns=["dataset", "method", "epochs", "seconds", "low", "high"])
