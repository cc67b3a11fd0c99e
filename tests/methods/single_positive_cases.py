"""Small batches and problems for the methods of single and partial positives."""

from __future__ import annotations

import math

import numpy as np
import torch

import labelwise as lw
from labelwise import methods, metrics
from labelwise.methods import Batch, Budget, Problem
from labelwise.models import Outputs

LABELS = np.array([[1, 0, -1], [-1, 1, -1], [0, -1, 1], [1, 0, 0], [-1, -1, -1], [0, 1, 1]], np.int8)
TRUTH = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 1]], np.int8)
LOGITS = np.random.default_rng(3).normal(0, 2, LABELS.shape)
THETA = np.random.default_rng(4).normal(0, 1, LABELS.shape).astype(np.float32)
PRIOR = np.array([0.5, 0.4, 0.4])


def build(name, labels=LABELS, setting="partial", *, truth=TRUTH, epochs=10, tune="head", **hyperparameters):
    prior = PRIOR if labels.shape[1] == len(PRIOR) else np.full(labels.shape[1], 0.3)
    oracle = truth if "true_labels" in methods.get(name).spec.needs else None
    problem = Problem(labels, setting, prior, tune, 0, Budget(epochs, 4, 0.1), oracle)
    return methods.get(name)(problem, hyperparameters)


def batch(
    scores, labels=LABELS, *, state=None, epoch=1, weights=None, grad=False, index=None, dtype=torch.float64
):
    """Return a batch whose writes are collected in ``batch.written``."""
    written = {}
    made = Batch(
        index=torch.arange(len(labels)) if index is None else torch.from_numpy(index),
        labels=torch.from_numpy(labels),
        state={k: torch.from_numpy(np.array(v)) for k, v in (state or {}).items()},
        inputs={},
        rows={"weak": slice(0, len(labels))},
        stage="train",
        epoch=epoch,
        label_weights=None if weights is None else torch.from_numpy(weights),
        write=lambda name, values: written.__setitem__(name, values.cpu().numpy().copy()),
    )
    made.written = written
    outputs = torch.tensor(scores, dtype=dtype, requires_grad=grad)
    made.outputs["weak"] = Outputs(torch.zeros(len(labels), 1), outputs)
    return made


def sigmoid(x):
    return 1 / (1 + math.exp(-float(x)))


def cross_entropy(p, t):
    return -t * math.log(p) - (1 - t) * math.log(1 - p)


def mean(entry, scores, labels=LABELS, weights=None):
    """The mean over all entries of ``entry(p, label, item, k)``, known positives times their label's weight."""
    total = 0.0
    for i, row in enumerate(labels):
        for k, y in enumerate(row):
            weight = 1.0 if weights is None or y != 1 else weights[k]
            total += weight * entry(sigmoid(scores[i][k]), int(y), i, k)
    return total / labels.size


def world(seed, n=400, test=1500, D=20, K=8, cardinality=2.5, noise=1.0, hide="single", observed=0.5):
    """Labels linear in normal features plus noise; returns (X, Y, truth) to train and (X, Y) to test on."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal((K, D)) / np.sqrt(D)
    X = random.standard_normal((n + test, D)).astype(np.float32)
    raw = 2 * X @ weight.T + noise * random.standard_normal((n + test, K))
    full = (raw > np.quantile(raw, 1 - cardinality / K)).astype(np.int8)
    truth = full[:n]
    seen = np.full_like(truth, -1)
    if hide == "single":
        for i in np.flatnonzero(truth.any(1)):
            seen[i, random.choice(np.flatnonzero(truth[i]))] = 1
    elif hide == "partial":
        seen = np.where(random.random(truth.shape) < observed, truth, np.int8(-1))
    else:
        seen = np.where((truth == 1) & (random.random(truth.shape) < observed), truth, np.int8(-1))
    return (X[:n], seen, truth), (X[n:], full[n:])


SCRATCH = {"tune": "all", "learning_rate": 0.01, "epochs": 30, "batch_size": 32}
"""A linear head from a random start: what the methods' losses differ in is not hidden by the closed-form start."""


def judge(name, given, hyperparameters=None, **options):
    """Train and return test mAP, micro-F1 at one half and mean log loss, as 100 mAP, 100 F1, log loss."""
    (X, Y, truth), (X_test, Y_test) = given
    spec = methods.get(name).spec
    if "prior" in spec.needs:
        options["prior"] = truth.mean(0)
    oracle = {"true_labels": truth} if "true_labels" in spec.needs else {}
    model = lw.MultiLabelClassifier(
        name, hyperparameters=hyperparameters, validation=None, device="cpu", rule=0.5, **options
    )
    scores = model.fit(X, Y, **oracle).decision_scores(X_test).astype(float)
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    said = scores >= 0.5
    f1 = 2 * (said & (Y_test == 1)).sum() / max(1, said.sum() + Y_test.sum())
    log_loss = -(Y_test * np.log(p) + (1 - Y_test) * np.log(1 - p)).mean()
    return np.array([100 * metrics.mean_average_precision(Y_test, scores), 100 * f1, log_loss])
