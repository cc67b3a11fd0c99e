"""Two processes train what one does: every method of the registry, sums over the batch and refreshes included."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelwise import methods
from tests.engine import rank_cases


def run(script, *arguments):
    command = [sys.executable, str(script), *map(str, arguments)]
    subprocess.run(command, check=True, timeout=400, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes came to, all methods one after another in one launch, and three for those that draw."""
    out = tmp_path_factory.mktemp("ranks")
    run(Path(rank_cases.__file__), 2, out / "two.npz")
    return out


@pytest.fixture(scope="module")
def two(folder):
    with np.load(folder / "two.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def one():
    """Scores and losses of one process, by method and setting."""
    return {name: (scores, losses) for name, scores, losses in rank_cases.trained(1)}


def equal(several, one):
    """Compare scores and the history's losses, of all that several processes trained."""
    for name in sorted(key.removeprefix("scores of ") for key in several if key.startswith("scores of ")):
        scores, losses = one[name]
        np.testing.assert_allclose(several[f"scores of {name}"], scores, atol=1e-6, rtol=0, err_msg=name)
        np.testing.assert_allclose(several[f"losses of {name}"], losses, atol=2e-7, rtol=2e-7, err_msg=name)
        assert len(losses) == 0 or np.ptp(losses) > 0.003, name
        yield name


def test_two_processes_equal_one_for_every_method(two, one):
    """At a rate at which the loss falls, and at batches that two cannot share evenly; none is left out."""
    seen = set(equal(two, one))
    assert seen == set(one)
    assert {name.partition(",")[0] for name in seen} == set(methods.names())


def test_three_processes_equal_one_for_methods_that_draw(folder, one):
    """Of the last batch, a single item, two of them hold nothing."""
    with np.load(folder / "three.npz") as found:
        seen = set(equal(dict(found), one))
    assert {name.partition(",")[0] for name in seen} == set(rank_cases.DRAWN)


@pytest.mark.slow
def test_two_processes_equal_one_for_whole_networks(two):
    """A whole network from the closed form too: its loss is asked by both, and batch norm keeps its statistics."""
    for name, scores in rank_cases.larger(1):
        np.testing.assert_allclose(two[f"larger: {name}"], scores, atol=1e-5, err_msg=name)
        assert scores.std() > 0.05, name


@pytest.mark.slow
def test_two_processes_with_compiled_steps_equal_one_without(tmp_path):
    run(Path(rank_cases.__file__), 2, tmp_path / "two.npz", "compiled")
    with np.load(tmp_path / "two.npz") as found:
        two = dict(found)
    for name, scores, losses in rank_cases.trained(1, rank_cases.COMPILED):
        np.testing.assert_allclose(two[f"scores of {name}"], scores, atol=1e-6, rtol=0, err_msg=name)
        np.testing.assert_allclose(two[f"losses of {name}"], losses, atol=2e-7, rtol=2e-7, err_msg=name)
