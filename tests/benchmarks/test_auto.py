"""`benchmarks.auto`: the command on drawn sets, its tables recomputed by slow loops, hostile cases and sizes."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import wilcoxon

from benchmarks.auto import __main__ as auto
from benchmarks.auto import grid, learners, page, run, sizes, stress, tables
from benchmarks.local import sets
from benchmarks.pages import REGION, fill
from labelwise.experiments.results import read_shards

NAMES, SETTINGS = ("scene", "yeast"), ("20% labelled", "half of the entries")
LEARNERS = ("ridge", "logistic", "logistic_l2")


def drawn(seed=0, n=120):
    """Return a set of four labels that depend on their features."""
    random = np.random.default_rng(seed)
    Y = (random.random((n, 4)) < 0.4).astype(np.int8)
    X = (Y @ random.normal(size=(4, 12)) + random.normal(size=(n, 12))).astype(np.float32)
    return X[: n // 2], Y[: n // 2], X[n // 2 :], Y[n // 2 :]


def figures_of(found, name, setting, method):
    """Return a column's values by seed, by a loop over the runs."""
    return {
        row["seed"]: row
        for _, row in found.iterrows()
        if (row["set"], row["setting"], row["method"]) == (name, setting, method)
    }


def test_labels_have_their_names_where_the_set_gives_them(monkeypatch, tmp_path):
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "goemotions" / "labels.txt").write_text("joy\nfear\n")
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    seen = np.array([[1, -1], [0, 1]], dtype=np.int8)
    named = run.named(seen, "goemotions_named")
    assert list(named.columns) == ["joy", "fear"]
    assert (named.to_numpy() == seen).all()
    assert run.named(seen, "goemotions_words") is seen
    assert run.texts("goemotions_words") == {"backbone": "minilm+words"}
    assert run.texts("scene") == {}


def made_up(names=NAMES, settings=SETTINGS, seeds=3):
    """Return drawn runs of a grid, as `tables.runs` would."""
    random = np.random.default_rng(5)
    rows = []
    for job in grid.jobs(names, settings, seeds):
        values = dict(zip(("map", "ece", "micro_f1"), random.uniform(0.2, 0.7, 3), strict=True))
        # yeast has no gap.
        if job.setting == "full":
            values["map"] = 0.1 if job.dataset == "yeast" else 0.9
        row = {"set": job.dataset, "setting": grid.setting_of(job), "method": job.method, "seed": job.seed}
        facts = {"fit_seconds": 2.0 + job.seed, "predict_seconds": 0.5, "memory_mb": 100 + job.seed}
        rows.append({**row, "status": "done", "error": "", **values, **facts})
    return pd.DataFrame(rows)


def test_cells_are_what_a_slow_loop_makes_of_the_runs():
    found = made_up()
    table = tables.cells(found)
    assert len(table) == len(NAMES) * len(SETTINGS)
    for _, cell in table.iterrows():
        by = {m: figures_of(found, cell["set"], cell["setting"], m) for m in grid.METHODS}
        for column, error, other in (
            ("gain", "gain_error", "ridge"),
            ("over_logistic", "over_logistic_error", "logistic"),
            ("over_logistic_l2", "over_logistic_l2_error", "logistic_l2"),
        ):
            differences = [by["auto"][seed]["map"] - by[other][seed]["map"] for seed in range(3)]
            mean = sum(differences) / 3
            spread = (sum((d - mean) ** 2 for d in differences) / 2) ** 0.5 / 3**0.5
            assert cell[column] == pytest.approx(mean)
            assert cell[error] == pytest.approx(spread)
        floor = sum(by["ridge"][seed]["map"] for seed in range(3)) / 3
        if cell["set"] == "scene":
            assert cell["ceiling"] == pytest.approx(0.9)
            assert cell["share"] == pytest.approx(cell["gain"] / (0.9 - floor))
            assert cell["share_capped"] == min(cell["share"], 1)
        else:
            assert np.isnan(cell["share"])
        assert cell["auto_fit_seconds"] == pytest.approx(3.0)
        assert cell["auto_memory_mb"] == 102


@pytest.mark.parametrize(
    ("gain", "error", "expected"),
    [
        (-0.0031, 0.0, True),
        (-0.0029, 0.0, False),
        (-0.01, 0.0049, True),
        (-0.01, 0.0051, False),
        (-0.004, np.nan, True),
        (0.5, 0.0, False),
    ],
)
def test_a_cell_is_below_by_more_than_three_thousandths_and_two_errors(gain, error, expected):
    assert tables.below(gain, error) is expected


