"""A fitted classifier from a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from labelwise.classifier.decision import Decision
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.classifier.record import read_record

Model = TypeVar("Model")


def loaded(cls: type[Model], path: str | Path, backbone: nn.Module | None = None) -> Model:
    """Return the fitted classifier of a model directory, of the class ``cls``; see ``load``."""
    record = read_record(path, backbone)
    options = FitOptions.from_record(record)
    model: Any = cls(**options.values())
    model.reader_ = ItemReader.from_record(record, options)
    model.fitted_ = FittedModel.from_record(record, options, model.reader_)
    model.decision_ = Decision.from_record(record)
    model.classes_, model.skipped_, model.held_out_ = np.arange(len(model.label_names_)), (), None
    model.best_epoch_, model.notes_ = record.config["best_epoch"], tuple(record.config["notes"])
    model.seconds_ = record.config["seconds"]
    return model  # type: ignore[no-any-return]
