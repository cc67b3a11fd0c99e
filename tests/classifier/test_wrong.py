"""Wrong parameters, lengths and types raise the library's error in one line, and nothing else."""

from __future__ import annotations

import inspect
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from labelwise import MultiLabelClassifier, load
from labelwise.errors import UserError
from labelwise.methods import get, names

pd = pytest.importorskip("pandas")

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 4)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((4, 3)) > 0.3).astype(np.int8)
PARAMETERS = list(inspect.signature(MultiLabelClassifier).parameters)


class Odd:
    """An object whose every question fails."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __array__(self, *_, **__):
        raise RuntimeError("no array")


ODD = {
    "none": None,
    "empty text": "",
    "text": "rubbish",
    "long text": "x" * 300,
    "null byte": "a\0b",
    "bytes": b"bytes",
    "minus one": -1,
    "zero": 0,
    "half": 0.5,
    "two": 2,
    "nan": float("nan"),
    "inf": float("inf"),
    "huge": 10**400,
    "tiny": -1e308,
    "true": True,
    "complex": 1j,
    "empty list": [],
    "list": [1, 2],
    "list of text": ["a", None],
    "nested": [[[1]], [2]],
    "tuple": (1, 2, 3),
    "pair": (X, None),
    "dict": {"a": 1},
    "dict of numbers": {1: 2},
    "set": {1, 2},
    "array": np.array([0.1, 0.2]),
    "text array": np.array(["a"]),
    "empty array": np.empty((0, 3)),
    "number of numpy": np.float32(3.5),
    "numpy nan": np.float64("nan"),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "missing": pd.NA,
    "time": pd.Timestamp("2020-01-01"),
    "decimal": Decimal("1.5"),
    "fraction": Fraction(1, 3),
    "object": object(),
    "odd": Odd(),
    "class": dict,
    "function": len,
    "generator of random numbers": np.random.RandomState(0),
    "module": np,
    "estimator": MultiLabelClassifier(),
}


def only_ours(call):
    """Call, and let the library's error pass; return what it said."""
    said = ""
    try:
        call()
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("method", ["ridge", pytest.param("an", marks=pytest.mark.slow)])
def test_a_parameter_may_be_anything_without_a_foreign_error(name, method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = {"method": method, "device": "cpu"} | ({} if method == "ridge" else {"epochs": 1})
    for kind, value in ODD.items():
        if name in ("devices", "nodes") and kind == "two":
            continue
        only_ours(lambda v=value: MultiLabelClassifier(**{**base, name: v}).fit(X, Y))


WRONG = {
    "method": ["none", "list", "odd"],
    "backbone": ["none", "list", "text", "class"],
    "backbone_weights": ["list", "odd", "two", "null byte"],
    "image_size": ["half", "true", "text", "minus one", "huge"],
    "max_length": ["half", "true", "zero", "huge"],
    "hyperparameters": ["list", "text", "dict of numbers", "dict"],
    "tune": ["text", "true", "array", "list"],
    "head_start": ["text", "true", "array"],
    "epochs": ["zero", "half", "true", "nan", "text", "huge", "array"],
    "batch_size": ["zero", "half", "true", "minus one", "huge"],
    "learning_rate": ["zero", "nan", "inf", "true", "text", "minus one"],
    "backbone_learning_rate": ["zero", "nan", "inf", "true", "text"],
    "validation": ["text", "nan", "zero", "two", "true", "tuple", "empty list", "frame", "pair"],
    "rule": ["none", "text", "nan", "inf", "true", "list", "class", "object", "odd"],
    "calibrate": ["none", "text", "zero", "array", "odd"],
    "prior": ["text", "nan", "minus one", "dict", "tiny", "true", "frame", "odd", "array", "inf", "zero"],
    "unlisted": ["text", "true", "array"],
    "minus_one": ["none", "text", "zero"],
    "empty": ["none", "text", "zero"],
    "label_weights": ["text", "nan", "dict", "two", "array", "odd", "list of text", "frame"],
    "label_texts": ["text", "two", "true", "list", "array"],
    "recall": ["none", "zero", "two", "nan", "true", "text", "array"],
    "hierarchy": ["text", "two", "true", "list", "array", "dict of numbers"],
    "group_consistency": ["none", "nan", "minus one", "true", "text", "array"],
    "coherent_loss": ["none", "text", "zero"],
    "positive_boost": ["zero", "nan", "inf", "true", "text", "array"],
    "strong_view": ["none", "nan", "minus one", "two", "true", "text", "array"],
    "patience": ["zero", "half", "true", "text"],
    "select": ["none", "text", "array"],
    "on_bad_item": ["none", "text", "true"],
    "cache": ["none", "text", "zero"],
    "picture_cache": ["two", "list", "odd", "true"],
    "accumulate": ["none", "zero", "half", "true", "text"],
    "compile": ["none", "text", "two"],
    "device": ["none", "text", "two", "list"],
    "devices": ["none", "zero", "half", "text"],
    "nodes": ["none", "zero", "half", "text"],
    "precision": ["none", "two", "text", "list"],
    "random_state": ["minus one", "half", "true", "text", "generator of random numbers", "huge", "array"],
    "directory": ["two", "list", "odd", "true", "null byte"],
    "memory": ["zero", "nan", "inf", "true", "text", "minus one"],
    "progress": ["none", "text", "two"],
}


def test_every_parameter_has_wrong_values():
    assert set(WRONG) == set(PARAMETERS)


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in WRONG.items() for kind in kinds])
def test_a_wrong_value_is_refused_under_its_name(name, kind):
    method = {} if name == "method" else {"method": "an"}
    if name == "method" and kind == "none":
        assert MultiLabelClassifier(None).fit(X, Y).method_ == "auto"
        return
    options = {**method, "epochs": 1, "device": "cpu", name: ODD[kind]}
    with pytest.raises(UserError, match=name.removesuffix("s")):
        MultiLabelClassifier(**options).fit(X, Y)


