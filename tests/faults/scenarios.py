"""What writes: an earlier state on disk, the act that changes it, and what may be found afterwards."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labelwise.errors import UserError

Act = Callable[[Path], object]


@dataclass(frozen=True)
class Scenario:
    """Something that writes below a folder.

    Attributes:
        prepare: Make the earlier state.
        act: Change it; once it was let finish, again.
        state: Read the state with the public readers. It raises where what is there cannot be used.
        litter: A pattern of names that may stay behind, which belong to nobody.
        between: Whether a state may be found between an earlier and a later one.
    """

    prepare: Act
    act: Act
    state: Callable[[Path], Hashable]
    litter: str = r"(?!)"
    between: Callable[[Any, Any, Any], bool] = lambda old, found, new: False


def command(*words: object) -> str:
    """Run a command in this process; a refusal is exit code 2 and one line that says what, and raised."""
    from labelwise.cli import app

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    lines = [line for line in err.getvalue().splitlines() if not line.startswith("note: ")]
    if code == 2 and len(lines) == 1 and lines[0].startswith("error: ") and not out.getvalue():
        raise UserError(lines[0])
    assert code == 0, (code, err.getvalue()[-1000:])
    assert not lines, lines
    return out.getvalue()


def table(path: Path, rows: int = 40, seed: int = 0, labels: str = "partial") -> Path:
    """Write a table of four features and two labels, full, partial, or with known positives alone."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, 4)), columns=[f"f{k}" for k in range(4)])
    states = (frame.iloc[:, :2].to_numpy() + random.normal(0, 0.3, (rows, 2)) > 0).astype(float)
    if labels == "partial":
        states[random.random(states.shape) > 0.7] = np.nan
    if labels == "partial_positive":
        states[states == 0] = np.nan
    frame[["a", "b"]] = states
    frame[["a", "b"]] = frame[["a", "b"]].astype("Int64")
    frame.insert(0, "id", [f"i{k}" for k in range(rows)])
    frame.to_csv(path, index=False)
    return path


