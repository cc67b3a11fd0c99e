"""Experiments as data: every printed cell has its run, and every mistake its line."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from labelwise import methods
from labelwise.errors import UserError
from labelwise.experiments import DATASETS, load_spec, measuring, parse_spec, published, spec_names, tables
from labelwise.methods import Budget, Problem
from tests.refusals import refused

FIGURES = {
    "hml-figure2", "hml-figure3", "hml-figure4", "hml-figure5", "hml-figure6", "em-apl-wasserstein", "em-apl-densities",
    "em-apl-mlml", "em-apl-landscapes", "bbam-vdfd-supervision", "bbam-vdfd-methods", "bbam-sensitivity", "bbam-time",
    "bbam-theory", "loss-regimes", "em-apl-qualitative",
}  # fmt: skip

PLAIN = """
title = "t"
paper = "p"
code = "spml"
datasets = ["VOC"]
settings = [{ name = "single_positive" }]
seeds = [0]
metrics = ["map"]

[rows.em]
method = "em"
source = "s"
hyperparameters = { alpha = 0.2 }
"""


THEORY = '[figure]\nkind = "theory_curves"\ntheory.label_shares = [0.5]\ntheory.noise = [[0.1, 0.1]]\n'
EM = PLAIN.split("[rows.em]\n")[1].strip()


def printed_runs(spec, protocol="honest"):
    return {(job.dataset, job.row, job.setting, job.fraction) for job in spec.jobs(protocol)}


@pytest.mark.parametrize("table", tables())
def test_every_printed_cell_has_a_run(table):
    specs = [load_spec(name) for name in spec_names() if table in load_spec(name).tables]
    covered = {cell for spec in specs for cell in printed_runs(spec)}
    missing = {number.cell for number in published(table)} - covered
    assert not missing, f"no spec measures {sorted(missing, key=str)}"
    metrics = {(dataset, metric) for spec in specs for dataset in spec.datasets for metric in spec.metrics}
    assert {(number.dataset, number.metric) for number in published(table)} <= metrics


@pytest.mark.parametrize("name", [name for name in spec_names() if load_spec(name).tables])
def test_a_table_measures_nothing_that_is_not_printed(name):
    spec = load_spec(name)
    printed = {number.cell for table in spec.tables for number in published(table)}
    assert printed_runs(spec) <= printed


def test_a_cell_without_a_run_is_noticed():
    spec = load_spec("hml-table2")
    fewer = spec.model_copy(update={"rows": {name: row for name, row in spec.rows.items() if name != "epr"}})
    missing = {number.cell for number in published("hml-table2")} - printed_runs(fewer)
    assert {method for _, method, _, _ in missing} == {"epr"}


def test_every_figure_of_the_papers_has_an_experiment():
    assert {name for name in spec_names() if load_spec(name).figure} == FIGURES


@pytest.mark.parametrize("name", spec_names())
@pytest.mark.parametrize("protocol", ["honest", "published"])
def test_runs_are_distinct_and_every_method_accepts_its_setting(name, protocol):
    jobs = load_spec(name).jobs(protocol)
    assert len({(job.key, job.row) for job in jobs}) == len(jobs)
    for job in jobs:
        spec = methods.get(job.method).spec
        spec.resolve(job.hyperparameters)
        kind = "partial" if job.setting in ("random_partial", "fixed_per_class") else job.setting
        assert kind.removesuffix("_all_negatives") in spec.settings
        if "prior" in spec.needs and "positive" in job.setting:
            assert job.options["cardinality"] > 1
        assert job.options["backbone"].startswith("hf/")


def jobs_of(name, dataset, row, protocol="honest", **rest):
    return load_spec(name).jobs(protocol, rows=[row], datasets=[dataset], **rest)


def test_variant_rows_are_the_methods_that_the_papers_say():
    both = {job.setting: job for job in jobs_of("hml-table4", "VOC", "euclidean", seeds=[0])}
    assert {job.method for job in both.values()} == {"an"}
    assert set(both) == {"single_positive", "full"}
    (smooth,) = jobs_of("hml-table3", "VOC", "bce_label_smoothing", seeds=[0])
    assert (smooth.method, smooth.setting, smooth.hyperparameters) == (
        "label_smoothing",
        "full",
        {"epsilon": 0.1},
    )
    margins = {job.row: job.hyperparameters["margin_on"] for job in load_spec("hml-table5").jobs(seeds=[0])}
    assert margins == {f"margin_{where}": where for where in ("none", "positives", "negatives", "both")}
    warm = jobs_of("cap-readme", "COCO", "cap_warmup", seeds=[1])[0]
    assert (warm.method, warm.hyperparameters["warm_up"], warm.options["epochs"]) == ("cap", 1.0, 12)
    without = jobs_of("bbam-ablation", "VOC", "bbam_without_bbam", seeds=[1])[0]
    assert (without.method, without.hyperparameters["balance"]) == ("bbam", False)


def test_hyper_parameters_follow_data_set_and_protocol():
    em = {d: jobs_of("em-apl-poster", d, "em_apl", seeds=[0])[0] for d in ("VOC", "COCO", "NUS", "CUB")}
    assert {d: (j.hyperparameters["alpha"], j.hyperparameters["beta"]) for d, j in em.items()} == {
        "VOC": (0.2, 0.02), "COCO": (0.1, 0.9), "NUS": (0.1, 0.2), "CUB": (0.01, 0.4),
    }  # fmt: skip
    assert {d: (j.options["batch_size"], j.options["learning_rate"]) for d, j in em.items()} == {
        "VOC": (8, 1e-5), "COCO": (16, 1e-5), "NUS": (16, 1e-5), "CUB": (8, 1e-4),
    }  # fmt: skip
    assert jobs_of("bbam-images", "AWA", "bbam", seeds=[1])[0].hyperparameters["negative_ratio"] == 1.0
    text = jobs_of("bbam-text", "AAPD", "bbam", seeds=[1])[0].hyperparameters
    assert (text["scale"], text["margin"]) == (10.0, 0.2)
    honest, printed = (
        jobs_of("bbam-images", "VOC", "bbam", p, seeds=[1])[0] for p in ("honest", "published")
    )
    assert "warm_up_seed" not in honest.hyperparameters
    assert printed.hyperparameters["warm_up_seed"] == 1000
    assert printed.options["code"] == "cap"
    leak = load_spec("bbam-images").jobs("published", extra={"leak_truth": True})
    assert {job.method for job in leak if "leak_truth" in job.hyperparameters} == {"bbam"}


def test_rates_and_batches_are_those_of_each_rows_own_code():
    """BBAM's script has 5e-5 on VOC, CAP's code 1e-4 on all; MIME's heads have ten times its backbone's 1e-4."""

    def rate(name, dataset, row):
        return jobs_of(name, dataset, row, seeds=[1])[0].options["learning_rate"]

    for name in ("bbam-images", "bbam-time"):
        assert (rate(name, "VOC", "bbam"), rate(name, "VOC", "cap")) == (5e-5, 1e-4)
        assert (rate(name, "COCO", "bbam"), rate(name, "COCO", "cap")) == (1e-4, 1e-4)
    for row in ("bbam", "bbam_without_bbam"):
        assert (rate("bbam-ablation", "VOC", row), rate("bbam-ablation", "COCO", row)) == (5e-5, 1e-4)
    assert (rate("bbam-vdfd-methods", "VOC", "bbam"), rate("bbam-vdfd-methods", "VOC", "cap")) == (5e-5, 1e-4)
    mime = jobs_of("bbam-images", "VOC", "mime", seeds=[1])[0].options
    assert (mime["learning_rate"], mime["batch_size"], mime["epochs"]) == (1e-3, 32, 10)
    drml = jobs_of("bbam-images", "VOC", "drml", seeds=[1])[0]
    assert drml.hyperparameters["relation_rate"] * drml.options["learning_rate"] == pytest.approx(1e-3)


@pytest.mark.parametrize("dataset", ["VOC", "COCO", "NUS", "CUB"])
def test_large_loss_rows_have_the_rates_of_the_boosted_ones_paper(dataset):
    """.5, .2 and .1 percent of a batch an epoch, batches of 16, the head at ten times the backbone's 1e-5."""
    rates = {"ll_r": 0.005, "ll_ct": 0.002, "ll_cp": 0.001}
    rows = [("newer-single-positive", f"{m}{boost}", m) for m in rates for boost in ("", "_boost")]
    for name, row, method in [*rows, *(("newer-large-loss", m, m) for m in rates)]:
        (job,) = [job for job in jobs_of(name, dataset, row, seeds=[0]) if job.row == row]
        assert (job.method, job.hyperparameters) == (method, {"rate": rates[method]})
        assert job.options["batch_size"] == 16
        assert (job.options["learning_rate"], job.options["backbone_learning_rate"]) == (1e-4, 1e-5)


