"""Run directories whose files are gone, cut, garbage, folders or crafted: one line, or the same as before."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from labelwise import runs
from labelwise.errors import UserError
from labelwise.runs import report
from labelwise.runs.named_values import read_named_values
from tests.memory import cost_of

FILES = (
    "run.toml",
    "state.json",
    "evaluation.json",
    "held_out.npz",
    "history.jsonl",
    "report.html",
    "model/model.json",
    "model/weights.safetensors",
)


def uses(run: Path, table: Path, out: Path, *, reported: bool = True) -> list[str]:
    """Use a run in every way and return the lines of those that refused."""
    lines = []
    ways = (
        lambda: runs.resume(run),
        lambda: runs.evaluate(run, table),
        lambda: runs.predict(run, table, out),
    )
    for use in (*ways, *([lambda: report(run)] if reported else [])):
        try:
            use()
        except UserError as error:
            lines.append(str(error))
    assert all("\n" not in line and len(line) < 2000 for line in lines)
    return lines


def harm(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how != "gone":
        half, random = len(data) // 2, np.random.default_rng(0)
        changed = {"cut": data[:half], "empty": b"", "noise": random.bytes(len(data)), "text": b"[1, 2]"}
        path.write_bytes(changed[how])


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("how", ["gone", "cut", "text", "folder", "pipe"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_line_that_names_it(run, given, tmp_path, name, how):
    harm(run / name, how)
    # A report takes seconds.
    reported = name in ("held_out.npz", "evaluation.json", "report.html") and how != "gone"
    lines = uses(run, given[0], tmp_path / "out.csv", reported=reported)
    needed = name not in ("history.jsonl", "report.html") and (name, how) != ("held_out.npz", "gone")
    assert bool(lines) == (needed or (name, how) == ("report.html", "folder"))
    for line in lines:
        assert str(run) in line


WRONG = [
    ("state.json", {"status": 1}),
    ("state.json", {"status": "resting"}),
    ("state.json", {"kind": []}),
    ("state.json", {"files": None}),
    ("state.json", {"files": {}}),
    ("state.json", {"feature_names": "f0"}),
    ("state.json", {"label_names": [1, 2]}),
    ("state.json", {"label_names": ["a"]}),
    ("state.json", {"result": 3}),
    ("state.json", {"result": {"notes": []}}),
    ("state.json", {"format": True}),
    ("state.json", {"format": [1]}),
    ("state.json", {"memory": "much"}),
    ("state.json", {"preparation": {"columns": 3}}),
    ("state.json", {"roles": 3}),
    ("evaluation.json", {"figures": 3}),
    ("evaluation.json", {"figures": {}}),
    ("evaluation.json", {"why_no_figures": [3]}),
]


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_a_wrong_entry_is_one_line(run, given, tmp_path, name, change):
    record = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps({**record, **change}))
    assert uses(
        run, given[0], tmp_path / "out.csv", reported=not change.keys().isdisjoint(("files", "roles"))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state.json", "evaluation.json"])
def test_every_entry_may_be_missing(run, given, tmp_path, name):
    record = json.loads((run / name).read_text())
    for entry in record:
        (run / name).write_text(json.dumps({key: value for key, value in record.items() if key != entry}))
        uses(run, given[0], tmp_path / "out.csv")


def npz(path: Path, *, shape=None, size=None, method=zipfile.ZIP_DEFLATED, **arrays) -> None:
    """Write arrays, the header of each with another shape where one is given, and more bytes behind."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array)
            data = file.getvalue()
            if shape is not None:
                old = str(array.shape).encode()
                data = data.replace(old + b", }" + b" " * (len(shape) - len(old)), shape.encode() + b", }", 1)
            with archive.open(f"{name}.npy", "w") as entry:
                entry.write(data)
                for _ in range((size or 0) >> 20):
                    entry.write(bytes(1 << 20))


def refuses_held_out(run):
    with pytest.raises(UserError, match=r"held_out\.npz"):
        runs.RunDirectory(run).held_out(60, 2)