def test_the_verdict_is_over_cells_with_a_gap_and_leaves_texts_out():
    inside = (*NAMES, "goemotions")
    cells = tables.cells(made_up((*inside, "goemotions_named", "goemotions_words")))
    verdict = tables.verdict(cells).set_index("figure")
    own = [row for _, row in cells.iterrows() if row["set"] in inside]

    def shares(names):
        rows = [row for _, row in cells.iterrows() if row["set"] in names]
        return [row["share"] for row in rows if row["ceiling"] - row["floor"] >= 0.01]

    assert verdict.loc["mean share of the gap", "value"] == pytest.approx(np.mean(shares(inside)))
    for figure, names in ((tables.CAPPED, inside), (tables.CAPPED_NAMED, ("scene", "goemotions_named"))):
        capped = [min(share, 1) for share in shares(names)]
        assert verdict.loc[figure, "value"] == pytest.approx(np.mean(capped))
    worst = min(own, key=lambda row: row["gain"])
    assert verdict.loc["worst gain over the floor", "value"] == worst["gain"]
    assert verdict.loc["worst gain over the floor", "cell"] == f"{worst['set']}, {worst['setting']}"
    assert verdict.loc["cells", "value"] == len(own)
    errors = [row["auto_ece"] for row in own if row["setting"] == "20% labelled"]
    assert verdict.loc["largest calibration error, rows wholly known", "value"] == max(errors)
    f1 = min(row["auto_micro_f1"] - row["floor_micro_f1"] for row in own)
    assert verdict.loc["worst micro-F1 against the floor's", "value"] == pytest.approx(f1)


def test_ranks_are_within_each_cell_and_tests_over_the_cells_of_both():
    random = np.random.default_rng(2)
    cells = [(name, setting) for name in "abcdef" for setting in ("5% labelled", "single positive")]
    rows = [
        {"set": c[0], "setting": c[1], "method": m, "seed": seed, "map": random.random(), "status": "done"}
        for c in cells
        for m in ("auto", "ridge", "bam", "ll_r")
        for seed in range(2)
        if m != "ll_r" or c[1] == "single positive"
    ]
    runs = pd.DataFrame(rows)
    # Committed runs of the default itself, and of another cell, change nothing.
    stale = [
        {"set": "a", "setting": "5% labelled", "method": "auto", "seed": 0, "map": 9.0, "status": "done"}
    ]
    stale += [
        {"set": "z", "setting": "5% labelled", "method": "bam", "seed": 0, "map": 9.0, "status": "done"}
    ]
    is_own = runs["method"] == "auto"
    table = tables.ranks(pd.concat([runs[~is_own], pd.DataFrame(stale)]), runs[is_own]).set_index("method")
    means = {}
    for row in rows:
        means.setdefault((row["set"], row["setting"]), {}).setdefault(row["method"], []).append(row["map"])
    means = {c: {m: sum(v) / 2 for m, v in own.items()} for c, own in means.items()}
    for method in ("auto", "ridge", "bam", "ll_r"):
        ranks = [
            1 + sum(other > own[method] for other in own.values()) for own in means.values() if method in own
        ]
        assert table.loc[method, "mean_rank"] == pytest.approx(np.mean(ranks))
        assert table.loc[method, "cells"] == len(ranks)
        if method != "auto":
            differences = [own["auto"] - own[method] for own in means.values() if method in own]
            assert table.loc[method, "wilcoxon_p"] == pytest.approx(wilcoxon(differences).pvalue)
            assert table.loc[method, "auto_wins"] == sum(d > 0 for d in differences)
    assert np.isnan(table.loc["auto", "wilcoxon_p"])


def test_the_cells_of_the_local_benchmark_are_the_grids_but_for_its_sample_of_goemotions():
    found = made_up((*NAMES, "goemotions", "bibtex"), ("5% labelled", "10% labelled"), 2)
    sampled = found[(found["set"] == "goemotions") & (found["method"] == "auto")].assign(map=0.123)
    own = tables.in_local_cells(found, sampled)
    assert set(own["method"]) == {"auto"}
    assert set(own["set"]) == {*NAMES, "goemotions"}
    assert set(own[own["set"] == "goemotions"]["map"]) == {0.123}
    assert set(own[own["set"] != "goemotions"]["setting"]) == {"5% labelled"}
    for name in ("scene", "yeast", "ohsumed", "voc12_animals"):
        for setting in sets.SETTINGS:
            for seed in range(3):
                job = sets.job(name, setting, "auto", seed, 6000)
                assert job == grid.cell(name, setting, "auto", seed)


