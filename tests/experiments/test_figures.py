"""Figures from results and columns: what is drawn is saved beside, and what a model shows is kept."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest

from labelwise.analysis import REGIMES, theory
from labelwise.experiments import Tally, collect, load_spec, run_experiment, spec_names
from labelwise.experiments.experiment import write_tables
from labelwise.experiments.figures import KINDS, draw_figure, keep_columns, model_columns
from labelwise.experiments.results import write_shard
from labelwise.experiments.spec import Figure

OF_RESULTS = {
    *("margin_sweep", "scale_margin", "fraction_curves", "sensitivity", "epoch_seconds", "theory_curves"),
    "gradient_regimes",
}
FIGURES = [name for name in spec_names() if load_spec(name).figure and load_spec(name).rows]
rng = np.random.default_rng(0)


def columns_of(kind):
    """Columns of the shape that ``labelwise.analysis`` gives for a kind of figure."""
    edges = np.linspace(0, 1, 6)
    bins = {"low": edges[:-1], "high": edges[1:], "density": rng.random(5) + 0.1}
    both = {name: np.tile(values, 2) for name, values in bins.items()}
    if kind == "cosine_gradients":
        three = {name: np.tile(values, 3) for name, values in bins.items()}
        quantity = np.repeat(["cosine", "gradient", "probability"], 5)
        return {"quantity": quantity, "group": np.repeat(["positives", "positives", "all"], 5), **three}
    if kind == "wasserstein_distances":
        return {"label": np.array(["a", "b"]), "distance": rng.random(2)}
    if kind == "prediction_densities":
        group = np.repeat(["positives", "negatives"], 5)
        return {"group": group, **both, "label": np.repeat("thing", 10)}
    if kind == "loss_landscape":
        a, b = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))
        return {"a": a.ravel(), "b": b.ravel(), "loss": 1 + (a**2 + b**2).ravel()}
    if kind == "correlation_graph":
        return {
            "first": np.array(["a", "b"]),
            "second": np.array(["b", "c"]),
            "correlation": np.array([0.99, 0.4]),
        }
    if kind == "vdfd_by_epoch":
        return {"epoch": np.repeat([1, 2], 2), "label": np.tile(["car", "b"], 2), "vdfd": rng.random(4)}
    if kind == "top_predictions":
        return {
            "item": np.repeat(["a.png", "b.png"], 2),
            "truth": np.repeat(["cat, dog", "dog, car"], 2),
            "given": np.repeat(["cat", "dog"], 2),
            "rank": np.tile([1, 2], 2),
            "label": np.array(["cat", "dog", "car", "cat"]),
            "score": np.array([0.9, 0.4, 0.8, 0.2]),
            "relevant": np.array([1, 1, 1, 0]),
        }
    return None


def finished(job, figures, facts):
    """A shard of a run that is done: ``figures`` are (metric, rule, value)."""
    return {
        "key": job.key,
        "job": job.to_dict(),
        "version": "0",
        "status": "done",
        "error": "",
        "measurements": [{"metric": m, "rule": r, "value": v} for m, r, v in figures],
        "facts": facts,
        "seconds": 1.0,
        "memory_mb": 1,
    }


@pytest.fixture
def done(tmp_path):
    """All runs of one seed of an experiment, as if they had been made."""

    def make(name):
        spec = load_spec(name)
        jobs = spec.jobs(seeds=spec.seeds[:1])
        for job in jobs:
            value = job.hyperparameters.get("margin", 0.1) + (job.fraction or 0)
            figures = [("map", "", value), ("gradient_difference", "", value)]
            figures += [(metric, "oracle_cardinality", value) for metric in ("micro_f1", "macro_f1")]
            write_shard(
                tmp_path,
                finished(job, figures, {"history": [{"seconds": 2.0}, {"seconds": 4.0}, {"seconds": 3.0}]}),
            )
            columns = columns_of(spec.figure.kind)
            if columns is not None:
                keep_columns(columns, tmp_path / "columns", job.key)
        return spec, jobs, collect(tmp_path), tmp_path

    return make


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_its_data_beside(done, name):
    spec, jobs, results, out = done(name)
    paths = draw_figure(spec, jobs, results, out)
    assert [path.name for path in paths] == ["figure.png", "figure.svg", "figure.csv"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    data = pd.read_csv(paths[2])
    assert len(data) > 0
    assert set(data.protocol) == {"honest"}
    told = paths[1].read_text()
    assert f"{', '.join(spec.datasets)}; " in told
    assert "; protocol honest; seed" in told
    assert ("; semi-supervised 5%, full;" in told) == (name == "bbam-vdfd-supervision")
    before = [path.read_bytes() for path in paths]
    draw_figure(spec, jobs, results, out)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_is_drawn_of_nothing(tmp_path, name):
    spec = load_spec(name)
    assert draw_figure(spec, spec.jobs(), collect(tmp_path), tmp_path) == []


def test_the_theorys_figure_needs_no_data(tmp_path):
    found = run_experiment("bbam-theory", out=tmp_path)
    assert [path.name for path in found.files] == ["figure.png", "figure.svg", "figure.csv"]
    assert all(path.exists() for path in found.files)
    data = pd.read_csv(tmp_path / "figure.csv")
    exact = data[data.source == "theory"]
    expected = theory.risks(
        exact.ratio.to_numpy(), exact.label_share, exact.noise_positive, exact.noise_negative
    )
    np.testing.assert_allclose(exact.vca, expected.vca)
    drawn = load_spec("bbam-theory").theory
    assert len(data) - len(exact) == len(drawn.points) * len(drawn.noise) * len(drawn.label_shares)


def test_the_losses_figure_needs_no_data(tmp_path):
    found = run_experiment("loss-regimes", out=tmp_path)
    assert [path.name for path in found.files] == ["figure.png", "figure.svg", "figure.csv"]
    data = pd.read_csv(tmp_path / "figure.csv")
    assert len(data) == len(REGIMES) * 3 * load_spec("loss-regimes").figure.regimes.points


def test_a_sweep_has_a_row_for_every_value(done):
    spec, jobs, results, out = done("hml-figure3")
    data = pd.read_csv(draw_figure(spec, jobs, results, out)[2])
    np.testing.assert_allclose(data.margin, np.arange(8) / 10)
    np.testing.assert_allclose(data["map"], data.margin)
    assert (data.seeds == 1).all()


def test_a_figure_shows_each_row_as_it_was_asked_for(tmp_path):
    """A leak concerns BBAM alone: the others stand beside it, each under its protocol, of one seed."""
    spec = load_spec("bbam-vdfd-methods")
    rows = {"rows": ["cap", "bbam"]}
    leaked = spec.jobs("published", extra={"leak_truth": True}, seeds=[2], **rows)
    for job in [*spec.jobs("honest", **rows), *spec.jobs("published", seeds=[2, 3], **rows), *leaked]:
        write_shard(tmp_path, finished(job, [("map", "", 0.5)], {}))
        keep_columns(columns_of("vdfd_by_epoch"), tmp_path / "columns", job.key)
    found = write_tables(spec, leaked, tmp_path, Tally(2, 0, 0, 0, 0))
    data = pd.read_csv(tmp_path / "figure.csv")
    assert data.groupby("run").protocol.unique().map(list).to_dict() == {
        "cap": ["published"],
        "bbam": ["published, leak_truth"],
    }
    assert len(data) == 2 * 4
    assert "; protocol published and published, leak_truth; seed 2<" in found.files[4].read_text()


def test_sensitivity_moves_one_parameter_at_a_time(done):
    spec, jobs, results, out = done("bbam-sensitivity")
    data = pd.read_csv(draw_figure(spec, jobs, results, out)[2])
    assert data.groupby("parameter").value.nunique().to_dict() == {"scale": 5, "margin": 7}
    assert set(zip(data.metric, data.rule.fillna(""), strict=True)) == {
        ("micro_f1", "oracle_cardinality"), ("macro_f1", "oracle_cardinality"), ("map", "")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("em-apl-mlml", "share of labels known"),
        ("hml-figure4", "share of positives kept"),
        ("em-apl-densities", "score of thing"),
        ("bbam-sensitivity", "micro-F1, oracle_cardinality"),
        ("hml-figure2", "normalised full"),
        ("bbam-vdfd-supervision", "VDFD of car, rad²"),
        ("bbam-vdfd-methods", "mean size of VDFD over labels, rad²"),
    ],
)
def test_a_figure_says_what_its_axes_are(done, monkeypatch, name, words):
    from matplotlib.figure import Figure

    from labelwise import plots

    drawn = []
    monkeypatch.setattr(
        plots, "save_figure", lambda figure, path, kind, caption: drawn.append(figure) or path.touch()
    )
    draw_figure(*done(name))
    assert isinstance(drawn[0], Figure)
    handles = [text.get_text() for legend in drawn[0].legends for text in legend.get_texts()]
    axes = [word for a in drawn[0].axes for word in (a.get_xlabel(), a.get_title(loc="left"))]
    assert words in handles + axes


def test_an_epochs_time_is_the_median_of_the_history(done):
    spec, jobs, results, out = done("bbam-time")
    data = pd.read_csv(draw_figure(spec, jobs, results, out)[2])
    assert set(zip(data.seconds, data.low, data.high, strict=True)) == {(3.0, 2.0, 4.0)}
    assert len(data) == 10


def test_epochs_of_several_seeds_are_one_bar(tmp_path):
    spec = load_spec("bbam-time")
    jobs = spec.jobs(rows=["cap"], datasets=["VOC"], seeds=[1, 2])
    for job, seconds in zip(jobs, ([1.0, 2.0], [3.0, 6.0, 7.0]), strict=True):
        history = [{"seconds": value} for value in seconds]
        write_shard(tmp_path, finished(job, [], {"history": history}))
    data = pd.read_csv(draw_figure(spec, jobs, collect(tmp_path), tmp_path)[2])
    assert data[["seconds", "low", "high", "epochs"]].values.tolist() == [[3.0, 1.0, 7.0, 5]]


def test_the_label_graph_shows_strong_pairs_and_saves_all(done, monkeypatch):
    from labelwise import plots

    drawn = []
    original = plots.correlation_graph
    monkeypatch.setattr(plots, "correlation_graph", lambda data: drawn.append(data) or original(data))
    spec, jobs, results, out = done("hml-figure6")
    saved = pd.read_csv(draw_figure(spec, jobs, results, out)[2])
    assert drawn[0].correlation.tolist() == [0.99]
    assert len(saved) == 2


def test_a_trained_model_leaves_the_columns_of_each_figure():
    from labelwise import MultiLabelClassifier
    from labelwise.data.datasets import Dataset, Part

    X = rng.normal(size=(160, 6)).astype(np.float32)
    Y = (X @ rng.normal(size=(6, 3)) > 0.5).astype(np.int8)
    parts = {
        name: Part(tuple(map(str, range(80))), Y[rows], features=X[rows])
        for name, rows in (("train", slice(80)), ("test", slice(80, None)))
    }
    data = Dataset("voc2012", "features", ("a", "b", "c"), parts)
    model = MultiLabelClassifier("hml", epochs=2).fit(X[:80], Y[:80], label_names=data.label_names)
    given = (model, data, (X[:80], Y[:80]), (X[80:], model.decision_scores(X[80:])))
    for kind in {load_spec(name).figure.kind for name in FIGURES}:
        columns = model_columns(kind, *given)
        expected = columns_of(kind)
        assert (columns is None) == (expected is None)
        if columns is not None:
            assert set(expected) <= set(columns)
            assert len({len(values) for values in columns.values()}) == 1


def test_every_kind_of_figure_has_its_columns():
    assert set(KINDS) == set(get_args(Figure.model_fields["kind"].annotation))
    assert {name for name, kind in KINDS.items() if kind.of_model is None} == OF_RESULTS
    assert {name for name, kind in KINDS.items() if kind.of_results} == OF_RESULTS - {
        "theory_curves",
        "gradient_regimes",
    }
