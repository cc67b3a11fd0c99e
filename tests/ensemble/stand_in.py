"""A small ensemble of plain arrays, and a method whose head it is."""

from __future__ import annotations

import numpy as np

from labelwise.ensemble import EnsembleHead, Explanation
from labelwise.methods import SETTINGS, Method, MethodSpec
from labelwise.models import logits


class StandIn:
    """Logits of the ridge solution plus a tenth of a kernel mean over the pool, which is kept in half precision."""

    names = ("linear.weight", "linear.bias", "scaling", "normed", "pool", "targets")

    def __init__(self, arrays):
        self.arrays = {name: arrays[name] for name in self.names}
        self.n_labels, self.n_features = self.arrays["linear.weight"].shape
        self.pool, self.targets = self.arrays["pool"], self.arrays["targets"]
        if self.pool.shape[1:] != (self.n_features,) or self.targets.shape != (len(self.pool), self.n_labels):
            raise ValueError("the pool has another size than the weights")

    @classmethod
    def fit(cls, X, labels, solution):
        dense = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
        scaling = np.stack([solution.scaling.mean, solution.scaling.inverse_scale])
        linear = (solution.weight, solution.bias, scaling, np.array([solution.scaling.normed]))
        pool = (dense[:50].astype(np.float16), (labels[:50] == 1).astype(np.float32))
        return cls(dict(zip(cls.names, (*linear, *pool), strict=True)))

    def scores(self, rows):
        dense = rows.toarray() if hasattr(rows, "toarray") else rows
        weight, bias, (mean, inverse), normed, *_ = self.arrays.values()
        z = (dense - mean) * inverse
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) if normed[0] else z
        distance = ((dense[:, None] - self.pool.astype(np.float32)) ** 2).mean(2)
        raw = logits(z @ weight.T + bias) + 0.1 * np.exp(-distance) @ self.targets
        return raw.astype(np.float32)

    def state(self):
        return self.arrays


class Combining(Method):
    """A closed form whose head reads rows as they were given."""

    spec = MethodSpec(
        id="toy_combining",
        title="Ridge and a kernel",
        paper="none",
        assumption="none",
        settings=frozenset(SETTINGS),
        passes=0,
        ridge_start=False,
        reads_rows=True,
        departures=(),
    )

    def head(self, n_features):
        return EnsembleHead(n_features, self.problem.n_labels, StandIn)

    def plan(self):
        return [self.stage("closed form", 0)]

    def fit(self, pool):
        self.seen = pool.inputs
        ensemble = StandIn.fit(pool.inputs, self.problem.labels, pool.ridge())
        pool.network.head.take(ensemble)
        self.left_out = logits(pool.ridge().loo_scores) - 1.0
        self.explanation = Explanation.from_dict(
            {
                "rows": self.problem.n_items,
                "labelled": int((self.problem.labels != -1).any(1).sum()),
                "members": [
                    {"name": "linear", "weight": 0.9},
                    {"name": "c1.rbf3", "weight": 0.1, "value": -0.2},
                ],
                "gains": [{"name": "kernels", "gain": 0.01, "error": 0.004}],
                "gates": [{"name": "ensemble", "t": 2.5, "gain": 0.01, "error": 0.004, "share": 1.0}],
                "bytes": {"pool": ensemble.pool.nbytes},
            }
        )

    @property
    def notes(self):
        return ("combined",)
