"""Every method of the registry trained by however many processes started this file: ``rank_cases.py DEVICES OUT``.

Those that draw are trained by three processes before, into ``three.npz`` beside OUT. ``rank_cases.py DEVICES OUT
compiled`` trains some, with their steps compiled.

The batches are of a size that two processes cannot share evenly, and the last one is a single item.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

import labelwise as lw
from labelwise import methods
from labelwise.engine import compiling
from labelwise.methods import Problem
from tests.engine.forks import Fork, fork_others

N, D, K = 34, 5, 3
RATE = 0.015


def items():
    random = np.random.default_rng(0)
    X = random.standard_normal((N, D)).astype(np.float32)
    raw = X @ np.random.default_rng(7).standard_normal((D, K)) + random.standard_normal((N, K))
    return X, (raw > np.quantile(raw, 0.6, axis=0)).astype(np.int8)


def labels(setting, full):
    """Labels of a setting; ``few gaps`` are so few that a batch has one of them, which one process holds."""
    random = np.random.default_rng(3)
    if setting == "full":
        return full
    if setting == "single_positive":
        return np.asarray(lw.simulate.single_positive(full, seed=0))
    whole = 31 if setting == "few gaps" else 22
    seen = np.where(np.arange(N)[:, None] < whole, full, np.int8(-1))
    seen[random.permutation(22)[: 1 if setting == "few gaps" else 5], 0] = -1
    return seen


def cases():
    """Yield (method, labels) over the registry: with known negatives, and with positives alone, where it may be."""
    for name in methods.names():
        settings = methods.get(name).spec.settings
        if "partial" not in settings:
            yield name, "full"
            continue
        yield name, "partial"
        if mixes(name):
            yield name, "few gaps"
        if "single_positive" in settings:
            yield name, "single_positive"


def mixes(name):
    """Whether a batch of the method is put together from several groups of items."""
    problem = Problem(labels("partial", items()[1]), "partial", np.full(K, 0.4), true_labels=items()[1])
    return any(len(stage.mixture) > 1 for stage in methods.get(name)(problem).plan())


def trained(devices, names=None, compiles=False, only=None):
    """Yield (method and setting, scores (N, K), the epochs' losses), each after three epochs at a rate that matters.

    ``only`` keeps to one setting. With positives alone the head starts in closed form, otherwise at random.
    """
    X, full = items()
    for name, setting in cases():
        if (names is not None and name not in names) or only not in {None, setting}:
            continue
        spec = methods.get(name).spec
        options = {"prior": full.mean(0)} if "prior" in spec.needs else {}
        truth = {"true_labels": full} if "true_labels" in spec.needs else {}
        wide = spec.head == "cosine"
        model = lw.MultiLabelClassifier(
            name,
            backbone=Double() if wide else "features",
            devices=devices,
            device="cpu",
            validation=None,
            tune="all" if spec.passes and setting != "single_positive" else "head",
            epochs=3,
            batch_size=11,
            learning_rate=RATE,
            random_state=1,
            hyperparameters=tuned(spec),
            compile=compiles,
            **options,
        )
        with in_double(wide):
            model.fit(X, labels(setting, full), **truth)
            scores = model.decision_scores(X)
        yield f"{name}, {setting}", scores, [record["loss"] for record in model.history_]


DRAWN = ("drml", "flatmatch", "mat", "mime", "role", "softmatch", "vpu")
"""Methods whose steps or starts draw, by item or entry: whoever holds the item."""
COMPILED = ("an", "softmatch", "drml")
WHOLE = ("hml", "epr", "role")


def larger(devices):
    """Yield (name, scores) of 300 items with few labels: heads, and whole networks that start in closed form."""
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 20)).astype(np.float32)
    Y = (X @ random.normal(size=(20, 5)) + random.normal(size=(300, 5)) > 2).astype(np.int8)
    Y = lw.simulate.semi_supervised(Y, labelled_fraction=0.4, seed=1, rule="cap")
    options = {"device": "cpu", "validation": None, "epochs": 3, "devices": devices}
    for name in ("hml", "bbam"):
        model = lw.MultiLabelClassifier(name, learning_rate=1e-2, **options).fit(X, Y)
        yield name, model.decision_scores(X)
    for name in WHOLE:
        whole = {"backbone": body(), "tune": "all", "head_start": "ridge", "learning_rate": 1e-3}
        yield f"{name}, whole", lw.MultiLabelClassifier(name, **options, **whole).fit(X, Y).decision_scores(X)


def body():
    """A small network with batch norm, the same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(20, 12), nn.BatchNorm1d(12), nn.Tanh())
    network.n_features = 12
    return network


class Double(nn.Module):
    """The features in float64.

    A cosine times 20 makes of float32's last bit, which the order of a sum decides, a difference of 1e-6 to 3e-6 in the
    scores after twenty steps; what remains in float64 is a difference in what is computed.
    """

    n_features = D

    def forward(self, x):
        return x.double()


@contextmanager
def in_double(wanted):
    torch.set_default_dtype(torch.float64 if wanted else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def tuned(spec):
    """Hyper-parameters at which every part of a method has a say in three epochs."""
    wanted = {"rate": 0.05, "discrepancy_weight": 0.01, "threshold": 0.6, "beta": 0.1, "joining": 0.8}
    wanted |= {"adversarial_rate": 1.0, "adaptive_rate": 1.0, "width": 32}
    if spec.id == "em_apl":
        wanted.pop("beta")
    return {k: v for k, v in wanted.items() if k in spec.hyperparameters}


def save(devices, out, names=None, compiles=False, large=False, only=None):
    """Train, and write what came out in the first process."""
    results, more = list(trained(devices, names, compiles, only)), list(larger(devices)) if large else []
    if os.environ.get("LOCAL_RANK", "0") == "0":
        found = {f"scores of {name}": scores for name, scores, _ in results}
        found |= {f"larger: {name}": scores for name, scores in more}
        np.savez(out, **found, **{f"losses of {name}": losses for name, _, losses in results})


def three(out):
    """Train those that draw by three processes."""

    def process():
        save(3, out.with_name("three.npz"), DRAWN, only="partial")

    fork_others(process)
    process()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    count, out = int(sys.argv[1]), Path(sys.argv[2])
    if "compiled" in sys.argv:
        # Traced and wrapped as with torch's own compiler, without its minute.
        compiling._BACKEND = "aot_eager"
        save(count, out, COMPILED, compiles=True)
    else:
        if "LOCAL_RANK" not in os.environ and Fork(lambda: three(out)).wait():
            sys.exit("three processes ended with an error")
        save(count, out, large=True)
