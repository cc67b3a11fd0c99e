"""``MultiLabelClassifier`` as scikit-learn knows estimators."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import labelwise as lw
from labelwise.classifier import predicting
from labelwise.classifier.options import FitOptions
from labelwise.errors import UserError

pd = pytest.importorskip("pandas")

N, D, K = 90, 6, 3
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((N, D))
Y = (X @ RANDOM.standard_normal((D, K)) + 0.3 * RANDOM.standard_normal((N, K)) > 0.5).astype(int)


def model(method="an", **options):
    return lw.MultiLabelClassifier(method, **{"epochs": 2, "device": "cpu", "validation": None, **options})


def test_get_params_set_params_clone():
    estimator = model(hyperparameters={}, label_weights="balanced", prior=np.array([0.1, 0.2, 0.3]))
    parameters = estimator.get_params()
    assert parameters["method"] == "an"
    assert parameters["label_weights"] == "balanced"
    twin = clone(estimator)
    assert twin is not estimator
    np.testing.assert_array_equal(twin.prior, estimator.prior)
    assert estimator.set_params(epochs=5, method="bam") is estimator
    assert (estimator.epochs, estimator.method) == (5, "bam")
    with pytest.raises(ValueError, match="colour"):
        estimator.set_params(colour="red")


def test_the_options_are_the_parameters_of_the_constructor():
    parameters = inspect.signature(lw.MultiLabelClassifier.__init__).parameters
    told = {name: parameter.default for name, parameter in parameters.items() if name != "self"}
    assert told == FitOptions().values()
    assert list(told) == [option.name for option in fields(FitOptions)]
    assert model().get_params() == {**told, "method": "an", "epochs": 2, "device": "cpu", "validation": None}


def test_parameters_are_stored_untouched():
    given = {"scale": 10}
    estimator = model("bam", hyperparameters=given)
    assert estimator.hyperparameters is given
    estimator.fit(X, Y)
    assert estimator.hyperparameters is given
    assert given == {"scale": 10}
    assert estimator.hyperparameters_["scale"] == 10


def test_it_is_a_multi_label_classifier():
    tags = model().__sklearn_tags__()
    assert is_classifier(model())
    assert tags.classifier_tags.multi_label
    assert tags.input_tags.sparse
    assert repr(model()).startswith("MultiLabelClassifier(")


def test_not_fitted():
    for call in (
        model().predict,
        model().predict_proba,
        model().decision_scores,
        model().decision_function,
        lambda x: model().save("x"),
    ):
        with pytest.raises(NotFittedError, match="fit"):
            call(X)
        with pytest.raises(UserError):
            call(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(model())
    check_is_fitted(model().fit(X, Y))


def test_fit_returns_itself_and_again_forgets_the_first():
    estimator = model()
    assert estimator.fit(X, Y) is estimator
    assert estimator.n_features_in_ == D
    estimator.fit(X[:, :4], Y[:, :2])
    assert estimator.n_features_in_ == 4
    assert estimator.predict(X[:, :4]).shape == (N, 2)
    fresh = model().fit(X[:, :4], Y[:, :2])
    np.testing.assert_array_equal(estimator.predict_proba(X[:, :4]), fresh.predict_proba(X[:, :4]))


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), model())
    pipeline.fit(X, Y)
    assert pipeline.predict(X).shape == (N, K)
    assert pipeline.score(X, Y) > 0.8


@pytest.mark.parametrize("method", ["ridge", "an", "bam"])
def test_cross_val_score_on_full_labels(method):
    scores = cross_val_score(model(method), X, Y, cv=KFold(3, shuffle=True, random_state=0))
    assert scores.shape == (3,)
    assert (scores > 0.7).all()


def test_grid_search_over_a_hyperparameter():
    grid = GridSearchCV(
        model("bam"),
        {"hyperparameters": [{"scale": 5}, {"scale": 20}], "learning_rate": [0.01]},
        cv=2,
        error_score="raise",
    )
    grid.fit(X, Y)
    assert grid.best_estimator_.hyperparameters_["scale"] in (5, 20)
    assert grid.best_score_ > 0.7


def test_f1_scorer():
    scores = cross_val_score(model("ridge"), X, Y, cv=3, scoring="f1_micro")
    assert (scores > 0.6).all()


def test_every_kind_of_input_gives_the_same():
    want = model().fit(X, Y).predict_proba(X)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(D)])
    nullable = frame.astype("Float64")
    labels = {
        "int64": Y,
        "bool": Y.astype(bool),
        "float": Y.astype(float),
        "list": Y.tolist(),
        "frame": pd.DataFrame(Y, columns=list("abc")),
    }
    sparse = model(unlisted="absent").fit(X, sp.csr_matrix(Y))
    np.testing.assert_array_equal(sparse.predict_proba(X), want)
    for name, given in labels.items():
        np.testing.assert_array_equal(model().fit(X, given).predict_proba(X), want, err_msg=name)
    for given in (X.tolist(), np.asfortranarray(X), frame, nullable):
        fitted = model().fit(given, Y)
        np.testing.assert_array_equal(fitted.predict_proba(given), want)
        np.testing.assert_array_equal(fitted.predict_proba(X), want)
    for kind in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array):
        fitted = model(validation=0.3, patience=1).fit(kind(X), Y)
        np.testing.assert_allclose(fitted.predict_proba(kind(X)), fitted.predict_proba(X), atol=1e-5)


def test_names_of_columns_are_kept_and_compared():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    fitted = model().fit(frame, pd.DataFrame(Y, columns=["cat", "dog", "ox"]))
    assert fitted.feature_names_in_.tolist() == list("abcdef")
    assert fitted.label_names_ == ("cat", "dog", "ox")
    np.testing.assert_array_equal(fitted.predict_proba(frame[list("fbdcae")]), fitted.predict_proba(frame))
    with pytest.raises(UserError, match=r"X lacks columns 'a'; X has columns 'g', which"):
        fitted.predict(frame.rename(columns={"a": "g"}))
    with pytest.raises(UserError, match="X lacks columns 'f'"):
        fitted.predict(frame[list("abcde")])
    with pytest.raises(UserError, match="columns of the same name"):
        fitted.predict(frame[list("abcdeff")])
    fitted.fit(X, Y)
    assert not hasattr(fitted, "feature_names_in_")


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_set_output_gives_frames_with_the_labels_names(kind):
    pytest.importorskip(kind)
    frame = pd.DataFrame(X, columns=list("abcdef"), index=[f"row {i}" for i in range(N)])
    fitted = model("ridge").fit(frame, pd.DataFrame(Y, columns=["cat", "dog", "ox"]))
    calls = ("predict", "predict_proba", "decision_function", "decision_scores")
    arrays = [getattr(fitted, call)(frame) for call in calls]
    names, judged = fitted.predict_names(frame), fitted.score(frame, Y)
    assert fitted.set_output(predict=kind) is fitted
    for call, array in zip(calls, arrays, strict=True):
        told = getattr(fitted, call)(frame)
        assert type(told).__module__.startswith(kind)
        assert list(told.columns) == ["cat", "dog", "ox"]
        np.testing.assert_array_equal(told.to_numpy(), array)
    if kind == "pandas":
        assert told.index.equals(frame.index)
        assert list(fitted.predict(X).index) == list(range(N))
    assert fitted.predict_names(frame) == names
    assert fitted.score(frame, Y) == judged
    assert list(clone(fitted).fit(X, Y).predict(X).columns) == ["label_0", "label_1", "label_2"]
    assert isinstance(fitted.set_output(predict="default").set_output().predict(X), np.ndarray)
    with pytest.raises(UserError, match="did you mean 'pandas'"):
        fitted.set_output(predict="panda")


def test_names_in_a_pipeline_that_scales_a_frame():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    pipeline = make_pipeline(StandardScaler(), model("ridge").set_output(predict="pandas"))
    pipeline.set_output(transform="pandas").fit(frame, pd.DataFrame(Y, columns=["cat", "dog", "ox"]))
    assert list(pipeline.predict(frame).columns) == ["cat", "dog", "ox"]
    assert pipeline[-1].feature_names_in_.tolist() == list("abcdef")
    assert cross_val_score(pipeline, frame, Y, cv=3, scoring="f1_micro").min() > 0.6


def test_score_looks_at_known_entries_alone():
    fitted = model("ridge").fit(X, Y)
    hidden = RANDOM.random(Y.shape) < 0.4
    part, scores = np.where(hidden, -1, Y), fitted.decision_function(X)
    each = [average_precision_score(part[~hidden[:, k], k], scores[~hidden[:, k], k]) for k in range(K)]
    assert fitted.score(X, part) == pytest.approx(np.mean(each), abs=1e-12)
    weights = RANDOM.integers(0, 4, N)
    twice = np.repeat(np.arange(N), weights)
    want = fitted.score(X[twice], part[twice])
    assert fitted.score(X, part, sample_weight=weights) == pytest.approx(want, abs=1e-12)
    assert fitted.score(X, part, sample_weight=np.full(N, 3.0)) == fitted.score(X, part)


def test_score_with_positives_alone_counts_weights_too():
    fitted = model("ridge").fit(X, Y)
    positives = np.where((Y == 1) & (RANDOM.random(Y.shape) < 0.7), 1, -1)
    weights = RANDOM.integers(1, 4, N)
    twice = np.repeat(np.arange(N), weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = fitted.score(X[twice], positives[twice])
        assert fitted.score(X, positives, sample_weight=weights) == pytest.approx(want, abs=1e-12)


def test_grid_search_with_unknown_entries():
    part = np.where(RANDOM.random(Y.shape) < 0.7, Y, -1)
    coded = pd.DataFrame(part, columns=list("abc"))
    scores = []
    # scikit-learn deals folds by itself for -1 alone: NaN in a target it refuses, unless the folds are given.
    for labels, cv in ((coded, 3), (coded.astype(float).mask(part < 0), KFold(3))):
        grid = GridSearchCV(
            model("ignore_unknown"), {"learning_rate": [1e-4, 1e-2]}, cv=cv, error_score="raise"
        )
        scores.append(grid.fit(X, labels).best_score_)
        assert grid.best_estimator_.label_names_ == ("a", "b", "c")
    assert 0.6 < scores[0] == scores[1]


def test_metadata_is_routed_to_fit_and_score():
    weights, groups = np.arange(1.0, N + 1), np.arange(N) // 3
    hints = np.full((N, K), np.nan)
    with config_context(enable_metadata_routing=True):
        asked = model("bce").set_fit_request(sample_weight=True, groups=True, hints=True)
        asked = asked.set_score_request(sample_weight=True)
        seen = {"sample_weight": weights, "groups": groups, "hints": hints}
        told = cross_validate(
            asked, X, Y, params=seen, cv=GroupKFold(3), return_estimator=True, error_score="raise"
        )
        for number, (train, test) in enumerate(GroupKFold(3).split(X, Y, groups)):
            fitted = told["estimator"][number]
            kept = fitted.fitted_.method.problem.sample_weight
            np.testing.assert_array_equal(kept, weights[train])
            assert told["test_score"][number] == fitted.score(X[test], Y[test], sample_weight=weights[test])
        pipeline = make_pipeline(StandardScaler(), model("ridge").set_fit_request(sample_weight=True))
        pipeline[0].set_fit_request(sample_weight=False)
        pipeline.fit(X, Y, sample_weight=weights)
        assert pipeline[-1].fitted_.method.problem.sample_weight is not None


def test_the_notebook_s_view_is_small_escaped_and_has_no_asset():
    names = ["<b>cat</b>", "a & b", *(f"label {i}" for i in range(60))]
    labels = np.tile(Y, 21)[:, :62]
    estimator = model("ridge", label_texts={"<b>cat</b>": "<script>alert(1)</script>"})
    views = [estimator._repr_html_()]
    fitted = estimator.fit(X, labels, label_names=names)
    views += [fitted._repr_html_(), fitted.evaluate(X, labels)._repr_html_()]
    views += [lw.describe(labels, names)._repr_html_(), fitted._repr_mimebundle_()["text/html"]]
    for view in views:
        assert len(view) < 6000
        for word in ("<script", "<b>", "http", "src=", "href=", "<style", "<link"):
            assert word not in view
    assert "&lt;script&gt;" in views[0]
    for word in ("ridge", "mAP", "&lt;b&gt;cat&lt;/b&gt;", "62"):
        assert word in views[1]
    assert "and 50 more" in views[2]
    with config_context(display="text"):
        assert not hasattr(fitted, "_repr_html_")
        assert "text/html" not in fitted._repr_mimebundle_()
    assert "MultiLabelClassifier" in make_pipeline(StandardScaler(), fitted)._repr_html_()


def test_drawings_of_a_pipeline_link_to_the_page_that_the_package_names(monkeypatch):
    fitted = model("ridge")
    predicting.documentation_site.cache_clear()
    named = {
        "Project-URL": ["Source, https://code.example", "Documentation, https://docs.example/labelwise/"]
    }
    monkeypatch.setattr(predicting, "metadata", lambda name: SimpleNamespace(get_all=named.get))
    assert fitted._get_doc_link() == "https://docs.example/labelwise/reference/classifier/"
    assert fitted._get_doc_link() in make_pipeline(StandardScaler(), fitted)._repr_html_()
    named.clear()
    predicting.documentation_site.cache_clear()
    assert fitted._get_doc_link() == ""
    predicting.documentation_site.cache_clear()


def test_unknown_has_three_spellings():
    part = np.where(RANDOM.random(Y.shape) < 0.6, Y, -1)
    want = model("ignore_unknown").fit(X, part).predict_proba(X)
    floats = np.where(part < 0, np.nan, part)
    objects = pd.DataFrame(part).astype("Int8").mask(part < 0)
    for given in (floats, objects):
        np.testing.assert_array_equal(model("ignore_unknown").fit(X, given).predict_proba(X), want)


class Columns(lw.MultiLabelClassifier):
    """The classifier with a column for each class of a 1-D target, so that checks that give one reach its core."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, as_columns(y), sample_weight=sample_weight)

    def score(self, X, y, sample_weight=None):
        return super().score(X, as_columns(y), sample_weight=sample_weight)


