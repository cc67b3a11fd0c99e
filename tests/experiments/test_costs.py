"""What experiments are said to cost, and the page that says so."""

import importlib.util
from pathlib import Path

import pytest

from labelwise.errors import UserError
from labelwise.experiments import RATES, estimate, load_spec, spec_names

DOCS = Path(__file__).parents[2] / "docs"


def test_an_estimate_is_items_times_epochs_times_passes_over_the_rate():
    jobs = load_spec("hml-table5").jobs()
    rate = RATES["hf/microsoft/resnet-50", 448]
    one = (10 * 3 * 5717 + 5823) / rate.passes / 3600
    cost = estimate(jobs)
    assert cost.runs == 12
    assert cost.hours == pytest.approx(12 * one)
    assert cost.longest == pytest.approx(one)
    assert cost.memory_gb == pytest.approx(rate.fixed_gb + 8 * rate.item_gb)
    published = (10 * (3 * (5717 - 1143) + 1143) + 5823) / rate.passes / 3600
    assert estimate(load_spec("hml-table5").jobs("published")).longest == pytest.approx(published)


@pytest.mark.parametrize("name", [name for name in spec_names() if load_spec(name).rows])
def test_every_experiment_can_be_estimated(name):
    assert 0 < estimate(load_spec(name).jobs()).hours < 1000


def test_an_unknown_backbone_is_one_line():
    job = load_spec("hml-table5").jobs()[0]
    job.options["backbone"] = "mlp"
    with pytest.raises(UserError, match="no rate is known of backbone 'mlp'"):
        estimate([job])


def test_the_page_has_the_costs_of_the_specs():
    spec = importlib.util.spec_from_file_location("make_reproduce", DOCS / "make_reproduce.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = maker.page()
    assert (DOCS / "reproduce.md").read_text(encoding="utf-8") == text, "python docs/make_reproduce.py"
    for name in spec_names():
        assert f"`labelwise experiment {name}{' --data DIR' if load_spec(name).rows else ''}`" in text
