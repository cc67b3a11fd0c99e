"""Models that are served: opened once, kept ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from labelwise.classifier import MultiLabelClassifier, load
from labelwise.classifier.sources import FrozenNetwork
from labelwise.data import Preparation
from labelwise.errors import UserError
from labelwise.models import Preprocessing
from labelwise.runs import RunDirectory
from labelwise.runs.tables import read_model


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A trained model and what its items look like.

    Attributes:
        name: By which it is asked for.
        kind: "features", "text" or "image".
        feature_names: The features of a row; empty where they have no names.
        content: The column of texts or pictures, where numbers stand beside them.
        preparation: How columns of words and empty cells become features; None where every cell is a number.
    """

    name: str
    classifier: MultiLabelClassifier
    kind: str
    feature_names: tuple[str, ...]
    content: str | None = None
    preparation: Preparation | None = None

    @classmethod
    def open(cls, name: str, path: Path) -> Self:
        """Open a run, a folder that holds one's ``model``, or a model directory.

        Raises:
            UserError: For what is none, and a run that is not finished.
        """
        directory, preparation, kind = RunDirectory(path), None, None
        known: tuple[str, ...] = ()
        if directory.exists():
            classifier, columns = read_model(directory, directory.finished())
            preparation, kind, known = columns.preparation, columns.kind, columns.feature_names
        elif folder := next((f for f in (path, directory.model) if (f / "model.json").is_file()), None):
            classifier = load(folder)
        else:
            raise UserError(
                f"{path} holds neither a run nor a model: give the folder that 'labelwise train --out' made"
            )
        reader = classifier.reader_
        # What people send is nobody's to keep on disk.
        classifier.set_params(on_bad_item="stop", cache=False, progress=False)
        if preparation is not None and not (preparation.values or preparation.categories):
            preparation = None
        classifier.reader_ = reader.resident(classifier._options())
        content, *beside = reader.frame_columns or (None,)
        names = beside or [str(one) for one in getattr(classifier, "feature_names_in_", known)]
        kind = kind or reader.kind or "features"
        if kind == "features" and len(reader.item_shape) != 1:
            raise UserError(
                f"{path}: the model takes arrays of shape {reader.item_shape}, which cannot be sent"
            )
        return cls(name, classifier, kind, tuple(names), content, preparation if kind == "features" else None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels."""
        return tuple(self.classifier.label_names_)

    @property
    def reads_tasks(self) -> bool:
        """Whether its items are those of Label Studio: texts or pictures alone."""
        return self.kind in ("text", "image") and not self.n_features

    @property
    def n_features(self) -> int:
        """The numbers of a row; 0 where an item has none."""
        if self.kind == "features":
            return int(self.classifier.reader_.item_shape[0])
        return len(self.feature_names)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How pictures or texts are prepared, where all of the model prepares them alike."""
        reader = self.classifier.reader_
        found = [one.preprocessing for one in reader.sources if isinstance(one, FrozenNetwork)]
        return reader.preprocessing if not reader.sources else found[0] if len(found) == 1 else None

    @property
    def passes(self) -> int:
        """The number of passes that it makes at once.

        A frozen network's threads are kept busy by the second while the first is answered; a network that is trained
        whole takes every core for one.
        """
        return 2 if self.classifier.reader_.embeds else 1

    @property
    def raw_names(self) -> tuple[str, ...]:
        """The columns that a row of features is given by; empty where they have no names."""
        return self.feature_names if self.preparation is None else self.preparation.columns

    @property
    def n_cells(self) -> int:
        """The values of a row as it is given; 0 where an item has none."""
        return len(self.raw_names) or self.n_features

    def example_cell(self, name: str) -> float | str:
        """Return a value that a column may hold."""
        words = () if self.preparation is None else self.preparation.categories.get(name, ())
        return next((word for word in words if word), 0.5)

    def logits(self, items: list[Any]) -> NDArray[np.float64]:
        """Return logits (n, K) float64 of n items, as ``classifier.decision_function`` does.

        An item is a row of features, a text, a picture as the backbone takes it or its bytes, or one of the latter
        with the numbers beside it.
        """
        return np.asarray(self.classifier.decision_function(self._as_given(items)), np.float64)

    def _as_given(self, items: list[Any]) -> Any:
        if self.content is not None:
            import pandas as pd

            contents = pd.DataFrame(
                {self.content: pd.Series([content for content, _ in items], dtype=object)}
            )
            numbers = pd.DataFrame([row for _, row in items], columns=list(self.feature_names))
            return pd.concat([contents, numbers], axis=1)
        return items if isinstance(items[0], str | bytes) else np.stack(items)

    def facts(self) -> dict[str, Any]:
        """Return what stands beside every answer."""
        calibrated = self.classifier.calibration_ is not None
        return {"model": self.name, "calibrated": calibrated, "rule": self.classifier.rule_.name}

    def answers(self, logits: NDArray[np.float64], top: int | None = None) -> list[dict[str, Any]]:
        """Return each item's labels by the model's rule, and its scores by label.

        Args:
            logits: (n, K).
            top: The highest scores alone, in their order; None for all.
        """
        names, sets = self.labels, self.classifier.decision_.sets(logits)
        scores = np.asarray(expit(logits), np.float32)
        order = None if top is None else np.argsort(-logits, axis=1, kind="stable")[:, :top]
        answers = []
        for row in range(len(logits)):
            columns = range(len(names)) if order is None else order[row].tolist()
            # The shortest number that reads back as the same float32.
            own = {names[k]: float(str(scores[row, k])) for k in columns}
            answers.append({"labels": [names[k] for k in np.flatnonzero(sets[row]).tolist()], "scores": own})
        return answers
