"""What is kept on disk: never computed twice, resumed after a kill, shared by processes, never wrong when damaged."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from labelwise._locks import hold_lock
from labelwise.embedding import FeatureCache, embed
from labelwise.embedding import store as _store
from labelwise.embedding.keys import backbone_digest
from labelwise.embedding.store import row_marks
from labelwise.errors import Notice, UserError
from tests.embedding.stand_ins import Convolution, Squares

CPU = {"device": "cpu", "precision": "32"}


def test_a_second_pass_computes_nothing(stand_ins, cache):
    first = embed(stand_ins.convolution, stand_ins.Squares(range(50)), cache=cache, name="squares", **CPU)
    again = stand_ins.Squares(range(50))
    second = embed(stand_ins.convolution, again, cache=cache, **CPU)
    assert again.fetched == []
    assert np.array_equal(first.features, second.features)
    plain = embed(stand_ins.convolution, again, **CPU).features
    assert np.array_equal(plain, second.features)
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
    assert np.array_equal(found, embed(stand_ins.convolution, other, **CPU).features)
    assert [entry.items for entry in cache.entries()] == [52], "one entry, in which nothing is twice"


def test_reordered_repeated_and_fewer_items_read_nothing(stand_ins, cache):
    whole = embed(stand_ins.convolution, stand_ins.Squares(range(30)), cache=cache, **CPU).features
    for numbers in (list(range(29, -1, -1)), [5, 5, 5], [7, 3], []):
        source = stand_ins.Squares(np.array(numbers, int))
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
        assert source.fetched == []
        assert np.array_equal(found, whole[numbers])


def test_items_of_equal_content_are_read_once(stand_ins, cache):
    source = stand_ins.Squares([1, 2, 1, 1, 3, 2])
    found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert sorted(source.fetched) == [0, 1, 4]
    assert np.array_equal(found, embed(stand_ins.convolution, source, **CPU).features)
    assert cache.entries()[0].items == 3


def test_items_of_equal_content_are_bad_together(stand_ins, cache):
    source = stand_ins.Squares([1, 2, *range(10, 60), 2], bad=[1])
    found = embed(stand_ins.convolution, source, cache=cache, on_bad="skip", **CPU)
    assert [(item.row, item.item) for item in found.bad] == [(1, "item-2"), (52, "item-2")]
    assert not found.features[[1, 52]].any()


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_features_are_those_of_a_pass_without_a_cache_to_the_bit(lists):
    torch.manual_seed(0)
    backbone, known = Convolution(), set()
    with tempfile.TemporaryDirectory() as folder:
        for numbers in lists:
            source = Squares(np.array(numbers, int))
            found = embed(backbone, source, cache=FeatureCache(folder), **CPU).features
            assert {int(source.numbers[row]) for row in source.fetched} == set(numbers) - known
            assert len(source.fetched) == len(set(numbers) - known)
            assert np.array_equal(found, embed(backbone, source, **CPU).features)
            known |= set(numbers)


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
    assert cache.entries()[0].items == 58
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
    "truncated rows": (lambda folder: os.truncate(folder / "rows.bin", 200), 20),
    "no rows": (lambda folder: (folder / "rows.bin").unlink(), 30),
    "empty rows": (lambda folder: (folder / "rows.bin").write_bytes(b""), 30),
    "truncated index": (lambda folder: os.truncate(folder / "items.bin", 250), 20),
    "no index": (lambda folder: (folder / "items.bin").unlink(), 30),
    "another index": (lambda folder: (folder / "items.bin").write_bytes(bytes(30 * 24)), 30),
    "rows of noise": (lambda folder: (folder / "rows.bin").write_bytes(os.urandom(600)), 30),
    "half a meta": (lambda folder: os.truncate(folder / "meta.json", 30), 30),
    "no meta": (lambda folder: (folder / "meta.json").unlink(), 30),
    "meta of another kind": (lambda folder: (folder / "meta.json").write_text("[1]"), 30),
    "meta of another width": (lambda folder: change(folder, features=9), 30),
    "meta of a later format": (lambda folder: change(folder, format=99), 30),
    "a deep meta": (lambda folder: (folder / "meta.json").write_text("[" * 100_000), 30),
    "a long number": (lambda folder: (folder / "meta.json").write_text('{"format": ' + "9" * 5000 + "}"), 30),
    "a folder for a file": (lambda folder: swap(folder / "meta.json"), 30),
}
SILENT = {"truncated rows", "empty rows", "truncated index", "another index"}
"""What a kill or a power cut may leave as well."""


def change(folder, **values):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, **values}))


def swap(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_computed_again_and_told(stand_ins, cache, damage):
    source = stand_ins.Squares(range(30))
    right = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    (entry,) = cache.entries()
    spoil, lost = DAMAGE[damage]
    spoil(cache.directory / entry.key)
    assert len(cache.entries()) == 1
    source.fetched.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert np.array_equal(found, right)
    assert len(source.fetched) == lost
    assert bool(told) == (damage not in SILENT)
    assert all(entry.key in str(note.message) for note in told)
    if damage != "a folder for a file":
        source.fetched.clear()
        embed(stand_ins.convolution, source, cache=cache, **CPU)
        assert source.fetched == []


def test_only_rows_that_were_overwritten_are_computed_again(stand_ins, cache):
    source = stand_ins.Squares(range(30))
    right = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    path = cache.directory / cache.entries()[0].key / "rows.bin"
    stored = np.memmap(path, np.float32, "r+", shape=(30, 5))
    rows = [int(np.flatnonzero((stored == right[row]).all(1))[0]) for row in (4, 20)]
    stored[rows, 2] += 1
    stored.flush()
    source.fetched.clear()
    with pytest.warns(Notice, match="is damaged: 2 of its rows are damaged, and computed anew"):
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert source.fetched == [4, 20]
    assert np.array_equal(found, right)


def test_a_row_is_never_taken_for_that_of_another_item(stand_ins, cache):
    source = stand_ins.Squares(range(10))
    right = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    path = cache.directory / cache.entries()[0].key / "items.bin"
    records = np.frombuffer(path.read_bytes(), "S16,<u8").copy()
    records["f0"] = records["f0"][::-1]
    path.write_bytes(records.tobytes())
    with pytest.warns(Notice, match="10 of its rows are damaged"):
        assert np.array_equal(embed(stand_ins.convolution, source, cache=cache, **CPU).features, right)


def fuzz(stand_ins, cache, rounds):
    """Change bytes of the files of an entry at random: features stay right, and errors are the library's."""
    random, source = np.random.default_rng(0), stand_ins.Squares(range(12))
    right = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    folder = cache.directory / cache.entries()[0].key
    whole = {name: (folder / name).read_bytes() for name in _store.FILES}
    for _ in range(rounds):
        for name in _store.FILES:
            (folder / name).write_bytes(whole[name])
        name = _store.FILES[random.integers(3)]
        content = bytearray(whole[name])
        kind = random.integers(4)
        if kind == 0:
            content = content[: random.integers(len(content))]
        elif kind == 1:
            content += random.bytes(int(random.integers(1, 60)))
        else:
            for at in random.integers(0, len(content), random.integers(1, 6)).tolist():
                content[at] = int(random.integers(256))
        if name == "meta.json" and kind == 3:
            values = [None, -1, 0, 5.0, "5", True, [5], {"a": 1}, 2**70, float("nan"), "\x1b[2J", "é" * 5000]
            meta = json.loads(whole[name])
            meta[str(random.choice(list(meta)))] = values[random.integers(len(values))]
            content = json.dumps(meta).encode()
        (folder / name).write_bytes(content)
        for entry in cache.entries():
            assert all(str(value).isprintable() for value in entry.to_dict().values())
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
        assert np.array_equal(found, right), (name, kind)


