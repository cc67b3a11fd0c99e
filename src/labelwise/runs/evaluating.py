"""Judge a finished run on another table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.errors import UserError
from labelwise.runs.copies import Sketch
from labelwise.runs.directory import RunDirectory, check_output, write_json
from labelwise.runs.inputs import (
    check_some,
    items_of,
    left_out,
    parse_rule,
    read_for_model,
    read_model,
)
from labelwise.runs.tables import opened, pictures_of

if TYPE_CHECKING:
    from labelwise.metrics import Evaluation


@dataclass(frozen=True, eq=False)
class Judgement:
    """How well a run's model does on a table.

    Attributes:
        evaluation: The figures, or None where no label of the table has both classes known.
        observed: Then observed AP (unknown counted as absent) by label, NaN without a known positive; it ranks
            models and its level is biased. None otherwise.
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
        """The mean of observed AP over labels with a known positive."""
        return None if self.observed is None else float(np.nanmean(self.observed))

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
) -> Judgement:
    """Judge the model of a finished run on the known labels of ``table``, by ``rule`` or the model's own.

    The table needs the columns that the model was trained on, in any order. ``out``: write the result there as JSON.
    ``given``: fields of ``labelwise.data.TableOptions`` that differ from what the run was asked.

    Raises:
        UserError: For a run that is not finished, a table without these columns, and one without a known positive.
    """
    from labelwise import metrics

    if out is not None:
        check_output(out, [table], (".json",))
    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    chosen = None if rule is None else parse_rule(rule)
    if isinstance(chosen, str) and chosen != "auto":
        raise UserError(
            f"rule (--rule) {chosen!r} is learnt while a model is trained ('labelwise train --rule {chosen}'): give a"
            " threshold or top_k(3), or leave it out for the model's own"
        )
    model, columns = read_model(directory, state)
    labels = columns.label_names
    policy = on_bad_item or config.on_bad_item
    folder = pictures_of(table, columns.kind, images or config.images)
    with opened(table) as path:
        data = read_for_model(path, config, columns, given=given, images=folder, on_bad_item=policy)
    judged = metrics.judgeable(data.annotations.matrix)
    if not (judged.average_precision or judged.observed_average_precision):
        raise UserError(
            f"{data.path.name}: no entry is known to be relevant, so nothing can be judged; give labels"
        )
    model.set_params(on_bad_item=policy, cache=config.cache, progress=progress)
    rows, items = np.flatnonzero(judged.rows), items_of(data)
    chosen_items = [items[i] for i in rows] if isinstance(items, list) else items[rows]
    X = model.read(chosen_items, items=[data.items[i] for i in rows])
    check_some(X.bad, len(rows), data)
    sketch = Sketch.load(directory.path)
    copies = None if sketch is None else sketch.among(X.X)
    Y = data.annotations.matrix[rows][X.kept]
    evaluation = observed = None
    if judged.average_precision:
        evaluation = model.evaluate(X, Y, rule=None if isinstance(chosen, str) else chosen)
    else:
        observed = metrics.observed_average_precision(Y, model.decision_function(X))
    found = Judgement(
        str(run),
        str(table),
        model.method_,
        tuple(labels),
        evaluation,
        observed,
        (*judged.words, *([left_out(data.extra_labels)] if data.extra_labels else [])),
        tuple((item.item, item.reason) for item in (*data.left_out, *X.bad)),
        (*data.notes, *([] if copies is None else [copies])),
    )
    if out is not None:
        write_json(check_output(out, [table], (".json",)), found.to_dict())
    return found
