"""Rank the unknown entries of a table, and fill them as far as a precision is certified."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise._files import replacing
from labelwise.errors import UserError
from labelwise.runs.answering import new_label_states
from labelwise.runs.directory import check_output
from labelwise.runs.filling import write_filled
from labelwise.runs.scoring import ScoredTable

if TYPE_CHECKING:
    from labelwise.completion import Completion

_ENDINGS = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True, eq=False)
class Completed:
    """What is known of a table's unknown entries.

    Attributes:
        completion: The ranking and its certificate.
        n_unknown: Unknown entries.
        out: The file that was written, if any.
        filled: Entries that it fills: confirmed and inferred.
        notes: Sentences on what was assumed and on what the file cannot hold.
    """

    run: str
    table: str
    completion: Completion
    n_unknown: int
    out: str | None = None
    filled: int | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self, limit: int = 20) -> dict[str, Any]:
        """Return everything as plain JSON data, with the first ``limit`` entries."""
        entries = self.completion.frame.head(limit).to_dict(orient="records")
        plain = [
            {name: None if value != value else value for name, value in entry.items()}  # noqa: PLR0124
            for entry in entries
        ]
        return {
            "run": self.run,
            "table": self.table,
            "unknown": self.n_unknown,
            "calibrated": self.completion.calibrated,
            "certificate": self.completion.certificate.to_dict(),
            "entries": plain,
            "out": self.out,
            "filled": self.filled,
            "notes": list(self.notes),
        }


def complete(
    run: str | Path,
    table: str | Path | None = None,
    out: str | Path | None = None,
    *,
    fill: float | None = None,
    answers: str | Path | None = None,
    confidence: float = 0.95,
    unasked: bool = False,
    top: int = 100_000,
    seed: int = 0,
    progress: bool = False,
    **given: Any,
) -> Completed:
    """Rank a table's unknown entries, and write the ranking or the filled table.

    Args:
        run: A finished run.
        table: Another table; None: the run's own, each row scored by a model that did not see it.
        out: Where to write: the ranked entries (.csv, .parquet or .jsonl), or with ``fill`` the table in its own form.
        fill: The precision at which entries are filled, as far as answers certify it.
        answers: Answers beside those of the run.
        confidence: Of the certificate.
        unasked: Whether the precision is that of the entries alone that nobody was asked about.
        top: Ranked entries at most.
        seed: Of the random order of asking.
        progress: Whether to show a progress bar.
        given: Fields of ``TableOptions``, ``images`` and ``on_bad_item``, that differ from what the run was asked.

    Raises:
        UserError: For a run that is not finished, a table that is not the model's, and ``fill`` where nothing is
            certified and nothing was answered.
    """
    from labelwise.completion.entries import Entries
    from labelwise.completion.ranking import completion_of

    if fill is not None and out is None:
        raise UserError("--fill needs --out: name the file that the filled table is written to")
    options = dict(given)
    scored = ScoredTable.open(run, table, progress=progress, given=options)
    data = scored.table
    if out is not None:
        endings = _ENDINGS if fill is None else (data.path.suffix.lower(),)
        check_output(out, [data.path], endings)
    entries = Entries.streamed(
        scored.blocks(),
        data.annotations.matrix,
        scored.answers(answers),
        items=data.items,
        label_names=data.annotations.label_names,
        added=scored.added_labels(answers),
    )
    completion = completion_of(
        entries,
        calibrated=scored.calibrated,
        how=scored.how,
        top=top,
        precision=0.9 if fill is None else fill,
        confidence=confidence,
        claim="unasked" if unasked else "filled",
        seed=scored.seed(seed),
    )
    notes, filled = [*completion.notes, *scored.notes], None
    certificate = completion.certificate
    if fill is not None and out is not None:
        new = new_label_states(scored.answers(answers), data.items, scored.added_labels(answers))
        answered = certificate.confirmed + certificate.refused
        if not certificate.inferred and not answered and not any((one >= 0).any() for one in new.values()):
            raise UserError(f"{certificate}; 'labelwise audit {run} --aim fill --out ask.csv' draws them")
        states = completion.filled()
        notes += write_filled(scored.finished, scored.file, states, out, options, new)
        filled = int(((scored.file.annotations.matrix == -1) & (states == 1)).sum())
        filled += sum(int((column == 1).sum()) for column in new.values())
    elif out is not None:
        _write(completion, Path(out))
    return Completed(
        str(run), str(data.path), completion, entries.n_unknown, _text(out), filled, tuple(notes)
    )


def _text(out: str | Path | None) -> str | None:
    return None if out is None else str(out)


def _write(completion: Completion, path: Path) -> None:
    """Write the ranking block by block, so that it is never in memory whole."""
    with replacing(path) as draft:
        if path.suffix.lower() == ".parquet":
            import pyarrow as pa
            from pyarrow import parquet

            writer = None
            for block in completion.blocks():
                rows = pa.Table.from_pandas(block, preserve_index=False)
                writer = writer or parquet.ParquetWriter(draft, rows.schema)
                writer.write_table(rows)
            if writer is not None:
                writer.close()
            return
        with draft.open("w", encoding="utf-8", newline="") as file:
            for place, block in enumerate(completion.blocks()):
                if path.suffix.lower() == ".csv":
                    block.to_csv(file, index=False, header=not place, lineterminator="\n")
                    continue
                for record in block.to_dict(orient="records"):
                    # NaN is no JSON.
                    plain = {name: None if value != value else value for name, value in record.items()}  # noqa: PLR0124
                    file.write(json.dumps(plain, ensure_ascii=False) + "\n")
