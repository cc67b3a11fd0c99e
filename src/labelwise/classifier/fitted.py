"""Trained models: network, method and scaling, and the pass over items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from labelwise import engine
from labelwise._files import entries_under
from labelwise._random import torch_seeded
from labelwise.annotations import Summary
from labelwise.classifier.boost import boosted
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.classifier.record import Record, weights_of
from labelwise.data import Source, as_source
from labelwise.ensemble import Explanation
from labelwise.methods import Method, Problem, get
from labelwise.models import (
    BackboneCapabilities,
    FeatureScaling,
    Network,
    Outputs,
    Projection,
    RidgeSolution,
    Scaling,
    build_backbone,
    device_of,
    logits,
    scaling_from_state,
)


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A trained network and all that it takes to score items.

    Attributes:
        network: As it is to be used.
        method: With the statistics that it scores by.
        labels: The facts of the labels that it was trained on.
        prior: (K,) the share of positives of each label, or None where nothing identifies it.
        input_shape: The shape of one input of the network.
        scaling: Of rows of features, before the network.
        history: One record an epoch.
        budget: Epochs, batch size and rates.
        solution: The closed form on the training items: where the features are fixed, or were before training. None
            after loading.
        best_epoch: The epoch that was taken, where the run chose one.
    """

    network: Network
    method: Method
    labels: Summary
    prior: np.ndarray | None
    input_shape: tuple[int, ...]
    scaling: Scaling | None
    history: list[dict[str, Any]]
    budget: dict[str, Any]
    solution: RidgeSolution | None = None
    best_epoch: int | None = None

    def source(self, items: Any) -> Source:
        """Return read items as a source of the network's batches."""
        return scaled_source(items, self.scaling)

    def outputs(self, items: Any) -> Iterator[tuple[slice, Outputs]]:
        """Yield (rows, outputs) in chunks over read items, without gradients.

        ``method.score`` and ``method.logits`` of the outputs are (b, K); ``outputs.features`` is what the head reads.
        """
        return engine.outputs_in_chunks(self.network, self.source(items), device_of(self.network), rows=1024)

    def scores(self, items: Any) -> np.ndarray:
        """Return scores (n, K) float32 in [0, 1] of read items."""
        return engine.score(self.network, self.method, self.source(items))

    def logits(self, items: Any) -> np.ndarray:
        """Return the logits (n, K) of the scores, not tied near 1."""
        return engine.logits(self.network, self.method, self.source(items))

    @property
    def left_out_logits(self) -> np.ndarray | None:
        """Leave-one-out logits (n, K) of the training items.

        They are the method's own, else those of the ridge solution; None unless it was solved in closed form.
        """
        # A history means steps, which moved the head away from the solution.
        if self.history:
            return None
        if self.method.left_out is not None:
            return self.method.left_out
        return None if self.solution is None else logits(self.solution.loo_scores)

    @property
    def explanation(self) -> Explanation | None:
        """What the training found and chose by, None of a method that does not say."""
        return self.method.explanation

    @property
    def head_start(self) -> str:
        """Start of the head: ``"ridge"`` or ``"random"``."""
        return "ridge" if self.method.starts_from_ridge else "random"

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the model's entries and weights for a model directory."""
        arrays = weights_of(self.network, "network.") | weights_of(self.method, "method.")
        # What a group has shown in training says nothing of new items.
        arrays = {name: value for name, value in arrays.items() if not name.startswith("method.group_term.")}
        if self.scaling is not None:
            arrays |= {f"scaling.{name}": value for name, value in self.scaling.state().items()}
        return {
            "method": self.method.spec.id,
            "hyperparameters": self.method.spec.record(self.method.hyperparameters),
            "tune": self.method.problem.tune,
            "head_start": self.head_start,
            "budget": self.budget,
            "history": self.history,
            "label_names": list(self.labels.label_names),
            "labels": self.labels.to_dict(),
            "prior": None if self.prior is None else self.prior.tolist(),
            "input_shape": list(self.input_shape),
            "architecture": BackboneCapabilities.of(self.network.backbone).architecture,
            "scaling": None if self.scaling is None else self.scaling.config(),
            **({} if self.explanation is None else {"explanation": self.explanation.to_dict()}),
        }, arrays

    @classmethod
    def from_record(cls, record: Record, options: FitOptions, reader: ItemReader) -> Self:
        """Return the model of a model directory, in evaluation mode."""
        config, read = record.config, record.read
        prior = read("prior", lambda values: np.asarray(values, np.float64))
        labels, shape = read("labels", Summary.from_dict), tuple(config["input_shape"])
        nothing = np.zeros((0, len(labels.label_names)), np.int8)
        empty = Problem(nothing, tune=config["tune"], head_start=config["head_start"])
        method: Method = read("hyperparameters", partial(read("method", get), empty))
        with record.bounded():
            network = new_network(options, reader, shape, method, seed=0, **record.rebuilt)
        record.load_state(network, "network.")
        record.load_state(method, "method.")
        # The inputs' size is that of the weights by now.
        scaling = read(
            "scaling", lambda entry: scaling_from_state(entry, entries_under(record.arrays, "scaling."))
        )
        if "explanation" in config:
            method.explanation = read("explanation", Explanation.from_dict)
        budget, history = config["budget"], config["history"]
        return cls(network.eval(), method.eval(), labels, prior, shape, scaling, history, budget)


def scaled_source(items: Any, scaling: Scaling | None, strong_view: float | None = None) -> Source:
    """Return items as a source of scaled batches.

    ``strong_view`` matters to training only.
    """
    if scaling is None:
        return as_source(items)
    options = {} if strong_view is None else {"strong_view": strong_view}
    return as_source(items, scaling=scaling, **options)


def new_network(
    options: FitOptions,
    reader: ItemReader,
    shape: Sequence[int],
    method: Method,
    *,
    seed: int,
    **rebuilt: Any,
) -> Network:
    """Return a new network for inputs of ``shape``.

    The inputs are features already where the reader makes them.
    """
    with torch_seeded(seed):
        if reader.makes_features:
            backbone = build_backbone("features", shape)
        else:
            backbone = options.new_backbone(shape, **rebuilt)
        width = int(backbone.n_features)  # type: ignore[arg-type]
        neck = _neck(width, method)
        if options.positive_boost is None:
            head = method.head(width if neck is None else neck.n_features)
        else:
            head = boosted(backbone, method.problem.n_labels, options)
        # Inside: a head that reads maps draws weights for them when the network tells it so.
        network = Network(backbone, head, neck)
    if reader.tune == "head":
        backbone.requires_grad_(False)
    return network


def _neck(width: int, method: Method) -> FeatureScaling | Projection | None:
    """Return the layer between a backbone that trains and its head.

    The closed form reads the features themselves: a random projection of them would cost it what it knows.
    """
    if method.problem.tune == "head":
        return None
    if method.starts_from_ridge:
        return FeatureScaling(width)
    return Projection(width) if method.spec.projection else None
