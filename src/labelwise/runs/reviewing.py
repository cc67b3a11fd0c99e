"""Open a run to review it: its items, its labels and what its model says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, listed
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.tables import ModelColumns, items_of, read_for_model, read_model

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import Table

_MOST_COLUMNS, _MOST_FEATURES = 12, 12


@dataclass(frozen=True, eq=False)
class ReviewData:
    """What a page shows of a run.

    Attributes:
        run: The run directory.
        table: The file of its items.
        kind: What an item is shown as: its picture, its text or its row.
        items: The n item ids.
        contents: The n texts, or the n pictures: paths, or bytes of those that the file holds; None for rows.
        columns: Columns of the row by name, each an Arrow array of n values.
        labels: The K label names.
        given: (n, K) int8, the states of the table: 1, 0, -1.
        scores: (n, K) float32 in [0, 1]; NaN for items that could not be read.
        suggested: (n, K) bool, what the decision rule says.
        calibrated: Whether the scores are probabilities.
        made_by: How the scores were made, as a clause.
        unreadable: The reason for each row whose item could not be read.
        seconds: The training time of the run.
        notes: Sentences on what was assumed.
    """

    run: Path
    table: Path
    kind: Literal["image", "text", "row"]
    items: list[str]
    contents: list[Any] | None
    columns: dict[str, Any]
    labels: tuple[str, ...]
    given: NDArray[np.int8]
    scores: NDArray[np.float32]
    suggested: NDArray[np.bool_]
    calibrated: bool = True
    made_by: str = ""
    unreadable: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A short name of the run's items and labels, other for another run."""
        digest = hashlib.sha256("\0".join((*self.items, "", *self.labels)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:12]


def open_for_review(
    run: str | Path,
    table: str | Path | None = None,
    *,
    images: str | None = None,
    progress: bool = False,
) -> ReviewData:
    """Read a finished run, its table and its model's scores.

    Args:
        table: Where the table is now, by default where it was trained; it must hold the same items.
        images: Where its pictures are now.

    Raises:
        UserError: For a run that is not finished, a table that is gone or is not the run's, and a model whose labels
            are not those of the run.
    """
    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    if images is not None:
        config = config.model_copy(update={"images": images})
    path = Path(table if table is not None else config.table or "")
    if not path.is_file():
        raise UserError(
            f"{path}, the table of {directory.path}, is gone: put it back, or say where it is, as in"
            f" 'labelwise review {directory.path} TABLE'"
        )
    model, columns = read_model(directory, state)
    model.set_params(on_bad_item="skip", cache=config.cache, progress=progress)
    data = _table(path, config, columns)
    _check_items(directory, state, data)
    kind, contents = _contents(data, config, path)
    scores, suggested, unreadable = _scored(model, data)
    return ReviewData(
        run=directory.path,
        table=path,
        kind=kind,
        items=data.items,
        contents=contents,
        columns=_shown_columns(data, columns, kind),
        labels=columns.label_names,
        given=data.annotations.matrix.astype(np.int8),
        scores=scores,
        suggested=suggested,
        calibrated=model.calibration_ is not None,
        made_by=f"{model.method_}, trained on these labels",
        unreadable=unreadable,
        seconds=float(state["result"]["seconds"]),
        notes=tuple(data.notes),
    )


def _table(path: Path, config: RunConfig, columns: ModelColumns) -> Table:
    """Return the run's table with the columns that a card can show."""
    # A row that cannot be read is a card that says so; at training it was stopped at or left out.
    config = config.model_copy(update={"on_bad_item": "skip"})
    return read_for_model(path, config, columns, keep=("*",))


def _check_items(directory: RunDirectory, state: Any, data: Table) -> None:
    """Refuse a table whose number of items is not the run's."""
    expected = int(state["result"]["n_items"]) + len(state["result"]["skipped"])
    found = len(data) + len(data.left_out)
    if expected != found:
        raise UserError(
            f"{data.path} is not the table of {directory.path}: it has {found:,} items, and the run was trained on"
            f" {expected:,}"
        )


def _contents(
    data: Table, config: RunConfig, path: Path
) -> tuple[Literal["image", "text", "row"], list[Any] | None]:
    """Return how an item is shown, and its pictures or texts.

    Features whose ids are the names of picture files are shown as these.
    """
    if data.kind == "image":
        return "image", data.contents
    if data.kind == "text":
        return "text", data.contents
    folder = Path(config.images) if config.images else path.parent
    pictures = _pictures_of(data.items, folder)
    return ("row", None) if pictures is None else ("image", pictures)


def _pictures_of(items: Sequence[str], folder: Path) -> list[str] | None:
    """Return the files that item ids name in a folder, or None where they name none."""
    from labelwise.data.images.paths import names_files, resolve_inside

    if not items or not names_files(list(items[:20]), folder, named=False):
        return None
    try:
        return resolve_inside(items, folder, lambda row: f"item {items[row]!r}", "images (--images)")
    except UserError:
        return None


def _shown_columns(data: Table, columns: ModelColumns, kind: str) -> dict[str, Any]:
    """Return the columns of a row that a card shows: few, and no labels."""
    features = set(columns.feature_names)
    hidden = {*columns.label_names, columns.content_column}
    if len(features) > _MOST_FEATURES or kind == "image":
        hidden |= features
    shown = [name for name in data.kept if name not in hidden][:_MOST_COLUMNS]
    return {name: data.kept[name] for name in shown}


def _scored(
    model: MultiLabelClassifier, data: Table
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[int, str]]:
    """Return scores and label sets (n, K), and the rows that could not be read."""
    from scipy.special import expit

    from labelwise.metrics import decide

    n_labels = len(model.label_names_)
    scores = np.full((len(data), n_labels), np.nan, dtype=np.float32)
    suggested = np.zeros((len(data), n_labels), dtype=np.bool_)
    read = model.read(items_of(data), items=data.items)
    logits = model.decision_function(read)
    kept = np.asarray(read.kept, dtype=np.int64)
    scores[kept] = expit(logits)
    suggested[kept] = decide(model.rule_, logits) == 1
    return scores, suggested, {bad.row: bad.reason for bad in read.bad}


def differing_items(ours: Sequence[str], others: Sequence[str]) -> str:
    """Return a clause that counts and names the ids that two tables do not share, or ""."""
    here, there = set(ours), set(others)
    extra, missing = [i for i in others if i not in here], [i for i in ours if i not in there]
    parts = []
    if missing:
        parts.append(f"{len(missing):,} of its items are missing ({listed(missing, 3)})")
    if extra:
        parts.append(f"{len(extra):,} are not the run's ({listed(extra, 3)})")
    return "; ".join(parts)
