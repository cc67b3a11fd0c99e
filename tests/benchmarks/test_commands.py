"""The modules of `benchmarks` as commands: `--help` runs nothing, and committed results are written on request."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import common

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
SCRIPTS = [path for path in sorted(FOLDER.rglob("*.py")) if '__name__ == "__main__"' in path.read_text()]


def committed():
    """Return the time and size of every committed result."""
    paths = [
        FOLDER / "results",
        ROOT / "docs" / "results",
        ROOT / "docs" / "benchmark.md",
        ROOT / "README.md",
    ]
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A working directory of its own, without the real data, in which no process may be started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABELWISE_DATA", raising=False)

    def started(*given, **options):
        raise AssertionError(f"a process was started: {given}")

    monkeypatch.setattr(subprocess, "run", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    return tmp_path


def module_of(path):
    """Return a script as a module."""
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def called(module, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [module.__file__, *options])
    module.main()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: "-".join(path.parts[-2:]))
def test_help_and_mistakes_run_and_write_nothing(path, outside, monkeypatch, capsys):
    before, module = committed(), module_of(path)
    for option, code in (("--help", 0), ("-h", 0), ("--no-such-option", 2)):
        with pytest.raises(SystemExit) as ended:
            called(module, monkeypatch, option)
        assert ended.value.code == code
        told = capsys.readouterr()
        assert "usage:" in (told.err if code else told.out)
        assert code or "--write" in told.out
    assert committed() == before
    assert list(outside.iterdir()) == []


def test_committed_files_are_opened_by_way_of_the_option_alone():
    for path in FOLDER.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"(RESULTS|TABLE|LOCAL|PAGE)\.(write_text|open\(\"[wa])", text), path
        assert not re.search(r"default=(RESULTS|TABLE|LOCAL|Path\(__file__\))", text), path
        assert not re.search(r"(write_rows|publish)\((RESULTS|TABLE|LOCAL)", text), path


def test_the_place_of_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = FOLDER / "results" / "steps.csv"

    def place(*options, **given):
        return common.place(common.script_parser("", table).parse_args(options), table, **given)

    assert place() == Path("runs", "benchmarks", "steps.csv")
    assert place().parent.is_dir()
    assert place("--out", "a/b.csv") == Path("a", "b.csv")
    assert place(default=Path("c", "d.csv")) == Path("c", "d.csv")
    assert place("--write") == table
    with pytest.raises(SystemExit):
        place("--write", "--out", "a.csv")


def test_a_table_is_written_whole_and_read_back(tmp_path):
    path = tmp_path / "a" / "table.csv"
    assert common.read_rows(path) == []
    common.write_rows(path, [{"a": 1, "b": "x, y"}, {"a": 2, "c": 0.5}])
    assert path.read_bytes() == b'a,b,c\n1,"x, y",\n2,,0.5\n'
    assert common.read_rows(path) == [{"a": "1", "b": "x, y", "c": ""}, {"a": "2", "b": "", "c": "0.5"}]
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]


def test_ratios_are_of_the_same_round():
    calls, clock = [], iter(range(100))
    times = common.in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, lambda: next(clock) ** 2
    )
    assert calls == ["a", "b", "a", "b"]
    assert times == {"a": [1, 9], "b": [5, 13]}
    assert common.median_ratio([1.0, 9.0, 4.0], [1.0, 3.0, 8.0]) == 1.0


def test_the_speed_command_answers_help_and_starts_what_is_named(monkeypatch):
    before = committed()
    environment = {k: v for k, v in os.environ.items() if k != "LABELWISE_DATA"}
    command = [sys.executable, "-m", "benchmarks.speed"]
    done = subprocess.run(
        [*command, "--help"], check=True, capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.stdout.startswith("usage: python -m benchmarks.speed")
    assert committed() == before
    started, module = [], module_of(FOLDER / "speed" / "__main__.py")
    monkeypatch.setattr(subprocess, "run", lambda command, check: started.append(command[1:]))
    called(module, monkeypatch, "steps", "losses")
    assert started == [["-m", "benchmarks.speed.steps"], ["-m", "benchmarks.speed.losses"]]
    started.clear()
    called(module, monkeypatch, "steps", "--rounds", "1", "--write")
    assert started == [["-m", "benchmarks.speed.steps", "--rounds", "1", "--write"]]


def test_the_speed_command_knows_every_script_of_its_folder():
    module = module_of(FOLDER / "speed" / "__main__.py")
    names = {path.stem for path in SCRIPTS if path.parent.name == "speed"} - {"__main__"}
    assert {*module.SPEED, *module.ON_DATA, *module.BY_NAME} == names
