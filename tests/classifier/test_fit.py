"""What ``fit`` decides, says and refuses."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

import labelwise as lw
from labelwise import engine, metrics
from tests.refusals import refused

N, D, K = 120, 8, 4
RANDOM = np.random.default_rng(4)
X = RANDOM.standard_normal((N, D)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((D, K)) + 0.3 * RANDOM.standard_normal((N, K)) > 0.8).astype(np.int8)
POSITIVES = np.where((Y == 1) & (RANDOM.random(Y.shape) < 0.7), Y, np.int8(-1))
LABELLED = np.where(np.arange(N)[:, None] < 70, Y, np.int8(-1))
PRIOR = Y.mean(0)


def model(method="an", **options):
    return lw.MultiLabelClassifier(method, **{"epochs": 2, "device": "cpu", "batch_size": 16, **options})


def test_the_default_method_is_the_recommended_one():
    for labels in (Y, POSITIVES, LABELLED):
        fitted = model(None).fit(X, labels)
        assert fitted.method_ == lw.recommend(fitted.summary_).method
        assert fitted.method is None


def test_fitted_attributes():
    fitted = model("bam", hyperparameters={"scale": "12"}).fit(X, Y, label_names=list("abcd"))
    assert fitted.label_names_ == tuple("abcd")
    assert fitted.n_features_in_ == D
    assert fitted.hyperparameters_["scale"] == 12
    rates = {name: fitted.budget_[name] for name in ("learning_rate", "backbone_rate")}
    assert fitted.budget_ == {"epochs": 2, "batch_size": 16, **rates}
    assert len(fitted.history_) == 2
    assert fitted.seconds_ > 0
    assert fitted.summary_.setting == "full"
    assert fitted.scaling_.kind in {"l2", "centre_l2", "standardise_l2"}
    assert fitted.rule_source_
    assert isinstance(fitted.notes_, tuple)


class TestValidation:
    def test_auto_holds_out_where_negatives_are_known_on_enough_rows(self):
        fitted = model().fit(X, Y)
        assert fitted.validation_.n_items == pytest.approx(0.2 * N, abs=2)
        assert isinstance(fitted.rule_, metrics.PerLabelThreshold)
        assert fitted.calibration_ is not None

    def test_auto_holds_out_nothing_where_none_is_known(self):
        fitted = model().fit(X, POSITIVES)
        assert fitted.validation_ is None
        assert fitted.calibration_ is None
        # As many items of each label as are known to have it: a lower bound, and said to be one.
        np.testing.assert_array_equal(fitted.predict(X).sum(0), (POSITIVES == 1).sum(0))
        assert "a lower bound, since no negative is known" in fitted.rule_source_

    def test_a_closed_form_uses_its_leave_one_out_scores(self):
        fitted = model("ridge").fit(X, Y)
        assert fitted.validation_.n_items == N
        assert isinstance(fitted.rule_, metrics.PerLabelThreshold)

    def test_the_final_model_is_trained_on_everything(self):
        held, alone = model(validation=0.3).fit(X, Y), model(validation=None).fit(X, Y)
        assert all(
            torch.equal(v, alone.network_.state_dict()[k]) for k, v in held.network_.state_dict().items()
        )

    def test_a_pair(self):
        fitted = model(validation=(X[:40], Y[:40])).fit(X[40:], Y[40:])
        assert fitted.validation_.n_items == 40
        with_patience = model(validation=[X[:40], Y[:40]], patience=1, epochs=8).fit(X[40:], Y[40:])
        assert with_patience.best_epoch_ + 1 == len(with_patience.history_)
        assert with_patience.score(X[:40], Y[:40]) == pytest.approx(
            max(record["validation"] for record in with_patience.history_)
        )

    def test_patience_trains_the_final_model_to_the_best_epoch(self):
        fitted = model(validation=0.3, patience=1, epochs=12, learning_rate=0.3, tune="all").fit(X, Y)
        assert 1 <= fitted.best_epoch_ <= 12
        assert len(fitted.history_) == fitted.best_epoch_

    @pytest.mark.parametrize("value", [0, 1, 1.5, -0.2, "half", (X, Y[:3])])
    def test_what_it_cannot_be(self, value):
        refused(lambda: model(validation=value).fit(X, Y))

    def test_rows_held_out_do_not_shape_the_prior_of_the_selection(self, monkeypatch):
        seen = []
        real = engine.train
        monkeypatch.setattr(
            engine, "train", lambda n, m, *a, **k: seen.append(m.problem) or real(n, m, *a, **k)
        )
        fitted = model("cap", validation=0.3, epochs=4).fit(X, LABELLED)
        selection, final = seen
        complete = (selection.labels >= 0).all(1)
        np.testing.assert_allclose(selection.prior, selection.labels[complete].mean(0))
        np.testing.assert_allclose(final.prior, fitted.prior_)
        assert not np.allclose(selection.prior, final.prior)


class TestRules:
    def test_a_threshold_or_a_rule(self):
        assert model(rule=0.3).fit(X, Y).rule_ == metrics.Threshold(0.3)
        fitted = model(rule=metrics.TopK(2)).fit(X, Y)
        assert (fitted.predict(X).sum(1) == 2).all()

    def test_prior_matched_where_a_prior_is_given(self):
        fitted = model(prior=PRIOR).fit(X, POSITIVES)
        np.testing.assert_allclose(fitted.predict(X).mean(0), PRIOR, atol=0.02)
        assert "prior" in fitted.rule_source_

    def test_what_it_cannot_be(self):
        refused(lambda: model(rule="best").fit(X, Y), "rule", "best")

    def test_evaluate_names_the_rule(self):
        fitted = model().fit(X, Y)
        assert fitted.evaluate(X, Y).rule == fitted.rule_.name
        assert fitted.evaluate(X, Y, metrics.TopK(1)).rule == metrics.TopK(1).name
        assert 0 <= fitted.score(X, Y) <= 1


class TestPrior:
    def test_identified(self):
        np.testing.assert_allclose(model().fit(X, LABELLED).prior_, Y[:70].mean(0))

    def test_shares(self):
        np.testing.assert_array_equal(model(prior=list(PRIOR)).fit(X, POSITIVES).prior_, PRIOR)

    @pytest.mark.parametrize("labels", [POSITIVES, LABELLED])
    def test_a_cardinality(self, labels):
        fitted = model(prior=float(PRIOR.sum())).fit(X, labels)
        assert fitted.prior_.sum() == pytest.approx(PRIOR.sum())

    @pytest.mark.parametrize(
        ("prior", "word"),
        [
            ([0.1, 0.2], "shape"),
            ([0.1, 0.2, 0.3, 1.5], "'d'"),
            ("some", "some"),
            (0.0001, "cardinality"),
            (99, "99"),
        ],
    )
    def test_what_it_cannot_be(self, prior, word):
        refused(lambda: model(prior=prior).fit(X, POSITIVES, label_names=list("abcd")), word)

    def test_a_method_that_needs_it_says_so_before_training(self, tmp_path):
        refused(lambda: model("bbam", directory=tmp_path).fit(X, POSITIVES), "bbam", "prior")
        assert not list(tmp_path.rglob("step-*"))


class TestLabelWeights:
    def test_by_name_and_balanced(self):
        one = model(label_weights={"a": 2.0}).fit(X, Y, label_names=list("abcd"))
        other = model(label_weights=[2.0, 1, 1, 1]).fit(X, Y)
        np.testing.assert_array_equal(one.decision_scores(X), other.decision_scores(X))
        balanced = model(label_weights="balanced").fit(X, Y)
        counts = np.clip((Y == 0).sum(0) / Y.sum(0), 1, 100)
        same = model(label_weights=counts).fit(X, Y)
        np.testing.assert_allclose(balanced.decision_scores(X), same.decision_scores(X), atol=1e-6)

    @pytest.mark.parametrize(
        ("weights", "word"),
        [
            ("heavy", "balanced"),
            ({"aa": 1}, "aa"),
            ([1, 2], "4"),
            ([0, 0, 0, float("inf")], "finite"),
            ([1, 1, 1, -1], "0"),
        ],
    )
    def test_what_they_cannot_be(self, weights, word):
        refused(lambda: model(label_weights=weights).fit(X, Y, label_names=list("abcd")), word)


class TestInput:
    def test_features_that_are_not_numbers_name_their_rows(self):
        bad = X.copy()
        bad[77, 2], bad[5, 0] = np.nan, np.inf
        for validation in (None, 0.3):
            refused(lambda v=validation: model(validation=v).fit(bad, Y), "rows 5, 77")
        fitted = model().fit(X, Y)
        refused(lambda: fitted.predict(bad), "rows 5, 77")

    def test_text_columns_are_named(self):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(X).assign(colour="red")
        refused(lambda: model().fit(frame, Y), "colour")

    def test_shapes_that_do_not_fit(self):
        refused(lambda: model().fit(X, Y[:-1]), 120, 119)
        refused(lambda: model().fit(X[:, 0], Y), "shape")
        refused(lambda: model().fit(X, Y, label_names=list("abc")), "4")
        fitted = model().fit(X, Y)
        refused(lambda: fitted.predict(X[:, :5]), 5, 8)
        refused(lambda: fitted.predict(X[0]))
        refused(lambda: fitted.predict(np.zeros((3, 8, 8))))

    def test_values_outside_the_three_states(self):
        wrong = Y.astype(int)
        wrong[3, 2] = 7
        refused(lambda: model().fit(X, wrong), 7)

    def test_no_positive_anywhere(self):
        for labels in (np.full_like(Y, -1), np.zeros_like(Y), np.where(Y == 0, 0, -1)):
            refused(lambda given=labels: model().fit(X, given))

    def test_a_label_without_positives_is_named(self):
        labels = Y.copy()
        labels[:, 1] = 0
        fitted = model().fit(X, labels, label_names=list("abcd"))
        assert any("'b'" in note or " b" in note for note in fitted.notes_)
        assert np.isfinite(fitted.predict_proba(X)).all()

    def test_methods_that_want_unknown_entries_refuse_full_labels(self):
        refused(lambda: model("bbam").fit(X, Y), "bbam", "full", "bce")

    def test_no_items_to_predict(self):
        fitted = model().fit(X, Y)
        assert fitted.predict_proba(X[:0]).shape == (0, K)
        assert fitted.predict(X[:0]).shape == (0, K)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_very_few_items(self, n):
        labels = np.eye(4, dtype=np.int8)[:n]
        for method in ("ridge", "an", "bam"):
            assert model(method).fit(X[:n], labels).predict_proba(X).shape == (N, K)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"method": "bbma"}, ("bbma", "bbam")),
            ({"backbone": "resnet"}, ("resnet", "smallcnn")),
            ({"tune": "some"}, ("tune", "head")),
            ({"epochs": 0}, ("epochs", "default")),
            ({"epochs": 2.5}, ("epochs", "whole")),
            ({"batch_size": -1}, ("batch_size",)),
            ({"learning_rate": float("nan")}, ("learning_rate",)),
            ({"learning_rate": "fast"}, ("learning_rate", "fast")),
            ({"random_state": -1}, ("random_state",)),
            ({"random_state": np.random.RandomState(0)}, ("random_state",)),
            ({"strong_view": 1.0}, ("strong_view",)),
            ({"precision": "8"}, ("precision",)),
            ({"device": "toaster"}, ("toaster",)),
            ({"accumulate": 0}, ("accumulate",)),
            ({"patience": 0, "validation": 0.2}, ("patience",)),
            ({"hyperparameters": {"scale": 3}}, ("scale", "'an'")),
        ],
    )
    def test_arguments_that_cannot_be(self, options, words):
        refused(lambda: model(**options).fit(X, Y), *words)


class TestBackbones:
    PICTURES = RANDOM.random((60, 8, 8)).astype(np.float32)
    MARKS = np.stack([PICTURES[:, :4].mean((1, 2)) > 0.5, PICTURES[:, 4:].mean((1, 2)) > 0.5], 1).astype(
        np.int8
    )

    @pytest.mark.parametrize("tune", ["head", "all"])
    @pytest.mark.parametrize("method", ["ridge", "an", "bam", "hml"])
    def test_smallcnn_on_tiny_pictures(self, method, tune, tmp_path):
        fitted = model(method, backbone="smallcnn", tune=tune, batch_size=20).fit(self.PICTURES, self.MARKS)
        assert fitted.predict_proba(self.PICTURES).shape == (60, 2)
        assert not hasattr(fitted, "n_features_in_")
        fitted.save(tmp_path / "m")
        loaded = lw.load(tmp_path / "m")
        np.testing.assert_array_equal(
            loaded.predict_proba(self.PICTURES), fitted.predict_proba(self.PICTURES)
        )
        for wrong in (
            self.PICTURES[:, :6],
            self.PICTURES[:, None].repeat(3, 1),
            self.PICTURES.reshape(60, -1),
        ):
            refused(lambda w=wrong: loaded.predict(w))

    @pytest.mark.parametrize("tune", ["head", "all", None])
    @pytest.mark.parametrize("method", ["ridge", "an", "bbam"])
    def test_mlp(self, method, tune, tmp_path):
        fitted = model(method, backbone="mlp", tune=tune, epochs=4).fit(X, LABELLED)
        fitted.save(tmp_path / "m")
        np.testing.assert_array_equal(lw.load(tmp_path / "m").predict_proba(X), fitted.predict_proba(X))

    def test_a_module_of_ones_own(self, tmp_path):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(D, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.1))
        before = {k: v.clone() for k, v in net.state_dict().items()}
        one, two = (model(backbone=net, validation=None).fit(X, Y) for _ in range(2))
        assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())
        assert all(p.requires_grad for p in net.parameters())
        np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
        assert one.tune_ == "all"
        one.save(tmp_path / "m")
        refused(lambda: lw.load(tmp_path / "m"), "backbone")
        again = lw.load(
            tmp_path / "m",
            backbone=nn.Sequential(nn.Linear(D, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.1)),
        )
        np.testing.assert_array_equal(again.predict_proba(X), one.predict_proba(X))
        refused(lambda: lw.load(tmp_path / "m", backbone=nn.Linear(D, 3)), "fit")

    def test_a_module_that_does_not_take_the_items(self):
        refused(lambda: model(backbone=nn.Linear(3, 2)).fit(X, Y), "Linear")

    def test_smallcnn_does_not_take_rows(self):
        refused(lambda: model(backbone="smallcnn").fit(X, Y), "smallcnn")


class TestDirectory:
    def test_fitting_again_resumes_and_changes_nothing(self, tmp_path):
        options = {"directory": tmp_path, "validation": 0.3, "epochs": 3}
        first = model("cap", **options).fit(X, LABELLED)
        files = {p: p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()}
        again = model("cap", **options).fit(X, LABELLED)
        np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
        assert files.keys() == {p for p in tmp_path.rglob("*") if p.is_file()}
        alone = model("cap", **{**options, "directory": None}).fit(X, LABELLED)
        np.testing.assert_array_equal(first.predict_proba(X), alone.predict_proba(X))

    @pytest.mark.parametrize(
        "change",
        [
            {"epochs": 5},
            {"random_state": 1},
            {"learning_rate": 0.5},
            {"label_weights": [1, 2, 1, 1]},
            {"backbone": "mlp"},
            {"backbone": nn.Linear(D, D)},
        ],
    )
    def test_another_run_is_refused(self, change, tmp_path):
        model(directory=tmp_path, validation=None).fit(X, Y)
        refused(
            lambda: model(**{"directory": tmp_path, "validation": None, **change}).fit(X, Y),
            tmp_path.name,
            "other",
        )

    def test_another_validation_pair_is_refused(self, tmp_path):
        model(directory=tmp_path, validation=(X[:30], Y[:30])).fit(X, Y)
        refused(lambda: model(directory=tmp_path, validation=(X[1:31], Y[1:31])).fit(X, Y), "other")

    def test_other_data_are_refused(self, tmp_path):
        model(directory=tmp_path, validation=None).fit(X, Y)
        moved, other = X.copy(), Y.copy()
        moved[0, 0] += 1e-3
        other[0, 0] = 1 - other[0, 0]
        for items, labels in ((moved, Y), (X, other), (X[::-1], Y[::-1])):
            refused(lambda i=items, y=labels: model(directory=tmp_path, validation=None).fit(i, y), "other")

    def test_ctrl_c(self, tmp_path, monkeypatch):
        whole = model("bbam", epochs=4).fit(X, LABELLED)
        real, count = engine.train, [0]

        def train(*args, **options):
            def interrupt(_):
                count[0] += 1
                if count[0] == 15:
                    os.kill(os.getpid(), signal.SIGINT)

            return real(*args, on_step=interrupt, **options)

        monkeypatch.setattr(engine, "train", train)
        with pytest.raises(engine.Interrupted, match="resume"):
            model("bbam", epochs=4, directory=tmp_path).fit(X, LABELLED)
        monkeypatch.undo()
        again = model("bbam", epochs=4, directory=tmp_path).fit(X, LABELLED)
        np.testing.assert_array_equal(whole.predict_proba(X), again.predict_proba(X))


def test_labels_of_a_saved_model_and_its_figures(tmp_path):
    fitted = model("bbam", prior=PRIOR, epochs=4).fit(X, LABELLED, label_names=["a", "b", "ä", "d"])
    fitted.save(tmp_path / "m")
    loaded = lw.load(tmp_path / "m")
    assert loaded.label_names_ == ("a", "b", "ä", "d")
    assert loaded.rule_ == fitted.rule_
    assert loaded.notes_ == fitted.notes_
    assert loaded.history_ == fitted.history_
    assert loaded.summary_.setting == "semi_supervised"
    np.testing.assert_allclose(loaded.prior_, fitted.prior_)
    one, other = fitted.evaluate(X, Y), loaded.evaluate(X, Y)
    assert one.figures == other.figures
    loaded.save(tmp_path / "again")
    np.testing.assert_array_equal(lw.load(tmp_path / "again").predict_proba(X), fitted.predict_proba(X))


def test_a_progress_bar_does_not_change_the_model(capsys):
    shown, silent = model(progress=True).fit(X, Y), model().fit(X, Y)
    np.testing.assert_array_equal(shown.predict_proba(X), silent.predict_proba(X))
    assert capsys.readouterr().out == ""


def test_items_name_the_rows_of_a_failing_batch():
    names = [f"photo{i}.jpg" for i in range(N)]
    message = refused(
        lambda: model(tune="all", learning_rate=1e38, epochs=9, batch_size=N).fit(X, Y, items=names), "photo"
    )
    assert "learning_rate" in message


@pytest.mark.parametrize("method", ["ridge", "an"])
def test_columns_that_float32_cannot_tell_apart_are_named(method):
    far = X.astype(np.float64)
    far[:, [2, 5]] += 1e9
    notes = model(method).fit(far, Y).notes_
    assert any(note.startswith("columns 2, 5 of X (counted from 0) vary by less") for note in notes)
    assert not any("alike" in note for note in notes)
    constant = X.copy()
    constant[:, 2] = 3
    assert not any("of X" in note for note in model(method).fit(constant, Y).notes_)


def test_rows_that_are_all_alike_are_told():
    assert any("all rows of X are alike" in note for note in model("ridge").fit(np.ones_like(X), Y).notes_)