@pytest.mark.filterwarnings("ignore::labelwise.errors.Notice")
def test_damage_at_random_changes_no_features(stand_ins, cache):
    fuzz(stand_ins, cache, 60)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::labelwise.errors.Notice")
def test_damage_at_random_changes_no_features_at_length(stand_ins, cache):
    fuzz(stand_ins, cache, 20_000)


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


def test_a_folder_that_cannot_be_written_costs_its_help_alone(stand_ins, tmp_path):
    (tmp_path / "file").write_text("")
    source = stand_ins.Squares(range(3))
    with pytest.warns(Notice, match=r"cannot be written at .*file.*this run goes on.*LABELWISE_CACHE"):
        found = embed(stand_ins.convolution, source, cache=FeatureCache(tmp_path / "file"), **CPU)
    assert np.array_equal(found.features, embed(stand_ins.convolution, source, **CPU).features)


@pytest.mark.parametrize("name", ["rows.bin", "items.bin", "meta.json"])
def test_a_full_disk_loses_no_run(stand_ins, cache, monkeypatch, name):
    source = stand_ins.Squares(range(20))
    right = embed(stand_ins.convolution, source, **CPU).features
    source.fetched.clear()
    room = {"meta.json": 0, "rows.bin": 8, "items.bin": 8}[name]
    write = _store._files.write

    class Limited(_store.FileIO):
        def write(self, content):
            (folder,) = (path for path in cache.directory.iterdir() if path.is_dir())
            ours = os.path.samestat(os.fstat(self.fileno()), (folder / name).stat())
            if ours and self.tell() + len(content) > room * (20 if name == "rows.bin" else 24):
                raise OSError(28, "No space left on device")
            return super().write(content)

    def refused(path, data):
        if name == "meta.json":
            raise _store._files.CannotWrite(path, OSError(28, "No space left on device"))
        write(path, data)

    monkeypatch.setattr(_store, "FileIO", Limited)
    monkeypatch.setattr(_store._files, "write", refused)
    with pytest.warns(Notice, match=rf"{name} \(No space left on device\): this run goes on") as told:
        found = embed(stand_ins.convolution, source, cache=cache, batch_size=4, **CPU).features
    assert len(told) == 1
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)
    monkeypatch.undo()
    again = stand_ins.Squares(range(20))
    assert np.array_equal(
        embed(stand_ins.convolution, again, cache=cache, batch_size=4, **CPU).features, found
    )
    assert len(again.fetched) == 20 - room


