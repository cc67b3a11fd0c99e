"""What a table's labels hold, and what can be judged and trained with them."""

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


@dataclass(frozen=True, eq=False)
class Description:
    """A table: its items, features and labels, what can be measured on it, and a method to begin with.

    ``advice`` is None where no positive is known, since nothing can be learnt then. ``roles`` says what every column is
    and why, ``notes`` what was guessed, ``skipped`` the rows without their picture or text, each with the reason.
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
        judged = self.judgeable
        return {
            "table": self.table,
            "kind": self.kind,
            "n_features": self.n_features,
            "roles": list(self.roles),
            "notes": list(self.notes),
            "skipped": [list(pair) for pair in self.skipped],
            "labels": self.summary.to_dict(),
            "judgeable": {
                "average_precision": judged.average_precision,
                "thresholds": judged.thresholds,
                "calibration": judged.calibration,
                "prior": judged.prior,
                "observed_average_precision": judged.observed_average_precision,
                "n_items": int(judged.rows.sum()),
                "labels": [
                    name for name, ok in zip(self.summary.label_names, judged.labels, strict=True) if ok
                ],
                "words": list(judged.words),
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
        lines = [f"{Path(self.table).name}: {holds}"]
        lines += [f"{'columns' if not place else '':<10}{role}" for place, role in enumerate(self.roles)]
        # The summary has its own of them.
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
    """Read ``table`` as ``labelwise.data.read_table`` does, and describe it.

    ``on_bad_item``: "skip" leaves out rows without their picture or text. ``given``: fields of
    ``labelwise.data.TableOptions``.
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
        judgeable=judgeable(data.annotations.matrix),
        advice=recommend(summary) if summary.positives.any() else None,
        roles=data.roles,
        notes=data.notes,
        skipped=tuple((item.item, item.reason) for item in data.left_out),
    )
