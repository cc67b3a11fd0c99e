"""Plans of the methods: which rows a stage takes, how long it lasts, and its rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from labelwise.methods import Problem
from tests.methods.short_runs import make, train
from tests.methods.single_positive_cases import LABELS, build
from tests.refusals import refused

FAIR = [0, 1, 2, 3, 5]


class TestProblem:
    def test_groups(self):
        groups = build("an").problem.groups
        assert {k: v.tolist() for k, v in groups.items()} == {
            "all": [0, 1, 2, 3, 4, 5],
            "labelled": [0, 1, 2, 3, 5],
            "unlabelled": [4],
            "complete": [3, 5],
            "incomplete": [0, 1, 2, 4],
            "fair": FAIR,
            "unfair": [i for i in range(6) if i not in FAIR],
        }

    def test_where_positives_alone_stand_beside_complete_rows_only_these_are_fair(self):
        labels = np.array([[1, 0, 0], [-1, 1, -1], [0, 1, 1], [-1, -1, -1]], np.int8)
        groups = build("cap", labels).problem.groups
        assert groups["fair"].tolist() == [0, 2]
        assert groups["unfair"].tolist() == [1, 3]

    def test_the_warm_up_uses_fair_rows_and_the_rest_comes_after(self):
        for name in ("cap", "bbam"):
            first, second = build(name, epochs=10, warm_up=0.3).plan()
            assert list(first.mixture) == ["fair"]
            assert (first.epochs, second.epochs) == (3, 7)
            assert list(second.mixture) == ["fair", "unfair"]
            assert sum(second.mixture.values()) == 4
            assert second.refresh
            assert second.ema
            assert not second.ridge_start

    def test_where_no_negative_is_known_the_warm_up_takes_all(self):
        labels = np.where(LABELS == 1, LABELS, np.int8(-1))
        first, _ = build("bbam", labels, "partial_positive").plan()
        assert list(first.mixture) == ["all"]

    def test_no_prior_is_one_line(self):
        problem = Problem(LABELS, "partial_positive", None)
        refused(lambda: problem.unknown_prior("cap"), "prior", "'cap'")


class TestTraps:
    def test_the_first_of_two_stages_holds_the_head_alone_and_the_second_goes_on(self):
        for name in ("role_linear_init", "label_smoothing_linear_init"):
            first, second = build(name, epochs=10, tune="all").plan()
            assert (first.name, first.epochs, second.name, second.epochs) == ("linear", 7, "end to end", 3)
            assert first.optimisers["main"].parameters == ("head",)
            assert second.optimisers["main"].parameters == ()
            assert second.optimisers["main"].learning_rate == pytest.approx(0.01)
            assert not second.refresh
            first, second = build(name, epochs=10).plan()
            assert (first.ridge_start, second.ridge_start) == (True, False)
            (only,) = build(name, epochs=10, linear_share=0).plan()
            assert only.ridge_start
            assert only.refresh == (name == "role_linear_init")


class TestSchedules:
    def test_the_cycle_of_a_second_stage_ends_with_it(self):
        """Released CAP makes the second stage's cycle for 40 epochs and runs 28 of them."""
        rates = {}

        def collect(run):
            rates.setdefault(run.stage.name, []).append(run.optimisers["main"].param_groups[0]["lr"])

        train(*make("cap", epochs=10, tune="all", rate=0.01, batch=4), on_step=collect)
        for course in rates.values():
            assert max(course) == pytest.approx(0.01, rel=0.05)
            assert course[-1] < 0.05 * max(course)

    def test_a_cycle_keeps_the_rates_of_parts(self):
        """Released S2ML2-BBAM for text gives head and encoder rates of their own, which its schedule overwrites."""
        from labelwise.engine.optimisers import build_optimiser, build_schedule
        from labelwise.methods import Optimiser

        named = {"backbone.w": nn.Parameter(torch.zeros(2, 2)), "head.w": nn.Parameter(torch.zeros(2, 2))}
        spec = Optimiser(0.1, schedule="one_cycle", rates={"backbone": 0.1})
        optimiser = build_optimiser(spec, named)
        schedule = build_schedule(spec, optimiser, 12)
        for _ in range(12):
            slow, fast = sorted(group["lr"] for group in optimiser.param_groups)
            assert fast == pytest.approx(10 * slow)
            optimiser.step()
            if schedule.last_epoch < 11:
                schedule.step()
