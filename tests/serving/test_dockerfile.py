"""The Dockerfile: parsed, with what keeps it safe, and an entry point that the command takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, rest) of each, with lines joined and comments left out."""
    text = (ROOT / "examples" / "serve" / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_it_serves_as_a_user_without_rights_and_watches_its_health():
    found = instructions()
    kinds = [kind for kind, _ in found]
    assert kinds[0] == "FROM"
    assert set(kinds) <= {"FROM", "ARG", "COPY", "RUN", "USER", "WORKDIR", "ENV", "EXPOSE", "STOPSIGNAL"} | {
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    rest = dict(found)
    assert rest["USER"] not in ("root", "0")
    assert kinds.index("USER") > kinds.index("RUN")
    assert rest["STOPSIGNAL"] == "SIGTERM"
    assert "/health/ready" in rest["HEALTHCHECK"]
    probe = json.loads(rest["HEALTHCHECK"].partition("CMD")[2])
    compile(probe[2], "healthcheck", "exec")


def test_its_entry_point_is_a_command_with_a_port_that_is_exposed():
    import tomllib

    import typer

    from labelwise.cli import app

    rest = dict(instructions())
    program, name, *options = [*json.loads(rest["ENTRYPOINT"]), *json.loads(rest["CMD"])]
    assert (program, name) == ("labelwise", "serve")
    command = typer.main.get_command(app).commands[name]
    given = command.make_context(name, list(options)).params
    assert (given["host"], str(given["port"])) == ("0.0.0.0", rest["EXPOSE"])
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = next(value for kind, value in instructions() if kind == "ARG" and value.startswith("EXTRAS"))
    assert set(extras.partition("=")[2].split(",")) <= set(known)
