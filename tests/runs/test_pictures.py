"""Going on with a run of pictures: in another folder, to the bit, and what is no longer the same picture is named."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelwise import runs
from labelwise.engine.run import Run
from labelwise.errors import UserError

pytest.importorskip("efficientnet_lite_pytorch")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures of noise and their table beside it."""
    random = np.random.default_rng(0)
    (tmp_path / "old").mkdir()
    names = [f"{i:02}.png" for i in range(40)]
    for name in names:
        Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(tmp_path / "old" / name)
    labels = random.integers(0, 2, (40, 2))
    frame = pd.DataFrame(
        {"id": [f"n{i}" for i in range(40)], "image": names, "a": labels[:, 0], "b": labels[:, 1]}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def config(photos: Path, **given: object) -> runs.RunConfig:
    fixed = {"table": str(photos / "t.csv"), "images": str(photos / "old"), "method": "an", "epochs": 2}
    small = {"image_size": 32, "batch_size": 20, "validation": "none", "device": "cpu", "cache": False}
    return runs.RunConfig.build({**fixed, **small, "tune": "all", **given})


def stopped(monkeypatch: pytest.MonkeyPatch, asked: runs.RunConfig, out: Path, after: int = 3) -> str:
    """Begin a run, stop it after some steps as Ctrl-C does, and return what it says."""
    return stopped_in(monkeypatch, lambda: runs.train(asked, out), after)


def stopped_in(monkeypatch: pytest.MonkeyPatch, going, after: int) -> str:
    step, taken = Run.take_step, []

    def take_step(self, members):
        step(self, members)
        taken.append(members)
        if len(taken) == after:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "take_step", take_step)
        with pytest.raises(runs.Stopped) as caught:
            going()
    return str(caught.value)


def weights(run: Path) -> bytes:
    return (run / "model" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("tune", ["head", "all"])
def test_pictures_that_moved_are_gone_on_with_to_the_bit(photos, monkeypatch, tune):
    asked, run = config(photos, tune=tune), photos / "run"
    runs.train(asked, photos / "whole")
    stopped(monkeypatch, asked, run, after=2)
    shutil.copytree(photos / "old", photos / "a new place")
    shutil.rmtree(photos / "old")
    with pytest.raises(UserError, match="--images"):
        runs.resume(run)
    moved = {"images": str(photos / "a new place")}
    said = stopped_in(monkeypatch, lambda: runs.resume(run, moved), after=1)
    assert f"--resume --images '{photos / 'a new place'}'" in said
    assert runs.RunDirectory(run).config().images == str(photos / "old")
    runs.resume(run, moved)
    assert weights(run) == weights(photos / "whole")
    assert runs.RunDirectory(run).config().images == moved["images"]
    assert runs.resume(run).already_finished


def test_other_pictures_are_refused_and_nothing_is_lost(photos, monkeypatch):
    asked, run = config(photos), photos / "run"
    stopped(monkeypatch, asked, run)
    shutil.copytree(photos / "old", photos / "new")
    shutil.copy(photos / "old" / "01.png", photos / "new" / "07.png")
    before = (run / "run.toml").read_bytes()
    with pytest.raises(UserError, match="other data"):
        runs.resume(run, {"images": str(photos / "new")})
    assert (run / "run.toml").read_bytes() == before
    runs.resume(run)
    runs.train(asked, photos / "whole")
    assert weights(run) == weights(photos / "whole")


def test_a_folder_of_pictures_is_another_setting_for_a_table_of_features(photos, tmp_path):
    frame = pd.read_csv(photos / "t.csv").drop(columns="image").assign(f0=range(40), f1=1.0)
    frame.to_csv(photos / "t.csv", index=False)
    runs.train(
        config(photos, images=None, image_size=None, tune=None, method="ridge", epochs=None), photos / "r"
    )
    with pytest.raises(UserError, match=r"other settings.*images"):
        runs.resume(photos / "r", {"images": str(photos / "old")})


@pytest.mark.parametrize("tune", ["head", "all"])
def test_what_vanished_or_broke_is_named_where_bad_items_are_skipped(photos, monkeypatch, tune):
    asked, run = config(photos, tune=tune, on_bad_item="skip"), photos / "run"
    whole = (photos / "old" / "05.png").read_bytes()
    (photos / "old" / "05.png").write_bytes(b"never a picture")
    stopped(monkeypatch, asked, run, after=2)
    gone = (photos / "old" / "03.png").read_bytes()
    (photos / "old" / "03.png").unlink()
    with pytest.raises(UserError) as caught:
        runs.resume(run)
    assert f"{photos / 'old' / '03.png'} does not exist" in str(caught.value)
    assert "05.png" not in str(caught.value)
    assert "put" in str(caught.value)
    (photos / "old" / "03.png").write_bytes(gone[:50])
    with pytest.raises(UserError, match=r"03\.png is "):
        runs.resume(run)
    (photos / "old" / "03.png").write_bytes(gone)
    (photos / "old" / "05.png").write_bytes(whole)
    with pytest.raises(UserError, match=r"05\.png can be read now"):
        runs.resume(run)
    # What was left out from the beginning is not missed.
    (photos / "old" / "05.png").unlink()
    assert len(runs.resume(run).skipped) == 1
