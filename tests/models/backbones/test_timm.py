"""``timm/NAME`` with a stand-in for the library: what is read of a model, and its known failures in one line."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from labelwise.errors import UserError
from labelwise.models import ImagePreprocessing, build_backbone, preprocessing_of
from tests.refusals import refusal

CFG = {
    "input_size": (3, 16, 16),
    "mean": (0.5, 0.25, 0.5),
    "std": (0.5, 0.5, 0.25),
    "interpolation": "bicubic",
    "crop_pct": 0.8,
}


class Model(nn.Module):
    """A strided convolution, as a map, a map with channels last, or tokens behind a class token."""

    num_features = 6

    def __init__(self, layout="map", cfg=CFG, name="pretrained_cfg"):
        super().__init__()
        self.stem, self.layout = nn.Conv2d(3, 6, 4, 4), layout
        setattr(self, name, cfg)

    def forward_features(self, x):
        x = self.stem(x)
        if self.layout == "map":
            return x
        x = x.permute(0, 2, 3, 1)
        if self.layout == "last":
            return x
        return torch.cat([x.new_ones(len(x), 1, 6), x.flatten(1, 2)], 1)


class Headed(Model):
    """Pools by its first token, as vision transformers do."""

    def forward_head(self, x, pre_logits=False):
        assert pre_logits
        return x[:, 0] * 2


class Layered(Headed):
    """Shows the maps of its last two layers."""

    def forward_intermediates(self, x, indices=None):
        assert indices == 2
        last = self.forward_features(x)
        return last, [self.stem(x)[:, :3] * 3, self.stem(x)]


class Stubborn(Model):
    """Has layers that it does not show."""

    def forward_intermediates(self, x, indices=None):
        raise AssertionError("no such format")


@pytest.fixture
def library(monkeypatch):
    made = []

    def create_model(name, pretrained=False, num_classes=1000):
        if name not in models:
            raise RuntimeError(f"Unknown model ({name})")
        made.append((name, pretrained, num_classes))
        torch.manual_seed(0)
        return models[name]()

    models = {
        "small": Model,
        "last": lambda: Model("last"),
        "tokens": lambda: Headed("tokens"),
        "layered": lambda: Layered("last"),
        "prefixed": lambda: Layered("tokens"),
        "stubborn": Stubborn,
        "old": lambda: Model(
            name="default_cfg", cfg={**CFG, "crop_mode": "squash", "interpolation": "bilinear"}
        ),
        "silent": lambda: Model(cfg=None),
    }
    fake = SimpleNamespace(create_model=create_model, list_models=lambda: list(models), made=made)
    monkeypatch.setitem(sys.modules, "timm", fake)
    return fake


@pytest.mark.parametrize("name", ["small", "last", "tokens"])
def test_pictures_are_normalised_and_pooled(library, name):
    backbone = build_backbone(f"timm/{name}", ()).eval()
    x = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    mean, std = (torch.tensor(CFG[key])[:, None, None] for key in ("mean", "std"))
    cells = backbone.model.stem((x / 255 - mean) / std).flatten(2).mT
    places, mask = backbone.places(x)
    assert mask is None
    torch.testing.assert_close(places[:, -16:], cells, rtol=1e-4, atol=1e-5)
    want = torch.full((2, 6), 2.0) if name == "tokens" else cells.mean(1)
    torch.testing.assert_close(backbone(x), want, rtol=1e-4, atol=1e-5)
    assert backbone.n_features == 6
    assert library.made == [(name, True, 0)]


@pytest.mark.parametrize("name", ["layered", "prefixed"])
@torch.no_grad()
def test_layers_are_the_unit_means_of_the_last_two(library, name):
    backbone = build_backbone(f"timm/{name}:layers", ()).eval()
    x = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    cells = backbone.model.stem(backbone.normalise(x)).flatten(2).mT
    last = cells if name == "layered" else torch.cat([torch.ones(2, 1, 6), cells], 1)
    means = [each.mean(1).double() for each in (cells[:, :, :3], last)]
    want = torch.cat([mean / (2 * mean.square().sum(1, keepdim=True)).sqrt() for mean in means], 1)
    torch.testing.assert_close(backbone(x).double(), want, rtol=1e-4, atol=1e-5)
    assert backbone.n_features == 9
    assert backbone.preprocessing == preprocessing_of(f"timm/{name}:layers")
    if name == "layered":
        torch.testing.assert_close(backbone.places(x)[0], torch.cat([cells[:, :, :3] * 3, cells], 2))
    else:
        with refusal("has 16 and 17 places at its two depths"):
            backbone.places(x)


def test_layers_that_a_model_does_not_show(library):
    with refusal("Model shows no layer before its last: leave ':layers' out"):
        build_backbone("timm/small:layers", ())
    with refusal(r"does not show its layers \(no such format\)"):
        build_backbone("timm/stubborn:layers", ())


def test_the_size_is_the_models_own_and_no_weights_are_read_for_it(library):
    assert preprocessing_of("timm/small") == ImagePreprocessing((16, 16), "crop", "bicubic", 20)
    assert preprocessing_of("timm/old") == ImagePreprocessing((16, 16), "squash", "bilinear")
    assert build_backbone("timm/small", (), pretrained=False).preprocessing == preprocessing_of("timm/small")
    assert {pretrained for _, pretrained, _ in library.made} == {False}


def test_a_weights_file_is_read_instead_of_the_hub(library, tmp_path):
    model = Model()
    torch.save({"state_dict": {**model.state_dict(), "head.weight": torch.ones(2)}}, tmp_path / "w.pth")
    backbone = build_backbone("timm/small", (), weights=tmp_path / "w.pth")
    assert torch.equal(backbone.model.stem.weight, model.stem.weight)
    assert library.made == [("small", False, 0)]


def test_a_name_that_timm_does_not_have(library):
    with pytest.raises(UserError, match="timm has no model 'smal'; did you mean 'small'"):
        build_backbone("timm/smal", ())
    with pytest.raises(UserError, match="does not say the size"):
        build_backbone("timm/silent", ())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'timm'"), r"pip install '\.\[timm\]'"),
        (RuntimeError("operator torchvision::nms does not exist"), "built for another torch"),
        (ImportError("torchvision/_C.so: undefined symbol"), "built for another torch"),
    ],
)
@pytest.mark.parametrize("call", [preprocessing_of, lambda name: build_backbone(name, ())])
def test_imports_that_fail_are_explained_in_one_line(monkeypatch, error, words, call):
    real = builtins.__import__

    def fake(name, *arguments, **keywords):
        if name == "timm":
            raise error
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", fake)
    with refusal(words) as told:
        call("timm/small")
    assert "timm/small" in str(told.value)