def as_columns(y):
    classes = np.asarray(y)
    if y is None or (classes.ndim == 2 and classes.shape[1] > 1):
        return y
    classes = classes.reshape(len(classes), 1)
    return (classes == np.unique(classes)).astype(np.int8)


SETS = "predictions are label sets (n, K), not one class an item"
STATES = "an entry that is no label state is refused by row and label, in words that say what to write"
EXCEPTIONS = {
    "check_array_api_input": "skipped by scikit-learn where SCIPY_ARRAY_API is not set",
    "check_classifier_multioutput": "label sets go by learnt thresholds, not by the sign of decision_function",
    "check_classifier_not_supporting_multiclass": STATES,
    "check_classifiers_classes": SETS,
    "check_classifiers_multilabel_output_format_predict": "predictions are int8 whatever the labels' dtype",
    "check_classifiers_one_label": SETS,
    "check_classifiers_one_label_sample_weights": SETS,
    "check_classifiers_regression_target": STATES,
    "check_classifiers_train": SETS,
    "check_decision_proba_consistency": SETS,
    "check_dtype_object": "objects are refused, whatever they hold",
    "check_estimator_sparse_array": SETS,
    "check_estimator_sparse_matrix": SETS,
    "check_methods_subset_invariance": "float32 products of another batch differ in the last bit",
    "check_sample_weight_equivalence_on_dense_data": "scaling and the choice of lambda count rows once",
    "check_sample_weight_equivalence_on_sparse_data": "scaling and the choice of lambda count rows once",
    "check_supervised_y_no_nan": "NaN is an unknown entry",
}
"""scikit-learn's checks that cannot hold for a classifier of label sets, with the reason."""
CLASSES = "the check's target holds classes beside 0 and 1, or one dimension: neither is a label matrix"
NAMED = "the check gives the target by the name y; here it is Y"
REFUSED = {
    "check_n_features_in_after_fitting": NAMED,
    "check_estimators_dtypes": CLASSES,
    "check_sample_weights_pandas_series": CLASSES,
    "check_sample_weights_not_an_array": CLASSES,
    "check_sample_weights_shape": CLASSES,
    "check_sample_weights_not_overwritten": CLASSES,
    "check_complex_data": CLASSES,
    "check_classifier_data_not_an_array": CLASSES,
    "check_fit2d_1feature": CLASSES,
}
"""The checks whose target is refused as it stands: with ``Columns`` they hold."""


def declared(estimator):
    if isinstance(estimator, Columns):
        return EXCEPTIONS
    return EXCEPTIONS | REFUSED


@estimator_checks.parametrize_with_checks(
    [Columns("ridge"), lw.MultiLabelClassifier("ridge")], expected_failed_checks=declared
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
def test_what_is_declared_does_fail():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = estimator_checks.check_estimator(
            lw.MultiLabelClassifier("ridge"), expected_failed_checks={}, on_fail=None, on_skip=None
        )
    failed = {result["check_name"] for result in results if result["status"] != "passed"}
    want = set(EXCEPTIONS | REFUSED)
    assert failed - want == set()
    assert want - failed <= {"check_methods_subset_invariance", "check_supervised_y_no_nan"}
