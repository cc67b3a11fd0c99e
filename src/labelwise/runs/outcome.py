"""What a training came to, as the command line tells it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from labelwise.runs.directory import RunDirectory


@dataclass(frozen=True)
class Outcome:
    """The result of a finished run.

    Attributes:
        run: The run directory.
        reason: Why the method was taken, when it was the library's choice.
        figures: The validation figures as ``Evaluation.to_dict`` has them, or None.
        why_no_figures: Sentences on what the labels at hand cannot judge, where there are no figures.
        rule: The decision rule's name.
        rule_source: How the rule was chosen.
        notes: Sentences on what was assumed.
        skipped: The items that could not be read, each with the reason.
        seconds: Wall time of the training that finished the run.
        already_finished: Whether nothing was left to do.
        roles: Sentences on what each column of the table is, and why; empty for runs of earlier versions.
    """

    run: str
    method: str
    reason: str | None
    setting: str
    n_items: int
    n_labels: int
    figures: dict[str, Any] | None
    why_no_figures: tuple[str, ...]
    rule: str
    rule_source: str
    notes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    seconds: float
    model: str
    report: str
    already_finished: bool = False
    roles: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)


def outcome_of(run: RunDirectory, state: dict[str, Any], *, already_finished: bool = False) -> Outcome:
    """Return the result of a finished run, from its records."""
    result = dict(state["result"])
    return Outcome(
        run=str(run.path),
        reason=state["reason"],
        figures=run.figures(),
        why_no_figures=tuple(result.pop("why_no_figures")),
        notes=tuple(result.pop("notes")),
        skipped=tuple((item, why) for item, why in result.pop("skipped")),
        model=str(run.model),
        report=str(run.report),
        roles=tuple(state.get("roles", ())),
        already_finished=already_finished,
        **result,
    )
