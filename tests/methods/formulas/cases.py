"""Small labels, scores and batches, and a method's loss entry by entry, for the formulas."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import torch

from labelwise import methods
from labelwise.methods import Batch, Budget, Problem
from labelwise.models import CosineHead, Outputs
from labelwise.targets import ItemState

LABELS = np.array(
    [[1, 0, -1], [-1, 1, -1], [0, -1, 1], [1, 0, 0], [-1, -1, -1], [0, 1, 1]],
    dtype=np.int8,
)
RANDOM = np.random.default_rng(3)
COSINES = RANDOM.uniform(-0.95, 0.95, LABELS.shape)
LOGITS = RANDOM.normal(0, 2, LABELS.shape)
WEIGHTS = np.array([0.5, 2.0, 0.5])


def build(name, labels=LABELS, setting="partial", epochs=10, **hyperparameters):
    prior = np.array([0.5, 0.4, 0.4])
    return methods.get(name)(
        Problem(labels, setting, prior, "head", 0, Budget(epochs, 4, 0.1)), hyperparameters
    )


def batch(scores, labels=LABELS, *, state=None, stage="train", epoch=1, weights=None, grad=False):
    scores = torch.tensor(scores, dtype=torch.float64, requires_grad=grad)
    made = Batch(
        index=torch.arange(len(labels)),
        labels=torch.from_numpy(labels),
        state={k: torch.from_numpy(np.asarray(v)) for k, v in (state or {}).items()},
        inputs={},
        rows={"weak": slice(0, len(labels))},
        stage=stage,
        epoch=epoch,
        label_weights=None if weights is None else torch.from_numpy(weights),
    )
    made.outputs["weak"] = Outputs(torch.zeros(len(labels), 1), scores)
    return made


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mean(entry, scores, labels=LABELS, weights=None):
    """The mean over all entries of ``entry(score, label, item, k)``, known positives times their label's weight."""
    total = 0.0
    for i, row in enumerate(labels):
        for k, y in enumerate(row):
            total += (1.0 if weights is None or y != 1 else weights[k]) * entry(scores[i][k], int(y), i, k)
    return total / labels.size


def cross_entropy(p, y):
    return -math.log(p) if y == 1 else -math.log(1 - p)


def balanced(**options):
    method = build("bbam", scale=20, margin=0.4, **options)
    random = np.random.default_rng(11)
    ranges = ((0.8, 1.4), (0.5, 0.9), (0.01, 0.05), (0.02, 0.06))
    values = [random.uniform(low, high, 3) for low, high in ranges]
    names = ("mean_negative", "mean_positive", "variance_negative", "variance_positive")
    for name, value in zip(names, values, strict=True):
        getattr(method, name).copy_(torch.from_numpy(value))
    return method, [getattr(method, name).double().numpy() for name in names]


class Stored:
    """A pool with given features, or given scores."""

    def __init__(self, method, *, scores=None, features=None, weight=None):
        self.state = ItemState(method.slots(), *method.problem.labels.shape)
        self.epoch, self._scores, self.features = 1, scores, features
        head = CosineHead(features.shape[1], len(weight)) if weight is not None else None
        if head is not None:
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(weight))
        self.network = SimpleNamespace(head=head)

    def scores(self):
        values = self._scores
        if values is None:
            values = self.network.head(torch.from_numpy(self.features)).detach().numpy()
        for start in range(0, len(values), 7):
            yield (
                slice(start, min(start + 7, len(values))),
                torch.from_numpy(values[start : start + 7]).float(),
            )


def many(n=80, k=4, seed=0):
    random = np.random.default_rng(seed)
    labels = np.where(random.random((n, k)) < 0.3, random.random((n, k)) < 0.4, -1).astype(np.int8)
    labels[:10] = random.random((10, k)) < 0.4
    labels[20:40] = -1
    return labels, random
