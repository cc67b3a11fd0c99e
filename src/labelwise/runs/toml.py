"""Write and read settings as TOML, with one level of tables."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise._files import read_text
from labelwise.errors import UserError, escaped

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(values: Mapping[str, Any]) -> str:
    """Return ``values`` as TOML; None is left out.

    They are text, numbers, booleans, lists of them, and mappings of those, which are written last, as tables.
    """
    flat = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in flat.items() if value is not None]
    for name, table in values.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


def read(path: str | Path) -> dict[str, Any]:
    """Return the settings in a TOML file.

    Raises:
        UserError: With the file and the line at fault.
    """
    try:
        text = read_text(Path(path))
        # Universal line ends, as a file opened as text has them.
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; give a TOML file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:  # such as a number of 5,000 digits, or lists without end
        raise UserError(f"{path} is not TOML: {error!s:.300}") from None


def parse_value(text: str) -> Any:
    """Return ``text`` read as a TOML value; a bare word is text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise UserError(f"{value!r} holds what is no character of UTF-8: rename it")
        # A JSON string is a TOML string but for DEL, which TOML wants escaped, as terminals want other controls.
        return escaped(json.dumps(value, ensure_ascii=False))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")