@pytest.mark.parametrize("dataset", ["VOC", "COCO", "NUS", "CUB"])
def test_a_linear_start_is_followed_by_the_rate_of_the_other_rows(dataset):
    (role,), (start,) = (
        jobs_of("em-apl-poster", dataset, row, seeds=[0]) for row in ("role", "role_linear_init")
    )
    assert start.options["learning_rate"] == 1e-3
    second = start.hyperparameters["second_rate"] * start.options["learning_rate"]
    assert second == pytest.approx(role.options["learning_rate"])
    assert round(start.hyperparameters["linear_share"] * start.options["epochs"]) == 25


@pytest.mark.parametrize("name", [name for name in spec_names() if name.startswith("bbam-")])
def test_bbams_published_runs_do_what_its_code_does(name):
    """Two splits on pictures, and the statistics of the raw network; VDFD is measured without the truth."""
    for job in load_spec(name).jobs("published"):
        if job.method == "bbam":
            two = "vdfd" not in name and "text" not in name
            assert job.hyperparameters.get("warm_up_seed") == (1000 if two else None)
            assert (job.hyperparameters.get("statistics_from") == "raw") == ("vdfd" not in name)


@pytest.mark.parametrize("name", [name for name in spec_names() if name.startswith("bbam-")])
def test_bbams_published_batches_hold_as_many_labelled_items_as_its_code_s(name):
    """4, 8, 16 and 32 of 64 pictures, of VOC's 32 half as many, 32 of 128 on AwA2; 4, 8, 12 and 16 of 64 texts."""
    pictures, texts = {0.05: 4, 0.1: 8, 0.15: 16, 0.2: 32}, {0.05: 4, 0.1: 8, 0.15: 12, 0.2: 16}
    for job in load_spec(name).jobs("published"):
        if job.method != "bbam" or job.setting != "semi_supervised":
            continue
        n, size = 4000, job.options["batch_size"]
        labels = np.full((n, 2), -1, np.int8)
        labels[: round(job.labelled_fraction * n)] = np.arange(2)
        budget = Budget(job.options["epochs"], size, 1e-4)
        problem = Problem(labels, "semi_supervised", np.full(2, 0.5), "all", 0, budget, labels)
        mixture = methods.get("bbam")(problem, job.hyperparameters).plan()[-1].mixture
        wanted = (texts if "text" in name else pictures)[job.labelled_fraction] * size // 64
        if job.dataset == "AWA":
            wanted = 32
        assert mixture == {"fair": wanted, "unfair": size - wanted}, job


