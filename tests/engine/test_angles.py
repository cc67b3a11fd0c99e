"""VDFD over the epochs: the numbers are those of the formula, and measuring changes nothing of the run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise.engine.angles import AngleMonitor
from labelwise.engine.progress import History


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 8)).astype(np.float32)
    Y = (X @ rng.normal(size=(8, 3)) > 0.5).astype(np.int8)
    Y[60:] = -1
    return X, Y


def fit(method, data, **settings):
    return lw.MultiLabelClassifier(method, epochs=4, validation=None, **settings).fit(*data)


def slow_vdfd(theta, Y):
    sizes = []
    for k in range(Y.shape[1]):
        sides = [np.var([theta[i, k] for i in range(len(Y)) if Y[i, k] == y], ddof=1) for y in (1, 0)]
        sizes.append(abs(sides[0] - sides[1]))
    return np.mean(sizes)


def test_last_epoch_has_the_vdfd_of_the_finished_network(data):
    model = fit("bam", data)
    X, Y = data
    with torch.no_grad():
        cosines = model.network_(
            model.fitted_.source(X[:60]).batch(np.arange(60), "weak", seed=0, epoch=0)
        ).scores
    assert model.history_[-1]["vdfd"] == pytest.approx(slow_vdfd(np.arccos(cosines.double()).numpy(), Y[:60]))
    assert "vdfd_balanced" not in model.history_[-1]


def test_balancing_is_measured_from_its_refresh_on(data):
    history = fit("bbam", data).history_
    first, last = (
        next(r for r in rows if r["stage"] != history[0]["stage"]) for rows in (history, history[::-1])
    )
    assert history[0]["vdfd"] == pytest.approx(history[0]["vdfd_balanced"])
    assert first["vdfd"] != first["vdfd_balanced"]
    assert last["vdfd"] != last["vdfd_balanced"]


def test_logits_have_no_angles(data):
    assert not {"vdfd", "vdfd_balanced"} & set(fit("an", data).history_[-1])


def test_measuring_changes_nothing(data, monkeypatch):
    watched = fit("bbam", data)
    monkeypatch.setattr(AngleMonitor, "measure", lambda self, network: {})
    blind = fit("bbam", data)
    state, other = watched.network_.state_dict(), blind.network_.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_unknown_counts_as_irrelevant_where_no_negative_is_known(data):
    X, Y = data
    model = fit("bam", (X[:60], np.where(Y[:60] == 1, 1, -1)))
    assert model.history_[-1]["vdfd"] > 0


def test_a_backbone_that_runs_is_asked_for_a_twentieth_of_the_items():
    labels = np.zeros((4000, 2), np.int8)

    def monitor(n):
        method = SimpleNamespace(spec=SimpleNamespace(head="cosine"))
        network = SimpleNamespace(backbone=torch.nn.Flatten(), neck=None)
        return AngleMonitor(network, method, None, labels[:n], seed=0)

    assert len(monitor(4000)._index) == 200
    assert monitor(900).measure(None) == {}


def test_noted_facts_join_the_next_record_alone(tmp_path):
    history = History(tmp_path)
    history.note({"a": 1})
    history.add({"epoch": 1})
    history.add({"epoch": 2})
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == history.records == [{"epoch": 1, "a": 1}, {"epoch": 2}]
