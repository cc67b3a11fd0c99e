"""``labelwise completion``: scripts for the tab key, made from the commands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple

import typer

from labelwise.cli.options import Json
from labelwise.cli.output import print_json, say
from labelwise.errors import UserError, near

EXAMPLES = (
    "labelwise completion bash > ~/.local/share/bash-completion/completions/labelwise",
    "labelwise completion zsh > ~/.zfunc/_labelwise  # with ~/.zfunc in fpath, before compinit",
    "labelwise completion fish > ~/.config/fish/completions/labelwise.fish",
)
_WORD = re.compile(r"[a-z0-9][\w.-]*")


class _Option(NamedTuple):
    """An option: its names, whether it is a flag, its choices if these are few, and what it is."""

    names: tuple[str, ...]
    is_flag: bool
    choices: tuple[str, ...]
    help: str


def completion(
    context: typer.Context,
    shell: Annotated[
        str | None,
        typer.Argument(
            metavar="bash|zsh|fish", help="Whose script [default: that of SHELL].", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print a script that completes commands and options at the tab key; nothing is installed."""
    if shell is None:
        shell = PurePath(os.environ.get("SHELL", "")).name or "bash"
    if shell not in _SCRIPTS:
        raise UserError(f"there is no script for {shell!r}; {near(shell, _SCRIPTS)}")
    parent = context.parent
    commands: dict[str, Any] = {} if parent is None else parent.command.commands  # type: ignore[attr-defined]
    script = "\n".join(_SCRIPTS[shell](commands)) + "\n"
    if json:
        print_json({"shell": shell, "script": script})
    else:
        say(script, end="")


def _options(command: Any) -> list[_Option]:
    """Return a command's options, ``--help`` among them."""
    found = [
        _Option(
            tuple(name for name in (*one.opts, *one.secondary_opts) if name.startswith("--")),
            bool(one.is_flag),
            _choices(one.metavar or ""),
            " ".join((one.help or "").split()),
        )
        for one in command.params
        if one.param_type_name == "option"
    ]
    return [*found, _Option(("--help",), True, (), "Show this message and exit.")]


def _choices(metavar: str) -> tuple[str, ...]:
    """Return the words of a metavar such as ``stop|skip``; none where one of them stands for many."""
    words = tuple(metavar.split("|"))
    return words if len(words) > 1 and all(map(_WORD.fullmatch, words)) else ()


def _first_words(command: Any) -> str:
    return " ".join((command.help or "").split()).partition(".")[0]


def _bash(commands: dict[str, Any]) -> Iterator[str]:
    yield "# bash completion for labelwise"
    yield "_labelwise() {"
    yield '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command="" options="" word'
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '        if [[ "$word" != -* ]]; then command="$word"; break; fi'
    yield "    done"
    yield "    COMPREPLY=()"
    yield '    case "$command $prev" in'
    for name, command in commands.items():
        for option in _options(command):
            if option.choices:
                places = "|".join(f'"{name} {one}"' for one in option.names)
                words = " ".join(option.choices)
                yield f'        {places}) COMPREPLY=($(compgen -W "{words}" -- "$cur")); return;;'
    yield "    esac"
    yield '    case "$command" in'
    yield f'        "") options="{" ".join(commands)} --help --version --quiet --debug";;'
    for name, command in commands.items():
        words = " ".join(word for option in _options(command) for word in option.names)
        yield f'        {name}) options="{words} --quiet --debug";;'
    yield "    esac"
    # Without a match the shell completes names of files by itself.
    yield '    if [[ -z "$command" || "$cur" == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur")); fi'
    yield "}"
    yield "complete -o default -F _labelwise labelwise"


def _zsh(commands: dict[str, Any]) -> Iterator[str]:
    yield "#compdef labelwise"
    yield "_labelwise() {"
    yield "    local -a commands"
    yield "    commands=("
    for name, command in commands.items():
        yield f"        {_quoted(name + ':' + _first_words(command))}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then _describe command commands; return; fi"
    yield '    case "$words[2]" in'
    for name, command in commands.items():
        yield f"        {name})"
        yield "            _arguments \\"
        for option in _options(command):
            words = re.sub(r"([\\\[\]:])", r"\\\1", option.help)
            values = f"({' '.join(option.choices)})" if option.choices else "_files"
            value = "" if option.is_flag else f":value:{values}"
            for one in option.names:
                yield f"                {_quoted(f'*{one}[{words}]{value}')} \\"
        yield "                '*:file:_files';;"
    yield "    esac"
    yield "}"
    yield 'if [[ "$funcstack[1]" == _labelwise ]]; then _labelwise "$@"; else compdef _labelwise labelwise; fi'


def _fish(commands: dict[str, Any]) -> Iterator[str]:
    yield "# fish completion for labelwise"
    for name, command in commands.items():
        words = _quoted(_first_words(command), fish=True)
        yield f"complete -c labelwise -f -n __fish_use_subcommand -a {name} -d {words}"
        for option in _options(command):
            value = "" if option.is_flag else " -r"
            if option.choices:
                value = f" -x -a {_quoted(' '.join(option.choices), fish=True)}"
            here, words = f"'__fish_seen_subcommand_from {name}'", _quoted(option.help, fish=True)
            for one in option.names:
                yield f"complete -c labelwise -n {here} -l {one.removeprefix('--')}{value} -d {words}"


def _quoted(text: str, *, fish: bool = False) -> str:
    """Return a text in single quotes, as the shell reads them."""
    if fish:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + text.replace("'", "'\\''") + "'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
