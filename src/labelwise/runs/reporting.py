"""The report of a run: written when training ends, and again from the finished run and its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.errors import UserError
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory, digest
from labelwise.runs.inputs import features_of, read_inputs

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import Table

__all__ = ["report", "write_run_report"]


def report(run: str | Path, out: str | Path | None = None) -> Path:
    """Build the report of a finished run anew from its model and its table, and return where it lies.

    :param out: a file ending in .html; by default the run's own ``report.html``.
    :raises UserError: for a run that is not finished, or whose table is gone or has changed.
    """
    import json

    from labelwise.classifier import load

    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    target = directory.report if out is None else Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {target}: a report is a web page; give a name that ends in .html")
    table = config.files().get("table")
    if table is None or not Path(table).is_file():
        raise UserError(f"{table}, the table of {directory.path}, is gone: put it back to report on the run")
    if digest(Path(table)) != state["files"]["table"]:
        raise UserError(
            f"{table}, the table of {directory.path}, has changed: put it back to report on the run"
        )
    inputs = read_inputs(config)
    why = json.loads(directory.evaluation.read_text(encoding="utf-8")).get("why_no_figures", [])
    memory = state.get("memory")
    return write_run_report(
        directory,
        config,
        load(directory.model),
        inputs.table,
        features_of(inputs.table),
        why=why,
        memory=memory,
        out=target,
    )


def write_run_report(
    run: RunDirectory,
    config: RunConfig,
    model: MultiLabelClassifier,
    table: Table,
    X: Any,
    *,
    why: Sequence[str] = (),
    skipped: Sequence[Any] = (),
    memory: int | None = None,
    out: Path | None = None,
) -> Path:
    """Write the report of a fitted model on the table that it was trained on, and return where it lies.

    :param X: the table's items as the model takes them.
    :param why: sentences on what the labels cannot judge, where there are no figures.
    :param skipped: items that could not be used.
    :param memory: bytes of memory that training held at most.
    """
    from labelwise.report import content_of, write_report

    contents = getattr(table, "contents", None)
    kind = table.kind if table.kind in ("image", "text") and contents is not None else None
    asked = {name: value for name, value in config.model_dump().items() if value not in (None, {}, [], ())}
    content = content_of(
        model,
        title=f"{model.method_} on {table.path.name}",
        results_words=tuple(why),
        X=X,
        Y=table.annotations,
        items=table.items,
        contents=contents if kind else None,
        kind=kind,
        configuration=asked,
        skipped=skipped,
        memory=memory,
    )
    return write_report(content, out or run.report)