def test_rows_are_chosen_by_name_or_method_and_a_search_is_asked_for():
    spec = load_spec("hml-table5")
    assert len(spec.jobs(rows=["hml_fixed"], seeds=[0])) == 4
    assert len(spec.jobs(rows=["margin_both"], seeds=[0, 5])) == 2
    assert "search" not in spec.jobs()[0].options
    assert spec.jobs(search=True)[0].options["search"]["batch_size"] == [8, 16]
    for wrong, message in (
        ({"rows": ["margin_bth"]}, "has no row or method 'margin_bth': did you mean 'margin_both'"),
        ({"datasets": ["COCO"]}, "has no dataset 'COCO'"),
        ({"protocol": "publishd"}, "did you mean 'published'"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            spec.jobs(**wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("code = ", "cod = "), "there is no key 'cod': did you mean 'code'"),
        (("source = ", "sourc = "), "there is no key 'sourc' in [rows.em]: did you mean 'source'"),
        (('{ name = "single_positive" }', '{ nam = "full" }'), "there is no key 'nam' in [settings.0]: did you mean"),
        (('source = "s"', ""), "rows.em.source is missing"),
        (('method = "em"', 'method = "emm"'), "row em: there is no method 'emm': did you mean 'em'"),
        (('["VOC"]', '["VOCC"]'), "there is no dataset 'VOCC': did you mean 'VOC'"),
        (('["map"]', '["mapp"]'), "there is no metric 'mapp': did you mean 'map'"),
        (("alpha", "alpah"), "row em: method 'em' has no hyperparameter 'alpah': did you mean 'alpha'"),
        (("0.2 }", "-1.0 }"), "row em: hyperparameter alpha=-1.0 of method 'em'"),
        (('"single_positive"', '"single_postive"'), "settings.0.name = 'single_postive': it should be 'full'"),
        ((EM, 'method = "bce"\nsource = "s"'), "row em: method 'bce' does not take single positive labels"),
        (("[0]", '["a"]'), "seeds.0 = 'a': it should be a valid integer"),
        (("[0]", "[0"), "not TOML"),
        (('"single_positive" }', '"semi_supervised" }'), "setting semi_supervised needs fractions"),
        (("positive\" }", 'positive", fractions = [0.5] }'), "setting single_positive has no fractions"),
        (('"single_positive" }', '"partial", fractions = [1.5] }'), "fractions are above 0 and at most 1"),
        (('source = "s"', 'source = "s"\nsettings = ["full"]'), "row em: there is no setting 'full'"),
        (('source = "s"', 'source = "s"\non.COCO.training.epochs = 3'), "row em: there is no dataset 'COCO'"),
        (('source = "s"', 'source = "s"\ntraining.epochs = 0'), "rows.em.training.epochs = 0: it should be greater"),
        (('seeds = [0]', 'seeds = []'), "seeds is missing"),
        (('seeds = [0]', 'seeds = [-1]'), "seeds.0 = -1: it should be greater than or equal to 0"),
        (('seeds = [0]', 'seeds = [0]\nsearch = { learning_rate = [] }'), "search.learning_rate is empty"),
        (('seeds = [0]', 'seeds = [0]\nsearch = { batch_size = [8.5] }'), "search.batch_size.0 = 8.5: it should"),
        (('seeds = [0]', 'seeds = [0]\nsearch = { learning_rate = [-1.0] }'), "search.learning_rate.0 = -1.0"),
        (('seeds = [0]', 'seeds = [0]\ncardinality = { VOC = 0.0 }'), "cardinality.VOC = 0.0: it should be"),
        (('source = "s"', 'source = "s"\nsweep = { alpha = [] }'), "rows.em.sweep.alpha is empty: give at least one"),
        (('["VOC"]', '["VOC", "COCO"]\nfigure.kind = "loss_landscape"'), "loss_landscape shows one run of a row"),
        (('["VOC"]', '["VOC"]\nfigure.kind = "margin_sweep"'), "margin_sweep needs rows that sweep margin"),
        (('["VOC"]', '["VOC"]\nfigure.kind = "scale_margin"'), "scale_margin needs rows that sweep scale or margin"),
        (('["VOC"]', '["VOC"]\nfigure.kind = "fraction_curves"'), "fraction_curves needs a setting with fractions"),
        (('["VOC"]', '["VOC"]\nfigure.kind = "sensitivity"'), "sensitivity needs rows that sweep one hyper-parameter"),
        (('["VOC"]', '["VOC"]\nfigure.kind = "sensitivity"\nfigure.labels = ["a"]'), "figure.labels: vdfd"),
        (('seeds = [0]', ''), "seeds is missing"),
        (('seeds = [0]', 'seeds = [0]\nsearch = { batch = [8] }'), "there is no key 'batch' in [search]: did you mean"),
        ((EM, 'method = "epr"\nsource = "s"'), "row em: method 'epr' needs the mean number of labels of an item"),
        (('code = "spml"', ''), "code is missing"),
        (('[rows.em]', '[figure]\nkind = "theory_curves"\n[rows.em]'), "[figure.theory] goes with figure.kind"),
        (('[rows.em]', THEORY + '[rows.em]'),
         "code: a figure of theory rests on no runs"),
        (('[rows.em]', '[figure]\nkind = "gradient_regimes"\n[rows.em]'), "[figure.regimes] goes with figure.kind"),
        (('[rows.em]', '[figure]\nkind = "gradient_regimes"\nregimes.points = 9\n[rows.em]'),
         "code: a figure of losses rests on no runs"),
        (('seeds = [0]', 'seeds = [0]\ntables = ["hml-table"]'), "there is no table 'hml-table': did you mean"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_experiment(change, message):
    parse_spec(PLAIN, "mine")
    text = PLAIN.replace(*change)
    assert text != PLAIN
    assert refused(lambda: parse_spec(text, "mine"), message).startswith("experiment mine: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = " + "[" * 5000, "not TOML"),
        ("percent = " + "9" * 5000, "not TOML"),
        ("a" * 5000 + " = 1", "there is no key 'aaa"),
        ("title = [" + "'a'," * 3000 + "]", "title = ['a', 'a',"),
    ],
)
def test_what_is_too_long_or_too_deep_is_one_short_line(text, message):
    assert len(refused(lambda: parse_spec(text, "mine"), message)) < 1000


def test_a_sweep_is_counted_before_it_is_laid_out():
    values = ", ".join(f"{10 + k}.0" for k in range(60))
    sweep = "\n".join(f"sweep.{name} = [{values}]" for name in ("alpha", "b", "c", "d", "e"))
    refused(
        lambda: parse_spec(PLAIN.replace('source = "s"', f'source = "s"\n{sweep}'), "mine"), "777,600,000"
    )


def test_a_spec_is_found_by_name_or_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PLAIN)
    assert load_spec(str(path)).name == "mine"
    with pytest.raises(UserError, match="there is no experiment 'hml-tabel2': did you mean 'hml-table2'"):
        load_spec("hml-tabel2")
    with pytest.raises(UserError, match="give a TOML file"):
        load_spec(str(tmp_path / "none.toml"))


