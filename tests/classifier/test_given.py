"""Whatever is given as items is read right, or refused in one line that says what to give."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from labelwise import MultiLabelClassifier
from labelwise.classifier.items import known_items, texts_or_paths
from labelwise.data import ArraySource, ImageSource
from labelwise.errors import UserError
from tests.refusals import refusal

pd = pytest.importorskip("pandas")

N = 20
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((N, 4)).astype(np.float32)
Y = np.tile([[1, 0], [0, 1], [1, 1], [0, 0]], (5, 1))
TEXTS = ["a pump", "an invoice", "pump and invoice", "neither"] * 5
PICTURES = RANDOM.random((N, 8, 8, 3)).astype(np.float32)


def ridge(backbone="features", **options):
    return MultiLabelClassifier("ridge", backbone, device="cpu", cache=False, **options)


def as_polars(values):
    return pytest.importorskip("polars").DataFrame(
        {f"f{column}": values[:, column].tolist() for column in range(values.shape[1])}
    )


KINDS = {
    "list": lambda x: x.tolist(),
    "tensor": torch.tensor,
    "tensor with a gradient": lambda x: torch.tensor(x, requires_grad=True),
    "list of tensors": lambda x: list(torch.tensor(x)),
    "polars": as_polars,
    "arrow": lambda x: pytest.importorskip("pyarrow").table({f"f{k}": x[:, k] for k in range(x.shape[1])}),
    "pandas": lambda x: pd.DataFrame(x, columns=[f"f{k}" for k in range(x.shape[1])]),
    "nullable": lambda x: pd.DataFrame(x).convert_dtypes(),
    "masked without a mask": np.ma.array,
    "float64": lambda x: x.astype(np.float64),
    "fortran": np.asfortranarray,
    "sparse": sp.coo_array,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_numbers_is_the_same(kind):
    want = ridge().fit(X, Y)
    model = ridge().fit(KINDS[kind](X), Y)
    np.testing.assert_allclose(model.decision_scores(KINDS[kind](X)), want.decision_scores(X), atol=1e-6)
    np.testing.assert_allclose(model.decision_scores(X), want.decision_scores(X), atol=1e-6)
    if kind in ("polars", "arrow", "pandas"):
        assert model.feature_names_in_.tolist() == ["f0", "f1", "f2", "f3"]
        turned = KINDS["pandas"](X)[["f3", "f1", "f0", "f2"]]
        np.testing.assert_array_equal(model.decision_scores(turned), model.decision_scores(X))


REFUSED = [
    (np.ma.masked_less(X, 0), "X masks entries of rows"),
    (np.empty((N, 0)), "0 feature"),
    (pd.DataFrame(index=range(N)), "0 feature"),
    (sp.csr_matrix((N, 0)), "0 feature"),
    (X.astype(object), "object values, not numbers"),
    (X + 1j, "Complex data not supported"),
    (np.full((N, 2), np.datetime64("2020-01-01")), "datetime64"),
    (pd.DataFrame({"day": pd.date_range("2020", periods=N)}), "'day'"),
    (pd.DataFrame({"kind": pd.Categorical(TEXTS)}), "'kind'"),
    (np.array([["1", "2"]] * N), "not numbers"),
    (np.array(3.0), r"shape \(\)"),
    (X[:, 0], r"shape \(20,\). Reshape"),
    (np.zeros((N, 1, 1, 1, 1)), "shape"),
    (np.zeros((N, 2), dtype=[("a", "f4")]), "not numbers"),
    ([[1, 2], [3]] * 10, "not an array"),
    ([], "shape"),
    ([object()] * N, "object values"),
    (None, "X is None: give"),
    (3, "X is 3: give"),
    ({"a": 1}, "give an array"),
    ({1, 2}, "give an array"),
    ((value for value in X), "give an array"),
    (MultiLabelClassifier, "give an array"),
    ("one text", "give a list"),
    (b"bytes", "give a list"),
    (torch.tensor(X).to_sparse(), "sparse tensor"),
    (np.where(X > 1, np.nan, X), "fill or drop"),
    (np.where(X > 1, np.inf, X), "fill or drop"),
    (X.astype(np.float64) * 1e60, "fill or drop"),
    (X.astype(np.float64) * 1e-60, "multiply it"),
    (sp.csr_matrix(X.astype(np.float64) * 1e-60), "multiply it"),
    (TEXTS, "give backbone="),
    ([*TEXTS[:-1], None], "row 19"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_is_no_array_of_features_is_one_line(given, words):
    for call in (lambda: ridge().fit(given, Y), lambda: ridge().fit(X, Y).predict(given)):
        with refusal(words):
            call()


def test_frames_of_polars_must_be_collected():
    polars = pytest.importorskip("polars")
    with pytest.raises(UserError, match="LazyFrame: collect it"):
        ridge().fit(polars.DataFrame({"a": [1.0] * N}).lazy(), Y)
    with pytest.raises(UserError, match="row 19"):
        ridge().fit(polars.DataFrame({"a": [1.0] * (N - 1) + [None]}), Y)


@pytest.mark.parametrize("missing", [np.nan, None, 3, 2.5, pd.NA])
@pytest.mark.parametrize("make", [list, pd.Series, lambda cells: np.array(cells, dtype=object)])
@pytest.mark.parametrize("backbone", ["minilm", "efficientnet-lite0"])
def test_a_cell_that_is_no_text_is_named_with_its_row(missing, make, backbone):
    for row in (0, 2):
        cells = list(TEXTS)
        cells[row] = missing
        with pytest.raises(UserError, match=rf"row {row} \(counted from 0\) is .*drop the row"):
            ridge(backbone).fit(make(cells), Y)


@pytest.mark.parametrize("columns", [{"text": TEXTS}, {"id": range(N), "text": TEXTS}])
@pytest.mark.parametrize("backbone", ["minilm", "efficientnet-lite0"])
def test_a_frame_is_no_list_of_texts(columns, backbone):
    with pytest.raises(UserError, match=r"as in X\['text'\]"):
        ridge(backbone).fit(pd.DataFrame(columns), Y)


def test_texts_of_every_kind_are_the_same():
    kinds = [TEXTS, pd.Series(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object), tuple(TEXTS)]
    polars = pytest.importorskip("polars")
    for texts in (*kinds, polars.Series(TEXTS), pd.DataFrame({"text": TEXTS})["text"]):
        assert texts_or_paths(known_items(texts), "text") == TEXTS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 255, "divide them by 255"),
        (lambda x: x * 2, "give them as they were before that"),
        (lambda x: (x - 0.45) / 0.225, "floats from -[12].* to 2"),
        (lambda x: x * 2 - 1, "0..1 is what is read"),
    ],
)
@pytest.mark.parametrize("backbone", ["smallcnn", "features"])
def test_floats_that_are_no_pictures_are_refused_with_their_range(change, words, backbone):
    model = MultiLabelClassifier("an", backbone, epochs=1, device="cpu").fit(PICTURES, Y)
    wrong = change(PICTURES).astype(np.float32)
    for call in (
        lambda: model.predict(wrong),
        lambda: model.fit(wrong, Y),
        lambda: ImageSource(wrong),
        lambda: model.set_params(validation=(wrong, Y)).fit(PICTURES, Y),
    ):
        with pytest.raises(UserError, match=words):
            call()


def test_floats_of_pictures_for_a_pretrained_backbone_too():
    pytest.importorskip("efficientnet_lite_pytorch")
    pictures = RANDOM.integers(0, 256, (N, 32, 32, 3)).astype(np.uint8)
    model = ridge("efficientnet-lite0").fit(pictures, Y)
    floats = pictures.astype(np.float32)
    np.testing.assert_allclose(
        model.decision_scores(floats / 255), model.decision_scores(pictures), atol=1e-3
    )
    with pytest.raises(UserError, match="divide them by 255"):
        model.predict(floats)


def test_rounding_beyond_the_ends_is_let_through():
    ImageSource(np.clip(PICTURES, 0, 1) * 1.0005 - 0.0002)


def broken(**parts):
    matrix = sp.csr_matrix(np.where(X > 0, X, 0))
    for name, change in parts.items():
        setattr(matrix, name, change(getattr(matrix, name).copy()))
    return matrix


def put(place, value):
    def change(values):
        values[place] = value
        return values

    return change


BROKEN = {
    "index beyond": {"indices": put(0, 10**6)},
    "index just beyond": {"indices": put(3, 4)},
    "negative index": {"indices": put(0, -5)},
    "pointer beyond": {"indptr": put(-1, 10**6)},
    "pointer goes back": {"indptr": put(3, 0)},
    "negative pointer": {"indptr": put(0, -3)},
    "short pointer": {"indptr": lambda p: p[:-2]},
    "short data": {"data": lambda d: d[:2]},
    "short indices": {"indices": lambda i: i[:2]},
    "float indices": {"indices": lambda i: i.astype(float)},
    "objects": {"data": lambda d: d.astype(object)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_sparse_matrix_is_refused_and_not_read(name):
    good = ridge().fit(sp.csr_matrix(X), Y)
    for call in (
        lambda: ridge().fit(broken(**BROKEN[name]), Y),
        lambda: good.predict(broken(**BROKEN[name])),
        lambda: ArraySource(broken(**BROKEN[name])),
        lambda: ridge(unlisted="absent").fit(X, broken(**BROKEN[name])),
    ):
        with pytest.raises(UserError):
            call()


def test_a_broken_coordinate_matrix_is_refused():
    for row, column in ((10**6, 0), (-1, 0), (0, 4), (0, -1)):
        matrix = sp.coo_matrix(X)
        matrix.row[0], matrix.col[0] = row, column
        with pytest.raises(UserError, match="outside its shape"):
            ridge().fit(matrix, Y)


@pytest.mark.parametrize("turns", [300, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.long])])
def test_random_parts_of_sparse_matrices_are_read_or_refused(turns):
    random = np.random.default_rng(1)
    good = ridge().fit(sp.csr_matrix(X), Y)
    for _ in range(turns):
        kind = random.choice(["csr", "csc", "coo", "bsr"])
        matrix = sp.csr_matrix(np.where(RANDOM.random((6, 4)) < 0.5, X[:6], 0)).asformat(kind).copy()
        names = ["row", "col", "data"] if kind == "coo" else ["indptr", "indices", "data"]
        name = random.choice(names)
        part = np.array(getattr(matrix, name))
        if random.random() < 0.3:
            part = part[: random.integers(0, len(part) + 1)]
        elif part.size:
            place = tuple(random.integers(0, size) for size in part.shape)
            part[place] = random.choice([-(2**31), -1, 0, 1, 3, 4, 5, 7, 100, 2**31 - 1])
        try:
            setattr(matrix, name, part)
            shape = matrix.shape
        except (AttributeError, ValueError):
            continue
        try:
            scores = good.decision_scores(matrix)
        except UserError:
            continue
        assert scores.shape == (shape[0], 2)
        assert np.isfinite(scores).all()
