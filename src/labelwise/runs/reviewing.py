"""Open a run to review it: its items, its labels and what its model says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise._files import file_digest
from labelwise.errors import UserError, listed
from labelwise.runs.answering import run_identity, trained_table
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.scoring import RowScores, kept_row_scores, row_scores
from labelwise.runs.tables import (
    FinishedRun,
    ModelColumns,
    items_of,
    read_for_model,
    read_model,
    with_labels,
)

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import Table

_MOST_COLUMNS, _MOST_FEATURES = 12, 12
SAW_ROWS = "scores of a model that saw these rows in training"
"""How scores were made that are shown until those of models are there that did not see the row."""


@dataclass(frozen=True, eq=False)
class ReviewData:
    """What a page shows of a run.

    Attributes:
        run: The run directory.
        model_run: The run whose model the scores are of: the run itself, or one that learnt from the answers.
        identity: What tells the run's answers from those of another.
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
        images: The folder of the pictures, where it was given.
        notes: Sentences on what was assumed.
    """

    run: Path
    model_run: Path
    identity: str
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
    images: str | None = None
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
    learnt: str | Path | None = None,
    images: str | None = None,
    progress: bool = False,
) -> ReviewData:
    """Read a finished run, its table and its model's scores.

    Args:
        table: Where the table is now, by default where it was trained; it must hold the same items.
        learnt: A run that learnt from the answers to this one, whose scores are taken.
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
    source = directory if learnt is None else RunDirectory(Path(learnt))
    model, _ = read_model(source, source.finished())
    model.set_params(on_bad_item="skip", cache=config.cache, progress=progress)
    columns = ModelColumns.from_state(state)
    data = _table(path, config, columns)
    _check_items(directory, config, state, data)
    kind, contents = _contents(data, config, path)
    labels = (*columns.label_names, *(name for name in model.label_names_ if name not in columns.label_names))
    # What a run was begun with is given, be it in its table or in answers to an earlier run.
    given = with_labels(trained_table(directory, data), labels).annotations.matrix
    scores, suggested, made_by, unreadable = _scored(model, source, data, given, labels)
    return ReviewData(
        run=directory.path,
        model_run=source.path,
        identity=run_identity(state),
        table=path,
        kind=kind,
        items=data.items,
        contents=contents,
        columns=_shown_columns(data, config, columns, kind),
        labels=labels,
        given=given,
        scores=scores,
        suggested=suggested,
        calibrated=model.calibration_ is not None,
        made_by=made_by,
        unreadable=unreadable,
        images=images,
        seconds=float(source.state()["result"]["seconds"]),
        notes=tuple(data.notes),
    )


def _table(path: Path, config: RunConfig, columns: ModelColumns) -> Table:
    """Return the run's table with the columns that a card can show."""
    # A row that cannot be read is a card that says so; at training it was stopped at or left out.
    config = config.model_copy(update={"on_bad_item": "skip"})
    return read_for_model(path, config, columns, keep=("*",))


def _check_items(directory: RunDirectory, config: RunConfig, state: Mapping[str, Any], data: Table) -> None:
    """Refuse a table whose items are not the run's; those that differ are counted and named."""
    own = Path(config.table or "")
    if own.is_file() and own != data.path and file_digest(own) == state["files"].get("table"):
        columns = ModelColumns.from_state(state)
        if clause := differing_items(_table(own, config, columns).items, data.items):
            raise UserError(f"{data.path} is not the table of {directory.path}: {clause}")
        return
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


def _shown_columns(data: Table, config: RunConfig, columns: ModelColumns, kind: str) -> dict[str, Any]:
    """Return the columns of a row that a card shows: few, and neither labels nor what names the item."""
    features = set(columns.feature_names)
    hidden = {*columns.label_names, columns.content_column, config.labels_column, config.label_value}
    if len(features) > _MOST_FEATURES or kind == "image":
        hidden |= features
    shown = [name for name in data.kept if name not in hidden]
    names = [name for name in shown if data.kept[name][:5].to_pylist() != data.items[:5]]
    return {name: data.kept[name] for name in names[:_MOST_COLUMNS]}


