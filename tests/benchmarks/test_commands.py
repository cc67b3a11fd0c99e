"""The scripts of ``benchmarks`` as commands: ``--help`` runs nothing, and committed results are written on request."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
sys.path.insert(0, str(FOLDER))
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if '__name__ == "__main__"' in path.read_text()]


def committed():
    """Return the time and size of every committed result."""
    paths = [FOLDER / "results", ROOT / "docs" / "results", ROOT / "docs" / "benchmark.md"]
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


def loaded(path, monkeypatch):
    """Return a script as a module."""
    name = f"benchmark_{path.stem.strip('_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def called(module, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [module.__file__, *options])
    module.main()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_help_and_mistakes_run_and_write_nothing(path, outside, monkeypatch, capsys):
    before, module = committed(), loaded(path, monkeypatch)
    for option, code in (("--help", 0), ("-h", 0), ("--no-such-option", 2)):
        with pytest.raises(SystemExit) as ended:
            called(module, monkeypatch, option)
        assert ended.value.code == code
        told = capsys.readouterr()
        assert "usage:" in (told.err if code else told.out)
        # These write runs, under --out alone.
        assert code or "--write" in told.out or path.stem in ("local", "judging")
    assert committed() == before
    assert list(outside.iterdir()) == []


def test_committed_files_are_opened_by_way_of_the_option_alone():
    for path in SCRIPTS:
        text = path.read_text()
        assert not re.search(r"(RESULTS|PAGE)\.(write_text|open\(\"[wa])", text), path
        assert not re.search(r"default=(RESULTS|FOLDER|Path\(__file__\))", text), path


def test_the_place_of_a_table(tmp_path, monkeypatch):
    import writing

    monkeypatch.chdir(tmp_path)
    table = FOLDER / "results" / "steps.csv"

    def place(*options, **given):
        return writing.place(writing.script_parser("", table).parse_args(options), table, **given)

    assert place() == Path("runs", "benchmarks", "steps.csv")
    assert place().parent.is_dir()
    assert place("--out", "a/b.csv") == Path("a", "b.csv")
    assert place(default=Path("c", "d.csv")) == Path("c", "d.csv")
    assert place("--write") == table
    with pytest.raises(SystemExit):
        place("--write", "--out", "a.csv")


def test_tables_of_the_local_benchmark_go_beside_their_runs_unless_asked_otherwise(tmp_path):
    from local_tables import FOLDER as LOCAL
    from local_tables import folder_of

    assert folder_of("default", tmp_path) == tmp_path / "page"
    assert folder_of("default", tmp_path, write=True) == LOCAL
    for given in (("quick", tmp_path, None, True), ("default", tmp_path, LOCAL)):
        with pytest.raises(SystemExit):
            folder_of(*given)


def test_the_whole_folder_answers_help_and_starts_what_is_named(monkeypatch):
    before = committed()
    environment = {k: v for k, v in os.environ.items() if k != "LABELWISE_DATA"}
    done = subprocess.run(
        [sys.executable, str(FOLDER), "--help"], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout.startswith("usage: python benchmarks")
    assert committed() == before
    started, module = [], loaded(FOLDER / "__main__.py", monkeypatch)
    monkeypatch.setattr(subprocess, "run", lambda command, check: started.append(command[1:]))
    called(module, monkeypatch, "steps", "losses")
    assert started == [[str(FOLDER / "steps.py")], [str(FOLDER / "losses.py")]]
    started.clear()
    called(module, monkeypatch, "steps", "--write")
    assert started == [[str(FOLDER / "steps.py"), "--write"]]
