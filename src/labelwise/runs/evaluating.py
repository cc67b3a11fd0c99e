"""Evaluate a finished run's model on another table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.errors import UserError
from labelwise.runs.copies import Sketch
from labelwise.runs.directory import check_output, write_json
from labelwise.runs.inputs import parse_rule
from labelwise.runs.tables import FinishedRun, check_some_read, extra_labels, items_of, select_items

if TYPE_CHECKING:
    from labelwise.metrics import Evaluation, Rule


@dataclass(frozen=True, eq=False)
class TableEvaluation:
    """The evaluation of a run's model on a table.

    Attributes:
        evaluation: The figures, or None where no label of the table has both classes known.
        observed: (K,) observed AP (unknown counted as absent), NaN without a known positive, where ``evaluation`` is
            None; it ranks models, and its level is biased.
        words: Sentences on what could be judged.
        skipped: The items that could not be read, each with the reason.
        notes: Sentences on what was guessed of the table.
    """

    run: str
    table: str
    method: str
    label_names: tuple[str, ...]
    evaluation: Evaluation | None
    observed: np.ndarray | None
    words: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def observed_map(self) -> float | None:
        """The mean of observed AP over the labels that have it, or None where none has."""
        if self.observed is None or np.isnan(self.observed).all():
            return None
        return float(np.nanmean(self.observed))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        observed = None
        if self.observed is not None:
            values = [None if np.isnan(value) else float(value) for value in self.observed]
            observed = {
                "map": self.observed_map,
                "average_precision": dict(zip(self.label_names, values, strict=True)),
            }
        return {
            "run": self.run,
            "table": self.table,
            "method": self.method,
            "figures": None if self.evaluation is None else self.evaluation.to_dict(),
            "observed": observed,
            "words": list(self.words),
            "notes": list(self.notes),
            "skipped": [list(pair) for pair in self.skipped],
        }


Judgement = TableEvaluation
"""The name of earlier versions for ``TableEvaluation``."""


def evaluate(
    run: str | Path,
    table: str | Path,
    *,
    rule: str | None = None,
    out: str | Path | None = None,
    images: str | None = None,
    on_bad_item: str | None = None,
    progress: bool = False,
    **given: Any,
) -> TableEvaluation:
    """Evaluate a finished run's model on the known labels of ``table``.

    The table needs the columns that the model was trained on, in any order.

    Args:
        rule: The decision rule as ``parse_rule`` reads it; by default the model's own.
        out: A file ending in .json, where the result is written too.
        given: Fields of ``labelwise.data.TableOptions`` that differ from what the run was asked.

    Raises:
        UserError: For a run that is not finished, a table without these columns, and one without a known positive.
    """
    from labelwise import metrics

    if out is not None:
        check_output(out, [table], (".json",))
    chosen = _chosen_rule(rule)
    finished = FinishedRun.open(run, progress=progress, images=images, on_bad_item=on_bad_item)
    model, data = finished.model, finished.read_table(table, given=given)
    measurable = metrics.judgeable(data.annotations.states)
    if not (measurable.average_precision or measurable.observed_average_precision):
        raise UserError(
            f"{data.path.name}: no entry is known to be relevant, so nothing can be judged; give labels"
        )
    # Pictures and texts of rows that no figure is made of need not be read.
    rows, items = np.flatnonzero(measurable.rows), items_of(data)
    read = model.read(select_items(items, rows), items=[data.items[i] for i in rows])
    check_some_read(read.bad, len(rows), data)
    sketch = Sketch.load(finished.directory.path)
    copies = None if sketch is None else sketch.among(read.X)
    Y = data.annotations.take(rows).take(read.kept)
    evaluation = observed = None
    if measurable.average_precision:
        evaluation = model.evaluate(read, Y, rule=chosen)
    else:
        observed = model.observed_average_precision(read, Y)
    result = TableEvaluation(
        run=str(run),
        table=str(table),
        method=model.method_,
        label_names=finished.columns.label_names,
        evaluation=evaluation,
        observed=observed,
        words=(*measurable.words, *extra_labels(data)),
        skipped=tuple((item.item, item.reason) for item in (*data.left_out, *read.bad)),
        notes=(*data.notes, *([] if copies is None else [copies])),
    )
    if out is not None:
        # Looked at again, since reading took time.
        write_json(check_output(out, [table], (".json",)), result.to_dict())
    return result


def _chosen_rule(text: str | None) -> Rule | None:
    """Return the decision rule, or None for the model's own.

    One that is learnt from training rows is refused.
    """
    rule = None if text is None else parse_rule(text)
    if not isinstance(rule, str):
        return rule
    if rule == "auto":
        return None
    raise UserError(
        f"rule (--rule) {rule!r} is learnt while a model is trained ('labelwise train --rule {rule}'): give a"
        " threshold or top_k(3), or leave it out for the model's own"
    )
