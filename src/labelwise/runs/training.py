"""Train a run, or resume it.

``train`` reads the inputs and chooses the method (``_choose``), makes the directory, fits the classifier (``_train``)
and writes the results (``_finish``). A resumed run (``_resume``) has its method and its directory already.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise._files import CannotWrite, file_digest
from labelwise._processes import is_first_process
from labelwise.errors import UserError, listed
from labelwise.runs.answering import joined_answers
from labelwise.runs.audited import calibrate
from labelwise.runs.config import WHO_COMPUTES, RunConfig
from labelwise.runs.copies import Sketch
from labelwise.runs.directory import RunDirectory, write_json
from labelwise.runs.inputs import Inputs, check_kind, default_backbone, notes_on_backbone, read_inputs
from labelwise.runs.outcome import Outcome, outcome_of
from labelwise.runs.records import require
from labelwise.runs.streaming import (
    WHY_LISTS,
    check_streamed,
    check_unstreamed,
    inputs_of,
    is_streamed,
    judged_inputs,
    keeps_lists,
    open_stream,
    stream_options,
    stream_state,
)
from labelwise.runs.tables import ModelColumns, items_of, read_model

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier, ReadItems
    from labelwise.data import BadItem, Table


class Stopped(KeyboardInterrupt):
    """The user stopped a run; the text says how to go on."""


def train(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    progress: bool = False,
    logs: Sequence[str] = (),
) -> Outcome | None:
    """Train by ``config`` in the new run directory ``out``.

    Nothing is left behind when the input cannot be used.

    Args:
        resume: Whether to go on with the run in ``out``, where there is one.
        logs: Names of loggers (``labelwise.tracking.LOGS``) that write under ``out``.

    Returns:
        The result; None in the processes of a distributed run other than the first, which writes everything.

    Raises:
        UserError: For bad input, and where ``out`` holds another run or anything else.
        Stopped: When the user stopped it.
    """
    run, callbacks = RunDirectory(Path(out)), _loggers(logs, out)
    if resume and run.exists():
        return _resume(run, config, progress, logs)
    if is_first_process():
        # Refused now, since reading may take minutes; create looks again, since that leaves time for others.
        run.check_free()
    if is_streamed(config):
        return _train_stream(run, config, progress, logs)
    check_unstreamed(config)
    config, inputs, reason = _choose(config)
    if is_first_process():
        files = {} if inputs.answers is None else inputs.answers.files()
        run.create(config, _initial_state(config, inputs, reason), files)
    with _locked(run):
        try:
            return _train(run, config, inputs, progress, callbacks)
        except UserError:
            # Before its first checkpoint a run is worth nothing, and would stand in the way of the mended command.
            if is_first_process() and not run.has_checkpoint():
                run.remove()
            raise


def resume(
    out: str | Path,
    given: Mapping[str, Any] | None = None,
    *,
    file: str | Path | None = None,
    sets: Sequence[str] = (),
    progress: bool = False,
    logs: Sequence[str] = (),
) -> Outcome | None:
    """Resume the run in ``out``, to the bit.

    A finished one is left as it is.

    Args:
        given: Settings given again, as for ``RunConfig.build``; they must be those of the run, but for ``images``,
            which says where its pictures are now.
        logs: As for ``train``; those of before go on where they are named again.

    Raises:
        UserError: Where there is no run, another process trains it, its files have changed, or the settings differ.
    """
    run = RunDirectory(Path(out))
    base = run.config().model_dump()
    return _resume(run, RunConfig.build(given or {}, file=file, sets=sets, base=base), progress, logs)


def _resume(run: RunDirectory, again: RunConfig, progress: bool, logs: Sequence[str]) -> Outcome | None:
    """Resume a run; the settings given again must be its own."""
    callbacks = _loggers(logs, run.path)
    config, state = run.config(), run.state()
    require(state, run.path)
    # A method that was left to the library was chosen when the run began; the same table would give the same one.
    chosen = {name: getattr(again, name) or getattr(config, name) for name in ("method", "backbone")}
    again = again.model_copy(update=chosen).located()
    if again.images is not None and state["kind"] == "image":
        # Pictures that moved are known again by their contents, which checkpoints hold a digest of.
        config = config.model_copy(update={"images": again.images})
    # Who computes changes nothing of what is computed: a run may go on elsewhere.
    config = config.model_copy(update={name: getattr(again, name) for name in WHO_COMPUTES})
    if different := config.differences(again):
        raise UserError(
            f"{run.path} was started with other settings ({'; '.join(different)}): give those, or another --out"
        )
    if config.stream and state["status"] != "finished":
        return _train_stream(run, config, progress, logs, state)
    if state["status"] == "finished":
        if is_first_process():
            # Left by a process that was killed at its very end.
            run.drop_checkpoints()
        return outcome_of(run, state, already_finished=True)
    run.check_links()
    with _locked(run):
        # The process that held the lock until now may have finished the run.
        if (state := run.state())["status"] == "finished":
            return outcome_of(run, state, already_finished=True)
        _check_files(run, config, state)
        return _train(run, config, read_inputs(config, joined_answers(run, state)), progress, callbacks)


def _loggers(logs: Sequence[str], out: str | Path) -> Sequence[Any]:
    """Return the loggers of these names, which write under ``out``."""
    if not logs:
        return ()
    from labelwise.tracking import open_logs

    return open_logs(logs, out)


def _check_files(run: RunDirectory, config: RunConfig, state: Mapping[str, Any]) -> None:
    """Refuse files that are not what they were when the run began."""
    for name, path in config.files().items():
        if not Path(path).is_file():
            raise UserError(f"{path}, the {name} of {run.path}, is gone: put it back to go on with the run")
        if file_digest(Path(path)) != state["files"].get(name):
            raise UserError(
                f"{path}, the {name} of {run.path}, has changed: put it back, or train to another --out"
            )


def _choose(config: RunConfig) -> tuple[RunConfig, Inputs, str | None]:
    """Read the inputs, and choose method and backbone where left open.

    Returns:
        The configuration with both and with absolute paths, the inputs, and the reason for a method of our choice.
    """
    from labelwise.annotations import describe
    from labelwise.classifier import FitOptions
    from labelwise.methods import fitting, get
    from labelwise.methods.recommendation import recommend

    # Whatever needs no data is refused before data are read.
    if config.method is not None:
        get(config.method).spec.resolve(config.hyperparameters)
    if config.backbone_weights is not None and not Path(config.backbone_weights).is_file():
        raise UserError(
            f"backbone_weights (--backbone-weights) {config.backbone_weights}: there is no such file; give that of the"
            " weights"
        )
    if config.backbone is not None:
        FitOptions(backbone=config.backbone, tune=config.tune).checked()
    inputs = read_inputs(config)
    check_kind(config.backbone, inputs.table)
    summary = describe(inputs.table.annotations)
    backbone = config.backbone or default_backbone(inputs.table, config.tune)
    inputs = replace(inputs, notes=(*inputs.notes, *notes_on_backbone(config, backbone)))
    options = FitOptions(
        backbone=backbone,
        tune=config.tune,
        accumulate=config.accumulate,
        coherent_loss=config.coherent_loss,
        positive_boost=config.positive_boost,
    )
    advice = recommend(
        summary,
        options.tuning,
        entrywise=config.hints is not None or options.takes_entries,
        weighted=inputs.sample_weight is not None and np.ptp(inputs.sample_weight) > 0,
    )
    in_passes = config.method is None and keeps_lists(config, inputs.table.annotations)
    method = "ridge" if in_passes else config.method or advice.method
    spec = get(method).spec
    spec.accept(summary.setting, fitting(summary.setting))
    spec.resolve(config.hyperparameters)
    reason = WHY_LISTS if in_passes else advice.reason if method == advice.method else None
    return config.model_copy(update={"method": method, "backbone": backbone}).located(), inputs, reason


def _initial_state(config: RunConfig, inputs: Inputs, reason: str | None) -> dict[str, Any]:
    from labelwise._version import __version__

    return {
        "labelwise": __version__,
        "status": "training",
        "reason": reason,
        **ModelColumns.of(inputs.table, inputs.answers.added_labels if inputs.answers else ()).to_state(),
        "roles": list(inputs.table.roles),
        "files": {name: file_digest(Path(path)) for name, path in config.files().items()},
    }


def _train(
    run: RunDirectory, config: RunConfig, inputs: Inputs, progress: bool, callbacks: Sequence[Any]
) -> Outcome | None:
    """Fit the classifier, from the last checkpoint, and finish the run."""
    table = inputs.table
    model = _classifier(run, config, inputs, progress)
    warm = None if config.warm_start is None else _earlier_model(config.warm_start, table)
    read: list[ReadItems] = []

    def on_read(items: ReadItems) -> None:
        _check_left_out(run, table, items.bad)
        read.append(items)

    try:
        model.fit(
            items_of(table),
            table.annotations,
            items=table.items,
            true_labels=inputs.true_labels,
            warm_start=warm,
            on_read=on_read,
            groups=inputs.groups,
            hints=inputs.hints,
            sample_weight=inputs.sample_weight,
            callbacks=callbacks,
        )
        if hasattr(model, "streamed_"):
            inputs = judged_inputs(inputs, model)
        return _finish(run, config, model, inputs, read[0]) if is_first_process() else None
    except KeyboardInterrupt as stop:
        where = str(stop).split(":")[0] or "stopped"
        moved = config.images is not None and config.images != run.config().images
        images = f" --images {shlex.quote(str(config.images))}" if moved else ""
        raise Stopped(f"{where}; 'labelwise train {run.path} --resume{images}' goes on") from None


def _earlier_model(path: str, table: Table) -> MultiLabelClassifier:
    """Return the model of a finished run on the same columns of features."""
    model, columns = read_model(directory := RunDirectory(Path(path)), directory.finished())
    if columns.feature_names != table.feature_names:
        different = sorted(set(columns.feature_names) ^ set(table.feature_names)) or ["their order"]
        raise UserError(
            f"warm_start (--warm-start) {path}: its features are not those of {table.path.name} ({listed(different)}):"
            " give a run on the same columns, or leave it out"
        )
    return model


def _classifier(run: RunDirectory, config: RunConfig, inputs: Inputs, progress: bool) -> MultiLabelClassifier:
    from labelwise.classifier import MultiLabelClassifier

    given = config.classifier_options() | inputs.classifier_options()
    given["backbone"] = config.backbone or default_backbone(inputs.table, config.tune)
    if inputs.table.kind == "text":
        # Rows without a text were left out when the table was read.
        given["on_bad_item"] = "stop"
    return MultiLabelClassifier(**given, directory=run.checkpoints, progress=progress)


def _check_left_out(run: RunDirectory, table: Table, bad: Sequence[BadItem]) -> None:
    """Record the items that cannot be read; refuse others on resuming."""
    if not run.has_checkpoint():
        if is_first_process():
            # A full disk is reported by the first checkpoint, which needs far more of it.
            with suppress(CannotWrite):
                run.keep_left_out({item.item: item.reason for item in bad})
        return
    before, now = run.left_out(), {item.item for item in bad}
    if before is None or before.keys() == now:
        return
    # Rows left out or taken in would move all others to other batches: the run would not be the same to the bit.
    names = [
        content if isinstance(content, str) and table.kind == "image" else item
        for item, content in zip(table.items, table.contents or table.items, strict=True)
    ]
    changes = [f"{names[item.row]} {item.reason}" for item in bad if item.item not in before]
    readable = before.keys() - now
    changes += [
        f"{name} can be read now, and could not"
        for name, item in zip(names, table.items, strict=True)
        if item in readable
    ]
    raise UserError(
        f"{run.path} was begun with other items: {listed(changes, 3, 1000)}; put them back as they were to go on with"
        " the run, or train to another --out"
    )


def _train_stream(
    run: RunDirectory,
    config: RunConfig,
    progress: bool,
    logs: Sequence[str],
    state: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train on rows that are read in passes; a killed run begins anew, to the same bits."""
    from labelwise.classifier import MultiLabelClassifier

    check_streamed(config, logs)
    stream = open_stream(config)
    begun = stream_state(stream, config)
    chosen = {"stream": True, "method": "ridge", "backbone": "features"}
    config = config.model_copy(update=chosen).located()
    if state is None:
        run.create(config, {**begun, "status": "training"})
    elif state["files"] != begun["files"]:
        raise UserError(f"the files of {run.path} have changed: put them back, or train to another --out")
    with _locked(run):
        try:
            model = MultiLabelClassifier(**stream_options(config, stream), progress=progress)
            read: list[ReadItems] = []
            model.fit(stream, None, on_read=read.append)
            return _finish(run, config, model, inputs_of(stream, config, model), read[0])
        except UserError:
            run.remove()
            raise
        except KeyboardInterrupt:
            raise Stopped(f"stopped; 'labelwise train {run.path} --resume' begins anew") from None