@pytest.mark.parametrize("method", ["ridge", "an", "hml", "drml", "mime"])
def test_no_seed_is_the_seed_0_for_every_method(method):
    def fit(seed):
        options = {} if method == "ridge" else {"epochs": 1}
        return MultiLabelClassifier(method, random_state=seed, device="cpu", **options).fit(X, Y)

    want = fit(0).decision_scores(X)
    for seed in (None, np.int64(0), np.uint8(0)):
        np.testing.assert_array_equal(fit(seed).decision_scores(X), want)


@pytest.mark.parametrize("method", names())
def test_hyper_parameters_may_be_anything_without_a_foreign_error(method):
    spec = get(method).spec
    for name in spec.hyperparameters:
        for value in ODD.values():
            only_ours(lambda n=name, v=value: spec.resolve({n: v}))


ARGUMENTS = ["X", "Y", "label_names", "items", "true_labels", "on_epoch", "on_read", "groups", "hints"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_of_fit_may_be_anything_without_a_foreign_error(name):
    for value in ODD.values():
        if name.startswith("on_") and callable(value):
            continue
        given = {"X": X, "Y": Y, name: value}
        only_ours(lambda g=given: MultiLabelClassifier("ridge", device="cpu").fit(**g))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label_names": ["a", "b"]}, "label_names"),
        ({"label_names": "abc"}, "label_names"),
        ({"label_names": ["a", "a", "b"]}, "label_names"),
        ({"label_names": 3}, "label_names"),
        ({"items": ["a"]}, "items has 1 ids"),
        ({"items": "abc"}, "items is 'abc'"),
        ({"items": 5}, "items is 5"),
        ({"true_labels": Y[:5]}, r"true_labels has shape \(5, 3\)"),
        ({"true_labels": Y[:, :2]}, "label_names"),
        ({"true_labels": "abc"}, "Y"),
        ({"on_epoch": 3}, "on_epoch=3"),
        ({"on_read": "x"}, "on_read='x'"),
    ],
)
def test_a_wrong_length_or_kind_is_named(given, words):
    with pytest.raises(UserError, match=words):
        MultiLabelClassifier("ridge", device="cpu").fit(X, Y, **given)


@pytest.mark.parametrize("name", ["predict", "predict_proba", "decision_scores", "evaluate", "score", "read"])
def test_a_fitted_classifier_may_be_asked_anything(name):
    model = MultiLabelClassifier("ridge", device="cpu").fit(X, Y)
    for value in ODD.values():
        if name in ("evaluate", "score"):
            only_ours(lambda v=value: getattr(model, name)(X, v))
            only_ours(lambda v=value: getattr(model, name)(v, Y))
        else:
            only_ours(lambda v=value: getattr(model, name)(v))


def test_paths_that_are_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = MultiLabelClassifier("ridge", device="cpu").fit(X, Y)
    for kind, value in ODD.items():
        if kind not in ("text", "long text", "empty text"):
            with pytest.raises(UserError):
                model.save(value)
        with pytest.raises(UserError):
            load(value)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_parameters_raise_nothing_foreign(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(seed)
    kinds = list(ODD)
    for _ in range(5_000):
        some = random.choice(PARAMETERS, size=random.integers(1, 3), replace=False)
        chosen = {name: ODD[kinds[random.integers(len(kinds))]] for name in some}
        if {"devices", "nodes"} & set(chosen):
            continue
        only_ours(
            lambda c=chosen: MultiLabelClassifier(**{"method": "ridge", "device": "cpu", **c}).fit(X, Y)
        )
