"""``memory``: past it, stored features and item state are files, and no number differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, engine, load
from labelwise.annotations import simulate
from labelwise.classifier import FitOptions
from labelwise.runs import RunConfig

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((120, 6)).astype(np.float32)
TRUTH = (X @ RANDOM.standard_normal((6, 3)) > 0).astype(np.int8)
Y = simulate.partial(TRUTH, known_fraction=0.6, seed=0)
TINY = 1e-9
"""One byte."""


def fit(method, **options):
    return MultiLabelClassifier(method, epochs=3, device="cpu", **options).fit(X, Y)


@pytest.mark.parametrize(
    ("given", "budget"), [(None, engine.Settings.memory), (1.5, 3 << 29), (np.float32(2), 2 << 30), (TINY, 1)]
)
def test_gigabytes_reach_the_engine_as_bytes(given, budget):
    assert FitOptions(memory=given).checked().settings("final", chooses=False).memory == budget


def test_a_run_hands_it_on():
    config = RunConfig.build({"memory": 2})
    assert config.classifier_options()["memory"] == 2
    assert RunConfig.build({}).classifier_options()["memory"] is None


@pytest.mark.parametrize(
    ("method", "options", "files"),
    [
        ("em_apl", {}, {"state-soft.npy"}),
        ("role", {"tune": "all", "backbone": "mlp", "head_start": "random"}, {"state-theta.npy"}),
        ("an", {"tune": "head", "backbone": "mlp"}, {"features-raw.npy"}),
        ("ridge", {"tune": "all", "backbone": "mlp", "head_start": "random"}, {"features-raw.npy"}),
    ],
)
def test_mapped_and_in_memory_are_equal_to_the_bit(method, options, files, tmp_path):
    whole = fit(method, directory=tmp_path / "whole", **options)
    mapped = fit(method, directory=tmp_path / "mapped", memory=TINY, **options)
    assert not [path for path in (tmp_path / "whole").rglob("*.npy") if path.name in files]
    assert files <= {path.name for path in (tmp_path / "mapped").rglob("*.npy")}
    assert not [note for note in mapped.notes_ if "memory" in note]
    np.testing.assert_array_equal(whole.decision_scores(X), mapped.decision_scores(X))
    for name, tensor in whole.network_.state_dict().items():
        assert torch.equal(tensor, mapped.network_.state_dict()[name]), name


def test_another_memory_goes_on_with_the_same_run_and_is_in_no_model(tmp_path):
    first = fit("em_apl", directory=tmp_path / "run")
    again = fit("em_apl", directory=tmp_path / "run", memory=TINY)
    assert again.history_ == first.history_
    again.save(tmp_path / "model")
    assert '"memory"' not in (tmp_path / "model" / "model.json").read_text()
    assert load(tmp_path / "model").memory is None