def _finish(
    run: RunDirectory, config: RunConfig, model: MultiLabelClassifier, inputs: Inputs, read: ReadItems
) -> Outcome:
    """Write the model, its figures, its history and the report.

    The state says "finished" last of all, and checkpoints go after it: a process that is killed anywhere before
    resumes from its last checkpoint and writes everything again.
    """
    from labelwise.report import peak_memory
    from labelwise.runs.reporting import write_run_report

    table = inputs.table
    why = _why_no_figures(model, table)
    calibration = _use_estimates(model, inputs, config)
    notes = [*dict.fromkeys((*inputs.notes, *calibration, *_notes(model, inputs, config)))]
    notes += _save_sketch(run, model, inputs, read)
    if table.kind == "features":
        # Known by name from here on, so that no other model can take its place by the number of its features.
        model.feature_names_in_ = np.array(table.feature_names, dtype=object)
    model.save(run.model)
    figures = None if model.validation_ is None else model.validation_.to_dict()
    write_json(run.evaluation, {"on": "validation", "figures": figures, "why_no_figures": why})
    run.write_history(model.history_)
    if model.held_out_ is not None:
        run.keep_held_out(*model.held_out_)
    memory = peak_memory()
    write_run_report(run, config, model, inputs, read, why=why, memory=memory)
    result = {
        "method": model.method_,
        "setting": model.summary_.setting,
        "n_items": model.summary_.n_items,
        "n_labels": len(model.label_names_),
        "rule": model.rule_.name,
        "rule_source": model.rule_source_,
        "notes": notes,
        "skipped": [[item.item, item.reason] for item in (*table.left_out, *model.skipped_)],
        "why_no_figures": why,
        "seconds": round(model.seconds_, 3),
    }
    if config != run.config():
        # The pictures moved meanwhile.
        run.change_config(config)
    run.update(status="finished", result=result, memory=memory)
    run.drop_checkpoints()
    return outcome_of(run, run.state())


