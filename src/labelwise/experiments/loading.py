"""Experiments from TOML: those that come with labelwise, and anybody's own; a mistake is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ValidationError

from labelwise.errors import UserError, near
from labelwise.experiments.checks import check
from labelwise.experiments.spec import (
    Figure,
    Override,
    Published,
    Row,
    Search,
    Setting,
    Spec,
    Theory,
    Training,
)


def parse_spec(text: str, name: str) -> Spec:
    """Return the experiment in a TOML text; ``UserError``, one line that begins with ``name``, for a mistake."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"experiment {name}: not TOML: {error}") from None
    try:
        spec = Spec.model_validate({"name": name, **data})
    except ValidationError as error:
        raise UserError(f"experiment {name}: {_explain(error)}") from None
    check(spec)
    return spec


def load_spec(name: str) -> Spec:
    """Return an experiment that comes with labelwise, or the one in a TOML file; ``UserError`` for neither."""
    if name.endswith(".toml"):
        path = Path(name)
        try:
            return parse_spec(path.read_text(encoding="utf-8-sig"), path.stem)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: {getattr(error, 'strerror', None) or error}: give a TOML file"
            ) from None
    if name not in spec_names():
        raise UserError(f"there is no experiment {name!r}: {near(name, spec_names())}")
    return _shipped(name)


def spec_names() -> list[str]:
    """Return the names of the experiments that come with labelwise."""
    folder = files("labelwise.experiments") / "specs"
    return sorted(path.name[: -len(".toml")] for path in folder.iterdir() if path.name.endswith(".toml"))


@cache
def _shipped(name: str) -> Spec:
    return parse_spec(
        (files("labelwise.experiments") / "specs" / f"{name}.toml").read_text(encoding="utf-8"), name
    )


def _explain(error: ValidationError) -> str:
    """Return the first mistake in one line: its place in the file, and the keys or values that there are."""
    # A misspelt key also leaves the right one missing: tell the misspelling.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    *place, last = first["loc"]
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        inside = f" in [{'.'.join(map(str, place))}]" if place else ""
        return f"there is no key {last!r}{inside}: {near(str(last), _fields(place))}"
    if first["type"] == "missing":
        return f"{path} is missing"
    if first["type"] == "too_short":
        return f"{path} is empty: give at least one value"
    return f"{path} = {first['input']!r}: {first['msg'].replace('Input should be', 'it should be')}"


def _fields(place: Sequence[int | str]) -> list[str]:
    """Return the keys that a table of the file may have, by its place."""
    model: type[BaseModel] = Spec
    inner: dict[str, type[BaseModel]] = {
        "settings": Setting,
        "training": Training,
        "search": Search,
        "figure": Figure,
        "theory": Theory,
        "rows": Row,
        "on": Override,
        "published": Published,
        "at": Override,
    }
    for step in place:
        if step in inner and isinstance(step, str):
            model = inner[step]
    return list(model.model_fields)
