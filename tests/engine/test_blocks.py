"""Steps by blocks of labels: the gradients of the undivided step, in the memory of a block."""

import multiprocessing
import resource

import numpy as np
import pytest
import torch

from labelwise import engine, methods
from labelwise.annotations import ListedStates, dense_states
from labelwise.data import as_source
from labelwise.engine import blocks
from labelwise.errors import UserError
from labelwise.methods import Batch, Budget, Problem, pointwise_names
from labelwise.models import MLP, LinearHead, Network, build_backbone
from tests.engine.cases import D, K, N, items, make, run

POINTWISE = pointwise_names()


def gradients_of(method, dtype, size, *, weights=False, cosine=False, tune="head"):
    """Return the loss of one batch and the gradient of every parameter, by blocks of ``size`` or undivided (None)."""
    network, made = make(method, tune=tune, dropout=0.0)
    network = network.to(dtype)
    Y = torch.from_numpy(made.problem.labels[:16])
    random = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.copy_(torch.from_numpy(random.normal(size=tuple(parameter.shape))))
    state = {
        name: torch.from_numpy(np.where(random.random((16, K)) < 0.5, random.random((16, K)), np.nan)).to(
            dtype
        )
        for name in made.slots()
    }
    X = torch.from_numpy(items()[0][:16]).to(dtype)
    batch = Batch(
        torch.arange(16), Y, state, {"weak": X}, {"weak": slice(0, 16)}, "train", 2,
        torch.tensor([1.0, 2.5, 0.5], dtype=dtype) if weights else None,
    )  # fmt: skip
    if size is None:
        batch.outputs["weak"] = network(X)
        loss = made.loss(batch)
        loss.backward()
    else:
        assert blocks.splits(made, network)
        loss = blocks.step_by_blocks(made, batch, network, size)
    parameters = {**dict(network.named_parameters()), **dict(made.named_parameters())}
    return float(loss.detach()), {name: p.grad for name, p in parameters.items()}


@pytest.mark.parametrize("method", POINTWISE)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_blocks_give_the_gradients_of_the_undivided_step(method, dtype, tolerance):
    for options in ({}, {"weights": True}, {"tune": "all"}):
        whole_loss, whole = gradients_of(method, dtype, None, **options)
        loss, parts = gradients_of(method, dtype, 2, **options)
        assert loss == pytest.approx(whole_loss, abs=tolerance)
        assert whole.keys() == parts.keys()
        for name, gradient in whole.items():
            assert gradient is not None, name
            torch.testing.assert_close(parts[name], gradient, rtol=0, atol=tolerance)


class CosineAN(methods.get("an")):
    def head(self, n_features):
        from labelwise.models import CosineHead

        return CosineHead(n_features, self.problem.n_labels, constant=True)


def test_a_head_of_cosines_is_split_too():
    whole_loss, whole = gradients_of(CosineAN, torch.float64, None)
    loss, parts = gradients_of(CosineAN, torch.float64, 1)
    assert loss == pytest.approx(whole_loss, abs=1e-12)
    torch.testing.assert_close(parts["head.weight"], whole["head.weight"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("method", ["an", "ignore_unknown"])
def test_a_run_by_blocks_is_the_run_without(method, accumulate, monkeypatch):
    settings = {"accumulate": accumulate}
    whole, _ = run(method, settings=settings)
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 32)
    steps = []
    step = blocks.step_by_blocks
    monkeypatch.setattr(
        "labelwise.engine.run.step_by_blocks", lambda *args: steps.append(args[3]) or step(*args)
    )
    parts, _ = run(method, settings=settings)
    assert set(steps) == {2}  # a last batch of fewer rows fits in one block
    for one, other in zip(whole.history, parts.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-6)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(parts.network.state_dict()[name], value, rtol=0, atol=2e-6)


def test_a_loss_that_reads_all_labels_is_never_split(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 1)
    for name in methods.names():
        if name not in POINTWISE and methods.get(name).spec.passes:
            network, made = make(name)
            assert not blocks.splits(made, network), name


def test_what_cannot_be_split_and_does_not_fit_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 16 * 3 - 1)
    with pytest.raises(
        UserError, match=r"a step of 16 items x 3 labels takes .*'epr'.*batch_size.*wan"
    ) as error:
        run("epr", settings={"memory": 16 * 3 * 8 * 4 - 1})
    assert "\n" not in str(error.value)
    run("an", settings={"memory": 1}, make_options={"epochs": 1})
    # What fits in one block is no matter of memory.
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 16 * 3)
    run("epr", settings={"memory": 1}, make_options={"epochs": 1})


def listed(n, n_labels, seed=0):
    random = np.random.default_rng(seed)
    chosen = random.integers(0, n_labels, 3 * n)
    return ListedStates.of(np.arange(0, 3 * n + 1, 3), chosen, np.zeros(n, np.int8), n_labels)


def trained(labels, X, batch=16, method="an"):
    problem = Problem(labels, "full", budget=Budget(1, batch, 1e-3), head_start="random")
    made = methods.get(method)(problem)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(build_backbone("features", (X.shape[1],)), LinearHead(X.shape[1], labels.shape[1]))
    return engine.train(network, made, as_source(X), engine.Settings(device="cpu"))


@pytest.mark.parametrize("method", ["an", "wan", "asl"])
def test_lists_train_as_the_matrix_that_they_stand_for(method):
    lists, X = listed(N, 40), items()[0]
    one, other = trained(lists, X, method=method), trained(dense_states(lists), X, method=method)
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(value, other.network.state_dict()[name], rtol=0, atol=0)


ROWS, BATCH, MANY = 256, 128, 60_000


def peaks(sizes):
    """Train one epoch on very many labels by blocks of each size; return the growth of the largest memory in bytes."""
    torch.set_num_threads(1)
    X = np.random.default_rng(0).normal(size=(ROWS, D)).astype(np.float32)
    trained(listed(ROWS, 50), X)  # what the first step of a process takes anyhow
    lists = listed(ROWS, MANY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = []
    for entries in sizes:
        blocks.BLOCK_ENTRIES = entries
        trained(lists, X, batch=BATCH)
        found.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    return found


def test_memory_is_that_of_a_block():
    """The states of the batch (int8), eight tensors of the head's size, and eight of a block; not one of all scores."""
    sizes = [1 << 18, 1 << 20]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(peaks, (sizes,)).get(timeout=300)
    head = MANY * (D + 1) * 4
    for entries, growth in zip(sizes, found, strict=True):
        bound = 3 * BATCH * MANY + 8 * head + 8 * 4 * entries
        assert growth < bound
        assert bound < 4 * 4 * BATCH * MANY  # four tensors of floats of all scores at the very least


def test_a_whole_network_is_trained_through_the_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 16)
    network, made = make("an", tune="all", dropout=0.0)
    assert isinstance(network.backbone, MLP)
    first = {k: v.clone() for k, v in network.state_dict().items()}
    engine.train(network, made, as_source(items()[0]), engine.Settings(device="cpu"))
    for name, value in network.state_dict().items():
        assert not torch.equal(value, first[name]), name
