"""Your own training loop, with nothing of labelwise but its losses.

A canvas holds two handwritten digits side by side. Of each training canvas one digit is known and all other
labels are unknown (-1). Prints the test mAP of a small network under three losses.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn.functional import normalize

from labelwise import losses


class Cosines(nn.Module):
    """A small network that ends in cosines between the feature and the weights of each label."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64))
        self.weight = nn.Parameter(torch.randn(10, 64))

    def forward(self, x):
        return normalize(self.body(x), dim=1) @ normalize(self.weight, dim=1).t()


def canvases(images, digits, count, rng):
    """Return (count, 128) pixels, the (count, 10) true labels, and those with one known entry per row."""
    pair = rng.integers(len(images), size=(count, 2))
    truth, observed = np.zeros((count, 10), dtype=np.int8), np.full((count, 10), -1, dtype=np.int8)
    np.put_along_axis(truth, digits[pair], 1, axis=1)
    np.put_along_axis(observed, digits[rng.permuted(pair, axis=1)[:, :1]], 1, axis=1)
    return torch.tensor(images[pair].reshape(count, -1) / 16).float(), truth, torch.tensor(observed)


LOSSES = {
    "assume_negative": lambda cosines, labels: losses.assume_negative(20 * cosines, labels),
    "entropy_maximization": lambda cosines, labels: losses.entropy_maximization(20 * cosines, labels),
    "hyperspherical": losses.hyperspherical,
}

rng = np.random.default_rng(0)
images, digits = load_digits(return_X_y=True)
train_x, _, train_labels = canvases(images[:1200], digits[:1200], 2000, rng)
test_x, test_y, _ = canvases(images[1200:], digits[1200:], 1000, rng)
print("loss                  test mAP")
for name, loss in LOSSES.items():
    torch.manual_seed(0)
    model = Cosines()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(320):
        rows = torch.arange(step * 64, step * 64 + 64) % len(train_x)
        optimizer.zero_grad()
        losses.reduce(loss(model(train_x[rows]), train_labels[rows])).backward()
        optimizer.step()
    print(f"{name:21} {average_precision_score(test_y, model(test_x).detach().numpy()):.4f}")
