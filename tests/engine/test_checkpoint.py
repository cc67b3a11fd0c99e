"""A checkpoint is whole or it is not there; the one before it survives whatever happens to it."""

from __future__ import annotations

import errno
import hashlib
import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from labelwise.engine import checkpoint
from labelwise.errors import UserError
from tests.engine.cases import Stop, assert_same, assert_same_items, run, stop_at
from tests.refusals import refusal

META = {"items_version": 3, "text": "ü", "numbers": [1, 2.5, -0.1, float("inf")]}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "step": torch.tensor(3.0), "flag": torch.tensor([True])}
ITEMS = {"soft": np.array([[np.nan, 0.25]], np.float32), "target": np.array([[-1, 1]], np.int8)}


def save(folder, step=1, meta=META, items=ITEMS, **more):
    return checkpoint.save(folder, (0, 0, step), TENSORS, meta, items, **more)


def folders(path):
    return sorted(p.name for p in path.iterdir() if p.name.startswith("step-"))


def test_round_trip(tmp_path):
    digest = save(tmp_path)
    found = checkpoint.latest(tmp_path)
    assert found.meta == META
    assert found.items_sha256 == digest
    for name, value in TENSORS.items():
        assert torch.equal(found.tensors[name], value)
        assert found.tensors[name].dtype == value.dtype
    for name, value in ITEMS.items():
        np.testing.assert_array_equal(found.items[name], value)


def test_none_without_any(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "nowhere") is None


def test_the_newest_two_are_kept_and_the_order_is_that_of_the_run(tmp_path):
    for position in ((0, 0, 9), (0, 0, 10), (0, 2, 1), (0, 10, 0), (1, 0, 0), (10, 0, 0)):
        checkpoint.save(tmp_path, position, TENSORS, {**META, "at": list(position)}, ITEMS)
        assert checkpoint.latest(tmp_path).meta["at"] == list(position)
    assert len(folders(tmp_path)) == 2
    assert len(list(tmp_path.glob("items-*"))) == 1


def test_item_state_that_did_not_move_is_not_written_again(tmp_path):
    digest = save(tmp_path, 1)
    (file,) = tmp_path.glob("items-*")
    before = file.stat().st_mtime_ns, file.stat().st_ino
    save(tmp_path, 2, items_sha256=digest)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    save(tmp_path, 3, meta={**META, "items_version": 4}, items={"soft": np.ones((1, 2))})
    assert len(list(tmp_path.glob("items-*"))) == 2
    np.testing.assert_array_equal(checkpoint.latest(tmp_path).items["soft"], np.ones((1, 2)))


def test_an_item_file_of_an_unknown_past_is_not_trusted(tmp_path):
    save(tmp_path, 1)
    (file,) = tmp_path.glob("items-*")
    file.write_bytes(b"damaged")
    save(tmp_path, 2)
    np.testing.assert_array_equal(checkpoint.latest(tmp_path).items["soft"], ITEMS["soft"])


@pytest.mark.parametrize("name", ["tensors.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_a_damaged_file_falls_back_to_the_one_before(tmp_path, name, damage):
    save(tmp_path, 1, meta={**META, "at": 1})
    save(tmp_path, 2, meta={**META, "at": 2})
    path = tmp_path / folders(tmp_path)[-1] / name
    harm(path, damage)
    assert checkpoint.latest(tmp_path).meta["at"] == 1
    save(tmp_path, 2, meta={**META, "at": 3})
    assert checkpoint.latest(tmp_path).meta["at"] == 3


def harm(path, damage):
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
        return
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "cut": content[:-4], "empty": b""}[damage])


def test_a_number_changed_in_the_record_is_noticed(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / folders(tmp_path)[0] / "checkpoint.json"
    checksum, record = path.read_text().splitlines()
    record = json.loads(record)
    record["meta"]["numbers"][1] = 2.25
    path.write_text(f"{checksum}\n{json.dumps(record)}\n")
    with pytest.raises(UserError, match="whole"):
        checkpoint.latest(tmp_path)


def test_all_damaged_is_one_line(tmp_path):
    run("cap", tmp_path, settings={"checkpoint_seconds": 0.0})
    for folder in folders(tmp_path):
        harm(tmp_path / folder / "tensors.safetensors", "flip")
    with refusal("delete the folder"):
        run("cap", tmp_path)


@pytest.mark.parametrize("file", ["tensors.safetensors", "checkpoint.json", "items"])
def test_a_run_goes_on_from_the_one_before_a_damaged_checkpoint(file, tmp_path):
    whole, last = run("em_apl", settings={})
    with pytest.raises(Stop):
        run("em_apl", tmp_path, on_step=stop_at(6), settings={"checkpoint_seconds": 0.0})
    newest = tmp_path / folders(tmp_path)[-1]
    target = newest / file
    if file == "items":
        target = tmp_path / checkpoint._record(newest)["items_file"]
        older = tmp_path / checkpoint._record(tmp_path / folders(tmp_path)[0])["items_file"]
        assert target != older
    harm(target, "flip")
    again, state = run("em_apl", tmp_path)
    assert_same(whole, again)
    assert_same_items(last, state)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left")]
)
@pytest.mark.parametrize("writer", ["safetensors.torch.save_file", "safetensors.numpy.save_file"])
def test_a_full_disk_leaves_the_previous_checkpoint(writer, error, tmp_path, monkeypatch):
    whole, _ = run("em_apl")
    count = [0]

    def full(tensors, path):
        path.write_bytes(b"half of a fil")
        raise error

    def fill(state):
        count[0] += 1
        if count[0] in (2, 5):
            state.save()
        if count[0] == 7:
            with monkeypatch.context() as patch:
                patch.setattr(writer, full)
                state.state.version += 1
                state.save()

    with pytest.raises(UserError, match="No space left") as caught:
        run("em_apl", tmp_path, on_step=fill)
    assert "previous one is whole" in str(caught.value)
    assert len(folders(tmp_path)) == 2
    assert not list(tmp_path.glob(".draft*"))
    again, _ = run("em_apl", tmp_path)
    assert_same(whole, again)