@pytest.mark.parametrize("sparse", [False, True])
def test_logistic_regressions_read_each_labels_known_entries(sparse):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler, normalize

    X, Y, X_test, _ = drawn()
    seen = np.where(np.random.default_rng(1).random(Y.shape) < 0.5, Y, -1)
    seen[:20], seen[:, 3] = -1, np.minimum(seen[:, 3], 0)
    given = (sp.csr_array(X), sp.csr_array(X_test)) if sparse else (X, X_test)
    rows = (seen != -1).any(axis=1)
    scale = StandardScaler(with_mean=not sparse).fit(X[rows])
    for learner, move, C in ((learners.logistic, scale.transform, 1), (learners.logistic_l2, normalize, 10)):
        scores = learner(given[0], seen)(given[1])
        for k in range(3):
            known = seen[:, k] != -1
            model = LogisticRegression(C=C, max_iter=1000).fit(move(X[known]), Y[known, k])
            np.testing.assert_allclose(scores[:, k], model.predict_proba(move(X_test))[:, 1], atol=1e-3)
        assert set(scores[:, 3]) == {0.0}


def test_where_no_negative_is_known_an_unknown_entry_is_absent():
    X, Y, X_test, _ = drawn()
    positives = np.where(Y == 1, 1, -1)
    rows = (positives == 1).any(axis=1)
    full = np.where(rows[:, None], Y, -1)
    for learner in learners.LEARNERS.values():
        np.testing.assert_array_equal(learner(X, positives)(X_test), learner(X, full)(X_test))


