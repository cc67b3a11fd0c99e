"""The papers' figures: their kinds, columns, drawing and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.experiments.comparison import NAMES, compare, protocol_of, setting_of
from labelwise.experiments.jobs import Job
from labelwise.experiments.results import writing
from labelwise.experiments.spec import Figure, Spec

if TYPE_CHECKING:
    import pandas as pd

    from labelwise.analysis import Columns
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data.datasets import Dataset

_STRONG = 0.95
_THUMBNAIL = 240
_SHARES = {
    "partial_positive": "share of positives kept",
    "partial": "share of labels known",
    "semi_supervised": "share of items labelled",
}
"""Meaning of a setting's fraction."""
Train = tuple[Any, NDArray[np.int8]]
"""The items and labels that a model was trained on: all of the training part."""
Test = tuple[Any, NDArray[np.float32]]
"""The test items and their scores."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure, drawn by the ``labelwise.plots`` function so named."""

    of_model: Callable[[MultiLabelClassifier, Dataset, Train, Test], Columns] | None = None
    """Returns the columns of a fitted model; a figure of results has none."""
    of_results: Callable[[Spec, list[Job], pd.DataFrame], pd.DataFrame] | None = None
    """Returns the rows of a figure that rests on results."""
    by: str = "method"
    """The column that names a model's row."""
    reword: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data
    """Returns the rows to draw, in words of readers."""
    options: Callable[[Figure, pd.DataFrame], dict[str, Any]] = lambda figure, data: {}
    """Returns the drawing's further arguments."""
    lacks: Callable[[Spec], str] = lambda spec: ""
    """Returns in words a part that the figure needs and the experiment has not."""


def model_columns(
    kind: str, model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test
) -> Columns | None:
    """Return a fitted model's columns for a figure; None where results suffice."""
    of_model = KINDS[kind].of_model if kind in KINDS else None
    return None if of_model is None else of_model(model, dataset, train, test)


