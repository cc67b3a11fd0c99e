"""What is kept on disk: never computed twice, resumed after a kill, shared by processes, never wrong when damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from labelwise._locks import held
from labelwise.embedding import FeatureCache, embed
from labelwise.embedding._entry import row_marks
from labelwise.embedding._keys import backbone_digest
from labelwise.errors import UserError

CPU = {"device": "cpu", "precision": "32"}


def test_a_second_pass_computes_nothing(stand_ins, cache):
    first = embed(stand_ins.convolution, stand_ins.Squares(range(50)), cache=cache, name="squares", **CPU)
    again = stand_ins.Squares(range(50))
    second = embed(stand_ins.convolution, again, cache=cache, **CPU)
    assert again.fetched == []
    assert isinstance(second.features, np.memmap)
    assert np.array_equal(first.features, second.features)
    plain = embed(stand_ins.convolution, again, **CPU).features
    np.testing.assert_allclose(plain, second.features, rtol=1e-5, atol=1e-6)
    (entry,) = cache.entries()
    assert (entry.backbone, entry.kind, entry.items, entry.features) == ("squares", "image", 50, 5)
    assert entry.complete
    assert entry.bytes == cache.nbytes > 50 * 5 * 4


def test_changes_to_what_is_returned_stay_in_memory(stand_ins, cache):
    first = embed(stand_ins.convolution, stand_ins.Squares(range(9)), cache=cache, **CPU).features
    first[:] = 7
    second = embed(stand_ins.convolution, stand_ins.Squares(range(9)), cache=cache, **CPU).features
    assert not (second == 7).any()


def test_items_are_known_by_content_in_other_tables(stand_ins, cache):
    whole = embed(stand_ins.convolution, stand_ins.Squares(range(50)), cache=cache, **CPU).features
    other = stand_ins.Squares([60, 3, 4, 3, 61])
    found = embed(stand_ins.convolution, other, cache=cache, **CPU).features
    assert sorted(other.fetched) == [0, 4]
    assert np.array_equal(found[[1, 2, 3]], whole[[3, 4, 3]])
    np.testing.assert_allclose(
        found, embed(stand_ins.convolution, other, **CPU).features, rtol=1e-5, atol=1e-6
    )


def test_whatever_decides_the_features_is_in_the_key(stand_ins, cache):
    source = stand_ins.Squares(range(4))
    embed(stand_ins.convolution, source, cache=cache, **CPU)
    other = stand_ins.Convolution()
    for backbone, options in ((other, {}), (stand_ins.convolution, {"precision": "bf16"})):
        source.fetched.clear()
        embed(backbone, source, cache=cache, **{**CPU, **options})
        assert len(source.fetched) == 4
    source.shape, source.fetched = (3, 4, 4), []
    embed(stand_ins.convolution, source, cache=cache, **CPU)
    assert len(source.fetched) == 4
    assert len(cache.entries()) == 4


def test_backbone_digests():
    def build(**options):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3, **options), nn.BatchNorm2d(4))
        net.register_buffer("extra", torch.ones(2), persistent=False)
        return net

    same = backbone_digest(build())
    assert backbone_digest(build().eval()) == same
    strided, moved, changed, marked = build(stride=2), build(), build(), build()
    moved.extra += 1
    with torch.no_grad():
        changed[0].weight[0, 0, 0, 0] += 1
    marked.pooling = "mean"
    assert len({same, *map(backbone_digest, (strided, moved, changed, marked))}) == 5
    loaded = build()
    loaded[0]._how_it_was_loaded = "from a checkpoint"
    assert backbone_digest(loaded) == same


def test_bad_items_are_tried_again(stand_ins, cache):
    source = stand_ins.Squares(range(60), bad=[3, 50])
    first = embed(stand_ins.convolution, source, cache=cache, on_bad="skip", **CPU)
    assert [item.row for item in first.bad] == [3, 50]
    with pytest.raises(UserError, match="item-"):
        embed(stand_ins.convolution, source, cache=cache, **CPU)
    assert not cache.entries()[0].complete
    mended = stand_ins.Squares(range(60), bad=[50])
    second = embed(stand_ins.convolution, mended, cache=cache, on_bad="skip", **CPU)
    assert set(mended.fetched) == {3}
    assert [item.row for item in second.bad] == [50]
    assert second.features[3].any()
    assert not second.features[50].any()


def test_an_item_without_content_is_never_taken_for_another(stand_ins, cache):
    class Gone(stand_ins.Squares):
        def digests(self):
            return [b"" for _ in self.numbers]

    for _ in range(2):
        source = Gone(range(4))
        embed(stand_ins.convolution, source, cache=cache, **CPU)
        assert sorted(source.fetched) == [0, 1, 2, 3]


DAMAGE = {
    "truncated features": lambda folder: os.truncate(folder / "features.npy", 200),
    "no features": lambda folder: (folder / "features.npy").unlink(),
    "empty features": lambda folder: (folder / "features.npy").write_bytes(b""),
    "pickled features": lambda folder: np.save(
        folder / "features.npy", np.array([{}] * 30), allow_pickle=True
    ),
    "truncated marks": lambda folder: os.truncate(folder / "marks.npy", 140),
    "other digests": lambda folder: np.save(folder / "digests.npy", np.zeros((30, 16), np.uint8)),
    "half a meta": lambda folder: os.truncate(folder / "meta.json", 30),
    "meta of another kind": lambda folder: (folder / "meta.json").write_text("[1]"),
    "meta of another width": lambda folder: (folder / "meta.json").write_text('{"items": 30, "features": 9}'),
    "meta of a later format": lambda folder: (folder / "meta.json").write_text(
        json.dumps({**json.loads((folder / "meta.json").read_text()), "format": 99})
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_computed_again(stand_ins, cache, damage):
    source = stand_ins.Squares(range(30))
    right = np.array(embed(stand_ins.convolution, source, cache=cache, **CPU).features)
    (entry,) = cache.entries()
    DAMAGE[damage](cache.directory / entry.key)
    assert len(cache.entries()) == 1
    source.fetched.clear()
    found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)
    assert len(source.fetched) >= 27  # a truncated file still holds its first rows
    source.fetched.clear()
    embed(stand_ins.convolution, source, cache=cache, **CPU)
    assert source.fetched == []


def test_only_rows_that_were_overwritten_are_computed_again(stand_ins, cache):
    source = stand_ins.Squares(range(30))
    right = np.array(embed(stand_ins.convolution, source, cache=cache, **CPU).features)
    stored = np.load(cache.directory / cache.entries()[0].key / "features.npy", mmap_mode="r+")
    stored[[4, 20], 2] += 1
    stored.flush()
    source.fetched.clear()
    found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert source.fetched == [4, 20]
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 31))
def test_a_row_mark_changes_with_any_bit(seed, column, bit):
    rows = np.random.default_rng(seed).normal(size=(1, 5)).astype(np.float32)
    changed = rows.copy()
    changed.view(np.uint32)[0, column] ^= np.uint32(1 << bit)
    words = [int(word) for word in rows.view(np.uint32)[0]]
    assert int(row_marks(rows)[0]) == sum(w * (2 * j + 1) for j, w in enumerate(words)) % 2**64 | 1 << 63
    assert row_marks(rows)[0] != row_marks(changed)[0]


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "named"))
    assert FeatureCache().directory == tmp_path / "named" / "features"
    monkeypatch.delenv("LABELWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert FeatureCache().directory == tmp_path / "home" / "labelwise" / "features"
    assert FeatureCache().entries() == []


def test_a_folder_that_cannot_be_written(stand_ins, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="LABELWISE_CACHE"):
        embed(
            stand_ins.convolution, stand_ins.Squares(range(3)), cache=FeatureCache(tmp_path / "file"), **CPU
        )


def test_a_full_disk_is_an_error_and_not_the_end(stand_ins, cache, monkeypatch):
    def full(handle, start, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\): free some space"):
        embed(stand_ins.convolution, stand_ins.Squares(range(3)), cache=cache, **CPU)


def test_clear_deletes_what_is_named_and_nothing_else(stand_ins, cache):
    for number in range(3):
        embed(stand_ins.convolution, stand_ins.Squares([number, 9]), cache=cache, **CPU)
    keys = [entry.key for entry in cache.entries()]
    mine = cache.directory / "mine"
    mine.mkdir()
    (cache.directory / keys[2] / "note.txt").write_text("kept")
    with pytest.raises(UserError, match="not in the cache"):
        cache.clear(["zz"])
    with pytest.raises(UserError, match="not in the cache"):
        cache.clear([""])
    gone, busy = cache.clear([keys[0][:12]])
    assert ([entry.key for entry in gone], busy) == ([keys[0]], [])
    with held(cache.directory / f"{keys[1]}.lock"):
        gone, busy = cache.clear()
        assert [entry.key for entry in busy] == [keys[1]]
    cache.clear()
    assert sorted(path.name for path in cache.directory.iterdir()) == sorted([keys[2], "mine"])
    assert [path.name for path in (cache.directory / keys[2]).iterdir()] == ["note.txt"]


def test_entries_that_another_process_deletes_meanwhile_are_passed_over(stand_ins, cache, monkeypatch):
    for number in range(2):
        embed(stand_ins.convolution, stand_ins.Squares([number, 9]), cache=cache, **CPU)
    found, folders = cache.entries(), cache._folders()
    FeatureCache(cache.directory.parent).clear([found[0].key])
    monkeypatch.setattr(cache, "_folders", lambda: folders)
    assert cache.entries() == [found[1]]
    monkeypatch.setattr(cache, "entries", lambda: found)
    assert cache.clear() == ([found[1]], [])


def test_a_link_in_the_cache_is_not_followed(cache, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "meta.json").write_text("{}")
    cache.directory.mkdir(parents=True)
    (cache.directory / ("0" * 32)).symlink_to(outside)
    assert cache.entries() == []
    cache.clear()
    assert (outside / "meta.json").exists()


CHILD = """
import os, sys, time
import torch
sys.path.insert(0, {tests!r})
from embedding_stand_ins import Convolution, Counted, Squares
from labelwise._locks import held
from labelwise.embedding import FeatureCache, embed

