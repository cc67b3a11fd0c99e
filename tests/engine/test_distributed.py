"""Two processes train what one does: every method of the registry, sums over the batch and refreshes included."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.engine import rank_cases

SCRIPT = """
import os, sys
import numpy as np
import torch
import labelwise as lw

if __name__ == "__main__":
    method, devices, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 20)).astype(np.float32)
    Y = (X @ rng.normal(size=(20, 5)) + rng.normal(size=(300, 5)) > 2).astype(np.int8)
    Y = lw.simulate.semi_supervised(Y, labelled_fraction=0.4, seed=1, rule="cap")
    options = dict(device="cpu", validation=None, learning_rate=1e-2, epochs=3)
    if "--whole" in sys.argv:
        torch.manual_seed(0)
        body = torch.nn.Sequential(torch.nn.Linear(20, 12), torch.nn.BatchNorm1d(12), torch.nn.Tanh())
        body.n_features = 12
        options |= dict(backbone=body, tune="all", head_start="ridge", learning_rate=1e-3)
    model = lw.MultiLabelClassifier(method, devices=devices, **options).fit(X, Y)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        np.save(out, model.decision_scores(X))
"""


def run(script, *arguments):
    command = [sys.executable, str(script), *map(str, arguments)]
    subprocess.run(command, check=True, timeout=400, capture_output=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes came to, all methods one after another in one launch."""
    out = tmp_path_factory.mktemp("ranks") / "two.npz"
    run(Path(rank_cases.__file__), 2, out)
    with np.load(out) as found:
        return dict(found)


def test_two_processes_equal_one_for_every_method(two):
    """At a rate at which the loss falls, and at batches that two cannot share evenly; to the history's loss."""
    seen = set()
    for name, scores, losses in rank_cases.trained(1):
        seen.add(name)
        np.testing.assert_allclose(two[f"scores of {name}"], scores, atol=1e-6, rtol=0, err_msg=name)
        np.testing.assert_allclose(two[f"losses of {name}"], losses, atol=2e-7, rtol=2e-7, err_msg=name)
        assert len(losses) == 0 or np.ptp(losses) > 0.003, name
    assert {f"scores of {name}" for name in seen} <= set(two)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hml", "bbam", "hml --whole", "epr --whole", "role --whole"])
def test_two_processes_equal_one(method, tmp_path):
    """A whole network from the closed form too: its loss is asked by both, and batch norm keeps its statistics."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    name, *whole = method.split()
    scores = []
    for devices in (1, 2):
        out = tmp_path / f"{devices}.npy"
        run(script, name, devices, out, *whole)
        scores.append(np.load(out))
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-5)
    assert scores[0].std() > 0.05
