"""What ``embed`` computes: the same as the backbone item by item, whatever the batches; and what bad items do."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labelwise.embedding import Resident, embed
from labelwise.embedding.pipeline import bucketed, choose_device, choose_precision, in_order, shaped, sparing
from labelwise.errors import UserError


def one_by_one(backbone, source):
    backbone.eval()
    with torch.no_grad():
        rows = [backbone(source.batch(np.array([i]), "plain", seed=0, epoch=0)) for i in range(len(source))]
    backbone.train()
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("batch_size", [None, 1, 7, 100])
def test_pictures_as_one_by_one_and_the_backbone_stays_as_it_was(stand_ins, batch_size):
    backbone, source = stand_ins.convolution.train(), stand_ins.Squares(range(30))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    found = embed(backbone, source, device="cpu", precision="32", batch_size=batch_size)
    assert found.bad == []
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, one_by_one(backbone, source), rtol=1e-4, atol=1e-6)
    assert all(module.training for module in backbone.modules())
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_texts_in_buckets_give_the_same_in_their_own_order(stand_ins):
    source = stand_ins.Words(1000)
    found = embed(stand_ins.bag, source, device="cpu", precision="32").features
    np.testing.assert_allclose(found, one_by_one(stand_ins.bag, stand_ins.Words(1000)), rtol=1e-5, atol=1e-6)
    padded = sum(rows * width for rows, width in source.padded)
    assert padded < 1.2 * source.lengths.sum()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_backbone_that_is_kept_ready_gives_the_same(stand_ins, monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("labelwise.embedding.pipeline._multiplies_bfloat16", lambda _: False)
    for backbone, source, kind in (
        (stand_ins.convolution, stand_ins.Squares(range(20)), "image"),
        (stand_ins.bag, stand_ins.Words(50), "text"),
    ):
        ready = Resident(backbone, kind, device="cpu")
        for _ in range(2):
            found = embed(ready, source)
            assert found.bad == []
            np.testing.assert_allclose(found.features, one_by_one(backbone, source), rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match="no picture"):
        embed(Resident(stand_ins.convolution, "image", device="cpu"), stand_ins.Squares(range(5), bad=[3]))
    assert embed(ready, stand_ins.Words(0)).features.shape[0] == 0


def test_several_threads_give_what_one_gives(stand_ins, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    seen = set()

    class Watched(stand_ins.Convolution):
        def forward(self, batch):
            seen.add(threading.get_ident())
            return super().forward(batch)

    torch.manual_seed(1)
    backbone, source = Watched(), stand_ins.Squares(range(60))
    found = embed(backbone, source, device="cpu", precision="32", batch_size=4).features
    np.testing.assert_allclose(found, one_by_one(backbone, source), rtol=1e-4, atol=1e-6)
    assert threading.get_ident() in seen  # from one_by_one
    assert len(seen) > 1


def test_bfloat16_is_near(stand_ins):
    source = stand_ins.Squares(range(20))
    half = embed(stand_ins.convolution, source, device="cpu", precision="bf16").features
    full = embed(stand_ins.convolution, source, device="cpu", precision="32").features
    assert not np.array_equal(half, full)
    np.testing.assert_allclose(half, full, atol=0.02)


def test_no_items_and_progress(stand_ins):
    assert embed(stand_ins.convolution, stand_ins.Squares([])).features.shape == (0, 5)
    told = stand_ins.Counted()
    embed(stand_ins.convolution, stand_ins.Squares(range(10)), batch_size=4, progress=told, device="cpu")
    assert told.stages == [("embed", 3, 0)]
    assert told.items == 10


def test_a_bad_item_stops_with_its_name(stand_ins):
    with pytest.raises(UserError, match=r"'item-7'.*row 7"):
        embed(stand_ins.convolution, stand_ins.Squares(range(20), bad=[7]), device="cpu")


def test_bad_items_are_skipped_as_zeros(stand_ins):
    source = stand_ins.Squares(range(100), bad=[7, 40, 99])
    features, bad = embed(stand_ins.convolution, source, on_bad="skip", device="cpu", precision="32")
    assert [(item.row, item.item) for item in bad] == [(7, "item-7"), (40, "item-40"), (99, "item-99")]
    assert "no picture" in bad[0].reason
    assert not features[[7, 40, 99]].any()
    whole = embed(stand_ins.convolution, stand_ins.Squares(range(100)), device="cpu", precision="32").features
    kept = np.setdiff1d(np.arange(100), [7, 40, 99])
    np.testing.assert_allclose(features[kept], whole[kept], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("n", "bad", "stops"), [(10, 2, False), (10, 3, True), (100, 5, False), (100, 6, True)]
)
def test_past_a_twentieth_bad_items_stop(stand_ins, n, bad, stops):
    source = stand_ins.Squares(range(n), bad=range(bad))
    if stops:
        with pytest.raises(UserError, match=f"of {n} items cannot be used, which is past 5%"):
            embed(stand_ins.convolution, source, on_bad="skip", device="cpu")
    else:
        assert len(embed(stand_ins.convolution, source, on_bad="skip", device="cpu").bad) == bad


class Wrong(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, batch):
        return self.value(batch)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda batch: batch.float(), r"returned \(8, 3, 8, 8\) for 8 items"),
        (lambda batch: [batch], "returned list"),
        (lambda batch: torch.full((len(batch), 2), torch.nan), "'item-0'.*not finite: check its weights$"),
    ],
)
def test_what_a_backbone_may_not_return(stand_ins, value, message):
    with pytest.raises(UserError, match=message):
        embed(Wrong(value), stand_ins.Squares(range(8)), device="cpu", precision="32", batch_size=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_bad": "skp"}, "skip"),
        ({"precision": "bf"}, "bf16"),
        ({"batch_size": 0}, "at least 1"),
        ({"device": "gpu"}, "cuda"),
    ],
)
def test_options_out_of_range(stand_ins, options, message):
    with pytest.raises(UserError, match=message):
        embed(stand_ins.convolution, stand_ins.Squares(range(3)), **{"device": "cpu", **options})


def test_precision_follows_the_hardware_only(monkeypatch):
    cpu = torch.device("cpu")
    for has, chosen in ((True, "bf16"), (False, "32")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert choose_precision("auto", cpu, "image") == chosen
        assert choose_precision("auto", cpu, None) == "32"
    assert choose_precision("bf16", cpu, None) == "bf16"
    assert choose_precision("auto", torch.device("mps"), "image") == "32"
    assert choose_device("cpu") == cpu


def test_batches_hold_each_row_once_and_keep_to_their_budget():
    random = np.random.default_rng(0)
    rows, lengths = random.permutation(500)[:300], random.integers(1, 90, 300)
    of = dict(zip(rows.tolist(), lengths.tolist(), strict=True))
    made = (
        bucketed(rows, lengths, 256),
        bucketed(rows, lengths, 256, 10),
        shaped(rows, lengths, 90, 256),
        shaped(rows, lengths, 90, 256, 10),
        in_order(rows, 7),
    )
    for batches in made:
        assert sorted(np.concatenate([batch.rows for batch in batches])) == sorted(rows)
    for batch in bucketed(rows, lengths, 256):
        assert len(batch.rows) == 1 or len(batch.rows) * max(of[row] for row in batch.rows.tolist()) <= 256
    for batch in shaped(rows, lengths, 90, 256):
        assert len(batch.rows) <= batch.size
        assert batch.size == 1 or batch.size * batch.width <= 256
        assert max(of[row] for row in batch.rows.tolist()) <= batch.width
    assert bucketed(rows[:0], lengths[:0], 256) == shaped(rows[:0], lengths[:0], 90, 256) == []


@given(st.lists(st.integers(1, 90), max_size=60), st.sampled_from([None, 90]))
def test_few_texts_are_read_in_few_batches_with_little_padding(lengths, longest):
    sizes = np.array(lengths, int)
    batches = sparing(sizes, 512, longest)
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(len(sizes)))
    for batch in batches:
        most = int(sizes[batch.rows].max())
        assert (most * len(batch.rows) - sizes[batch.rows].sum()) <= 96
        assert len(batch.rows) == 1 or most * len(batch.rows) <= 512
        assert batch.size is None
        assert batch.width is None or (
            longest is not None and batch.width % 16 == 0 and 0 <= batch.width - most <= 8
        )


@given(st.lists(st.integers(0, 600), min_size=1, max_size=30), st.integers(0, 30))
def test_the_shape_of_a_text_is_its_own(lengths, other):
    longest = max(*lengths, other)
    alone = {
        length: (batch.size, batch.width)
        for length in lengths
        for batch in shaped(np.zeros(1, int), np.array([length]), longest, 512)
    }
    for batch in shaped(np.arange(len(lengths)), np.array(lengths), longest, 512):
        for row in batch.rows.tolist():
            assert alone[lengths[row]] == (batch.size, batch.width)
            assert lengths[row] <= batch.width <= min(max(4, lengths[row] * 5 // 4 + 3), max(longest, 4))


class Shaped(nn.Module):
    """Features that show the shape of the batch and the threads, as the last digits of a network's do."""

    def forward(self, batch):
        shape = torch.tensor([[*batch.shape[:2], torch.get_num_threads()]], dtype=torch.float32)
        return shape.expand(len(batch), 3) + batch.float().flatten(1).sum(1, keepdim=True)


