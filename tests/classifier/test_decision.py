"""What ``score`` can tell, how label sets are decided, and what is said of it."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

import labelwise as lw
from labelwise import metrics
from labelwise.data import digits_canvases, digits_features
from labelwise.errors import UserError
from labelwise.metrics import ObservedAveragePrecisionWarning

N, D, K = 240, 6, 4
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, D)).astype(np.float32)
T = (X @ RANDOM.normal(size=(D, K)) + 0.5 * RANDOM.normal(size=(N, K)) > 0.6).astype(np.int8)
SINGLE = lw.simulate.single_positive(T, seed=0)
FEW = np.where(np.arange(N)[:, None] < 40, T, np.int8(-1))


def model(method="ridge", **options):
    return lw.MultiLabelClassifier(method, device="cpu", **options)


class TestScore:
    def test_positives_alone_are_scored_by_observed_average_precision_and_that_is_said(self):
        fitted = model().fit(X, SINGLE)
        with pytest.warns(ObservedAveragePrecisionWarning, match="no negative is known"):
            found = fitted.score(X, SINGLE)
        observed = metrics.observed_average_precision(SINGLE, fitted.decision_function(X))
        assert found == pytest.approx(np.nanmean(observed))
        assert found < 0.9

    def test_a_search_works_and_says_so_once(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search = GridSearchCV(model(epochs=2), {"method": ["ridge", "an"]}, cv=3).fit(X, SINGLE)
        assert sum(issubclass(w.category, ObservedAveragePrecisionWarning) for w in caught) == 1
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert (search.cv_results_["mean_test_score"] < 0.95).all()

    def test_a_loop_says_it_once_and_another_line_again(self):
        fitted = model().fit(X, SINGLE)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                fitted.score(X, SINGLE)
            cross_val_score(model(), X, SINGLE, cv=3)
        assert sum(issubclass(w.category, ObservedAveragePrecisionWarning) for w in caught) == 2

    def test_noise_is_not_perfect(self):
        noise = RANDOM.normal(size=(N, D))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert (cross_val_score(model(), noise, SINGLE, cv=3) < 0.6).all()

    def test_negatives_known_are_scored_as_before_without_a_word(self):
        fitted = model().fit(X, T)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = fitted.score(X, T)
        assert found == pytest.approx(metrics.mean_average_precision(T, fitted.decision_function(X)))

    def test_rows_of_positives_alone_beside_full_ones_are_not_judged(self):
        mixed = np.where((np.arange(N)[:, None] < 120) | (T == 1), T, -1)
        fitted = model().fit(X, T)
        rows = metrics.judgeable(mixed).rows
        assert fitted.score(X, mixed) == pytest.approx(fitted.score(X[rows], T[rows]))
        judged = fitted.evaluate(X, mixed)
        assert judged["micro_f1"] == fitted.evaluate(X[rows], T[rows])["micro_f1"]
        assert any("they were left out" in note for note in judged.notes)

    def test_a_label_without_negatives_leaves_the_mean(self):
        confirmed = T.copy()
        confirmed[:, 3][T[:, 3] == 0] = -1
        fitted = model().fit(X, T)
        each = metrics.average_precision(T, fitted.decision_function(X))
        assert fitted.score(X, confirmed) == pytest.approx(each[:3].mean())

    def test_what_codes_mean(self):
        fitted = model(minus_one="absent", unlisted="absent").fit(X, sp.csr_matrix(T))
        want = model().fit(X, T).score(X, T)
        assert fitted.score(X, sp.csr_matrix(T)) == fitted.score(X, 2 * T - 1) == pytest.approx(want)
        with pytest.raises(UserError, match="unlisted"):
            model().fit(X, T).score(X, sp.csr_matrix(T))

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.full_like(T, -1), "no known entry, .*annotations.split"),
            (np.where(T == 0, 0, -1), "no known positive"),
        ],
    )
    def test_what_cannot_be_scored(self, labels, message):
        with pytest.raises(UserError, match=message):
            model().fit(X, T).score(X, labels)

    def test_a_fold_without_labels_is_said(self):
        with pytest.raises(UserError, match="none of the 80 items has a known label"):
            model().fit(X[:80], FEW[160:])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cross_val_score(model(), X, FEW, cv=KFold(3))
        assert any("no known entry" in str(w.message) for w in caught)


class TestLogits:
    """Features that give logits of 20 to 40, whose float32 sigmoids are all 1."""

    @pytest.fixture
    def far(self):
        fitted = model("an", epochs=2, validation=None, calibrate=False).fit(X, T)
        head = (
            fitted.network_.head.linear if hasattr(fitted.network_.head, "linear") else fitted.network_.head
        )
        bias = next(p for name, p in head.named_parameters() if name.endswith("bias"))
        bias.data += 30 - float(np.median(fitted.decision_function(X)))
        return fitted

    def test_everything_ranks_by_them(self, far):
        logits = far.decision_function(X)
        assert np.percentile(logits, 5) > 17
        assert (far.predict_proba(X) == 1).mean() > 0.9
        want = metrics.mean_average_precision(T, logits)
        assert far.score(X, T) == want
        assert want > metrics.mean_average_precision(T, far.predict_proba(X)) + 0.1
        judged, ranked = far.evaluate(X, T), metrics.evaluate(T, logits)
        for name in ("map", "macro_auc", "one_error", "ranking_loss", "precision_at_1"):
            assert judged[name] == ranked[name]

    def test_a_rule_cuts_between_them_and_survives_a_file(self, far, tmp_path):
        far.rule_ = metrics.PriorMatched.fit(far.decision_function(X), list(T.mean(0)), input="logit")
        np.testing.assert_array_equal(far.predict(X).sum(0), T.sum(0))
        far.save(tmp_path / "m")
        loaded = lw.load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.predict(X), far.predict(X))
        np.testing.assert_array_equal(loaded.decision_function(X), far.decision_function(X))

    def test_decision_function_is_the_logit_of_the_probabilities(self):
        for fitted in (model().fit(X, T), model("bam", epochs=2).fit(X, T), model().fit(X, SINGLE)):
            logits = fitted.decision_function(X)
            assert logits.shape == (N, K)
            np.testing.assert_allclose(1 / (1 + np.exp(-logits)), fitted.predict_proba(X), atol=1e-6)
            np.testing.assert_array_equal(fitted.rule_.apply(fitted.predict_proba(X)), fitted.predict(X))


class TestRule:
    def test_positives_alone_are_matched_as_a_lower_bound(self):
        fitted = model().fit(X, SINGLE)
        assert fitted.rule_.name == "prior_matched"
        assert f"{(SINGLE == 1).sum() / N:.2f} labels an item: a lower bound" in fitted.rule_source_
        half = metrics.evaluate(T, fitted.predict_proba(X), metrics.Threshold(0.5))
        assert fitted.evaluate(X, T)["micro_f1"] > half["micro_f1"] + 0.1

    @pytest.mark.parametrize("method", ["hml", "bam", "an"])
    def test_few_labelled_rows_are_left_out_in_turn(self, method):
        """58 negatives are known, and margin methods at one half predict nothing."""
        fitted = model(method).fit(X[:40], T[:40])
        assert "no negative" not in fitted.rule_source_
        assert "40 labelled rows, each scored by a model that did not see it" in fitted.rule_source_
        labels, scores = fitted.held_out_
        assert labels.shape == scores.shape == (40, K)
        np.testing.assert_array_equal(np.sort(labels.sum(1)), np.sort(T[:40].sum(1)))
        assert fitted.evaluate(X[40:], T[40:])["micro_f1"] > 0.6

    def test_fold_scores_are_resumed_to_the_bit(self, tmp_path):
        whole = model("bam", epochs=2).fit(X, FEW)
        for _ in range(2):
            kept = model("bam", epochs=2, directory=tmp_path).fit(X, FEW)
            np.testing.assert_array_equal(kept.predict_proba(X), whole.predict_proba(X))
            assert kept.rule_ == whole.rule_
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "final",
            *(f"selection-{i}" for i in range(1, 6)),
        ]

    @pytest.mark.parametrize(
        ("options", "labels", "words"),
        [
            ({"validation": None}, T, "no rows were held out"),
            ({}, np.where(np.arange(N)[:, None] < 8, T, np.int8(-1)), "fewer than 50 rows can be judged"),
            ({"validation": (X[:20], np.zeros_like(T[:20]))}, T, "20 rows .* show no label in both classes"),
        ],
    )
    def test_the_true_reason_is_told(self, options, labels, words):
        fitted = model("bam", epochs=2, **options).fit(X, labels)
        assert "share of positives among the known entries" in fitted.rule_source_
        assert re.search(words, fitted.rule_source_)
        assert 0 < fitted.predict(X).mean() < 1

    def test_a_closed_form_leaves_rows_out_where_validation_says_nothing(self):
        fitted = model(validation=(X[:20], np.zeros_like(T[:20]))).fit(X, T)
        assert "the validation rows show no label in both classes" in fitted.rule_source_
        assert fitted.evaluate(X, T)["micro_f1"] > 0.7

    @pytest.mark.parametrize("method", ["ridge", "bam"])
    @pytest.mark.parametrize("state", [0, 1])
    def test_a_label_that_validation_shows_in_one_class_is_still_decided(self, method, state):
        rare = T.copy()
        rare[:, 0] = X[:, 0] > 1.1 if state == 0 else X[:, 0] < 1.1
        rows = np.flatnonzero(rare[:160, 0] == state)[:50]
        fitted = model(method, validation=(X[rows], rare[rows])).fit(
            X[:160], rare[:160], label_names=list("abcd")
        )
        judged = fitted.evaluate(X[160:], rare[160:])
        assert judged.per_label.f1[0] > 0.5
        assert any("do not show a in both classes" in note for note in fitted.notes_)

    @pytest.mark.parametrize("rule", ["micro-f1", "macro-f1", "shares"])
    def test_rules_by_name(self, rule):
        fitted = model(rule=rule).fit(X, FEW)
        assert fitted.evaluate(X[40:], T[40:])["micro_f1"] > 0.6
        if rule == "shares":
            assert fitted.rule_source_.endswith("among the known entries")
            np.testing.assert_allclose(fitted.predict(X).mean(0), T[:40].mean(0), atol=0.03)
        else:
            assert f"best {rule.replace('f', 'F')}" in fitted.rule_source_

    def test_f1_is_refused_where_it_cannot_be_measured(self):
        with pytest.raises(
            UserError, match="rule='micro-f1': F1 cannot be measured, since no negative is known"
        ):
            model(rule="micro-f1").fit(X, SINGLE)
        with pytest.raises(UserError, match="did you mean 'micro-f1'"):
            model(rule="micro_f1").fit(X, T)

    def test_a_label_that_is_never_predicted_is_named(self):
        fitted = model(rule=metrics.PerLabelThreshold([0.5, 2.0, 0.5, 0.5])).fit(
            X, T, label_names=list("abcd")
        )
        assert any(note.startswith("never predicted") and note.endswith(": b") for note in fitted.notes_)
        assert not any("never predicted" in note for note in model().fit(X, T).notes_)

    @pytest.mark.parametrize("method", ["ridge", "bam"])
    def test_a_label_that_every_row_has_is_predicted_as_often(self, method):
        common = T.copy()
        common[:, 3] = 1
        fitted = model(method).fit(X[:160], common[:160])
        assert fitted.predict(X[160:])[:, 3].mean() > 0.9

    @pytest.mark.parametrize(
        ("rule", "data", "validation", "why"),
        [
            ("best", T, "auto", "there are: auto, micro-f1, macro-f1, shares"),
            ("micro-f1", SINGLE, "auto", "no negative is known"),
            ("macro-f1", T, None, "no rows were held out"),
            ("micro-f1", FEW[:45], None, "no rows were held out"),
            ("macro-f1", FEW[:8], "auto", "fewer than 50 rows"),
            (
                "micro-f1",
                T,
                (X[:30], np.ones_like(T[:30])),
                "30 rows that the model did not see show no label",
            ),
            (metrics.PriorMatched([0.1] * 3), T, "auto", "rule: scores has 4 labels but the rule"),
            (metrics.PerLabelThreshold([0.1] * 5), T, "auto", "rule: scores has 4 labels but the rule"),
            (metrics.OracleCardinality(), T, "auto", "rule: oracle_cardinality reads"),
        ],
    )
    def test_a_rule_that_cannot_be_is_refused_before_any_training(
        self, rule, data, validation, why, monkeypatch
    ):
        def trained(*_, **__):
            raise AssertionError("training began")

        monkeypatch.setattr("labelwise.classifier.validation.train", trained)
        monkeypatch.setattr("labelwise.classifier.estimator.train", trained)
        with pytest.raises(UserError, match=why):
            model("bam", rule=rule, validation=validation).fit(X[: len(data)], data)

    @pytest.mark.parametrize(("backbone", "tune"), [("features", "all"), ("mlp", None), ("mlp", "head")])
    def test_a_closed_form_learns_its_rule_whatever_the_backbone(self, backbone, tune):
        fitted = model("ridge", backbone=backbone, tune=tune).fit(X, T)
        assert fitted.rule_.name == "learnt_thresholds"
        assert fitted.calibration_ is not None
        if backbone == "features":
            np.testing.assert_array_equal(fitted.predict(X), model("ridge").fit(X, T).predict(X))

    def test_few_rows_are_left_out_in_turns_without_a_seed_too(self):
        fitted = model("bam", epochs=2, random_state=None).fit(X, FEW)
        assert "each scored by a model that did not see it" in fitted.rule_source_
        np.testing.assert_array_equal(fitted.predict(X), model("bam", epochs=2).fit(X, FEW).predict(X))

    @pytest.mark.parametrize("rule", ["auto", 0.5, metrics.Threshold, ["top_k"]])
    def test_what_is_no_rule_is_refused_where_it_is_asked(self, rule):
        fitted = model().fit(X, T)
        for ask in (
            lambda: fitted.evaluate(X, T, rule=rule),
            lambda: metrics.evaluate(T, fitted.predict_proba(X), rule),
            lambda: metrics.decide(rule, fitted.decision_function(X)),
        ):
            with pytest.raises(UserError, match="give a rule of labelwise"):
                ask()


def test_decisions_learnt_on_held_out_rows_hold_for_the_model_of_all_rows():
    """More rows make more steps, by which a learnt scale and margin go further than where thresholds were learnt."""
    pictures, truth, _ = digits_canvases(400, seed=0)
    new_pictures, new_truth, _ = digits_canvases(200, seed=0, part="test")
    rows, new_rows = digits_features(pictures, filters=64), digits_features(new_pictures, filters=64)
    expected = model("hml", epochs=10).fit(rows, truth).predict_proba(new_rows).sum(1).mean()
    assert expected == pytest.approx(new_truth.sum(1).mean(), rel=0.1)
