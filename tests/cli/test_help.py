"""What ``--help`` says of every command: all that was written, defaults and choices among it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from labelwise.cli import app

COMMANDS = get_command(app).commands


def shown(lw, command):
    result = lw(command, "--help")
    assert result.exit_code == 0
    return " ".join(result.stdout.split())


@pytest.mark.parametrize("columns", ["60", "80", "200"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_holds_every_word_that_was_written(lw, command, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    # A word may be broken at a hyphen where the line ends.
    text = shown(lw, command).replace(" ", "")
    for parameter in COMMANDS[command].params:
        assert parameter.help, parameter.name
        assert "".join(parameter.help.split()) in text, parameter.name
        if parameter.metavar:
            assert parameter.metavar.replace(" ", "") in text, parameter.name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_of_the_command_line_is_shown(lw, command):
    text = shown(lw, command)
    for parameter in COMMANDS[command].params:
        unset = any(parameter.default is none for none in (None, False))
        if parameter.param_type_name == "option" and not unset:
            assert re.search(rf"\[default: {re.escape(str(parameter.default))}[];]", text), parameter.name


def test_every_setting_of_a_run_shows_its_default(lw):
    from labelwise.runs import RunConfig

    text = shown(lw, "train")
    for parameter in COMMANDS["train"].params:
        name, field = parameter.name, RunConfig.model_fields.get(parameter.name)
        if field is None or field.default in (None, ...):
            continue
        default = field.default
        if isinstance(default, bool):
            flag = name.replace("_", "-")
            default = flag if default else f"no-{flag}"
        assert f"[default: {default}]" in " ".join(parameter.help.split()), name
        assert f"[default: {default}]" in text, name


def test_the_commands_are_listed_with_whole_sentences(lw):
    text = " ".join(lw("--help").stdout.split())
    for name, command in COMMANDS.items():
        assert f"{name} {' '.join(command.help.partition(chr(10) * 2)[0].split())}" in text


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["src", "docs", "examples", "benchmarks"])
def test_nothing_says_to_install_a_package_of_our_name(folder):
    """The package is on no index: what works is an install from the checkout."""
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in {".py", ".md", ".toml"}:
            wrong = re.findall(
                r"pip install[^\n]*labelwise\\?\[|\[labelwise\[", path.read_text(encoding="utf-8")
            )
            assert not wrong, path
