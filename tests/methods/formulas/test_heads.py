"""The heads of MIME and DRML against their formulas, and heads that read maps or return more than scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from labelwise.data import as_source
from labelwise.engine.optimisers import build_optimiser
from labelwise.engine.pools import StoredPool
from labelwise.methods import Optimiser
from labelwise.models import DualRelation, LabelQueries, Network, SmallCNN, build_backbone
from labelwise.targets import ItemState


def queries(features=6, labels=3, **options):
    torch.manual_seed(0)
    return LabelQueries(features, labels, **{"width": 32, "latent": 5, **options}).eval()


def latent(head, memory):
    """mu and log sigma from the decoder on given places: the statistic is halved, then clamped to [-6, 6]."""
    h = head.decoder(head.queries.expand(len(memory), -1, -1), memory)
    return head.mean(h).double(), (head.log_deviation(h).double() / 2).clamp(-6, 6)


def test_outputs_spread_and_divergence_are_those_of_the_gaussian():
    head, x = queries(), torch.randn(4, 6)
    with torch.no_grad():
        head.log_deviation.weight.mul_(20)
        output, (spread, divergence) = head(x)
        mu, log_sigma = latent(head, head.split(x).reshape(4, 4, 32))
    assert (log_sigma.abs() == 6).any()
    assert ((log_sigma.abs() > 3) & (log_sigma.abs() < 6)).any()
    for b in range(4):
        for k in range(3):
            w, m, lv = head.weight[k].detach().double(), mu[b, k], 2 * log_sigma[b, k]
            torch.testing.assert_close(output[b, k].double(), w @ m + head.bias[k], rtol=1e-5, atol=1e-6)
            want = sum(float(w[j]) ** 2 * float(lv[j].exp()) for j in range(5)) ** 0.5
            np.testing.assert_allclose(float(spread[b, k]), want, rtol=1e-5)
            terms = [1 + float(lv[j]) - float(m[j]) ** 2 - float(lv[j].exp()) for j in range(5)]
            np.testing.assert_allclose(float(divergence[b, k]), -0.5 * np.mean(terms), rtol=1e-5)


def test_the_drawn_output_has_the_distribution_of_ten_samples_averaged():
    """w . mean of S draws of z, against one normal number of the stated deviation over root S."""
    head, x = queries(), torch.randn(1, 6)
    with torch.no_grad():
        output, (spread, _) = head(x)
        mu, log_sigma = latent(head, head.split(x).reshape(1, 4, 32))
        z = mu + log_sigma.exp() * torch.randn(20000, 10, 3, 5, dtype=torch.float64)
        drawn = (z.mean(1) * head.weight).sum(-1) + head.bias
    np.testing.assert_allclose(drawn.mean(0), output[0], atol=0.02)
    np.testing.assert_allclose(drawn.std(0), spread[0] / 10**0.5, rtol=0.03)


def test_padding_is_left_out_and_an_empty_item_still_gives_numbers():
    head = queries()
    head.read_maps()
    words = torch.randn(2, 5, 6)
    padded = torch.cat([words, torch.full((2, 3, 6), torch.nan)], 1)
    mask = torch.arange(8).expand(2, 8) < 5
    torch.testing.assert_close(head(padded, mask)[0], head(words)[0])
    assert not torch.allclose(head(padded.nan_to_num(0.0))[0], head(words)[0])
    assert torch.isfinite(head(torch.zeros(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))[0]).all()


def test_a_network_gives_maps_as_places_and_pools_them_for_all_else():
    torch.manual_seed(0)
    backbone = SmallCNN((1, 8, 8), widths=(4, 6))
    network = Network(backbone, queries()).eval()
    assert network.reads_maps
    assert not [name for name, _ in network.head.named_parameters() if name.startswith("split")]
    x = torch.randn(3, 1, 8, 8)
    out, maps = network(x), backbone.layers(x)
    places = maps.flatten(2).transpose(1, 2)
    torch.testing.assert_close(out.features, maps.mean((2, 3)))
    torch.testing.assert_close(out.scores, network.head(places)[0])
    assert len(out.parts) == 2
    X = np.random.default_rng(0).random(size=(7, 1, 8, 8)).astype(np.float32)
    source = as_source(X)
    pool = StoredPool(network, source, lambda: None, ItemState({}, 7, 3), 1, torch.device("cpu"))
    ((rows, scores),) = pool.scores()
    assert rows == slice(0, 7)
    torch.testing.assert_close(
        scores, network(source.batch(np.arange(7), "weak", seed=0, epoch=0)).scores.detach()
    )


def test_a_backbone_without_maps_is_read_as_vectors():
    network = Network(build_backbone("features", (6,)), queries())
    assert not network.reads_maps
    x = torch.randn(2, 6)
    assert network(x).scores.shape == (2, 3)
    torch.testing.assert_close(network.eval().read(x).scores, network(x).scores)


def test_relations_read_the_outer_product():
    torch.manual_seed(0)
    head, x = DualRelation(6, 3, width=8, hidden=7, relation_hidden=9), torch.randn(4, 6)
    with torch.no_grad():
        output, (first, second) = head(x)
        z = head.projector(x)
        torch.testing.assert_close(first, torch.sigmoid(head.first(z)))
        torch.testing.assert_close(second, torch.sigmoid(head.second(z)))
        for b in range(4):
            products = torch.tensor([float(first[b, j] * second[b, k]) for j in range(3) for k in range(3)])
            torch.testing.assert_close(output[b], head.relation["layers"](products))


def test_many_labels_do_not_square():
    head = DualRelation(6, 300, width=8, hidden=7, relation_hidden=9, most=20)
    assert head.relation["layers"][0].in_features == 400
    output, (first, _) = head(torch.randn(2, 6))
    assert output.shape == first.shape == (2, 300)


def test_adamax_is_built():
    parameter = nn.Parameter(torch.ones(2, 2))
    made = build_optimiser(Optimiser(0.1, "adamax", rates={"w": 0.5}), {"w": parameter})
    assert isinstance(made, torch.optim.Adamax)
    assert made.param_groups[0]["lr"] == 0.05
