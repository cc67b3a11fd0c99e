"""Fits on Arrow datasets, and the highest labels of each item."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from labelwise import MultiLabelClassifier, load
from labelwise.errors import UserError

NAMES = ("cat", "dog", "fox")


def given(n=150):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    Y = (X[:, :3] + 0.5 * rng.normal(size=(n, 3)) > 0.5).astype(np.int8)
    return X, Y


def dataset(X, Y):
    columns = {f"f{j}": X[:, j] for j in range(X.shape[1])} | {name: Y[:, k] for k, name in enumerate(NAMES)}
    lists = pa.array([[NAMES[k] for k in np.flatnonzero(row)] for row in Y], pa.list_(pa.string()))
    return ds.dataset(pa.table({**columns, "tags": lists}))


@pytest.fixture(scope="module")
def fitted():
    X, Y = given()
    return MultiLabelClassifier("ridge").fit(X, Y, label_names=NAMES)


@pytest.mark.parametrize("labels", ["tags", list(NAMES)])
def test_a_dataset_is_its_rows(fitted, labels, tmp_path):
    X, Y = given()
    rows = dataset(X, Y) if labels != "tags" else ds.dataset(dataset(X, Y).to_table().drop(list(NAMES)))
    rows = rows if labels == "tags" else ds.dataset(rows.to_table().drop(["tags"]))
    model = MultiLabelClassifier(unlisted="absent" if labels == "tags" else None).fit(rows, labels)
    assert model.method_ == "ridge"
    assert model.label_names_ == NAMES
    np.testing.assert_allclose(model.predict_proba(X), fitted.predict_proba(X), atol=1e-6)
    assert model.summary_.to_dict() == fitted.summary_.to_dict()
    assert model.rule_source_ == fitted.rule_source_
    assert not [note for note in model.notes_ if "not used" in note]
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("options", "arguments", "words"),
    [
        ({"method": "bbam"}, {}, "method 'bbam' needs all rows in memory"),
        ({"backbone": "mlp"}, {}, "read in passes are features"),
        ({"validation": 0.2}, {}, "validation: rows that are read in passes"),
        ({"hierarchy": {"cat": "dog"}}, {}, "hierarchy: the labels"),
        ({}, {"groups": [0] * 150}, "groups: it is for rows in memory"),
        ({}, {"sample_weight": [1] * 150}, "sample_weight: it is for rows in memory"),
        ({}, {"Y": None}, "for a dataset give the name"),
        ({}, {"Y": "nothing"}, "nothing"),
    ],
)
def test_what_rows_in_passes_cannot_have_is_refused(options, arguments, words):
    rows = dataset(*given())
    with pytest.raises(UserError, match=words):
        MultiLabelClassifier(**options).fit(rows, **{"Y": "tags", **arguments})


def test_the_highest_labels_are_those_of_all_probabilities(fitted, monkeypatch):
    X, _ = given()
    places, values = fitted.predict_top(X, 2)
    everything = fitted.predict_proba(X)
    order = np.argsort(-everything, axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(values, np.take_along_axis(everything, order, axis=1))
    assert fitted.predict_top(X[:0], 2)[0].shape == (0, 2)
    assert fitted.predict_top(X, 9)[0].shape == (150, 3)
    with pytest.raises(UserError, match="k=0"):
        fitted.predict_top(X, 0)
