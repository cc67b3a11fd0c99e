"""Use: commands and lines of Python that score new items."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from labelwise.classifier import MultiLabelClassifier
from labelwise.report import formats
from labelwise.report.section import Section, Subject


@dataclass(frozen=True)
class Use:
    """Kind of a model's items, and meaning of its numbers."""

    words: str
    items: Sequence[str]
    """Lines of Python that make ``X``: imports, then an assignment."""
    backbone: str = ""
    """The class of a backbone of the user's own, which no model directory holds."""
    run: str | None = None
    """The run directory; None where there is none, which leaves the commands out."""
    model: str = "model/"
    """The model directory."""


def gather(subject: Subject) -> dict[str, Any]:
    """Return a classifier's use, by its kind of items and its decision."""
    model = subject.model
    numbers = "scores from 0 to 1 that rank items, but are no calibrated probabilities"
    if model.calibration_ is not None:
        numbers = "calibrated probabilities"
    rule = f"labels are decided by the rule {model.rule_.name.replace('_', ' ')}"
    source = f": {model.rule_source_}" if model.rule_source_ else ""
    backbone = type(model.backbone).__name__ if isinstance(model.backbone, nn.Module) else ""
    return {"use": Use(f"Its numbers are {numbers}; {rule}{source}", _items(model), backbone)}


def _items(model: MultiLabelClassifier) -> tuple[str, ...]:
    """Return lines that make new items of the classifier's kind."""
    reader = model.reader_
    if reader.frame_columns:
        columns = json.dumps(list(reader.frame_columns), ensure_ascii=False)
        return "import pandas as pd", f'X = pd.read_csv("new.csv")[{columns}]'
    if reader.kind == "text":
        return ('X = ["one text", "another text"]',)
    if reader.kind == "image":
        return ('X = ["one.jpg", "another.jpg"]',)
    shape = ", ".join(map(str, ("n", *model.item_shape_)))
    # A table's columns may have been encoded, filled or unpacked into these.
    order = "" if reader.columns is None else ", in the order of model.feature_names_in_"
    return "import numpy as np", f'X = np.load("new.npy")  # ({shape}){order}'


def show(use: Use | None) -> dict[str, Any] | None:
    """Return the commands and lines of Python, with their directories."""
    if use is None:
        return None
    *imports, items = use.items
    run = None if use.run is None else shlex.quote(use.run)
    place = json.dumps(use.model, ensure_ascii=False) + (
        f", backbone={use.backbone}()" if use.backbone else ""
    )
    return {
        "words": [formats.sentence(use.words)],
        "commands": []
        if run is None
        else [
            f"labelwise predict {run} new.csv --out predictions.parquet",
            f"labelwise evaluate {run} test.csv",
        ],
        "python": [
            "import labelwise as lw",
            *imports,
            f"model = lw.load({place})",
            items,
            "scores = model.predict_proba(X)",
            "names = model.predict_names(X)",
        ],
    }


USE = Section("use", "Use", ("use",), show, gather)
