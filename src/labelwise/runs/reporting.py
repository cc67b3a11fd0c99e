"""Write the report of a run.

That is done when training ends, and again for a finished run whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise._files import file_digest
from labelwise.errors import UserError
from labelwise.runs.answering import joined_answers
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.inputs import Inputs, read_inputs
from labelwise.runs.records import read_evaluation, require
from labelwise.runs.streaming import inputs_of, judged_inputs, keeps_lists, open_stream
from labelwise.runs.tables import items_of, read_model

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier, ReadItems


def report(run: str | Path, out: str | Path | None = None) -> Path:
    """Build the report of a finished run anew, and return its path.

    It needs the table that the run was trained on.

    Args:
        out: A file ending in .html; by default the run's own ``report.html``.

    Raises:
        UserError: For a run that is not finished, or whose table is gone or has changed.
    """
    directory = RunDirectory(Path(run))
    state, config = directory.finished(), directory.config()
    require(state, directory.path)
    target = directory.report if out is None else Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {target}: a report is a web page; give a name that ends in .html")
    if out is not None:
        check_output(target, [], (target.suffix.lower(),))
    table = config.files().get("table")
    if config.stream and table is not None and Path(table).exists():
        return _report_on_stream(directory, config, state, target)
    if table is None or not Path(table).is_file():
        raise UserError(f"{table}, the table of {directory.path}, is gone: put it back to report on the run")
    if file_digest(Path(table)) != state["files"].get("table"):
        raise UserError(
            f"{table}, the table of {directory.path}, has changed: put it back to report on the run"
        )
    inputs = read_inputs(config, joined_answers(directory, state))
    data = inputs.table
    why = read_evaluation(directory.evaluation)["why_no_figures"]
    model, _ = read_model(directory, state)
    model.set_params(on_bad_item=config.on_bad_item, cache=config.cache)
    if model.method_ == "ridge" and keeps_lists(config, data.annotations):
        from labelwise.classifier import ArrayStream, StreamedRows

        stream = ArrayStream(items_of(data), data.annotations.states, data.annotations.label_names)
        model.streamed_ = StreamedRows.of(stream)
        inputs = judged_inputs(inputs, model)
        data = inputs.table
    model.held_out_ = directory.held_out(len(data), len(model.label_names_))
    read = model.read(items_of(data), items=data.items)
    return write_run_report(
        directory, config, model, inputs, read, why=why, memory=state.get("memory"), out=target
    )


def _report_on_stream(
    directory: RunDirectory, config: RunConfig, state: Mapping[str, Any], target: Path
) -> Path:
    """Write the report of a run whose rows are read in passes, on the rows by which it was judged."""
    from labelwise.classifier import StreamedRows

    stream = open_stream(config)
    if stream.digest != state["files"].get("table"):
        raise UserError(
            f"{config.table}, the table of {directory.path}, has changed: put it back to report on the run"
        )
    model, _ = read_model(directory, state)
    model.streamed_ = StreamedRows.of(stream)
    inputs = inputs_of(stream, config, model)
    model.held_out_ = directory.held_out(len(inputs.table), len(model.label_names_))
    why = read_evaluation(directory.evaluation)["why_no_figures"]
    read = model.read(items_of(inputs.table), items=inputs.table.items)
    return write_run_report(
        directory, config, model, inputs, read, why=why, memory=state.get("memory"), out=target
    )


def write_run_report(
    run: RunDirectory,
    config: RunConfig,
    model: MultiLabelClassifier,
    inputs: Inputs,
    read: ReadItems,
    *,
    why: Sequence[str] = (),
    memory: int | None = None,
    out: Path | None = None,
) -> Path:
    """Write a fitted model's report on its training table; return the path.

    Items that cannot be read, where such are left out, stand in a list of their own.

    Args:
        read: The table's items as ``model`` reads them.
        why: Sentences on what the labels cannot judge, where there are no figures.
        memory: The most bytes of memory that training held.
    """
    from labelwise.annotations import Annotations
    from labelwise.report import content_of, write_report

    table = inputs.table
    contents, kind = table.contents, table.kind if table.kind != "features" else None
    settings = {name: value for name, value in config.model_dump().items() if value not in (None, {}, [], ())}
    content = content_of(
        model,
        title=f"{model.method_} on {table.path.name}",
        results_words=tuple(why),
        X=read,
        Y=Annotations(table.annotations.matrix[read.kept], table.annotations.label_names),
        items=[table.items[i] for i in read.kept],
        contents=None if contents is None else [contents[i] for i in read.kept],
        kind=kind,
        configuration=settings,
        skipped=(*table.left_out, *read.bad),
        memory=memory,
    )
    columns = f"The table's columns: {'; '.join(table.roles)}."
    use = content.use and replace(content.use, run=str(run.path), model=str(run.model))
    content = replace(content, summary_words=(columns, *map(_sentence, inputs.notes)), use=use)
    return write_report(content, out or run.report)


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + ("" if note.endswith((".", "?", "!")) else ".")
