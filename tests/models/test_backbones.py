"""Backbones by name and any module, and the network of backbone and head."""

import pytest
import torch
from torch import nn

from labelwise.errors import UserError
from labelwise.models import CosineHead, LinearHead, Network, Projection, build_backbone

SHAPES = {"features": (12,), "mlp": (12,), "smallcnn": (1, 16, 16)}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_backbone_gives_its_number_of_features(name, batch):
    backbone = build_backbone(name, SHAPES[name])
    z = backbone(torch.randn(batch, *SHAPES[name]))
    assert z.shape == (batch, backbone.n_features)
    assert torch.isfinite(z).all()


def test_features_is_the_identity():
    x = torch.randn(3, 5)
    assert torch.equal(build_backbone("features", (5,))(x), x)
    assert build_backbone("features", (2, 3)).n_features == 6


@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
def test_mlp_takes_sizes_norm_and_dropout(norm):
    mlp = build_backbone("mlp", (4,), hidden=(8, 6), dropout=0.5, norm=norm)
    assert mlp.n_features == 6
    assert [m.out_features for m in mlp if isinstance(m, nn.Linear)] == [8, 6]
    assert sum(isinstance(m, nn.Dropout) for m in mlp) == 2


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (3, 64, 48), (2, 5, 9)])
def test_smallcnn_pools_its_places(shape):
    cnn = build_backbone("smallcnn", shape, widths=(8, 12))
    x = torch.randn(2, *shape)
    places, mask = cnn.places(x)
    assert mask is None
    assert places.shape[::2] == (2, 12)
    torch.testing.assert_close(cnn(x), places.mean(1))


def test_items_of_a_batch_do_not_touch_each_other():
    for name in SHAPES:
        backbone, x = build_backbone(name, SHAPES[name]), torch.randn(3, *SHAPES[name])
        torch.testing.assert_close(backbone(x)[1:2], backbone(x[1:2]))


def test_any_module_serves_and_keeps_its_mode():
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)).train()
    backbone = build_backbone(module, (1, 5, 5))
    assert backbone.n_features == 27
    assert module.training
    assert module[1].num_batches_tracked == 0
    assert backbone(torch.randn(2, 1, 5, 5)).shape == (2, 27)
    named = build_backbone("mlp", (4,))
    assert build_backbone(named, (4,)) is named


def test_network_returns_features_and_scores():
    backbone = build_backbone("mlp", (4,), hidden=(8,))
    network, x = Network(backbone, LinearHead(8, 3)), torch.randn(2, 4)
    features, scores, parts = network(x)
    assert parts == ()
    torch.testing.assert_close(features, backbone(x))
    torch.testing.assert_close(scores, network.head(features))
    projected = Network(backbone, CosineHead(256, 3), Projection(8))(x)
    assert projected.features.shape == (2, 256)
    assert projected.scores.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "shape", "options", "words"),
    [
        ("mpl", (4,), {}, "did you mean 'mlp'"),
        ("mlp", (4,), {"hiden": (3,)}, "hiden"),
        ("mlp", (4,), {"norm": "layr"}, "did you mean 'layer'"),
        ("mlp", (4,), {"hidden": ()}, "hidden is empty"),
        ("smallcnn", (4,), {}, "takes arrays"),
        (nn.Linear(3, 2), (4,), {}, "fails on an item of shape"),
        (nn.LSTM(4, 2), (1, 4), {}, "returned tuple"),
        (nn.Linear(4, 2), (4,), {"hidden": (3,)}, "already built"),
    ],
)
def test_mistakes_are_told_in_one_line(name, shape, options, words):
    with pytest.raises(UserError, match=words):
        build_backbone(name, shape, **options)