def test_the_papers_names_are_sets_that_can_be_read():
    from labelwise.data.datasets import names

    assert set(DATASETS.values()) == set(names())
    assert {number.dataset for number in published()} == set(DATASETS)


def test_what_is_listed_twice_is_run_once():
    spec = parse_spec(PLAIN.replace('["VOC"]', '["VOC", "VOC"]').replace("[0]", "[0, 0]"), "mine")
    assert len(spec.jobs()) == 1
    assert len(spec.jobs(seeds=[3, 3, 4])) == 2
    for wrong in (-1, 2**32):
        with pytest.raises(UserError, match=f"seeds={wrong}: give whole numbers from 0 to 4294967295"):
            spec.jobs(seeds=[0, wrong])


def test_whole_networks_start_as_the_papers_do():
    for name in spec_names():
        training = load_spec(name).training
        assert (training.tune == "all") == (training.head_start == "random"), name


def test_a_row_has_its_own_backbone_rate_and_boost_where_it_says_so(monkeypatch):
    seen = {}

    class Fitted:
        def __init__(self, method, backbone, **options):
            seen.update(options)

        def fit(self, *args, **options):
            return self

    monkeypatch.setattr(measuring, "MultiLabelClassifier", Fitted)
    pictures = SimpleNamespace(kind="image", label_names=("a", "b"))
    for row, expected in (("an", (1e-5, 1e-5, None)), ("ll_r_boost", (1e-4, 1e-5, 5.0))):
        seen.clear()
        (job,) = jobs_of("newer-single-positive", "COCO", row, seeds=[0])
        measuring._fit(job, pictures, None, None, None, None, {})
        found = seen["learning_rate"], seen["backbone_learning_rate"], seen.get("positive_boost")
        assert found == expected