def _use_estimates(model: MultiLabelClassifier, inputs: Inputs, config: RunConfig) -> list[str]:
    """Let an audit calibrate a model that its labels do not; return a sentence on it."""
    audited = None if inputs.answers is None else inputs.answers.audited
    if inputs.answers is None or audited is None or audited.refused is not None:
        return []
    if config.prior is None:
        model.rule_source_ = model.rule_source_.replace("the given prior", "the audit's prior")
    if not config.calibrate:
        return []
    note = calibrate(model, inputs.table, audited, inputs.answers.of_entries(inputs.table))
    return [] if note is None else [note]


def _notes(model: MultiLabelClassifier, inputs: Inputs, config: RunConfig) -> list[str]:
    """Return the model's notes; of a prior that nobody gave, but an audit, its words are others."""
    if config.prior is not None or inputs.prior is None:
        return list(model.notes_)
    said = "not used: prior, since "
    return [
        f"audit: its prior is not used, since {note.removeprefix(said)}" if note.startswith(said) else note
        for note in model.notes_
    ]


def _why_no_figures(model: MultiLabelClassifier, table: Table) -> list[str]:
    """Return sentences on why there are no validation figures."""
    from labelwise.metrics import judgeable

    if model.validation_ is not None:
        return []
    measurable = judgeable(table.annotations.states)
    return [*measurable.words, *(["No rows were held out."] if measurable.average_precision else [])]


def _save_sketch(
    run: RunDirectory, model: MultiLabelClassifier, inputs: Inputs, read: ReadItems
) -> list[str]:
    """Save the sketch of the training rows; return notes on near copies."""
    sketch = Sketch.of(read.X)
    if sketch is None:
        return []
    sketch.save(run.path)
    # With groups named, near copies are left out together.
    if model.validation_ is None or (inputs.groups is not None and not isinstance(inputs.validation, tuple)):
        return []
    if isinstance(inputs.validation, tuple):
        note = sketch.among(inputs.validation[0], "training rows, among those of the validation table")
    else:
        note = sketch.among_themselves()
    return [] if note is None else [note]


def _locked(run: RunDirectory) -> AbstractContextManager[None]:
    """Lock the run; in a distributed run the first process does."""
    return run.alone() if is_first_process() else nullcontext()