def test_texts_are_scored_by_the_words_of_the_labelled_ones():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = ["a red hen", "the red fox", "a blue sea", "some blue sky", "unseen words alone", "red sea"]
    seen = np.array([[1], [1], [0], [0], [-1], [-1]])
    words = TfidfVectorizer().fit(texts[:4])
    model = LogisticRegression(C=1.0).fit(words.transform(texts[:4]), seen[:4, 0])
    expected = model.predict_proba(words.transform(["red hen", "sky"]))[:, 1]
    scores = learners.logistic(texts, seen)(["red hen", "sky"])
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-4)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The command on two drawn sets, in this process; returns what calls it and the list of its fits."""
    parts = {name: drawn(seed) for seed, name in enumerate(NAMES)}
    fits = []

    def compute(jobs, execute, out, workers, cap):
        from labelwise.experiments.results import write_shard
        from labelwise.experiments.runner import resolve, run_one

        there = {shard["key"] for shard in read_shards(out)}
        for job in jobs:
            if job.key not in there:
                fits.append(job)
                answer = run_one(resolve(execute), job, str(out))
                write_shard(out, {"key": job.key, "job": job.to_dict(), "version": "0", **answer})

    monkeypatch.setattr(auto.local, "compute", compute)
    monkeypatch.setattr(sets, "load", lambda name: parts[name])
    run.read.cache_clear()

    def call(*options):
        words = ["auto", "--out", str(tmp_path), "--parts", "grid", "--sets", *NAMES, "--settings", *SETTINGS]
        monkeypatch.setattr(sys, "argv", [*words, *options])
        auto.main()
        return tmp_path / "page"

    yield call, fits
    run.read.cache_clear()


def test_the_command_measures_resumes_and_fills_its_tables(command, monkeypatch, tmp_path):
    call, fits = command
    # Any method can stand in the default's place.
    monkeypatch.setattr(tables, "DEFAULT", "ridge")
    options = ("--seeds", "2", "--methods", *LEARNERS)
    folder = call(*options)
    assert len(fits) == 2 * (len(LEARNERS) + 2 * len(SETTINGS) * len(LEARNERS))
    first = pd.read_csv(folder / "runs.csv").set_index(["set", "setting", "method", "seed"])["map"]
    for path in sorted((tmp_path / "shards").glob("yeast*s1*"))[:3]:
        path.unlink()
    call(*options)
    assert len(fits) == 2 * (len(LEARNERS) + 2 * len(SETTINGS) * len(LEARNERS)) + 3
    again = pd.read_csv(folder / "runs.csv").set_index(["set", "setting", "method", "seed"])["map"]
    assert again.notna().all()
    pd.testing.assert_series_equal(again.sort_index(), first.sort_index())
    cells = pd.read_csv(folder / "cells.csv")
    assert (cells["gain"] == 0).all()
    assert not cells["below_floor"].any()
    assert (folder / "gains.svg").exists()
    text = (folder / "tables.md").read_text()
    assert "| scene | 20% labelled | 2 |" in text
    assert "logistic regression, standardised" in text


def test_a_part_of_the_grid_is_never_committed(command):
    with pytest.raises(SystemExit, match="holds the whole grid"):
        command[0]("--write")


def test_runs_that_failed_or_never_were_are_listed():
    found = made_up()
    lost = found.index[(found["set"] == "yeast") & (found["method"] == "auto")]
    found.loc[lost[0], ["status", "error"]] = "failed", "it broke"
    jobs = grid.jobs(NAMES, SETTINGS, 3)
    table = page.missing(jobs, found.drop(index=lost[1:]))
    assert sorted(table["why"].unique()) == ["failed: it broke", "not run"]
    assert len(table) == len(lost)


def test_every_hostile_case_keeps_the_known_labels_and_test_rows():
    parts = drawn()
    job = stress.jobs()[0]
    seen = sets.hide(parts[1], job)
    for name, case in stress.CASES.items():
        if name == "another domain":
            continue
        X, labels, X_test, Y_test = case(parts, seen, 0)
        assert (len(X), len(X_test)) == (len(labels), len(Y_test))
        assert X.shape[1] == X_test.shape[1]
        assert labels.shape[1] == Y_test.shape[1]
        assert np.isfinite(np.concatenate([X, X_test])).all()
        assert (labels == 1).any()
    known = (seen != -1).any(axis=1)
    for name in ("pool of noise", "permuted columns"):
        X = stress.CASES[name](parts, seen, 0)[0]
        assert (X[known] == parts[0][known]).all()
        assert (X[~known] != parts[0][~known]).any(axis=1).all()
    wide = sets.hide(parts[1], grid.cell("scene", "20% labelled", "ridge", 0))
    assert (stress.two_positives(parts, wide, 0)[1][:, 0] == 1).sum() <= 2


def test_a_hostile_run_tells_the_warnings_of_libraries(monkeypatch):
    import warnings

    parts = drawn()
    monkeypatch.setattr(sets, "load", lambda name: parts)
    job = next(job for job in stress.jobs() if job.fraction == 0.2 and job.method == "ridge")
    quiet = stress.run(job, "")
    fitted = stress.local.fitted

    def noisy(*given, **named):
        warnings.warn("something is off", RuntimeWarning, stacklevel=1)
        return fitted(*given, **named)

    monkeypatch.setattr(stress.local, "fitted", noisy)
    loud = stress.run(job, "")
    assert quiet.facts["warnings"] == []
    assert loud.facts["warnings"] == ["RuntimeWarning: something is off"]
    assert loud.measurements == quiet.measurements


def test_hostile_rows_pair_the_methods(tmp_path):
    shards = [
        {
            "job": job.to_dict(),
            "measurements": [
                {"metric": "map", "value": 0.5 + 0.1 * (job.method == "auto") + 0.01 * job.seed}
            ],
            "facts": {"warnings": ["W: x"] if job.method == "auto" else []},
            "error": "",
        }
        for job in stress.jobs()
    ]
    table = stress.rows_of(shards)
    assert len(table) == len(stress.CASES) * 2 * len(stress.SHARES)
    assert list(dict.fromkeys(table["case"])) == list(stress.CASES)
    assert np.allclose(table["difference"], 0.1)
    assert set(table["warnings"]) == {"W: x"}


def test_drawn_words_have_unit_rows_and_every_label():
    X, Y = sizes.words(n=2000, columns=3000, labels=8, length=12)
    assert X.shape == (2000, 3000)
    assert Y.any(axis=0).all()
    np.testing.assert_allclose(np.asarray(X.multiply(X).sum(axis=1)).ravel(), 1, rtol=1e-4)
    assert X.nnz <= 2000 * 12 + 2 * int(Y.sum())


def test_a_size_is_measured_beside_what_it_may_take(monkeypatch):
    X, Y, _, _ = drawn()
    case = sizes.Size(lambda: (X, Y), "60 x 12 x 4", ("single positive",), 5.0)
    monkeypatch.setattr(sizes, "SIZES", {"small": case})
    (job,) = sizes.jobs("ridge")
    found = sizes.run(job, "")
    shard = {"job": job.to_dict(), "facts": found.facts, "status": "done", "error": "", "memory_mb": 2048}
    shard["measurements"] = [{"metric": m.metric, "value": m.value} for m in found.measurements]
    row = sizes.row_of(shard)
    assert row["seconds"] > 0
    assert row["rows_a_second"] > 0
    assert (row["case"], row["setting"], row["most_seconds"]) == ("small", "single positive", 5.0)
    assert "| small | 60 x 12 x 4 | single positive |" in "\n".join(page.size_table(pd.DataFrame([row])))


def test_the_page_holds_what_the_committed_results_say():
    text, made = page.PAGE.read_text(encoding="utf-8"), page.regions(page.read(page.COMMITTED))
    assert fill(text, made) == text
    assert {name for _, name in REGION.findall(text)} == {*made}
