"""The traps of the papers and of their released codes, each with a test that fails on the faulty behaviour.

Here are the tests of those that no other file holds. Where the others are tested:
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.engine.settings import make_fabric
from labelwise.errors import UserError
from labelwise.methods import Batch
from labelwise.models import Outputs
from labelwise.targets import ItemState
from tests.methods.short_runs import TRUTH, K, N, X, make, shown, train

ELSEWHERE = {
    "index -1 where a count of pseudo-positives is zero: all become positive": (
        "targets/test_selection.py",
        "test_a_count_of_zero_means_no_positives_and_shares_of_one_mask_nothing",
    ),
    "the same in cap and bbam": (
        "methods/formulas/test_pseudo_labels.py",
        "test_a_count_of_zero_gives_no_positives",
    ),
    "ties at a threshold give more pseudo-labels than counted": (
        "targets/test_selection.py",
        "test_ties_go_to_the_lower_item",
    ),
    "masked entries (-1) summed into the number of positives": (
        "targets/test_selection.py",
        "test_unknown_entries_lower_no_count_and_are_never_negatives",
    ),
    "masked entries in the loss": (
        "methods/formulas/test_pseudo_labels.py",
        "test_masked_entries_have_no_gradient",
    ),
    "a soft label of probability 0 reads as unknown": (
        "methods/formulas/test_partial.py",
        "test_a_probability_of_zero_stays_frozen",
    ),
    "frozen soft labels revised, positive ones made, a round after the last": (
        "methods/formulas/test_partial.py",
        "test_each_epoch_freezes_its_share_of_the_least_likely",
    ),
    "rounds counted on what is still unknown": (
        "targets/test_selection.py",
        "test_rounds_count_the_unknown_entries_at_the_start",
    ),
    "rows without positives (NUS-WIDE: 22%) in single-positive sampling": (
        "annotations/test_simulate.py",
        "test_single_positive_with_rows_without_positives_on_a_long_matrix",
    ),
    "rows without any label in training": ("methods/contract.py", "check_rows_without_labels"),
    "a label without positives": ("methods/contract.py", "check_a_label_without_positives"),
    "a batch of one item is squeezed": ("methods/contract.py", "check_one_item_a_batch"),
    "one label: division by K - 1": (
        "losses/test_entrywise.py",
        "test_one_label_weighs_an_unknown_entry_fully",
    ),
    "negatives are shuffled though none is kept": (
        "annotations/test_simulate.py",
        "test_single_positive_is_the_published_rule_to_the_bit",
    ),
    "a row left without any of its positives": (
        "annotations/test_simulate.py",
        "test_partial_positives_keep_their_number_a_row",
    ),
    "cosines beyond 1 in half precision, arccos without slope there": (
        "losses/test_angular.py",
        "test_ends_of_the_range_are_finite",
    ),
    "cosines computed in half precision": (
        "models/test_heads.py",
        "test_cosines_are_float32_under_autocast_and_within_one",
    ),
    "infinite slope of arccos reaches the features": (
        "losses/test_angular.py",
        "test_gradient_through_normalised_features_is_bounded_at_the_ends",
    ),
    "log of a probability that is 0 or 1": (
        "losses/test_entrywise.py",
        "test_extreme_logits_stay_finite",
    ),
    "the entropy term with the other sign; a negative loss": (
        "losses/test_entrywise.py",
        "test_entropy_maximization_known_value_and_sign",
    ),
    "smoothing by half the mass": ("losses/test_entrywise.py", "test_equals_the_formula"),
    "the angle transform chosen by the true label at inference": (
        "losses/test_angular.py",
        "test_score_needs_no_label_and_keeps_the_order_of_items",
    ),
    "prototype moments transform the prototype's angle instead of the boundary's": (
        "methods/formulas/test_angular.py",
        "test_bbam",
    ),
    "margins on the wrong signs": (
        "methods/formulas/test_angular.py",
        "test_bam_and_the_unbalanced_bbam",
    ),
    "a margin that only positives had is applied at inference": (
        "methods/formulas/test_angular.py",
        "test_hml_fixed_has_its_margin_where_both_signs_had_it",
    ),
    "scores without scale and margin predict too much at one half": (
        "methods/formulas/test_angular.py",
        "test_bam_is_one_half_midway",
    ),
    "the first refresh mixed with zeros": (
        "summaries/test_moments.py",
        "test_variance_is_unbiased_and_the_first_refresh_is_taken_whole",
    ),
    "no floor under the variance, or too few positives for one": (
        "summaries/test_moments.py",
        "test_too_few_entries_give_the_identity_and_no_variance_is_below_the_floor",
    ),
    "prototypes of normalised features": (
        "methods/formulas/test_pseudo_labels.py",
        "test_bbam_keeps_the_hardest_negatives_and_balances_the_angles",
    ),
    "cross-entropy inflates the scale": (
        "methods/formulas/test_angular.py",
        "test_the_balance_moves_scale_and_margin_alone_and_the_cross_entropy_the_cosines_alone",
    ),
    "scale and margin without bounds": ("methods/formulas/test_angular.py", "test_bounds_hold_after_a_step"),
    "known positives expected a second time among the unknown": (
        "methods/formulas/test_pseudo_labels.py",
        "test_known_entries_keep_their_label_and_counts_are_exact",
    ),
    "loaders that drop the last batch or keep one order": (
        "engine/test_batches.py",
        "test_each_item_of_the_pacing_group_once",
    ),
    "averages of weights alone, without buffers": (
        "engine/test_loop.py",
        "test_average_follows_its_formula",
    ),
    "the best model is an alias of the live one": (
        "engine/test_loop.py",
        "test_patience_stops_and_returns_the_best_epoch",
    ),
    "a prior that held-out rows have shaped": (
        "classifier/test_fit.py",
        "test_rows_held_out_do_not_shape_the_prior_of_the_selection",
    ),
    "a count known from the truth, reported like any rule": (
        "metrics/test_evaluate.py",
        "test_oracle_count_identity",
    ),
    "labels without positives in the mean of the average precision": (
        "metrics/test_average_precision.py",
        "test_empty_labels_are_left_out_or_count_as_zero",
    ),
    "one-error of items without labels, and ties": (
        "metrics/test_evaluate.py",
        "test_one_error_counts_items_without_a_relevant_label_and_forgives_ties",
    ),
}


@pytest.mark.parametrize("trap", ELSEWHERE)
def test_the_test_of_a_trap_exists(trap):
    file, name = ELSEWHERE[trap]
    text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*def {name}\(", text, re.MULTILINE), f"{file} has no {name}"


def begin(network, method, epoch=0):
    """Return a run at the beginning of its first stage."""
    settings = engine.Settings(device="cpu")
    run = engine.Run(network, method, as_source(X[: method.problem.n_items]), settings, make_fabric(settings))
    run.begin_stage()
    run.epoch = epoch
    return run


def batch_of(scores, labels, *, state=None, epoch=2, stage="train", write=None):
    scores = torch.as_tensor(scores, dtype=torch.float32).requires_grad_()
    made = Batch(
        index=torch.arange(len(labels)),
        labels=torch.as_tensor(labels, dtype=torch.int8),
        state=state or {},
        inputs={"weak": torch.zeros(len(labels), 1)},
        rows={"weak": slice(0, len(labels))},
        stage=stage,
        epoch=epoch,
        write=write,
    )
    made.outputs["weak"] = Outputs(torch.zeros(len(labels), 1), scores)
    return made


class TestLeaks:
    """Released S2ML2-BBAM picks the transform of an unlabelled item by its true label, and splits twice."""

    @pytest.mark.parametrize(
        "name", [m for m in methods.names() if "true_labels" not in methods.get(m).spec.needs]
    )
    def test_hidden_labels_change_nothing(self, name):
        found = []
        for truth in (TRUTH, 1 - TRUTH):
            result, run = train(*make(name, epochs=3, truth=truth))
            weights = [v.clone() for v in result.network.state_dict().values()]
            found.append((weights, dict(run.state.arrays()) if run else {}))
        (one, first), (other, second) = found
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        for slot in first:
            np.testing.assert_array_equal(first[slot], second[slot])

    @pytest.mark.parametrize("name", ["cap", "bbam"])
    def test_both_stages_draw_on_the_same_labelled_rows(self, name):
        drawn = {}

        def collect(run):
            members = run.batches()[run.step - 1]
            drawn.setdefault(run.stage.name, set()).update(members["fair"].tolist())

        train(*make(name, epochs=8), on_step=collect)
        assert drawn["warm-up"] == drawn["pseudo-labels"] == set(range(16))


class TestSinglePositives:
    def test_the_oracle_of_all_negatives_has_its_negatives(self):
        """The released code compares the truth with a code that its files do not hold: no negative term."""
        labels = shown("single_positive")
        _, oracle = make("bce_single_positive_all_negatives", setting="single_positive", truth=TRUTH)
        batch = batch_of(np.zeros(labels.shape), labels)
        oracle.loss(batch).backward()
        slope = batch.scores.grad.numpy() * labels.size
        np.testing.assert_allclose(slope[labels == 1], -0.5)
        np.testing.assert_allclose(slope[(labels == -1) & (TRUTH == 0)], 0.5)
        np.testing.assert_array_equal(slope[(labels == -1) & (TRUTH == 1)], 0)

    def test_ignoring_the_unknown_needs_negatives_and_says_so(self):
        with pytest.raises(UserError, match="does not take single positive labels"):
            methods.get("ignore_unknown").spec.accept("single_positive", ["an"])

    def test_the_expected_number_is_not_divided_by_the_entries(self):
        """R = (mean number of predicted positives - kappa)^2 / K^2 stands beside the mean, not inside it."""
        labels = shown("single_positive")
        scores = np.random.default_rng(0).normal(0, 1, labels.shape)
        _, epr = make("epr", setting="single_positive")
        p = 1 / (1 + np.exp(-scores))
        known = -np.log(p[labels == 1]).sum() / labels.size
        want = known + (p.sum(1).mean() - 0.35 * K) ** 2 / K**2
        values = epr.loss(batch_of(scores, labels))
        assert float(values.detach()) == pytest.approx(want, rel=1e-5)

    def test_entropy_is_minimised_by_one_and_maximised_by_the_other(self):
        labels = np.array([[-1, -1, -1, -1]], np.int8)
        logits = [[-2.0, -0.5, 0.5, 2.0]]
        for name, sign in (("entropy_minimization", -1), ("em", 1)):
            made = batch_of(logits, labels)
            make(name, setting="partial", labels=shown("partial"))[1].loss(made).backward()
            # Descending, EntMin drives a logit away from 0 and EM towards it.
            np.testing.assert_array_equal(np.sign(made.scores.grad.numpy()), sign * np.sign(logits))

    def test_a_negative_loss_is_no_failure(self):
        result, _ = train(*make("em", setting="single_positive", alpha=1.0, epochs=6, rate=0.1))
        assert result.history[-1]["loss"] < 0

    def test_label_estimates_start_at_their_places_and_stay_constants_for_the_classifier(self):
        labels = shown("partial")
        network, role = make("role", setting="partial", tune="all")
        run = begin(network, role)
        run.refresh()
        q = 1 / (1 + np.exp(-run.state["theta"]))
        np.testing.assert_allclose(q[labels == 1], 0.995, rtol=1e-5)
        np.testing.assert_allclose(q[labels == 0], 0.005, rtol=1e-4)
        unknown = q[labels == -1]
        assert 0.4 <= unknown.min() < 0.45 < 0.55 < unknown.max() <= 0.6

    def test_each_half_of_the_estimator_sees_the_other_as_a_constant(self):
        """d/dTheta of L with p fixed: without the stop, CE(q -> p) would pull Theta as well."""
        network, role = make("role", setting="partial", tune="all", batch=N)
        run = begin(network, role)
        run.refresh()
        theta = torch.from_numpy(run.state["theta"].copy()).double().requires_grad_()
        (members,) = run.batches()
        batch = run.batch(members)
        run.forward(batch)
        p = torch.sigmoid(batch.scores.detach().double())
        y, q = batch.labels, torch.sigmoid(theta[batch.index])
        cross = -p * torch.log(q) - (1 - p) * torch.log(1 - q)
        known = -torch.log(torch.where(y == 1, q, 1 - q)) * (y >= 0)
        balance = ((q.sum(1).mean() - 0.35 * K) / K) ** 2
        (((known + cross).mean() + balance) / 2 * q.numel()).backward()
        role.updates += 1
        role.move(batch, 0.01)
        np.testing.assert_allclose(run.state["first"] * 10, theta.grad.numpy(), atol=2e-4)


class TestSelfPacing:
    def test_a_training_set_of_one_batch_gets_its_soft_negatives(self):
        """The released code prepends batches in a loop, and labels nothing where there is only one."""
        network, method = make("em_apl", setting="single_positive", epochs=6, batch=N)
        _, run = train(network, method)
        unknown = (shown("single_positive") == -1).sum(0)
        frozen = (~np.isnan(run.state["soft"])).sum(0)
        np.testing.assert_array_equal(frozen, [3 * int(0.9 * u / 3) for u in unknown])

    def test_known_entries_are_never_softened(self):
        _, run = train(*make("em_apl", setting="single_positive", epochs=6))
        assert np.isnan(run.state["soft"][shown("single_positive") == 1]).all()


class TestAsymmetric:
    @pytest.mark.parametrize("name", ["asl", "cap"])
    def test_constant_focusing_leaves_the_gradient_mode_alone(self, name):
        """The released code switches gradients off and on globally."""
        labels = np.maximum(shown("partial"), 0)
        _, method = make(name, setting="partial")
        state = {"target": torch.from_numpy(labels)}
        for mode in (True, False):
            with torch.set_grad_enabled(mode):
                method.loss(batch_of(np.zeros(labels.shape), labels, state=state, stage="pseudo-labels"))
                assert torch.is_grad_enabled() is mode


class TestLargeLosses:
    @pytest.mark.parametrize("name", ["ll_r", "ll_ct", "ll_cp"])
    def test_known_entries_are_never_mistrusted(self, name):
        labels = np.array([[1, 0, -1, -1]], np.int8)
        wrong = [[-9.0, 9.0, 1.0, -1.0]]
        written = {}
        options = {"state": {"flipped": torch.zeros(1, 4, dtype=torch.bool)}, "write": written.__setitem__}
        _, method = make(name, setting="partial", labels=shown("partial"))
        method.hp.rate = 0.5
        made = batch_of(wrong, labels, **options)
        method.loss(made).backward()
        slope = made.scores.grad.numpy()[0] * 4
        assert slope[0] == pytest.approx(-1, abs=1e-3)
        assert slope[1] == pytest.approx(1, abs=1e-3)
        assert (slope[2] == 0) if name == "ll_r" else (slope[2] < 0)
        assert slope[3] > 0
        if name == "ll_cp":
            assert written["flipped"].tolist() == [[False, False, True, False]]

    @pytest.mark.parametrize("name", ["ll_r", "ll_ct", "ll_cp"])
    def test_the_first_epoch_and_the_smallest_batch_are_those_of_an(self, name):
        labels = np.array([[1, -1, -1, -1]], np.int8)
        logits = [[0.3, 4.0, -1.0, 2.0]]
        _, an = make("an", setting="single_positive")
        want = float(an.loss(batch_of(logits, labels)).detach())
        options = {"state": {"flipped": torch.zeros(1, 4, dtype=torch.bool)}, "write": lambda *_: None}
        _, method = make(name, setting="single_positive")
        for rate, epoch in ((0.5, 1), (0.1, 2)):
            method.hp.rate = rate
            assert float(method.loss(batch_of(logits, labels, epoch=epoch, **options)).detach()) == want


class TestConsistency:
    def test_the_second_pass_of_flatmatch_moves_neither_weights_nor_batch_statistics(self):
        """At a rate of 0 a step leaves every weight as it was, to the bit, and one update of the statistics a pass."""
        network, method = make("flatmatch", tune="all", rate=0.0, rho=3.0)
        run = begin(network, method)
        before = {k: v.clone() for k, v in network.state_dict().items()}
        reference, _ = make("flatmatch", tune="all", rate=0.0)
        members = run.batches()[0]
        run.take_step(members)
        labelled = torch.from_numpy(X[members["labelled"]])
        unlabelled = torch.from_numpy(X[members["unlabelled"]])
        reference.train()
        for part in (labelled, unlabelled):
            reference(part)
        after, expected = network.state_dict(), reference.state_dict()
        for name, value in after.items():
            if "running" in name or "tracked" in name:
                torch.testing.assert_close(value, expected[name], msg=name)
            else:
                assert torch.equal(value, before[name]), name

    @pytest.mark.parametrize("name", ["softmatch", "flatmatch"])
    def test_statistics_of_a_batch_of_one_or_of_no_unknown_entry_stay_numbers(self, name):
        """An unbiased variance of one value divides by zero, a mean of none as well."""
        _, method = make(name)
        for p, unknown in (([[0.9, 0.2, 0.5, 0.7]], True), ([[0.9, 0.2, 0.5, 0.7]], False)):
            mask = torch.full((1, 4), unknown)
            labels, weights = method.pseudo(torch.tensor(p), mask)
            assert torch.isfinite(labels).all()
            assert torch.isfinite(weights).all()
            assert all(torch.isfinite(v).all() for v in method.state_dict().values())


class TestPermanence:
    def test_what_mime_found_stays_and_is_of_unknown_entries_only(self):
        labels = shown("partial")
        _, mime = make("mime", setting="partial", epochs=10, warm_up=0.2)
        scores = torch.full(labels.shape, -9.0)
        scores[:, 0] = 9.0
        pool = SimpleNamespace(state=ItemState(mime.slots(), *labels.shape), epoch=5)
        pool.scores = lambda: iter([(slice(0, N), scores)])
        mime.refresh(lambda _: pool)
        found = pool.state["found"].copy()
        np.testing.assert_array_equal(found[:, 0] == 1, labels[:, 0] == -1)
        assert not found[:, 1:].any()
        scores.fill_(-9.0)
        pool.epoch = 6
        mime.refresh(lambda _: pool)
        np.testing.assert_array_equal(pool.state["found"], found)

    def test_items_that_joined_drml_keep_their_soft_labels(self):
        _, drml = make("drml", epochs=8)
        pool = SimpleNamespace(state=ItemState(drml.slots(), N, K), epoch=5)
        kept = {}
        for epoch in range(2, 9):
            pool.epoch = epoch
            random = torch.Generator().manual_seed(epoch)
            first, second, scores = (torch.rand(N, K, generator=random) for _ in range(3))
            outputs = Outputs(first, scores, (first, second))
            pool.outputs = lambda outputs=outputs: iter([(slice(0, N), outputs)])
            drml.refresh(lambda _: pool)
            for item in np.flatnonzero(~np.isnan(pool.state["soft"]).any(1)):
                np.testing.assert_array_equal(
                    kept.setdefault(item, pool.state["soft"][item].copy()), pool.state["soft"][item]
                )
        assert len(kept) == round(0.5 * 32)
        assert min(kept) >= 16
