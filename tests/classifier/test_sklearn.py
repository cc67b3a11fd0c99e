"""``MultiLabelClassifier`` as scikit-learn knows estimators."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import fields

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import labelwise as lw
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


def test_unknown_has_three_spellings():
    part = np.where(RANDOM.random(Y.shape) < 0.6, Y, -1)
    want = model("ignore_unknown").fit(X, part).predict_proba(X)
    floats = np.where(part < 0, np.nan, part)
    objects = pd.DataFrame(part).astype("Int8").mask(part < 0)
    for given in (floats, objects):
        np.testing.assert_array_equal(model("ignore_unknown").fit(X, given).predict_proba(X), want)


class Columns(lw.MultiLabelClassifier):
    """The classifier with a column for each class of a 1-D target, so that checks that give one reach its core."""

    def fit(self, X, y, **arguments):
        return super().fit(X, as_columns(y), **arguments)

    def score(self, X, y, sample_weight=None):
        return super().score(X, as_columns(y))


def as_columns(y):
    classes = np.asarray(y)
    if y is None or (classes.ndim == 2 and classes.shape[1] > 1):
        return y
    classes = classes.reshape(len(classes), 1)
    return (classes == np.unique(classes)).astype(np.int8)


SETS = "predictions are label sets (n, K), not one class an item"
EXCEPTIONS = {
    "check_array_api_input": "skipped by scikit-learn where SCIPY_ARRAY_API is not set",
    "check_classifiers_classes": SETS,
    "check_classifiers_multilabel_output_format_predict": "predictions are int8 whatever the labels' dtype",
    "check_classifiers_one_label": SETS,
    "check_classifiers_regression_target": "entries that are no label state are refused by row and label",
    "check_classifiers_train": SETS,
    "check_decision_proba_consistency": SETS,
    "check_dtype_object": "objects are refused, whatever they hold",
    "check_estimator_sparse_array": SETS,
    "check_estimator_sparse_matrix": SETS,
    "check_methods_subset_invariance": "float32 products of another batch differ in the last bit",
    "check_supervised_y_2d": "a column of labels is one label, and no mistake to warn of",
    "check_supervised_y_no_nan": "NaN is an unknown entry",
}
"""scikit-learn's checks that cannot hold for a classifier of label sets, with the reason."""
ONE_COLUMN = "a 1-D target is refused: what it would mean as a label matrix is the user's to say"
REFUSE_1D = {
    *("check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters"),
    *(
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
        "check_n_features_in_after_fitting",
    ),
    *("check_positive_only_tag_during_fit", "check_estimators_dtypes", "check_complex_data"),
    *("check_estimators_empty_data_messages", "check_pipeline_consistency", "check_estimators_nan_inf"),
    *("check_estimator_sparse_tag", "check_estimators_pickle", "check_f_contiguous_array_estimator"),
    *("check_classifier_data_not_an_array", "check_methods_sample_order_invariance", "check_fit2d_1sample"),
    *("check_fit2d_1feature", "check_dict_unchanged", "check_fit_idempotent", "check_fit_check_is_fitted"),
    *("check_n_features_in", "check_fit2d_predict1d"),
}
"""The checks that fit nothing but 1-D targets: with ``Columns`` they hold."""


def declared(estimator):
    if isinstance(estimator, Columns):
        return EXCEPTIONS
    return EXCEPTIONS | dict.fromkeys(REFUSE_1D, ONE_COLUMN)


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
    want = set(EXCEPTIONS) | REFUSE_1D
    assert failed - want == set()
    assert want - failed <= {"check_methods_subset_invariance", "check_supervised_y_no_nan"}
