"""``labelwise cache``: what is kept, and its deletion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelwise.embedding import FeatureCache


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    """A cache of two entries, "a..." with three items and "b..." with one."""
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path))
    cache = FeatureCache()
    for key, rows in (("a" * 32, 3), ("b" * 32, 1)):
        meta = {"backbone": "minilm", "kind": "text", "precision": "32"}
        with cache.open(key, np.arange(48, dtype=np.uint8).reshape(3, 16), meta) as store:
            store.write(np.arange(rows), np.ones((rows, 4), np.float32))
    return cache


def test_list(lw, answer, cached, tmp_path):
    shown = lw("cache")
    assert shown.exit_code == 0
    assert "aaaaaaaa" in shown.stdout
    assert "minilm" in shown.stdout
    record = answer("cache")
    assert record["directory"] == str(tmp_path / "features")
    assert {entry["key"][0]: entry["items"] for entry in record["entries"]} == {"a": 3, "b": 1}
    assert {entry["state"] for entry in record["entries"]} == {"kept"}
    assert record["bytes"] == sum(entry["bytes"] for entry in record["entries"]) == cached.nbytes


def test_clear_one_then_all(lw, answer, refused, cached):
    size = {entry.key[0]: entry.bytes for entry in cached.entries()}
    gone = answer("cache", "--clear", "aaa")
    assert ([entry["key"][0] for entry in gone["deleted"]], gone["bytes_freed"]) == (["a"], size["a"])
    assert gone["in_use"] == []
    assert "is not in the cache" in refused("cache", "--clear", "aaa")
    shown = lw("cache", "--clear")
    assert shown.stdout.startswith("1 entry deleted from ")
    assert lw("cache").stdout.startswith("0 entries in ")


def test_keys_alone_delete_nothing(refused, cached):
    assert "--clear" in refused("cache", "aaa")
    assert len(cached.entries()) == 2


def test_what_is_damaged_or_outdated_is_said_and_nothing_of_it_reaches_the_terminal(lw, cached):
    (cached.directory / ("a" * 32) / "meta.json").write_text("{")
    earlier = {"format": 1, "backbone": "mini\x1b[2Jlm", "items": 10**400, "features": True}
    (cached.directory / ("b" * 32) / "meta.json").write_text(json.dumps(earlier))
    shown = lw("cache").stdout
    assert "damaged" in shown
    assert "outdated" in shown
    assert "\x1b" not in shown
    assert "2 entries deleted" in lw("cache", "--clear").stdout


def test_a_note_is_one_line_on_stderr(tmp_path, monkeypatch):
    """The cache that cannot be written: the run goes on, and JSON stays JSON."""
    (tmp_path / "full").write_text("")
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "full"))
    code = (
        "from labelwise.cli import app\nfrom labelwise.embedding import FeatureCache, embed\n"
        "from tests.embedding.stand_ins import Convolution, Squares\n"
        "@app.command()\ndef try_():\n    embed(Convolution(), Squares(range(3)), cache=FeatureCache(), device='cpu')\n"
        "    print('{}')\napp(['try-'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr
    assert done.stderr.startswith("note: the feature cache cannot be written at ")
    assert done.stderr.count("\n") == 1
