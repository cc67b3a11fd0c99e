"""A model card made from a run: data, label states, protocol, figures with their rule, limits, use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise._files import write
from labelwise.classifier.card import Background, model_card
from labelwise.runs.directory import RunDirectory, check_output
from labelwise.runs.records import read_evaluation
from labelwise.runs.tables import read_model


def card(run: str | Path, out: str | Path | None = None, *, license: str | None = None) -> Path:
    """Write a finished run's model card, in Markdown with the front matter of model hubs.

    Args:
        run: The run directory.
        out: A file ending in .md; by default the run's own ``README.md``.
        license: The licence under which the model may be used, as an SPDX identifier.

    Returns:
        The file.

    Raises:
        UserError: For a run that is not finished.
    """
    directory = RunDirectory(Path(run))
    state = directory.finished()
    model, _ = read_model(directory, state)
    target = directory.path / "README.md" if out is None else Path(out)
    check_output(target, [], (".md",))
    write(target, model_card(model, background_of(directory, state, directory.path.name, license)))
    return target


def background_of(
    directory: RunDirectory, state: Mapping[str, Any], name: str, license: str | None = None
) -> Background:
    """Return what a finished run knows of its model, for a card under a name."""
    record = read_evaluation(directory.evaluation)
    table = directory.config().files().get("table")
    return Background(
        data="a table" if table is None else Path(table).name,
        figures=record["figures"],
        why_no_figures=record["why_no_figures"],
        notes=state["result"].get("notes", ()),
        license=license,
        name=name,
        use=(f"labelwise predict {json.dumps(name)} new.csv --out predictions.csv",)
        if name == directory.path.name
        else (),
    )
