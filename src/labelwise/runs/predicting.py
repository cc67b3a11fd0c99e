"""Predict the labels of a table's items by a finished run, into a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import replacing
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.inputs import check_some, items_of, read_for_model

__all__ = ["Predictions", "predict"]


@dataclass(frozen=True)
class Predictions:
    """What was written.

    :ivar calibrated: whether the scores are calibrated probabilities.
    :ivar skipped: the items that could not be read, each with the reason; the file does not have them.
    """

    run: str
    table: str
    out: str
    n_items: int
    n_labels: int
    labels_per_item: float
    rule: str
    calibrated: bool
    skipped: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        return asdict(self)


def predict(
    run: str | Path,
    table: str | Path,
    out: str | Path,
    *,
    images: str | None = None,
    on_bad_item: str | None = None,
    progress: bool = False,
    **given: Any,
) -> Predictions:
    """Write ``out`` (.parquet, .csv or .jsonl): item, one probability for each label, and the predicted names.

    The table needs the columns that the model was trained on, in any order; its labels are not read. The
    predicted names are a list, in CSV one text separated by ``;`` (or ``|`` where a name holds ``;``).
    ``given``: fields of :class:`labelwise.data.TableOptions` that differ from what the run was asked.

    :raises UserError: for a run that is not finished, a table without the model's features, or an ``out`` that
        cannot be written.
    """
    from labelwise.classifier import load

    target = check_output(out, [table], tuple(_WRITERS))
    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    data = read_for_model(
        str(table),
        config,
        state["feature_names"],
        [],
        given=given,
        images=images,
        kind=state["kind"],
    )
    model = load(directory.model).set_params(
        on_bad_item=on_bad_item or config.on_bad_item, cache=config.cache, progress=progress
    )
    X = model.read(items_of(data), items=data.items)
    check_some(X.bad, len(data), data)
    items = [data.items[i] for i in X.kept]
    probabilities = model.predict_proba(X)
    chosen = model.rule_.apply(probabilities)
    with replacing(target) as draft:
        _WRITERS[target.suffix.lower()](draft, items, model.label_names_, probabilities, chosen)
    return Predictions(
        run=str(run),
        table=str(table),
        out=str(target),
        n_items=len(items),
        n_labels=len(model.label_names_),
        labels_per_item=float(chosen.sum(axis=1).mean()),
        rule=model.rule_.name,
        calibrated=model.calibration_ is not None,
        skipped=tuple((item.item, item.reason) for item in X.bad),
    )


Writer = Callable[[Path, Sequence[str], Sequence[str], NDArray[np.float32], NDArray[np.int8]], None]


def _write_csv(
    path: Path,
    items: Sequence[str],
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    chosen: NDArray[np.int8],
) -> None:
    mark = next((mark for mark in ";|" if not any(mark in name for name in labels)), ";")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_header(labels))
        for item, row, names in zip(items, probabilities, _names(labels, chosen), strict=True):
            writer.writerow([item, *map(str, row), mark.join(names)])


def _write_jsonl(
    path: Path,
    items: Sequence[str],
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    chosen: NDArray[np.int8],
) -> None:
    header = _header(labels)
    with path.open("w", encoding="utf-8") as file:
        for item, row, names in zip(items, probabilities, _names(labels, chosen), strict=True):
            # The shortest text that reads back as the same float32.
            values = [float(str(value)) for value in row]
            file.write(
                json.dumps(dict(zip(header, [item, *values, names], strict=True)), ensure_ascii=False) + "\n"
            )


def _write_parquet(
    path: Path,
    items: Sequence[str],
    labels: Sequence[str],
    probabilities: NDArray[np.float32],
    chosen: NDArray[np.int8],
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [pa.array(items, pa.string()), *(pa.array(column) for column in probabilities.T)]
    columns.append(pa.array(_names(labels, chosen), pa.list_(pa.string())))
    parquet.write_table(pa.table(columns, names=_header(labels)), path)


_WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}


def _header(labels: Sequence[str]) -> list[str]:
    """Return the column names; ours give way (``item_``) where a label has them."""
    item, predicted = (name if name not in labels else f"{name}_" for name in ("item", "predicted"))
    return [item, *labels, predicted]


def _names(labels: Sequence[str], chosen: NDArray[np.int8]) -> list[list[str]]:
    return [[labels[int(k)] for k in np.flatnonzero(row)] for row in chosen]