def _cosine_gradients(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    return analysis.cosine_gradients(model, *train, dataset.parts["train"].labels)


def _wasserstein_distances(
    model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test
) -> Columns:
    from labelwise import analysis

    distance = analysis.wasserstein_distances(test[1], dataset.parts["test"].labels)
    return {"label": np.array(dataset.label_names, dtype=str), "distance": distance}


def _prediction_densities(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    truth = dataset.parts["test"].labels
    label = int((truth == 1).sum(0).argmax())
    columns = analysis.prediction_densities(test[1], truth, label)
    return columns | {"label": np.full(len(columns["low"]), dataset.label_names[label])}


def _loss_landscape(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    return analysis.loss_landscape(model, test[0], dataset.parts["test"].labels)


def _correlation_graph(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    scale_and_margin = {
        name: model.hyperparameters_[name] for name in ("scale", "margin") if name in model.hyperparameters_
    }
    return analysis.correlation_pairs(model, **scale_and_margin, least=0.0)


def _vdfd_by_epoch(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    truth = dataset.parts["test"].labels
    return analysis.vdfd_by_epoch(model, *train, test[0], truth, label_names=dataset.label_names)


def _top_predictions(model: MultiLabelClassifier, dataset: Dataset, train: Train, test: Test) -> Columns:
    from labelwise import analysis

    part = dataset.parts["train"]
    rows = analysis.drawn_items(part.labels)
    X, Y = train
    names = part.items if part.contents is None else part.contents
    scores = model.predict_proba(X[rows])
    items = [names[row] for row in rows]
    return analysis.top_predictions(scores, part.labels[rows], dataset.label_names, items, Y=Y[rows])


def _pictures(figure: Figure, data: pd.DataFrame) -> dict[str, Any]:
    """Return the items that are pictures, small."""
    from labelwise.data.images.decode import Unusable, decode

    found = {}
    for item in dict.fromkeys(data.item):
        try:
            picture = decode(item)
        except (Unusable, OSError, ValueError):
            # Of texts and features, and where the pictures have gone, the name is shown.
            continue
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        found[item] = np.asarray(picture)
    return {"pictures": found}


def keep_columns(columns: Columns, folder: Path, key: str) -> None:
    """Write columns to ``folder/KEY.csv``, whole or not at all."""
    import pandas as pd

    with writing(folder / f"{key}.csv") as draft:
        pd.DataFrame(columns).to_csv(draft, index=False)


def draw_figure(spec: Spec, jobs: Sequence[Job], results: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``figure.png``, ``figure.svg`` and ``figure.csv`` of finished runs.

    Without a finished run nothing is written. Each row's runs are of one protocol, which the data has in its last
    column. A figure of models shows one seed.
    """
    done = set(results.key[results.status == "done"])
    jobs = [job for job in jobs if job.key in done]
    if spec.figure is None or not jobs:
        return []
    kind = KINDS[spec.figure.kind]
    if kind.of_model is not None:
        jobs = [job for job in jobs if job.seed == jobs[0].seed]
    data = _kept_columns(kind, jobs, out) if kind.of_results is None else kind.of_results(spec, jobs, results)
    if data is None or not len(data):
        return []
    row = data.get(kind.by)
    data["protocol"] = (
        protocol_of(jobs[0]) if row is None else row.map({job.row: protocol_of(job) for job in jobs})
    )
    return _draw(spec.figure, data, out, _caption(jobs))


def draw_without_runs(figure: Figure, out: Path) -> list[Path]:
    """Write the same three files of what needs no run: the closed form, or the losses."""
    import pandas as pd

    from labelwise.analysis.theory import curves

    theory, regimes = figure.theory, figure.regimes
    if regimes is not None:
        from labelwise.analysis import gradient_regimes

        return _draw(
            figure, pd.DataFrame(gradient_regimes(regimes.losses or None, points=regimes.points)), out
        )
    assert theory is not None
    columns = curves(
        noise=[(positive, negative) for positive, negative in theory.noise],
        label_shares=theory.label_shares,
        separation=theory.separation,
        points=theory.points,
    )
    return _draw(figure, pd.DataFrame(columns), out)


def _draw(figure: Figure, data: pd.DataFrame, out: Path, caption: str = "") -> list[Path]:
    from labelwise import plots

    kind, draw = KINDS[figure.kind], getattr(plots, figure.kind)
    drawn = draw(kind.reword(data), **kind.options(figure, data))
    png, svg, csv = (out / f"figure.{ending}" for ending in ("png", "svg", "csv"))
    with writing(png) as draft:
        plots.save_figure(drawn, draft, "png", caption=caption)
    with writing(svg) as draft:
        plots.save_figure(drawn, draft, "svg", caption=caption)
    with writing(csv) as draft:
        data.to_csv(draft, index=False)
    return [png, svg, csv]


def _caption(jobs: Sequence[Job]) -> str:
    """Return the sets, settings, protocols and seeds of runs in words."""
    sets = dict.fromkeys(job.dataset for job in jobs)
    shares: dict[str, set[float | None]] = {}
    for job in jobs:
        shares.setdefault(job.setting, set()).add(job.fraction)
    settings = [setting_of(name, *(known if len(known) == 1 else ())) for name, known in shares.items()]
    seeds = sorted({job.seed for job in jobs})
    return (
        f"{', '.join(sets)}; {', '.join(settings)}; protocol {' and '.join(dict.fromkeys(map(protocol_of, jobs)))}; "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    )


def _label_panels(figure: Figure, data: pd.DataFrame) -> dict[str, Any]:
    return {"labels": [label for label in figure.labels if (data.label == label).any()] or None}


def _fraction_axis(figure: Figure, data: pd.DataFrame) -> dict[str, Any]:
    settings = list(dict.fromkeys(data.setting))
    return {"label": _SHARES.get(settings[0], "fraction") if len(settings) == 1 else "fraction"}


def _score_axis(figure: Figure, data: pd.DataFrame) -> dict[str, Any]:
    return {"label": f"score of {data.label.iloc[0]}"} if "label" in data else {}


def _spaced(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that writes the names of a column with spaces."""
    return lambda data: data.assign(**{column: data[column].str.replace("_", " ")})


def _name_metrics(data: pd.DataFrame) -> pd.DataFrame:
    rules = data.rule.where(data.rule == "", ", " + data.rule)
    return data.assign(metric=data.metric.map(lambda name: NAMES.get(name, name)) + rules)


def _strong_pairs(data: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs above .95, the paper's bound, if there are any."""
    strong = data[data.correlation > _STRONG]
    return strong if len(strong) else data.head(10)


def _lacks_sweep_of(*names: str) -> Callable[[Spec], str]:
    """Return a check for rows that sweep one of these hyper-parameters."""
    rows = f"rows that sweep {' or '.join(names)}"
    return lambda spec: "" if any({*names} & {*row.sweep} for row in spec.rows.values()) else rows


def _lacks_single_sweeps(spec: Spec) -> str:
    single = all(len(row.sweep) == 1 for row in spec.rows.values())
    return "" if single else "rows that sweep one hyper-parameter each"


def _lacks_fractions(spec: Spec) -> str:
    return "" if any(setting.fractions for setting in spec.settings) else "a setting with fractions"


def _kept_columns(kind: Kind, jobs: list[Job], out: Path) -> pd.DataFrame | None:
    """Return the saved columns of all runs, one below the other."""
    import pandas as pd

    parts = []
    for job in jobs:
        path = out / "columns" / f"{job.key}.csv"
        if path.exists():
            part = pd.read_csv(path, keep_default_na=True)
            part.insert(0, kind.by, job.row)
            parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else None


def _value(results: pd.DataFrame, key: str, metric: str) -> float:
    values = results.value[(results.key == key) & (results.metric == metric)]
    return float(values.iloc[0]) if len(values) else float("nan")


def _sweep(spec: Spec, jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return mAP by data set, row, fraction and swept values.

    Mean and deviation are over seeds.
    """
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
            "map": _value(results, job.key, "map"),
            "gradient_difference": _value(results, job.key, "gradient_difference"),
        }
        for job in jobs
    ]
    by = ["dataset", "setting", "method", "fraction", "scale", "margin"]
    grouped = pd.DataFrame(rows).groupby(by, sort=False, dropna=False)
    means = grouped[["map", "gradient_difference"]].mean()
    return means.assign(std=grouped["map"].std().fillna(0.0), seeds=grouped.size()).reset_index()


def _sensitivity(spec: Spec, jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return every metric by swept parameter and value.

    They rest on the decision rule behind the printed figure.
    """
    import pandas as pd

    rows = []
    for name, row in spec.rows.items():
        for parameter in row.sweep:
            by_value: dict[Any, list[Job]] = {}
            for job in jobs:
                if job.row == name:
                    by_value.setdefault(job.hyperparameters[parameter], []).append(job)
            for value, group in by_value.items():
                for line in compare(spec, group, results):
                    if line.as_printed and line.measured is not None:
                        unit = 100 if spec.percent else 1
                        rows.append(
                            {
                                "parameter": parameter,
                                "value": value,
                                "metric": line.metric,
                                "rule": line.rule,
                                "score": line.measured / unit,
                                "std": (line.std or 0.0) / unit,
                            }
                        )
    return pd.DataFrame(rows)


def _epoch_seconds(spec: Spec, jobs: list[Job], results: pd.DataFrame) -> pd.DataFrame:
    """Return an epoch's seconds by data set and row.

    Median, shortest and longest over all seeds.
    """
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


KINDS: dict[str, Kind] = {
    "cosine_gradients": Kind(of_model=_cosine_gradients, by="scenario", reword=_spaced("scenario")),
    "wasserstein_distances": Kind(of_model=_wasserstein_distances),
    "prediction_densities": Kind(of_model=_prediction_densities, options=_score_axis),
    "loss_landscape": Kind(of_model=_loss_landscape),
    "correlation_graph": Kind(of_model=_correlation_graph, reword=_strong_pairs),
    "vdfd_by_epoch": Kind(of_model=_vdfd_by_epoch, by="run", reword=_spaced("run"), options=_label_panels),
    "top_predictions": Kind(of_model=_top_predictions, reword=_spaced("method"), options=_pictures),
    "margin_sweep": Kind(of_results=_sweep, lacks=_lacks_sweep_of("margin")),
    "scale_margin": Kind(of_results=_sweep, lacks=_lacks_sweep_of("scale", "margin")),
    "fraction_curves": Kind(of_results=_sweep, options=_fraction_axis, lacks=_lacks_fractions),
    "sensitivity": Kind(of_results=_sensitivity, reword=_name_metrics, lacks=_lacks_single_sweeps),
    "epoch_seconds": Kind(of_results=_epoch_seconds),
    "theory_curves": Kind(),
    "gradient_regimes": Kind(),
}
