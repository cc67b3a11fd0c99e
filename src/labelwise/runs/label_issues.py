"""Given labels of a run's table that models doubt which did not see the row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.errors import UserError
from labelwise.runs.answering import trained_table
from labelwise.runs.directory import check_output
from labelwise.runs.scoring import row_scores
from labelwise.runs.tables import FinishedRun

if TYPE_CHECKING:
    import pandas as pd

SIGNS = {"both": (0, 1), "yes": (1,), "no": (0,)}
_ENDINGS = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True)
class LabelIssues:
    """The given entries of a table, the most doubtful first.

    Attributes:
        run: The run directory.
        table: The table.
        how: How the scores were made.
        n_known: Given entries with a score, of the signs that were asked for.
        n_issues: How many of them are estimated to be wrong, by ``filter_by``.
        frame: item, label, given (1 or 0), probability (of the label), quality and issue of each given entry.
        notes: Sentences on what cannot be said.
        out: The file that holds all of them, if any.
    """

    run: str
    table: str
    how: str
    n_known: int
    n_issues: int
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    out: str | None = None

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return everything as plain JSON data, the first ``limit`` entries of it."""
        entries = self.frame if limit is None else self.frame.head(limit)
        return {**asdict(self), "frame": None} | {"entries": entries.to_dict(orient="records")}


def issues(
    run: str | Path,
    out: str | Path | None = None,
    *,
    given: str = "both",
    rank_by: str = "self_confidence",
    filter_by: str = "prune_by_noise_rate",
    images: str | None = None,
    progress: bool = False,
) -> LabelIssues:
    """Rank the given labels of a run's table by how far models doubt them.

    Args:
        run: A finished run.
        out: A file (.csv, .parquet or .jsonl) for all given entries.
        given: ``"yes"`` for given positives, ``"no"`` for given negatives, ``"both"``.
        rank_by: As in ``labelwise.completion.label_quality_scores``.
        filter_by: As in ``labelwise.find_label_issues``.
        images: The folder of the pictures, where they moved.

    Raises:
        UserError: For a run that is not finished, or whose table is gone.
    """
    import pandas as pd
    from scipy.special import expit

    from labelwise.completion import find_label_issues, label_quality_scores

    if given not in SIGNS:
        raise UserError(f"given (--given) is {given!r}: give one of {', '.join(SIGNS)}")
    opened = FinishedRun.open(run, progress=progress, images=images)
    path = str(opened.config.table)
    if out is not None:
        out = check_output(out, [path], _ENDINGS)
    table = trained_table(opened.directory, opened.read_table(path))
    labels = table.annotations.matrix
    result = row_scores(opened.directory, opened.model, table)
    scores = expit(result.logits.astype(np.float64))
    flags = find_label_issues(labels, scores, filter_by=filter_by)  # type: ignore[arg-type]
    quality = label_quality_scores(labels, scores, method=rank_by)  # type: ignore[arg-type]
    rows, columns = np.nonzero(np.isin(labels, SIGNS[given]) & ~np.isnan(quality))
    order = np.argsort(quality[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    frame = pd.DataFrame(
        {
            "item": np.array(table.items, dtype=object)[rows],
            "label": np.array(table.annotations.label_names, dtype=object)[columns],
            "given": labels[rows, columns].astype(int),
            "probability": scores[rows, columns].round(6),
            "quality": quality[rows, columns].round(6),
            "issue": flags[rows, columns],
        }
    )
    if out is not None:
        _write(frame, Path(out))
    notes = _notes(labels, table.annotations.label_names)
    done = None if out is None else str(out)
    return LabelIssues(str(run), path, result.how, len(frame), int(frame["issue"].sum()), frame, notes, done)


def _notes(labels: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    from labelwise.annotations import both_signs_known
    from labelwise.errors import listed

    single = ~both_signs_known(labels) & (labels >= 0).any(axis=0)
    if not single.any():
        return ()
    which = "all labels" if single.all() else listed(np.array(names, dtype=object)[single])
    return (
        f"of {which} one state alone is given: entries are ranked, and how many are wrong is not identified",
    )


def _write(frame: pd.DataFrame, path: Path) -> None:
    from labelwise._files import replacing

    with replacing(path) as draft:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(draft, index=False)
        elif path.suffix.lower() == ".jsonl":
            frame.to_json(draft, orient="records", lines=True, force_ascii=False)
        else:
            frame.to_csv(draft, index=False, lineterminator="\n")