def _scored(
    model: MultiLabelClassifier,
    source: RunDirectory,
    data: Table,
    given: NDArray[np.int8],
    labels: Sequence[str],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], str, dict[int, str]]:
    """Return scores and label sets (n, K), how they were made, and the rows that could not be read."""
    from scipy.special import expit

    from labelwise.metrics import decide

    place = {name: k for k, name in enumerate(labels)}
    chosen = np.array([place[name] for name in model.label_names_])
    found = _row_scores(model, source, data)
    logits = found.logits.astype(np.float64)
    scores = np.full(given.shape, np.nan, dtype=np.float32)
    suggested = np.zeros(given.shape, dtype=np.bool_)
    rows = np.flatnonzero(~np.isnan(logits).any(axis=1))
    places = np.ix_(rows, chosen)
    scores[places] = expit(logits[rows])
    suggested[places] = decide(model.rule_, logits[rows]) == 1
    return scores, suggested, f"{model.method_}; {found.how}", dict(found.unreadable)


def _row_scores(model: MultiLabelClassifier, source: RunDirectory, data: Table) -> RowScores:
    """Return scores of models that did not see the row, whose own answer would else speak for itself.

    A page does not wait for a method that has to be trained for them once more: until its certificate has had that
    done, its own scores are shown.
    """
    trained_on = with_labels(trained_table(source, data), model.label_names_)
    kept = kept_row_scores(source, trained_on)
    if kept is not None or model.fitted_.method.spec.passes == 0:
        return kept or row_scores(source, model, trained_on)
    read = model.read(items_of(data), items=data.items)
    logits = np.full((len(data), len(model.label_names_)), np.nan, np.float32)
    logits[np.asarray(read.kept, dtype=np.int64)] = model.decision_function(read)
    return RowScores(logits, SAW_ROWS, {bad.row: bad.reason for bad in read.bad})


def training_arguments(data: ReviewData, out: Path, *, moved: bool = False) -> list[str]:
    """Return the arguments of ``labelwise`` that train a run's settings anew, with the answers to it.

    The method is the run's own where it takes the labels that the answers make, else the library's choice.

    Args:
        moved: Whether the table lies elsewhere than the run says.
    """
    from labelwise.methods import get

    config = RunDirectory(data.run).config()
    # Where a table knows no negative, answers of no are kept out of training, and it stays one of positives.
    setting = "partial" if (data.given == 0).any() else "partial_positive"
    keeps = setting in get(str(config.method)).spec.settings
    return [
        "train",
        *([str(data.table)] if moved else []),
        *("--config", str(data.run / "run.toml")),
        *(() if keeps else ("--method", "auto")),
        *(("--images", data.images) if data.images else ()),
        # Who changed a given entry on the page meant it.
        *("--answers", str(data.run), "--conflicts", "answer"),
        *("--out", str(out)),
    ]


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


def table_with_answers(
    data: ReviewData, matrix: NDArray[np.int8], labels: Sequence[str], out: Path
) -> tuple[str, ...]:
    """Write the run's table in its own format, with answers entered.

    Where an answer changes a given entry it is the answer that is written: somebody said so on the page.

    Args:
        matrix: (n, K) int8, the states of ``labels`` with the answers.
        out: A file with the table's ending.

    Returns:
        Sentences on what that form cannot hold.
    """
    from dataclasses import replace

    from labelwise.annotations import Annotations
    from labelwise.runs.filling import write_filled

    options = {"images": data.images, "on_bad_item": "skip"}
    finished = FinishedRun.open(data.run, progress=False, **options)
    table = finished.read_table(data.table)
    names, given = table.annotations.label_names, table.annotations.matrix
    place = {name: k for k, name in enumerate(labels)}
    states = matrix[:, [place[name] for name in names]]
    changed = (given != -1) & (states != given)
    notes = []
    if finished.config.labels_column is not None and finished.config.label_value is None:
        # A cell of names has no word for no.
        if struck := int((changed & (states == 0)).sum()):
            notes.append(f"{struck:,} given entries were answered no: a cell of names cannot say so")
        changed &= states == 1
    new = {name: matrix[:, k] for name, k in place.items() if name not in names}
    known = np.where(changed, -1, given).astype(np.int8)
    table = replace(table, labels=Annotations(known, names))
    return (*notes, *write_filled(finished, table, states, out, new=new))
