"""Describe a table, its labels, and what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise.annotations import Summary
from labelwise.annotations import describe as describe_labels
from labelwise.data import read_table
from labelwise.methods.recommendation import Recommendation, recommend
from labelwise.metrics import Judgeable, judgeable
from labelwise.runs.tables import opened

_MEASURES = ("average_precision", "thresholds", "calibration", "prior", "observed_average_precision")


@dataclass(frozen=True, eq=False)
class Description:
    """The description of a table.

    Attributes:
        kind: That of its items: "features", "image" or "text".
        judgeable: What can be measured on its labels.
        advice: A method to begin with; None where no positive is known, since nothing can be learnt then.
        roles: Sentences on what each column is, and why.
        notes: Sentences on what was guessed.
        skipped: The rows without their picture or text, each with the reason.
    """

    table: str
    kind: str
    n_features: int
    summary: Summary
    judgeable: Judgeable
    advice: Recommendation | None
    roles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        measurable = self.judgeable
        return {
            "table": self.table,
            "kind": self.kind,
            "n_features": self.n_features,
            "roles": list(self.roles),
            "notes": list(self.notes),
            "skipped": [list(pair) for pair in self.skipped],
            "labels": self.summary.to_dict(),
            "judgeable": {
                **{name: getattr(measurable, name) for name in _MEASURES},
                "n_items": int(measurable.rows.sum()),
                "labels": [
                    name for name, ok in zip(self.summary.label_names, measurable.labels, strict=True) if ok
                ],
                "words": list(measurable.words),
            },
            "recommended": None
            if self.advice is None
            else {
                "method": self.advice.method,
                "reason": self.advice.reason,
                "alternatives": [list(pair) for pair in self.advice.alternatives],
            },
        }

    def __str__(self) -> str:
        holds = f"{self.n_features:,} features" if self.kind == "features" else f"a column of {self.kind}s"
        if self.kind == "features" and not self.n_features:
            holds = "labels alone, no features, pictures or texts to train on"
        elif self.kind != "features" and self.n_features:
            holds += f", and {self.n_features:,} features beside it"
        lines = [f"{Path(self.table).name}: {holds}"]
        lines += [f"{'columns' if not place else '':<10}{role}" for place, role in enumerate(self.roles)]
        # The summary prints its notes itself.
        notes = [note for note in self.notes if note not in self.summary.notes]
        lines += [f"{'noted' if not place else '':<10}{note}" for place, note in enumerate(notes)]
        lines.append(str(self.summary))
        lines += [
            f"{'judged' if not place else '':<10}{words}" for place, words in enumerate(self.judgeable.words)
        ]
        if self.advice is not None:
            lines.append(f"{'method':<10}{self.advice.method}: {self.advice.reason}")
            lines += [f"{'':<10}or {name}: {reason}" for name, reason in self.advice.alternatives]
        return "\n".join(lines)


def describe(
    table: str | Path, *, images: str | None = None, on_bad_item: str | None = None, **given: Any
) -> Description:
    """Describe a table, which is read as ``labelwise.data.read_table`` does.

    Args:
        table: A file, or ``"-"`` (standard input).
        on_bad_item: "skip" leaves out rows without their picture or text.
        given: Fields of ``labelwise.data.TableOptions``.
    """
    with opened(table) as path:
        data = read_table(
            path, images=images, require_items=False, on_bad_item=on_bad_item or "stop", **given
        )
    summary = describe_labels(data.annotations)
    return Description(
        table=str(table),
        kind=data.kind,
        n_features=len(data.feature_names),
        summary=summary,
        judgeable=judgeable(data.annotations.states),
        advice=recommend(summary) if summary.positives.any() else None,
        roles=data.roles,
        notes=data.notes,
        skipped=tuple((item.item, item.reason) for item in data.left_out),
    )
