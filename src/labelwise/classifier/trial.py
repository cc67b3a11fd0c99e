"""Exported files beside the classifier that they came from, on real items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from labelwise import metrics
from labelwise.classifier.graph import example
from labelwise.classifier.items import take
from labelwise.data import ImageSource, as_source, is_source
from labelwise.errors import UserError

Classifier: TypeAlias = Any
Run: TypeAlias = Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
MOST_ITEMS = 200
"""Items on which a file is compared; more would tell little."""
_BATCH = 16
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Agreement:
    """A file beside the classifier that it came from.

    Attributes:
        items: How many real items were compared.
        largest: The largest difference of a probability.
        mean: The mean difference of probabilities.
        sets: The share of the entries of label sets that differ.
        map: Mean average precision of the file and of the classifier; None without labels that tell it.
    """

    items: int
    largest: float
    mean: float
    sets: float
    map: tuple[float, float] | None = None

    @property
    def words(self) -> str:
        """The figures in a sentence."""
        if self.largest < _ROUNDING:
            differ = f"less than {_ROUNDING:g}"
        else:
            differ = f"at most {self.largest:.2g}, {self.mean:.2g} on average"
        return f"on {self.items} items probabilities differ by {differ}; {self.sets:.2%} of label sets' entries do"

    @property
    def loss(self) -> str:
        """The figures with both mean average precisions, which flatter where the model was trained on the items."""
        return (
            self.words
            if self.map is None
            else f"{self.words}; mAP there {self.map[0]:.4f} for {self.map[1]:.4f}"
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """Real items as a file takes them, and what the classifier says of them.

    Attributes:
        batches: The items in batches, by the numbers of their rows.
        probabilities: (n, K) of the classifier.
        sets: (n, K) label sets of the classifier.
        labels: (n, K) annotations, or None.
    """

    batches: tuple[tuple[NDArray[np.int64], NDArray[Any]], ...]
    probabilities: NDArray[np.float32]
    sets: NDArray[np.int8]
    labels: NDArray[np.int8] | None = None

    @classmethod
    def of(cls, model: Classifier, X: Any, Y: Any = None) -> Self:
        """Return a trial on up to 200 items, spread evenly over those given.

        Raises:
            UserError: Where none of them can be read, or the labels are not theirs.
        """
        count = len(X) if is_source(X) or not hasattr(X, "shape") else int(X.shape[0])
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, MOST_ITEMS)).astype(np.int64))
        labels = None
        if Y is not None:
            labels = model._options().annotations(Y, model.label_names_).matrix
            if len(labels) != count:
                raise UserError(
                    f"X has {count} items and Y has {len(labels)} rows: give one row of labels an item"
                )
        chosen = _some(X, rows)
        read = model.read(chosen)
        if not len(read.kept):
            raise UserError("X holds no item that can be read: give some, on which the file is compared")
        inputs = _inputs(model, chosen)
        batches = tuple(
            (np.arange(start, min(start + _BATCH, len(read.kept))), inputs(read.kept[start : start + _BATCH]))
            for start in range(0, len(read.kept), _BATCH)
        )
        known = None if labels is None else labels[rows[read.kept]]
        return cls(batches, model.predict_proba(read), model.predict(read), known)

    def without(self, count: int) -> Trial:
        """Return the trial on all but the first ``count`` batches."""
        return replace(self, batches=self.batches[count:])

    def of_onnx(self, content: bytes) -> Agreement:
        """Compare a model of ONNX."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(batch: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
            probabilities, _, sets = session.run(None, {name: batch})
            return probabilities, sets

        return self._compare(run)

    def of_program(self, module: Any) -> Agreement:
        """Compare a module of ``torch.export``."""

        def run(batch: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
            with torch.no_grad():
                probabilities, _, sets = module(torch.from_numpy(batch))
            return probabilities.numpy(), sets.numpy()

        return self._compare(run)

    def _compare(self, run: Run) -> Agreement:
        rows = np.concatenate([rows for rows, _ in self.batches])
        outputs = [run(batch) for _, batch in self.batches]
        probabilities, sets = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        difference = np.abs(probabilities.astype(np.float64) - self.probabilities[rows])
        labels = None if self.labels is None else self.labels[rows]
        average = _average_precision(labels, probabilities, self.probabilities[rows])
        return Agreement(
            len(rows),
            float(difference.max()),
            float(difference.mean()),
            float((sets != self.sets[rows]).mean()),
            average,
        )


def _average_precision(labels: NDArray[np.int8] | None, *scores: NDArray[Any]) -> tuple[float, float] | None:
    """Return the mean average precision of two arrays of scores; None where the labels do not tell it."""
    if labels is None:
        return None
    try:
        file, model = (metrics.ranking_score(labels, values, warn=False) for values in scores)
    except UserError:
        return None
    return file, model


def _some(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return these items of an array, a frame, a source or a list."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return take(X, rows) if is_source(X) or hasattr(X, "shape") else [X[row] for row in rows.tolist()]


def _inputs(model: Classifier, items: Any) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
    """Return what gives the file's input for some of the items."""
    made = model.reader_.matching(items, model._options())
    of_graph = example(model.reader_, model.fitted_)[1]
    if is_source(made):
        source = made
    else:
        # The graph scales pictures in arrays by itself.
        source = ImageSource(made, mean=0.0, std=1.0) if of_graph.ndim == 4 else as_source(made)

    def batch(rows: NDArray[np.int64]) -> NDArray[Any]:
        values = source.batch(rows, "plain", seed=0, epoch=0)
        if of_graph.dtype == torch.uint8 and values.dtype != torch.uint8:
            values = (values * 255).round().clamp(0, 255)
        return np.ascontiguousarray(values.to(of_graph.dtype).numpy())

    return batch
