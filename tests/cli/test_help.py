"""What ``--help`` says of every command: all that was written, defaults and choices among it."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path

import pytest
from typer.models import ArgumentInfo, OptionInfo

from labelwise.cli import app

COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands}


def parameters(command):
    """Yield (name, what typer knows of it, its default) of a command's parameters."""
    hints = typing.get_type_hints(COMMANDS[command], include_extras=True)
    for name, parameter in inspect.signature(COMMANDS[command]).parameters.items():
        yield name, typing.get_args(hints[name])[1], parameter.default


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
    for name, info, _ in parameters(command):
        assert isinstance(info, ArgumentInfo | OptionInfo)
        assert info.help, name
        assert "".join(info.help.split()) in text, name
        if info.metavar:
            assert info.metavar.replace(" ", "") in text, name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_of_the_command_line_is_shown(lw, command):
    text = shown(lw, command)
    for name, info, default in parameters(command):
        unset = any(default is none for none in (None, False, inspect.Parameter.empty))
        if isinstance(info, OptionInfo) and not unset:
            assert re.search(rf"\[default: {re.escape(str(default))}[];]", text), name


def test_every_setting_of_a_run_shows_its_default(lw):
    from labelwise.runs import RunConfig

    text = shown(lw, "train")
    for name, info, _ in parameters("train"):
        field = RunConfig.model_fields.get(name)
        if field is None or field.default in (None, ...) or not isinstance(info, OptionInfo):
            continue
        default = field.default
        if isinstance(default, bool):
            default = name if default else f"no-{name}"
        assert f"[default: {default}]" in " ".join(info.help.split()), name
        assert f"[default: {default}]" in text, name


def test_the_commands_are_listed_with_whole_sentences(lw):
    text = " ".join(lw("--help").stdout.split())
    for name, callback in COMMANDS.items():
        assert f"{name} {' '.join(callback.__doc__.partition(chr(10) * 2)[0].split())}" in text


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