def test_a_record_that_cannot_be_read_just_now_deletes_nothing(stand_ins, cache, monkeypatch):
    embed(stand_ins.convolution, stand_ins.Squares(range(9)), cache=cache, **CPU)
    opened = _store._opened

    def refused(path, flags=os.O_RDONLY):
        if path.name == "meta.json":
            raise OSError(24, "Too many open files", str(path))
        return opened(path, flags)

    monkeypatch.setattr(_store, "_opened", refused)
    with pytest.warns(Notice, match="Too many open files") as told:
        embed(stand_ins.convolution, stand_ins.Squares(range(12)), cache=cache, **CPU)
    assert ["read" in str(note.message) for note in told] == [True, False]
    monkeypatch.undo()
    assert cache.entries()[0].items == 9


def test_many_features_lie_in_a_file_without_a_name(stand_ins, cache, monkeypatch):
    monkeypatch.setattr(_store, "_IN_MEMORY", 100)
    source = stand_ins.Squares(range(20))
    for _ in range(2):
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
        assert isinstance(found, np.memmap)
        assert np.array_equal(
            found, embed(stand_ins.convolution, stand_ins.Squares(range(20)), **CPU).features
        )
        names = {path.name for path in cache.directory.rglob("*") if path.is_file()}
        assert {name for name in names if not name.endswith(".lock")} == set(_store.FILES)

    def full(handle, start, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    again = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert not isinstance(again, np.memmap)
    assert np.array_equal(again, found)


def test_a_complete_cache_that_is_read_only_is_used_without_a_word(stand_ins, cache, read_only):
    source = stand_ins.Squares(range(9))
    right = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    source.fetched.clear()
    with read_only(cache.directory), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
        assert cache.entries()[0].items == 9
    assert source.fetched == []
    assert np.array_equal(found, right)


def test_a_cache_that_is_read_only_and_lacks_items_is_used_and_told(stand_ins, cache, read_only):
    embed(stand_ins.convolution, stand_ins.Squares(range(9)), cache=cache, **CPU)
    source = stand_ins.Squares(range(12))
    with read_only(cache.directory), pytest.warns(Notice, match=r"cannot be written at .*keeps no more"):
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert sorted(source.fetched) == [9, 10, 11]
    assert np.array_equal(found, embed(stand_ins.convolution, source, **CPU).features)
    assert cache.entries()[0].items == 9


def spaces(stand_ins, cache, number):
    """Keep the features of two items by a backbone of its own."""
    torch.manual_seed(number)
    embed(stand_ins.Convolution(), stand_ins.Squares([number, 9]), cache=cache, **CPU)


def test_clear_deletes_what_is_named_and_nothing_else(stand_ins, cache):
    for number in range(3):
        spaces(stand_ins, cache, number)
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
    with hold_lock(cache.directory / f"{keys[1]}.lock"):
        gone, busy = cache.clear()
        assert [entry.key for entry in busy] == [keys[1]]
    cache.clear()
    assert sorted(path.name for path in cache.directory.iterdir()) == sorted([keys[2], "mine"])
    assert [path.name for path in (cache.directory / keys[2]).iterdir()] == ["note.txt"]


def test_entries_that_another_process_deletes_meanwhile_are_passed_over(stand_ins, cache, monkeypatch):
    for number in range(2):
        spaces(stand_ins, cache, number)
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


@pytest.mark.parametrize("name", [*_store.FILES, "", ".lock"])
@pytest.mark.parametrize("hard", [False, True])
def test_no_write_follows_a_link_out_of_the_cache(stand_ins, cache, tmp_path, name, hard):
    source = stand_ins.Squares(range(6))
    embed(stand_ins.convolution, stand_ins.Squares(range(3)), cache=cache, **CPU)
    folder = cache.directory / cache.entries()[0].key
    path = folder / name if name != ".lock" else folder.with_suffix(".lock")
    outside = tmp_path / "outside"
    if name:
        if path.exists():
            path.rename(outside)
        else:
            outside.write_text("mine")
        os.link(outside, path) if hard else path.symlink_to(outside)
    elif hard:
        return
    else:
        folder.rename(outside)
        folder.symlink_to(outside)
    before = {p: p.read_bytes() for p in (outside, *outside.rglob("*")) if p.is_file()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        found = embed(stand_ins.convolution, source, cache=cache, **CPU).features
    assert np.array_equal(found, embed(stand_ins.convolution, source, **CPU).features)
    # No row is read by way of the folder that is a link either.
    assert name or len(source.fetched) == 2 * len(source)
    cache.clear()
    assert {p: p.read_bytes() for p in (outside, *outside.rglob("*")) if p.is_file()} == before


def test_entries_of_the_first_format_are_listed_told_once_and_cleared(stand_ins, cache):
    old = cache.directory / ("a" * 32)
    old.mkdir(parents=True)
    meta = {"format": 1, "backbone": "minilm", "kind": "text", "precision": "32", "items": 7, "features": 3}
    (old / "meta.json").write_text(json.dumps({**meta, "key": old.name, "complete": True}))
    for name in ("features.npy", "marks.npy", "digests.npy"):
        (old / name).write_bytes(b"0")
    (entry,) = cache.entries()
    assert (entry.state, entry.complete, entry.items, entry.features) == ("outdated", False, 7, 3)
    with pytest.warns(Notice, match="entries of an earlier version"):
        embed(stand_ins.convolution, stand_ins.Squares(range(3)), cache=cache, **CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(stand_ins.convolution, stand_ins.Squares(range(5)), cache=cache, **CPU)
    cache.clear(["aaaa"])
    assert not old.exists()
    assert [entry.state for entry in cache.entries()] == ["kept"]


def test_a_class_of_ours_is_known_by_its_version(monkeypatch):
    from labelwise.models.backbones import arrays, hub, images, registry, texts
    from labelwise.models.backbones.timm import TimmImages

    ours = [arrays.Features, arrays.MLP, arrays.SmallCNN, arrays.Wrapped, images.ImageBackbone, TimmImages]
    ours += [images.EfficientNetLite0, hub.HubImages, texts.TextBackbone]
    assert all(type(vars(kind)["version"]) is int for kind in ours)

    net = registry.build_backbone("smallcnn", (3, 8, 8))
    before = backbone_digest(net)
    monkeypatch.setattr(inspect, "getsource", lambda kind: "reworded")
    monkeypatch.setattr(arrays.SmallCNN, "__module__", "labelwise.models.elsewhere")
    assert backbone_digest(net) == before
    monkeypatch.setattr(arrays.SmallCNN, "version", 2)
    assert backbone_digest(net) != before


def test_a_class_of_ones_own_is_known_by_its_code(monkeypatch):
    class Own(nn.Linear):
        version = 1

    net = Own(2, 2)
    before = backbone_digest(net)
    monkeypatch.setattr(inspect, "getsource", lambda kind: "changed")
    assert backbone_digest(net) != before


CHILD = """
import os, time
import torch
from tests.embedding.stand_ins import Convolution, Counted, Squares
from labelwise._locks import hold_lock
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
    code = CHILD.format(go=str(go), cache=str(cache.directory.parent))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_killed_pass_goes_on_where_it_stopped(stand_ins, cache, tmp_path):
    with child(cache, tmp_path / "never") as process:
        assert [process.stdout.readline() for _ in range(2)] == ["embed\n", "halts\n"]
        process.send_signal(signal.SIGKILL)
    (entry,) = cache.entries()
    assert 60 <= entry.items <= 80
    source = stand_ins.Squares(range(200))
    options = {**CPU, "batch_size": 4}
    found = embed(stand_ins.convolution, source, cache=cache, **options).features
    assert len(source.fetched) == 200 - entry.items
    assert np.array_equal(found, embed(stand_ins.convolution, source, **options).features)
    assert not list(cache.directory.glob("*-*.lock"))


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
    assert entry.items == 200


def test_passes_over_other_items_do_not_wait_and_take_over_what_the_other_stored(stand_ins, cache, tmp_path):
    with child(cache, tmp_path / "go") as first:
        assert [first.stdout.readline() for _ in range(2)] == ["embed\n", "halts\n"]
        source = stand_ins.Squares(range(60, 260))
        options = {**CPU, "batch_size": 4}
        found = embed(stand_ins.convolution, source, cache=cache, **options).features
        assert len(source.fetched) >= 180
        (tmp_path / "go").touch()
        assert first.stdout.read() == "200\n"
    assert cache.entries()[0].items == 260, "an item that both computed is there once"
    assert np.array_equal(found, embed(stand_ins.convolution, source, **options).features)