def test_held_out_items_are_not_unpacked_beyond_those_of_the_run(run, given):
    rows = np.zeros((12, 2), np.float32)
    whole = {"labels": rows.astype(np.int8), "scores": rows}
    path = run / "held_out.npz"
    for arrays in (
        {"size": 40 << 20, **whole},
        {"shape": "(999999999, 2)", **whole},
        {"labels": np.zeros((61, 2), np.int8), "scores": np.zeros((61, 2), np.float32)},
        {"labels": whole["labels"]},
        {"labels": rows, "scores": rows},
        {"labels": whole["labels"][:5], "scores": rows},
        {"labels": whole["labels"] + np.int8(2), "scores": rows},
        {"labels": whole["labels"], "scores": rows + np.nan},
        {"labels": whole["labels"][:, :1], "scores": rows[:, :1]},
        {"labels": np.array([[None]], object), "scores": rows}
        if False
        else {"labels": rows[0], "scores": rows[0]},
    ):
        npz(path, **arrays)
        assert cost_of(refuses_held_out, run).peak < 20e6
    npz(path, **whole)
    assert runs.RunDirectory(run).held_out(60, 2)[1].shape == (12, 2)


ODD = (
    b"",
    b"\xff\xfe\x00",
    b"\x00",
    b"x = " + b"9" * 5000,
    b"[" * 100_000,
    b"x = " + b"[" * 5000 + b"]" * 5000,
    b'{"a": ' + b"[" * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": 1e999, "b": 1}',
    b'{"a": 1, "a": 2, "b": 1}',
    b'{"a": NaN, "b": 1}',
    b'{"a": [], "b": {}}',
    b'{"a": true, "b": null}',
    b'"\nb,1',
    b"a,1\nb,\x00\n",
    b'"a,1\nb,2',
    b"a,1\na,1\nb,1",
    b"a,nan\nb,inf",
    b"a,1,2\n",
    b"seed = nan",
    b"seed = 1979-05-27",
    b"hyperparameters = 3",
    b"[hyperparameters]\na = [1]",
    b"[hyperparameters.a]\nb = 1",
    b"epochs = 1_000_000_000_000_000_000_000_000",
    "\ufeffseed = 1".encode(),
    b'"\\u0000" = 1',
    b'table = "a\\u0000b"',
)


def read_all(path: Path, data: bytes) -> None:
    for ending in (".toml", ".json", ".csv"):
        file = path.with_suffix(ending)
        file.write_bytes(data)
        try:
            runs.RunConfig.build({}, file=file) if ending == ".toml" else read_named_values(
                file, ["a", "b"], setting="prior (--prior)", high=1.0
            )
        except UserError as error:
            line = str(error)
            assert "\n" not in line, data
            assert len(line) < 2000, data
            assert file.name in line, data


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_settings_and_named_values_of_any_bytes(tmp_path, data):
    read_all(tmp_path / "x", data)


SETS = (
    "",
    "=",
    "a",
    "a=",
    "a=[",
    "a=" + "9" * 5000,
    "a=" + "9" * 4000,
    "a=" + "[" * 5000,
    "a=\x00",
    "a=1e999",
    "a=nan",
    "=1",
    "a={b=1}",
    "a=1979-05-27",
    "a=\ud800",
    "scale=inf",
    "scale=" + "9" * 400,
)


@pytest.mark.parametrize("text", SETS, ids=range(len(SETS)))
def test_set_of_any_text(text):
    from labelwise.methods import get

    with pytest.raises(UserError):
        get("bam").spec.resolve(runs.RunConfig.build({}, sets=[text]).hyperparameters)


PIECES = (
    b"a",
    b"b",
    b",",
    b"1",
    b"0.5",
    b"\n",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b" = ",
    b"seed",
    b"epochs",
    b"true",
    b"nan",
    b"#",
    b"\xff",
    b"\x00",
    b"\\u",
    b"e9",
    b"-",
    b"'",
    b"hyperparameters",
    b".",
    b"\r",
    b"9" * 40,
)