@cache
def process_folder() -> Path:
    """Return a folder that goes when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="faults-")
    atexit.register(folder.cleanup)
    return Path(folder.name).resolve()


@cache
def finished() -> Path:
    """Return a folder with a table and a finished run."""
    place = process_folder() / "finished"
    place.mkdir()
    table(place / "t.csv")
    command("train", place / "t.csv", "--out", place / "run", "--method", "ridge", "--device", "cpu")
    return place


def _old_file(folder: Path) -> None:
    (folder / "a").write_text("old" * 5000)


def _new_file(folder: Path) -> None:
    from labelwise import _files

    _files.write(folder / "a", "new" * 5000)


def _file(folder: Path) -> str:
    text = (folder / "a").read_text()
    assert text in ("old" * 5000, "new" * 5000)
    return text[:3]


ITEMS = {"soft": np.arange(3000, dtype=np.float32).reshape(-1, 2)}


def _checkpoint(folder: Path, step: int) -> None:
    import torch

    from labelwise.engine import checkpoint

    meta = {"items_version": step, "at": step}
    checkpoint.save(
        folder / "c", (0, 0, step), {"w": torch.arange(3000.0) + step}, meta, {"soft": ITEMS["soft"] + step}
    )


def checkpoints(folder: Path) -> None:
    for step in (1, 2):
        _checkpoint(folder, step)


def latest(folder: Path) -> int:
    from labelwise.engine import checkpoint

    found = checkpoint.latest(folder / "c")
    assert found is not None
    step = int(found.meta["at"])
    np.testing.assert_array_equal(found.tensors["w"], np.arange(3000.0) + step)
    np.testing.assert_array_equal(found.items["soft"], ITEMS["soft"] + step)
    return step


def model(folder: Path, kind: str) -> None:
    from labelwise.classifier import artifact

    size = {"old": 3000, "new": 4000}[kind]
    artifact.write(folder / "m", {"method": kind}, {"w": np.arange(size, dtype=np.float32)})


def which_model(folder: Path) -> str:
    from labelwise.classifier import artifact

    if not (folder / "m").exists():
        return "none"
    config, tensors = artifact.read(folder / "m")
    assert len(tensors["w"]) == {"old": 3000, "new": 4000}[config["method"]]
    return str(config["method"])


def answer(folder: Path, items: list[str]) -> None:
    from labelwise.completion import Answer, AnswerStore

    with AnswerStore.open(folder / "answers.sqlite", run="r") as store:
        for item in items:
            store.append([Answer(item, "x", 1, "Ann", "2026-01-01T00:00:00Z")], [item])


def answers(folder: Path) -> tuple[str, ...]:
    from labelwise.completion import Answers

    return tuple(row.item for row in Answers.read(folder / "answers.sqlite").rows)


def embed_numbers(folder: Path, numbers: range) -> None:
    import warnings

    import torch

    from labelwise.embedding import FeatureCache, embed
    from tests.embedding.stand_ins import Convolution, Squares

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net, source = Convolution(), Squares(numbers)
        found = embed(net, source, cache=FeatureCache(folder), device="cpu", precision="32").features
        right = embed(net, source, device="cpu", precision="32").features
    assert np.array_equal(found, right)


def embedded(folder: Path) -> str:
    embed_numbers(folder, range(30))
    return "right"


def _save_at_every_step() -> None:
    """Let the engine write a checkpoint after every step, as it does every minute."""
    from labelwise.engine import settings

    # The frozen class keeps its defaults there.
    defaults = list(settings.Settings.__init__.__defaults__ or ())
    names = [*settings.Settings.__dataclass_fields__]
    defaults[names.index("checkpoint_seconds")] = 0.0
    settings.Settings.__init__.__defaults__ = tuple(defaults)


def train(method: str, *, epochs: int = 2, labels: str = "full") -> Scenario:
    """Return the scenario of a run from its table to its report, resumed where it was stopped."""

    def prepare(folder: Path) -> None:
        table(folder.parent / "t.csv", labels=labels)

    def act(folder: Path) -> None:
        _save_at_every_step()
        run = folder / "run"
        if (run / "state.json").exists():
            command("train", run, "--resume")
        else:
            more = [] if epochs == 0 else ["--epochs", epochs, "--batch-size", 16]
            command(
                "train", folder.parent / "t.csv", "--out", run, "--method", method, "--device", "cpu", *more
            )

    def state(folder: Path) -> Hashable:
        run = folder / "run"
        if not run.exists() or json.loads((run / "state.json").read_text())["status"] != "finished":
            return "unfinished"
        import labelwise

        labelwise.load(run / "model")
        return tuple((run / name).read_bytes() for name in ("model/weights.safetensors", "evaluation.json"))

    # The lock of a process that was killed after its run was finished is nobody's.
    return Scenario(prepare, act, state, litter=r"run/\.lock")


def every_method() -> dict[str, Scenario]:
    """Return a run of every method that takes labels of one of the kinds of ``table``."""
    from labelwise import methods

    runs = {}
    for name in methods.names():
        spec = methods.get(name).spec
        kinds = [kind for kind in ("partial", "full", "partial_positive") if kind in spec.settings]
        if kinds and "true_labels" not in spec.needs:
            runs[name] = train(name, epochs=0 if name in ("ridge", "auto") else 2, labels=kinds[0])
    return runs


def _command_over(name: str, *words: str) -> Scenario:
    """Return the scenario of a command that writes the file ``name`` over an earlier one."""

    def act(folder: Path) -> None:
        place = finished()
        given = [
            {"RUN": place / "run", "TABLE": place / "t.csv", "OUT": folder / name}.get(w, w) for w in words
        ]
        command(*given)

    def state(folder: Path) -> Hashable:
        content = (folder / name).read_bytes()
        return "old" if content == b"what people had\n" else len(content) > 50 and content[-60:]

    return Scenario(lambda folder: (folder / name).write_bytes(b"what people had\n"), act, state)


SMALL = {
    "a file": Scenario(_old_file, _new_file, _file),
    "a first checkpoint": Scenario(
        lambda _: None, lambda f: _checkpoint(f, 1), lambda f: latest(f) if any(f.rglob("step-*")) else 0
    ),
    "a checkpoint": Scenario(checkpoints, lambda f: _checkpoint(f, 3), latest),
    "a first model": Scenario(lambda _: None, lambda f: model(f, "new"), which_model),
    "a model over another": Scenario(lambda f: model(f, "old"), lambda f: model(f, "new"), which_model),
    "answers": Scenario(
        lambda f: answer(f, ["1", "2"]),
        lambda f: answer(f, ["3", "4", "5"]),
        answers,
        # One by one: those that were stored stay, in their order.
        between=lambda old, found, new: found[:2] == old and found == new[: len(found)],
    ),
    "features": Scenario(
        lambda f: embed_numbers(f, range(10)),
        lambda f: embed_numbers(f, range(30)),
        embedded,
        litter=r".*\.lock",
    ),
}
COMMANDS = {
    "predict, CSV": _command_over("p.csv", "predict", "RUN", "TABLE", "--out", "OUT"),
    "predict, Parquet": _command_over("p.parquet", "predict", "RUN", "TABLE", "--out", "OUT"),
    "predict, JSONL": _command_over("p.jsonl", "predict", "RUN", "TABLE", "--out", "OUT"),
    "evaluate": _command_over("e.json", "evaluate", "RUN", "TABLE", "--out", "OUT"),
    "complete, CSV": _command_over("c.csv", "complete", "RUN", "--out", "OUT"),
    "complete, Parquet": _command_over("c.parquet", "complete", "RUN", "--out", "OUT"),
    "audit": _command_over("ask.csv", "audit", "RUN", "--out", "OUT"),
    "issues": _command_over("i.csv", "issues", "RUN", "--out", "OUT"),
    "card": _command_over("card.md", "card", "RUN", "--out", "OUT"),
    "convert, JSON": _command_over("l.json", "convert", "TABLE", "OUT", "--to", "label-studio"),
    "convert, Parquet": _command_over("l.parquet", "convert", "TABLE", "OUT"),
}
RUNS = {"a run of ridge": train("ridge", epochs=0), "a run of an": train("an")}
SCENARIOS = {**SMALL, **COMMANDS, **RUNS}
