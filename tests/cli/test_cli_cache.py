"""``labelwise cache``: what is kept, and its deletion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelwise.embedding import FeatureCache


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    """A cache of two entries, "a..." and "b...", the second unfinished."""
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path))
    cache = FeatureCache()
    for key, rows in (("a" * 32, 3), ("b" * 32, 1)):
        meta = {"format": 1, "backbone": "minilm", "kind": "text", "precision": "32"}
        with cache.open(key, "space", np.arange(48, dtype=np.uint8).reshape(3, 16) + len(key), meta) as entry:
            entry.begin(4)
            entry.write(np.arange(rows), np.ones((rows, 4), np.float32))
            entry.close()
    return cache


def test_list(lw, answer, kept, tmp_path):
    shown = lw("cache")
    assert shown.exit_code == 0
    assert "aaaaaaaa" in shown.stdout
    assert "minilm" in shown.stdout
    record = answer("cache")
    assert record["directory"] == str(tmp_path / "features")
    assert {entry["key"][0] for entry in record["entries"]} == {"a", "b"}
    assert record["bytes"] == sum(entry["bytes"] for entry in record["entries"]) == kept.nbytes


def test_clear_one_then_all(lw, answer, refused, kept):
    size = {entry.key[0]: entry.bytes for entry in kept.entries()}
    gone = answer("cache", "--clear", "aaa")
    assert ([entry["key"][0] for entry in gone["deleted"]], gone["bytes_freed"]) == (["a"], size["a"])
    assert gone["in_use"] == []
    assert "is not in the cache" in refused("cache", "--clear", "aaa")
    shown = lw("cache", "--clear")
    assert shown.stdout.startswith("1 entry deleted from ")
    assert lw("cache").stdout.startswith("0 entries in ")


def test_keys_alone_delete_nothing(refused, kept):
    assert "--clear" in refused("cache", "aaa")
    assert len(kept.entries()) == 2