def fuzz(path: Path, n: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(n):
        data = b"".join(PIECES[k] for k in draw.integers(len(PIECES), size=draw.integers(1, 30)))
        read_all(path, data)


def test_settings_and_named_values_of_random_bytes(tmp_path):
    fuzz(tmp_path / "x", 100, seed=0)


@pytest.mark.long
@pytest.mark.slow
def test_settings_and_named_values_of_very_many_random_bytes(tmp_path):
    fuzz(tmp_path / "x", 20_000, seed=1)


CHARACTERS = "0123456789[]{},:\"'\\\x00 aeE.-n"


def mutate(text: str, draw: np.random.Generator) -> str:
    """Return JSON with some characters changed, doubled or taken out."""
    characters = list(text)
    for _ in range(draw.integers(1, 5)):
        at = int(draw.integers(len(characters)))
        what = draw.integers(4)
        if what == 0:
            del characters[at : at + int(draw.integers(1, 20))]
        elif what == 1:
            characters[at:at] = characters[at : at + int(draw.integers(1, 30))]
        else:
            characters[at] = CHARACTERS[int(draw.integers(len(CHARACTERS)))]
        if not characters:
            break
    return "".join(characters)


def fuzz_run(run: Path, n: int, seed: int) -> None:
    """Read the damaged records of a run, and its held-out items."""
    draw, whole = np.random.default_rng(seed), runs.RunDirectory(run)
    texts = {name: (run / name).read_text() for name in ("run.toml", "state.json", "evaluation.json")}
    packed, lines = (run / "held_out.npz").read_bytes(), []
    for _ in range(n):
        for name, text in texts.items():
            (run / name).write_text(mutate(text, draw))
        changed = bytearray(packed)
        for at in draw.integers(len(packed), size=draw.integers(1, 6)):
            changed[at] = draw.integers(256)
        (run / "held_out.npz").write_bytes(
            changed[: draw.integers(len(packed)) if draw.random() < 0.1 else None]
        )
        for read in (whole.config, whole.state, whole.figures, lambda: whole.held_out(60, 2)):
            try:
                read()
            except UserError as error:
                lines.append(str(error))
    assert lines
    assert all("\n" not in line and len(line) < 2000 for line in lines)


def test_records_of_a_run_with_random_damage(run):
    fuzz_run(run, 60, seed=0)


def fuzz_sets(n: int, seed: int) -> None:
    """Give random texts to ``--set``, alone and in the place of a hyper-parameter's value."""
    from labelwise.methods import get

    draw, spec, refused = np.random.default_rng(seed), get("bam").spec, []
    for _ in range(n):
        data = b"".join(PIECES[k] for k in draw.integers(len(PIECES), size=draw.integers(1, 12)))
        text = data.decode(errors="surrogateescape")
        for one in (text, f"scale={text}"):
            try:
                spec.resolve(runs.RunConfig.build({}, sets=[one]).hyperparameters)
            except UserError as error:
                refused.append(str(error))
    assert len(refused) > n
    assert not any("\n" in line for line in refused)


def fuzz_left_out(folder: Path, n: int, seed: int) -> None:
    """Read a damaged list of the items that were left out."""
    draw, whole = np.random.default_rng(seed), runs.RunDirectory(folder)
    whole.keep_left_out({"a.png": "is damaged", "b": "is empty", "ü 3": "does not exist"})
    path = whole.checkpoints / "left_out.json"
    text, refused = path.read_text(encoding="utf-8"), []
    for _ in range(n):
        path.write_text(mutate(text, draw), encoding="utf-8")
        try:
            whole.left_out()
        except UserError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in line for line in refused)


def test_random_texts_of_set_and_damaged_lists_of_items(tmp_path):
    fuzz_sets(200, seed=0)
    fuzz_left_out(tmp_path, 100, seed=0)


@pytest.mark.long
@pytest.mark.slow
def test_very_many_random_texts_of_set_and_damaged_lists_of_items(tmp_path):
    fuzz_sets(20_000, seed=1)
    fuzz_left_out(tmp_path, 20_000, seed=1)


@pytest.mark.long
@pytest.mark.slow
def test_records_of_a_run_with_very_much_random_damage(run):
    fuzz_run(run, 20_000, seed=1)


def keeps_no_scores(run, table):
    from labelwise.data import read_table
    from labelwise.runs.scoring import kept_row_scores

    assert kept_row_scores(runs.RunDirectory(run), read_table(table)) is None


def test_scores_kept_beside_a_run_are_made_anew_where_they_are_damaged_or_lie(run, given):
    from labelwise.data import read_table
    from labelwise.runs.scoring import _digest, kept_row_scores

    directory, table, path = runs.RunDirectory(run), read_table(given[0]), run / "left_out_scores.npz"
    words = {"digest": _digest(directory, table), "how": "by hand", "unreadable": {}}
    scores = np.zeros((60, 2), np.float32)
    np.savez(path, logits=scores, words=np.array(json.dumps(words)))
    whole = path.read_bytes()
    assert kept_row_scores(directory, table) is not None
    at = whole.index(b"PK\x01\x02")
    # Flags and method of an entry that no reader knows.
    for place, value in ((at + 8, 1), (at + 8, 32), (at + 10, 99), (at + 6, 255)):
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        assert kept_row_scores(directory, table) is None
    for lie in ({"shape": "(1099511627776, 2)"}, {"size": 40 << 20}):
        npz(path, **lie, logits=scores, words=np.array(json.dumps(words)))
        assert cost_of(keeps_no_scores, run, given[0]).peak < 20e6
