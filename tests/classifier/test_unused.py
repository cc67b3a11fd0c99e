"""Nothing that was given is ignored in silence: each parameter where it cannot matter is refused or named."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from labelwise import MultiLabelClassifier, describe, load, recommend
from labelwise.annotations import parse, simulate
from labelwise.errors import UserError
from labelwise.methods import get
from labelwise.models import ImagePreprocessing
from labelwise.report import content_of

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((80, 6)).astype(np.float32)
Y = (X @ RANDOM.standard_normal((6, 3)) + 0.3 * RANDOM.standard_normal((80, 3)) > 0).astype(np.int8)
PICTURES = RANDOM.integers(0, 255, (80, 8, 8, 3)).astype(np.uint8)


class Pooled(nn.Module):
    """A small backbone that counts as pretrained: it says what its pictures look like."""

    n_features = 12

    def __init__(self):
        super().__init__()
        self.preprocessing = ImagePreprocessing((8, 8))
        self.scale = nn.Parameter(torch.ones(12))

    def forward(self, batch):
        pooled = nn.functional.adaptive_avg_pool2d(batch.float(), 2)
        return pooled.flatten(1) * self.scale


def fit(items=X, labels=Y, arguments=(), **options):
    options = {"device": "cpu", **options}
    return MultiLabelClassifier(**options).fit(items, labels, **dict(arguments))


def unused(model):
    return [note for note in model.notes_ if note.startswith("not used: ")]


def forget(now, epoch):
    pass


RIDGE = {"method": "ridge"}
TRAINED = {"method": "an", "epochs": 1}
WHOLE = {"method": "an", "epochs": 1, "backbone": Pooled(), "tune": "all"}
ROWS, PHOTOS = (X, Y), (PICTURES, Y)

# parameter, value, the case in which it cannot matter, and why
CASES = [
    *[
        (name, value, RIDGE, ROWS, "closed form")
        for name, value in {
            "epochs": 3,
            "batch_size": 16,
            "learning_rate": 0.1,
            "backbone_learning_rate": 0.1,
            "head_start": "random",
            "label_weights": "balanced",
            "strong_view": 0.5,
            "patience": 2,
            "select": "best",
            "accumulate": 2,
            "precision": "bf16",
            "coherent_loss": True,
            "group_consistency": 1.0,
        }.items()
    ],
    ("tune", "all", {"method": "ridge", "backbone": Pooled()}, PHOTOS, "the backbone stays as it was"),
    ("tune", "all", {**TRAINED, "backbone": "features"}, ROWS, "no weights"),
    ("backbone_learning_rate", 0.1, TRAINED, ROWS, "head alone"),
    (
        "backbone_learning_rate",
        0.1,
        {**TRAINED, "backbone": Pooled(), "tune": "head"},
        PHOTOS,
        "head alone",
    ),
    ("patience", 2, {**TRAINED, "validation": None}, ROWS, "no rows were held out"),
    ("select", "best", {**TRAINED, "validation": None}, ROWS, "no rows were held out"),
    ("strong_view", 0.5, TRAINED, ROWS, "asks for no strong view"),
    ("strong_view", 0.5, WHOLE, PHOTOS, "strong view"),
    ("image_size", 16, {**RIDGE, "backbone": Pooled()}, PHOTOS, "keep the size"),
    ("picture_cache", "folder", TRAINED, ROWS, "no files"),
    ("picture_cache", "folder", WHOLE, PHOTOS, "no files"),
    (
        "memory",
        2.0,
        {"method": "em_apl", "epochs": 1},
        (X, simulate.partial(Y, known_fraction=0.6, seed=0)),
        "no directory",
    ),
    ("memory", 2.0, {**TRAINED, "directory": "folder"}, ROWS, "no item state"),
    ("memory", 2.0, {**RIDGE, "directory": "folder"}, ROWS, "no item state"),
    ("memory", 2.0, {**WHOLE, "head_start": "random", "directory": "folder"}, PHOTOS, "no item state"),
    ("on_bad_item", "skip", TRAINED, ROWS, "no reading that could fail"),
    ("unlisted", "absent", RIDGE, ROWS, "every entry of the labels is listed"),
    ("minus_one", "absent", RIDGE, (X, parse(Y)), "annotations"),
    ("empty", "absent", RIDGE, (X, parse(Y)), "annotations"),
    ("minus_one", "absent", RIDGE, ROWS, "no entry of the labels is -1"),
    ("empty", "absent", RIDGE, ROWS, "no entry of the labels is empty"),
    ("label_texts", {"label_0": "a text"}, RIDGE, ROWS, "reads no names of labels"),
    ("group_consistency", 1.0, TRAINED, ROWS, "no groups"),
    ("coherent_loss", True, TRAINED, ROWS, "no hierarchy"),
    ("recall", 0.8, RIDGE, ROWS, "reads it not"),
    ("cache", False, RIDGE, ROWS, "nothing to keep"),
    ("cache", False, {**WHOLE, "head_start": "random"}, PHOTOS, "nothing to keep"),
    ("prior", [0.5, 0.4, 0.3], RIDGE, ROWS, "neither"),
    ("prior", [0.5, 0.4, 0.3], {**TRAINED, "rule": 0.3}, ROWS, "neither"),
]
REFUSED = [
    ("image_size", 64, RIDGE, ROWS, "leave it out"),
    ("max_length", 64, RIDGE, ROWS, "leave it out"),
    ("max_length", 64, {**RIDGE, "backbone": Pooled()}, PHOTOS, "leave it out"),
    ("backbone_weights", "weights.pt", RIDGE, ROWS, "weights"),
    ("hyperparameters", {"scale": 3.0}, RIDGE, ROWS, "no hyperparameter"),
    ("head_start", "ridge", {"method": "drml"}, ROWS, "leave it out"),
    ("positive_boost", 5, RIDGE, ROWS, "feature maps"),
    ("compile", True, RIDGE, ROWS, "closed form"),
    ("compile", True, {}, ROWS, "method 'auto' is solved in closed form"),
    (
        "accumulate",
        2,
        {"method": "ll_r", "epochs": 1},
        (X, simulate.single_positive(Y, seed=0)),
        "whole batch",
    ),
]
ALWAYS = {
    "hierarchy": "no score is above that of a parent",
    "method": "what is trained",
    "backbone": "what reads the items",
    "validation": "what is held out",
    "rule": "how scores become labels",
    "calibrate": "without, nothing is calibrated",
    "device": "where scores are computed",
    "devices": "how many processes run",
    "nodes": "how many processes run",
    "random_state": "the seed",
    "directory": "where checkpoints go",
    "progress": "what is shown",
}
"""What is honoured wherever it is given."""


def test_every_parameter_has_its_case():
    cases = {name for name, *_ in CASES + REFUSED}
    assert set(inspect.signature(MultiLabelClassifier).parameters) == cases | set(ALWAYS)


@pytest.mark.parametrize(("name", "value", "case", "data", "why"), CASES)
def test_what_cannot_matter_is_named(name, value, case, data, why, tmp_path):
    value = tmp_path / value if value == "folder" else value
    case = {key: tmp_path / "run" if key == "directory" else given for key, given in case.items()}
    model = fit(*data, **{**case, name: value})
    (told,) = [note for note in unused(model) if name in note.partition(", since")[0]]
    assert why in told
    without = {key: value for key, value in case.items() if key not in (name, "directory")}
    assert not [note for note in unused(fit(*data, **without)) if name in note.partition(", since")[0]]


@pytest.mark.parametrize(("name", "value", "case", "data", "why"), REFUSED)
def test_what_cannot_matter_is_refused(name, value, case, data, why):
    with pytest.raises(UserError, match=why):
        fit(*data, **{**case, name: value})


@pytest.mark.parametrize(
    ("arguments", "case"),
    [({"true_labels": Y}, RIDGE), ({"true_labels": Y}, TRAINED), ({"on_epoch": forget}, RIDGE)],
)
def test_arguments_of_fit_are_named_too(arguments, case):
    (name,) = arguments
    assert any(name in note for note in unused(fit(arguments=arguments, **case)))
    assert not unused(fit(**case))


@pytest.mark.parametrize(
    ("case", "items"),
    [
        ({**TRAINED, "learning_rate": 0.01, "batch_size": 16, "label_weights": "balanced"}, X),
        ({**TRAINED, "validation": 0.3, "patience": 1, "select": "best", "precision": "bf16"}, X),
        ({**TRAINED, "head_start": "random", "accumulate": 2}, X),
        ({**WHOLE, "backbone_learning_rate": 0.01}, PICTURES),
        ({"method": "mime", "epochs": 1}, X),
        ({"method": "bam", "epochs": 1, "tune": "all"}, X),
        ({**RIDGE, "backbone": Pooled(), "cache": False}, PICTURES),
    ],
)
def test_what_is_used_is_not_named(case, items):
    assert not unused(fit(items, **case))


def test_what_a_strong_view_and_a_prior_are_for():
    part = simulate.semi_supervised(Y, labelled_fraction=0.4, seed=1)
    case = {"method": "cap", "epochs": 1, "strong_view": 0.5, "prior": [0.5] * 3}
    assert not unused(fit(labels=part, **case))
    single = simulate.single_positive(Y, seed=0)
    assert not unused(fit(labels=single, method="ridge", prior=1.4))


def test_one_line_a_reason():
    model = fit(method="ridge", epochs=3, patience=2, learning_rate=0.1, picture_cache="nowhere")
    assert unused(model) == [
        "not used: epochs, learning_rate, patience, since method 'ridge' is solved in closed form, without training "
        "steps",
        "not used: picture_cache, since the items are no files of pictures",
    ]


LABELS = {
    "full": Y,
    "single_positive": simulate.single_positive(Y, seed=0),
    "partial_positive": simulate.partial_positives(Y, fraction=0.6, seed=0),
    "partial": simulate.partial(Y, known_fraction=0.6, seed=0),
    "semi_supervised": simulate.semi_supervised(Y, labelled_fraction=0.4, seed=1),
}


@pytest.mark.parametrize("setting", LABELS)
def test_a_whole_network_gets_a_method_that_trains(setting):
    summary = describe(LABELS[setting])
    assert summary.setting == setting
    advice = recommend(summary, "all")
    spec = get(advice.method).spec
    assert spec.passes
    assert spec.ridge_start
    assert not spec.needs
    one_by_one = get(recommend(summary, "all", entrywise=True).method).spec
    assert setting in one_by_one.settings
    assert not one_by_one.whole_batch
    assert one_by_one.pointwise
    assert setting in spec.settings
    assert advice.method not in [name for name, _ in advice.alternatives]
    frozen = recommend(summary)
    assert frozen.method == "auto"
    assert frozen.alternatives[0][0] == "ridge"
    backbone = Pooled()
    model = fit(PICTURES, LABELS[setting], backbone=backbone, tune="all", epochs=1, learning_rate=0.01)
    assert model.method_ == advice.method
    moved = model.network_.backbone.scale.detach() - backbone.scale.detach()
    assert moved.abs().max() > 0
    assert not unused(model)
    assert content_of(model).training.settings["trained"] == "the whole network"


def test_a_backbone_that_trains_by_default_gets_one_too():
    model = fit(backbone="mlp", epochs=1)
    assert model.tune_ == "all"
    assert model.method_ == "bce"


@pytest.mark.parametrize(
    ("items", "case", "words"),
    [
        (X, RIDGE, "closed form"),
        (PICTURES, {**RIDGE, "backbone": Pooled(), "tune": "all"}, "closed form"),
        (X, TRAINED, "the head alone"),
        (PICTURES, {**TRAINED, "backbone": Pooled()}, "the head alone"),
        (X, {**TRAINED, "tune": "all"}, "the head alone"),
        (X, {"method": "bam", "epochs": 1, "tune": "all"}, "the projection of the features and the head"),
        (PICTURES, WHOLE, "the whole network"),
    ],
)
def test_the_report_says_what_was_trained(items, case, words, tmp_path):
    model = fit(items, **case)
    model.save(tmp_path / "model")
    own = case.get("backbone")
    again = load(tmp_path / "model", backbone=own if isinstance(own, nn.Module) else None)
    for told in (content_of(model), content_of(again)):
        assert words in told.training.settings["trained"]
        assert all(note in told.training.notes for note in unused(model))


def test_files_of_pictures_use_what_is_for_them(tmp_path):
    paths = []
    for row, picture in enumerate(PICTURES[:40]):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(picture).save(paths[-1])
    kept = tmp_path / "kept"
    model = fit(paths, Y[:40], **WHOLE, picture_cache=kept, on_bad_item="skip", image_size=16)
    assert not unused(model)
    assert kept.exists()
    told = unused(fit(paths, Y[:40], **{**WHOLE, "tune": "head"}, picture_cache=kept, cache=False))
    assert told == ["not used: picture_cache, since a frozen backbone reads every picture once (tune='head')"]


@pytest.mark.parametrize(("name", "code"), [("minus_one", -1.0), ("empty", np.nan)])
def test_what_says_what_a_code_means_is_not_named_where_the_code_occurs(name, code):
    coded = np.where(Y == 1, 1.0, code)
    assert not unused(fit(labels=coded, method="ridge", **{name: "absent"}))
    held = (X[:20], coded[:20])
    assert not unused(fit(method="ridge", validation=held, **{name: "absent"}))


@pytest.mark.parametrize(
    "option",
    [
        {"accumulate": 2},
        {"sample_weight": np.linspace(1, 2, len(PICTURES))},
        {"hints": np.full(Y.shape, 0.5)},
    ],
)
def test_what_changes_single_entries_gets_a_method_that_takes_them(option):
    """No option is refused for a method that nobody named."""
    at_fit = {name: option[name] for name in option if name != "accumulate"}
    given = {name: option[name] for name in option if name == "accumulate"}
    network = MultiLabelClassifier(backbone=Pooled(), tune="all", epochs=1, validation=None, **given)
    assert network.fit(PICTURES, LABELS["single_positive"], **at_fit).method_ == "em_apl"
