"""What users call: the rooms' names and signatures, the commands' options, settings, methods and their numbers."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types

ROOMS = (
    *("labelwise", "labelwise.analysis", "labelwise.annotations", "labelwise.cli", "labelwise.data"),
    *("labelwise.data.datasets", "labelwise.embedding", "labelwise.engine", "labelwise.experiments"),
    *("labelwise.losses", "labelwise.methods", "labelwise.metrics", "labelwise.models", "labelwise.plots"),
    *("labelwise.report", "labelwise.runs", "labelwise.summaries", "labelwise.targets"),
)
_WITH_MEMBERS = (
    *("labelwise", "labelwise.annotations", "labelwise.losses", "labelwise.metrics", "labelwise.runs"),
    *("labelwise.summaries", "labelwise.targets"),
)
"""Rooms whose classes are frozen with their methods and properties, not only with their constructors."""
_MISSING = object()


def surface(old=None):
    """Return the surface as plain data: all that is listed, or what has become of `old`."""
    return {
        "rooms": {
            room: _room(room, None if old is None else old["rooms"][room])
            for room in (ROOMS if old is None else old["rooms"])
        },
        "commands": _commands(),
        "settings": _settings(),
        "methods": _methods(),
    }


def lost(old, new, at=""):
    """Return sentences on what `old` has and `new` lacks or says otherwise; what is new is passed over."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key, value in old.items() for line in lost(value, new.get(key), f"{at} {key}")]
    if isinstance(old, str) and old.startswith("(") and isinstance(new, str):
        return [f"{at}: {why}" for why in _narrower(_parts(old), _parts(new))]
    return [] if old == new else [f"{at}: {old!r} -> {new!r}"]


def _narrower(old, new):
    """Yield why a call by the old signature may fail under the new one."""
    for part in old:
        if part not in new:
            yield f"{part!r} is gone or differs"
    placed = [[name for name, kind in map(_name_kind, parts) if kind == "placed"] for parts in (old, new)]
    if placed[1][: len(placed[0])] != placed[0]:
        yield f"places {placed[0]} -> {placed[1]}"
    for part in new:
        if part not in old and "=" not in part and not part.startswith("*"):
            yield f"{part!r} is new and has no default"


def _name_kind(part):
    return part.partition("=")[0], "keyword" if part.endswith("#") or part.startswith("*") else "placed"


def _parts(text):
    return text[1:-1].split("; ") if text != "()" else []


def _room(room, old):
    module = importlib.import_module(room)
    found = {}
    for name in module.__all__ if old is None else old:
        value = getattr(module, name, _MISSING)
        if name not in module.__all__:
            found[name] = "not listed"
        elif isinstance(value, types.ModuleType):
            inside = value.__all__ if old is None or not isinstance(old[name], dict) else old[name]["module"]
            found[name] = {"module": {n: _described(getattr(value, n, _MISSING), False) for n in inside}}
        else:
            found[name] = _described(value, room in _WITH_MEMBERS)
    return found


def _described(value, members):
    if value is _MISSING:
        return "gone"
    if not inspect.isclass(value):
        return _signature(value) if callable(value) else f"a {type(value).__name__}"
    found = {"new": _signature(value)}
    if issubclass(value, Exception):
        found["is"] = [base.__name__ for base in value.__mro__ if base.__module__ == "builtins"]
    if members:
        found["members"] = {
            name: _signature(member) if callable(member) else "a value"
            for name in sorted({*dir(value), *_fields(value)})
            if not name.startswith("_")
            for member in [getattr(value, name, None)]
            if name in _fields(value) or _is_ours(value, name)
        }
    return found


def _fields(value):
    return [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []


def _is_ours(value, name):
    owner = next((base for base in value.__mro__ if name in vars(base)), value)
    return owner.__module__.partition(".")[0] == "labelwise"


def _signature(value):
    """Return "(name=default; *; name=default#)": what has a # is given by keyword alone."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "(*args; **kwargs)"
    return "(" + "; ".join(map(_parameter, parameters)) + ")"


def _parameter(parameter):
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    end = {parameter.KEYWORD_ONLY: "#", parameter.POSITIONAL_ONLY: "/"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={_plain(parameter.default)}"
    return f"{stars}{parameter.name}{default}{end}"


def _plain(value):
    """Return a default in words that do not tell where its class lies."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_plain, value))})"
    if dataclasses.is_dataclass(value) and not inspect.isclass(value):
        fields = (f"{name}: {_plain(getattr(value, name))}" for name in _fields(value))
        return f"{type(value).__name__}({', '.join(fields)})"
    return getattr(value, "__name__", f"a {type(value).__name__}")


def _commands():
    from typer.main import get_command

    from labelwise.cli import app

    root = get_command(app)
    return {name: _parameters(command) for name, command in {"": root, **root.commands}.items()}


def _parameters(command):
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    named = {f"argument {place}": one for place, one in enumerate(arguments)}
    named |= {p.opts[0]: p for p in command.params if p not in arguments}
    return {name: _option(parameter) for name, parameter in named.items()}


def _option(option):
    return {
        "words": dict.fromkeys((*option.opts, *option.secondary_opts), True),
        "default": _plain(option.default() if callable(option.default) else option.default),
        "required": option.required,
        "several": option.multiple if hasattr(option, "multiple") else option.nargs != 1,
        "flag": getattr(option, "is_flag", False),
        "environment": option.envvar,
    }


def _settings():
    from labelwise.runs import RunConfig

    return {
        name: _plain(field.get_default(call_default_factory=True))
        for name, field in RunConfig.model_fields.items()
    }


def _methods():
    from labelwise.methods import SETTINGS, get
    from tests.frozen.cases import methods_of_ours

    found = {}
    for name in methods_of_ours():
        spec = get(name).spec
        found[name] = {
            "settings": " ".join(s for s in SETTINGS if s in spec.settings),
            "needs": " ".join(sorted(spec.needs)),
            "passes": spec.passes,
            "head": spec.head,
            "projection": spec.projection,
            "ridge_start": spec.ridge_start,
            "whole_batch": spec.whole_batch,
            "budgets": [_plain(spec.head_budget), _plain(spec.full_budget)],
            "hyperparameters": {
                key: {
                    "default": _plain(h.default),
                    "low": h.low,
                    "high": h.high,
                    "choices": list(h.choices),
                    "optional": h.optional,
                }
                for key, h in spec.hyperparameters.items()
            },
        }
    return found