def test_a_disk_that_is_really_full(tmp_path):
    """The limit on a file's size stands for the disk's end: the writers meet the system's own error."""
    whole, _ = run("an")

    def fill(state):
        state.save()
        if state.epoch == 1:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
            try:
                state.step -= 1
                state.save()
            finally:
                state.step += 1
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(UserError, match="could not be written"):
        run("an", tmp_path, on_step=fill)
    assert len(folders(tmp_path)) == 2
    again, _ = run("an", tmp_path)
    assert_same(whole, again)


def test_a_history_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    from labelwise.engine.progress import History

    history = History(tmp_path / "file")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="could not be written"):
        history.add({"loss": 1.0})


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".draft-99999").mkdir()
    (tmp_path / ".draft-99999" / "tensors.safetensors").write_bytes(b"half")
    save(tmp_path)
    assert not list(tmp_path.glob(".draft*"))


@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("deleted", [0, 1])
def test_killed_over_a_checkpoint_of_the_same_step_another_or_none_is_there(
    tmp_path, monkeypatch, earlier, deleted
):
    for step in (*range(earlier), 5):
        save(tmp_path, step)

    def killed(folder, **_):
        for path in sorted(Path(folder).iterdir())[:deleted]:
            path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 5)
    found = checkpoint.latest(tmp_path)
    assert (found is not None) == bool(earlier)
    save(tmp_path, 5)
    assert checkpoint.latest(tmp_path) is not None
    assert not list(tmp_path.glob(".*"))


def tamper(folder, change):
    """Change a checkpoint's record and give it the checksum of what it is now."""
    path = folder / "checkpoint.json"
    record = json.loads(path.read_text().partition("\n")[2])
    change(record)
    text = json.dumps(record)
    path.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("position", None),
        ("position", [10**9, 0, 0]),
        ("best", [[], 0]),
        ("history", ["a"]),
        ("optimisers", []),
        ("items_version", [1]),
        (None, "x"),
    ],
)
def test_a_checkpoint_that_was_tampered_with_is_one_line(tmp_path, entry, value):
    with pytest.raises(Stop):
        run("em_apl", tmp_path, on_step=stop_at(3), settings={"checkpoint_seconds": 0.0})

    def change(record):
        if entry is None:
            record["meta"] = value
        elif value is None:
            del record["meta"][entry]
        else:
            record["meta"][entry] = value

    for folder in folders(tmp_path):
        tamper(tmp_path / folder, change)
    with pytest.raises(UserError, match=str(tmp_path)):
        run("em_apl", tmp_path)


def test_the_items_of_a_checkpoint_are_beside_it(tmp_path):
    save(tmp_path / "elsewhere")
    save(tmp_path / "run")
    (theirs,) = (tmp_path / "elsewhere").glob("items-*")

    def change(record):
        record["items_file"] = f"../elsewhere/{theirs.name}"

    tamper(tmp_path / "run" / folders(tmp_path / "run")[0], change)
    with pytest.raises(UserError, match="whole"):
        checkpoint.latest(tmp_path / "run")


def fuzz(folder, n, seed):
    """Read a checkpoint with bytes of one file changed, or cut short: it is refused or as it was."""
    save(folder)
    draw = np.random.default_rng(seed)
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    names = sorted(whole)
    refused = []
    for _ in range(n):
        path = names[int(draw.integers(len(names)))]
        data = bytearray(whole[path])
        for at in draw.integers(len(data), size=draw.integers(1, 5)):
            data[at] = draw.integers(256)
        path.write_bytes(data[: draw.integers(len(data)) if draw.random() < 0.2 else None])
        try:
            found = checkpoint.latest(folder)
        except UserError as error:
            refused.append(str(error))
        else:
            assert found.meta == META
            assert all(torch.equal(found.tensors[name], value) for name, value in TENSORS.items())
            np.testing.assert_array_equal(found.items["soft"], ITEMS["soft"])
        path.write_bytes(whole[path])
    assert len(refused) > n / 2
    assert not any("\n" in line for line in refused)


def test_a_checkpoint_with_random_damage_is_refused_or_what_it_was(tmp_path):
    fuzz(tmp_path, 200, seed=0)


@pytest.mark.long
@pytest.mark.slow
def test_a_checkpoint_with_very_much_random_damage_is_refused_or_what_it_was(tmp_path):
    fuzz(tmp_path, 20_000, seed=1)