class Halting(Squares):
    def batch(self, index, view, *, seed, epoch):
        while len(self.fetched) >= 80 and not os.path.exists({go!r}):
            time.sleep(0.01)
        batch = super().batch(index, view, seed=seed, epoch=epoch)
        if len(self.fetched) == 80:
            print("halts", flush=True)
        return batch

class Telling(Counted):
    def stage(self, name, steps, done):
        print(name, flush=True)

torch.manual_seed(0)
source, options = Halting(range(200)), dict(device="cpu", precision="32", batch_size=4)
embed(Convolution(), source, cache=FeatureCache({cache!r}), progress=Telling(), **options)
print(len(source.fetched), flush=True)
"""


def child(cache, go):
    """Start a process that embeds 200 squares, 4 at a time, and waits after 80 until the file ``go`` exists."""
    code = CHILD.format(tests=str(Path(__file__).parent), go=str(go), cache=str(cache.directory.parent))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_killed_pass_goes_on_where_it_stopped(stand_ins, cache, tmp_path):
    with child(cache, tmp_path / "never") as process:
        assert [process.stdout.readline() for _ in range(2)] == ["embed\n", "halts\n"]
        process.send_signal(signal.SIGKILL)
    (entry,) = cache.entries()
    assert not entry.complete
    source = stand_ins.Squares(range(200))
    found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert 120 <= len(source.fetched) <= 140
    assert cache.entries()[0].complete
    np.testing.assert_allclose(
        found, embed(stand_ins.convolution, source, **CPU).features, rtol=1e-5, atol=1e-6
    )


def test_two_processes_share_one_pass(cache, tmp_path):
    go = tmp_path / "go"
    with child(cache, go) as first:
        assert [first.stdout.readline() for _ in range(2)] == ["embed\n", "halts\n"]
        with child(cache, go) as second:
            assert second.stdout.readline() == "waiting for another run that embeds the same items\n"
            go.touch()
            assert first.stdout.read() == "200\n"
            assert second.stdout.read() == "0\n"
    (entry,) = cache.entries()
    assert entry.complete
