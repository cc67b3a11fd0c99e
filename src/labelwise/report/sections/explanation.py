"""Explanation: what an ensemble is made of, what each part adds, and its gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise import plots
from labelwise.ensemble import Explanation, Gain, Member
from labelwise.report import formats
from labelwise.report.section import Section, Subject

_MOST_MEMBERS = 12
_CLOSED = (
    "The rows left out show no gain over the tuned ridge solution, so every score is that solution's. What was tried "
    "beside it stands below."
)
_TITLES = {
    "ensemble": "All parts against the tuned ridge solution",
    "names": "The labels' names beside them",
    "smoothing": "smoothing over neighbours",
    "kernels": "kernels",
    "students": "students on all rows",
    "trees": "trees",
    "sources": "several sources of features",
}


def gather(subject: Subject) -> Mapping[str, Any]:
    """Return what the training found, of a method that says so."""
    return {"explanation": subject.model.fitted_.explanation}


def show(explanation: Explanation | None) -> dict[str, Any] | None:
    """Return the gates, the members and what parts add; None without an explanation."""
    if explanation is None:
        return None
    members = [member for member in explanation.members if member.weight > 0]
    return {
        "words": [_rows_in_words(explanation), _CLOSED if explanation.closed else ""],
        "gates": [
            (_TITLES.get(gate.name, gate.name), formats.sentence(gate.words)) for gate in explanation.gates
        ],
        "members": _members(members) if members else None,
        "gains": _gains(explanation.gains) if explanation.gains else None,
        "notes": [formats.sentence(note) for note in explanation.notes],
    }


def _rows_in_words(explanation: Explanation) -> str:
    return (
        f"{formats.count(explanation.labelled)} of {formats.count(explanation.rows)} training items have a known "
        "label. Everything below was chosen by these alone: each row was scored as if it had not been seen."
    )


def _members(members: list[Member]) -> dict[str, Any]:
    shown = members[:_MOST_MEMBERS]
    heaviest = shown[0]
    return {
        "plot": formats.drawings(
            lambda width: plots.share_bars(
                [member.words for member in shown],
                [member.weight for member in shown],
                [_weight(member, width) for member in shown],
                label="mean share over the labels",
                width=width,
            ),
            f"Bars of {len(shown)} members' weights; the heaviest is {heaviest.words} with {heaviest.weight:.0%}.",
            "members",
        ),
        "caption": f"The {len(shown)} heaviest of {len(members)} members."
        if len(members) > len(shown)
        else "",
    }


def _weight(member: Member, width: float) -> str:
    # A phone has room for one of the two beside the name.
    value = (
        ""
        if member.value is None or width <= formats.NARROW
        else f"  (R² {member.value:.2f})".replace("-", "−")
    )
    return f"{member.weight:.0%}{value}"


def _gains(gains: tuple[Gain, ...]) -> list[tuple[str, Markup]]:
    values = np.array([gain.gain for gain in gains])
    spread = 2 * np.array([gain.error or 0.0 for gain in gains])
    words = ", ".join(f"{gain.name} {formats.gain(gain.gain)}" for gain in gains)
    return formats.drawings(
        lambda width: plots.paired_gains(
            [_TITLES.get(gain.name, gain.name) for gain in gains],
            {"": (values.tolist(), (values - spread).tolist(), (values + spread).tolist())},
            label="mean average precision, two standard errors",
            width=width,
        ),
        f"What each part adds to mean average precision: {words}.",
        "gains",
    )


EXPLANATION = Section("explanation", "What it is made of", ("explanation",), show, gather)