def test_a_picture_is_computed_in_one_shape_whatever_comes_with_it(stand_ins):
    whole = embed(Shaped(), stand_ins.Squares(range(21)), device="cpu", precision="32").features
    for numbers in ([20], [3, 4], list(range(11))):
        part = embed(Shaped(), stand_ins.Squares(numbers), device="cpu", precision="32").features
        assert np.array_equal(part, whole[numbers])
    some = embed(Shaped(), stand_ins.Squares(range(21), bad=[2]), device="cpu", precision="32", on_bad="skip")
    assert np.array_equal(np.delete(some.features, 2, 0), np.delete(whole, 2, 0))


def test_a_text_is_computed_in_one_shape_whatever_comes_with_it(stand_ins):
    texts = stand_ins.Words(60)
    texts.tokenizer = SimpleNamespace(pad_id=0, preprocessing=SimpleNamespace(max_length=40))
    whole = embed(Shaped(), texts, device="cpu", precision="32").features
    for rows in ([7], [3, 50, 20], list(range(30))):
        part = stand_ins.Words(60)
        part.ids, part.lengths = [part.ids[row] for row in rows], part.lengths[rows]
        part.tokenizer = texts.tokenizer
        assert np.array_equal(embed(Shaped(), part, device="cpu", precision="32").features, whole[rows])


@pytest.mark.cuda
def test_on_a_cuda_device(stand_ins):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for backbone, source in (
        (stand_ins.convolution, stand_ins.Squares(range(300))),
        (stand_ins.bag, stand_ins.Words(300)),
    ):
        there = embed(backbone, source, device="cuda", precision="32").features
        here = embed(backbone, source, device="cpu", precision="32").features
        np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-3)
        assert next(backbone.parameters()).device.type == "cpu"
