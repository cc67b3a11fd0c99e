"""The registry of methods as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from labelwise.methods import SETTINGS, get, names


def method_records() -> list[dict[str, Any]]:
    """Return ``method_record`` of every method, in the registry's order."""
    return [method_record(name) for name in names()]


def method_record(name: str) -> dict[str, Any]:
    """Return the registry's entry of a method, ready for JSON.

    Raises:
        UserError: For an unknown method, with the names nearest to it.
    """
    spec = get(name).spec
    return {
        "id": spec.id,
        "title": spec.title,
        "paper": spec.paper,
        "assumption": spec.assumption,
        "settings": [setting for setting in SETTINGS if setting in spec.settings],
        "needs": sorted(spec.needs),
        "passes": spec.passes,
        "cost": _cost(spec.passes),
        "head_budget": asdict(spec.head_budget),
        "full_budget": asdict(spec.full_budget),
        "hyperparameters": [
            {
                "name": key,
                "default": value.default,
                "range": value.range().removeprefix("it is "),
                "help": value.help,
                "source": value.source,
            }
            for key, value in spec.hyperparameters.items()
        ],
    }


def _cost(passes: int) -> str:
    return "closed form" if not passes else f"{passes} forward passes an item and epoch"
