"""The loop's parts against their formulas: accumulation, schedules, averages, early stopping, guards, views."""

from __future__ import annotations

import json
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.engine.optimisers import Averaged
from labelwise.errors import UserError
from labelwise.models import MLP, Network
from labelwise.targets import ItemState, Slot
from tests.engine.cases import D, K, N, Plain, Stop, assert_same, items, labels, make, run, stop_at
from tests.refusals import refusal


def weights(result):
    return {k: v.numpy() for k, v in result.network.state_dict().items()}


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_gradients_are_those_of_bigger_batches(accumulate):
    """60 items in batches of 8 leave a smaller last batch and, at 3 or 4, a smaller last group."""
    small, _ = run("an", settings={"accumulate": accumulate}, make_options={"batch": 8, "epochs": 3})
    big, _ = run("an", make_options={"batch": 8 * accumulate, "epochs": 3})
    for name, value in weights(small).items():
        np.testing.assert_allclose(value, weights(big)[name], atol=2e-6)


@pytest.mark.parametrize("method", [m for m in methods.names() if methods.get(m).spec.whole_batch])
def test_accumulation_is_refused_where_the_loss_sums_over_the_batch(method):
    with pytest.raises(UserError, match=r"accumulate=2.*raise batch_size"):
        run(method, settings={"accumulate": 2})


class OneCycle(Plain):
    def optimiser(self, **changes):
        return super().optimiser(schedule="one_cycle", warm_up=0.25, **changes)


def one_cycle(step, total, peak, share=0.25):
    """The released schedule: cosine from peak/25 to the peak, then to peak/250,000."""
    up = share * total - 1
    if step <= up:
        low, high, at = peak / 25, peak, step / up
    else:
        low, high, at = peak, peak / 25 / 1e4, (step - up) / (total - 1 - up)
    return high + (low - high) / 2 * (1 + math.cos(math.pi * at))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_cycle_follows_its_formula(accumulate):
    rates, epochs = [], 5
    run(
        OneCycle,
        settings={"accumulate": accumulate},
        make_options={"epochs": epochs, "rate": 0.1, "batch": 16},
        on_step=lambda s: (
            rates.append(s.optimisers["main"].param_groups[0]["lr"]) if s.between_updates else None
        ),
    )
    per_epoch = -(-len(labels("partial")[(labels("partial") >= 0).any(1)]) // 16)
    total = -(-per_epoch // accumulate) * epochs
    assert len(rates) == total
    for step, rate in enumerate(rates[:-1], start=1):
        assert rate == pytest.approx(one_cycle(step, total, 0.1), rel=1e-9)


class Rates(Plain):
    def optimiser(self, **changes):
        return super().optimiser(rates={"backbone": 0.1}, weight_decay=0.01, **changes)


def test_rates_and_decay_by_parameter():
    _, state = run(Rates, make_options={"tune": "all"})
    seen = {}
    names = {id(p): n for n, p in state.network.named_parameters()}
    for group in state.optimisers["main"].param_groups:
        for p in group["params"]:
            seen[names[id(p)]] = (group["lr"], group["weight_decay"])
    for name, p in state.network.named_parameters():
        want = (0.01 * (0.1 if name.startswith("backbone") else 1), 0.01 if p.ndim > 1 else 0.0)
        assert seen[name] == pytest.approx(want)


def test_average_follows_its_formula():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, -2.0]))
            self.register_buffer("count", torch.tensor(0))

    net = Net()
    average, want = Averaged(net, 0.5), np.array([1.0, -2.0])
    for t in range(1, 8):
        with torch.no_grad():
            net.w += t
            net.count += 1
        average.update()
        decay = min(0.5, (1 + t) / (10 + t))
        want = decay * want + (1 - decay) * net.w.detach().numpy()
        np.testing.assert_allclose(average.network.w.numpy(), want, rtol=1e-6)
        assert int(average.network.count) == t
    assert not average.network.w.requires_grad


def test_the_average_follows_every_tensor_of_a_state_and_those_that_take_its_place():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))
    net[0].register_buffer("unsaved", torch.ones(2), persistent=False)
    average = Averaged(net, 0.5)
    want = {name: value.clone() for name, value in average.network.state_dict().items()}
    for t in range(1, 4):
        net[1].running_mean = torch.randn(4)  # another tensor, as some layers set theirs
        with torch.no_grad():
            net[2].weight.add_(t)
        average.update()
        decay = min(0.5, (1 + t) / (10 + t))
        for name, value in net.state_dict().items():
            want[name] = want[name].lerp(value, 1 - decay) if value.is_floating_point() else value
    for name, value in average.network.state_dict().items():
        assert torch.equal(value, want[name]), name


def test_the_average_is_what_is_judged_and_returned():
    result, state = run("cap")
    assert state.averaged is not None
    for name, value in result.network.state_dict().items():
        assert torch.equal(value, state.averaged.network.state_dict()[name])
    assert any(
        not torch.equal(v, state.network.state_dict()[k]) for k, v in result.network.state_dict().items()
    )


def test_patience_stops_and_returns_the_best_epoch():
    scores, kept = [0.1, 0.5, float("nan"), 0.4, 0.3, 0.9], []

    def criterion(network, method):
        kept.append({k: v.clone() for k, v in network.state_dict().items()})
        return scores[len(kept) - 1]

    result, _ = run("an", criterion=criterion, settings={"patience": 3}, make_options={"epochs": 9})
    assert len(result.history) == 5
    assert result.best_epoch == 2
    for name, value in result.network.state_dict().items():
        assert torch.equal(value, kept[1][name])


def test_patience_leaves_the_warm_up_alone():
    """A criterion that never rises ends the last stage, not the one before it."""
    result, _ = run("cap", criterion=lambda *_: 0.0, settings={"patience": 2}, make_options={"epochs": 12})
    stages = [record["stage"] for record in result.history]
    assert stages == ["warm-up"] * 4 + ["pseudo-labels"] * 2


def test_a_criterion_that_is_never_a_number_keeps_the_last_network():
    result, state = run("an", criterion=lambda *_: float("nan"), settings={"patience": 2})
    assert result.best_epoch is None
    assert torch.equal(result.network.head.weight, state.network.head.weight)


@pytest.mark.parametrize("method", ["an", "cap"])
def test_stop_after_is_the_beginning_of_the_whole_run(method):
    whole = {}
    run(
        method,
        make_options={"epochs": 6},
        criterion=lambda net, _: (
            whole.setdefault(len(whole), {k: v.clone() for k, v in net.state_dict().items()}) and 0.0
        ),
    )
    for epochs in (1, 2, 3, 5):
        part, _ = run(method, make_options={"epochs": 6}, stop_after=epochs)
        assert len(part.history) == epochs
        assert all(torch.equal(v, whole[epochs - 1][k]) for k, v in part.network.state_dict().items())


def test_label_weights_weigh_known_positives():
    """A heavier first label scores higher than without weights; the heads of the others are as without."""
    heavy, _ = run(
        "an", label_weights=np.array([30.0, 1.0, 1.0]), make_options={"tune": "all", "net": Identity}
    )
    plain, _ = run("an", make_options={"tune": "all", "net": Identity})
    assert heavy.network.head.bias[0] > plain.network.head.bias[0]
    torch.testing.assert_close(
        heavy.network.head.weight[1:], plain.network.head.weight[1:], rtol=0, atol=1e-6
    )


class Identity(nn.Identity):
    n_features = D


def test_history_is_json_lines(tmp_path):
    result, _ = run("cap", tmp_path, criterion=lambda *_: 0.25)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == result.history
    assert [line["epoch"] for line in lines] == [1, 1, 2, 3]
    assert set(lines[0]) == {
        "stage",
        "epoch",
        "loss",
        "learning_rate",
        "items_per_second",
        "seconds",
        "validation",
    }


def test_loss_in_the_history_is_the_mean_over_items():
    """With a learning rate of almost 0 every batch sees the same weights, so the mean is that of all items."""
    result, _ = run("an", make_options={"rate": 1e-30, "epochs": 1, "batch": 7})
    X, Y = torch.from_numpy(items()[0]).double(), labels("partial")
    logits = X @ result.network.head.weight.detach().double().T + result.network.head.bias.detach().double()
    p = torch.sigmoid(logits).numpy()
    want = -np.where(Y == 1, np.log(p), np.log(1 - p)).mean()
    assert result.history[0]["loss"] == pytest.approx(want, rel=1e-6)


class Broken:
    """A source whose item 7 turns bad after the first look at it."""

    def __init__(self, value):
        self.inner, self.value = as_source(items()[0]), value
        self.shape = self.inner.shape

    def __len__(self):
        return N

    def batch(self, index, view, *, seed, epoch):
        rows = self.inner.batch(index, view, seed=seed, epoch=epoch)
        rows[torch.from_numpy(np.asarray(index) == 7)] = self.value
        return rows


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_item_that_is_not_a_number_is_named(value):
    names = [f"photo{i}.jpg" for i in range(N)]
    with refusal() as caught:
        run("bce", X=Broken(value), items=names, make_options={"tune": "all", "kind": "full"})
    message = str(caught.value)
    for word in ("photo7.jpg", "stage 'train'", "'bce'", "inputs", "drop"):
        assert word in message
    assert "photo8.jpg" not in message


@pytest.mark.parametrize(("rate", "epochs"), [(1e39, 1), (1e37, 3), (1e30, 6)])
def test_an_absurd_learning_rate_is_one_line(rate, epochs, tmp_path):
    with refusal("lower learning_rate") as caught:
        run("an", tmp_path, make_options={"tune": "all", "rate": rate, "epochs": epochs, "batch": 60})
    message = str(caught.value)
    assert "'an'" in message
    assert "items" in message
    assert not list(tmp_path.glob("step-*"))


class RootOfZero(Plain):
    """Its loss is 0 and its gradient is not a number."""

    def loss(self, batch):
        return torch.sqrt(0 * batch.scores).mean()


def test_weights_that_are_not_numbers_are_neither_saved_nor_returned(tmp_path):
    for save in (False, True):
        with pytest.raises(UserError, match=r"weights are not numbers.*head.weight"):
            run(
                RootOfZero,
                tmp_path,
                on_step=lambda state, save=save: state.save() if save else None,
                make_options={"epochs": 1, "batch": 60},
            )
        assert not list(tmp_path.glob("step-*"))


def test_frozen_parts_neither_move_nor_drop(tmp_path):
    """Head tuning keeps a backbone's weights, running means and dropout as they are."""

    class Body(nn.Sequential):
        n_features = 5

        def __init__(self):
            super().__init__(nn.Linear(D, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
            self.requires_grad_(False)

    fresh, _ = make("an", net=Body)
    result, _ = run("an", make_options={"net": Body})
    for name, value in fresh.backbone.state_dict().items():
        assert torch.equal(value, result.network.backbone.state_dict()[name]), name
    again, _ = run("an", make_options={"net": Body}, settings={"seed": 0})
    assert_same(result, again)


def normed():
    return MLP((D,), hidden=(8,), norm="batch")


def test_no_item_is_left_alone_to_batch_norm(tmp_path):
    """A last batch of one joins the one before it; networks without batch norm keep it."""
    seen = []
    options = {"net": normed, "tune": "all", "epochs": 2, "batch": N - 1}
    whole, _ = run("an", make_options=options, on_step=lambda state: seen.append(len(state._rows)))
    assert seen == [N, N]
    with pytest.raises(Stop):
        run("an", tmp_path, make_options=options, on_step=stop_at(1, save_at=1))
    assert_same(whole, run("an", tmp_path, make_options=options)[0])
    seen.clear()
    run("an", make_options={**options, "net": None}, on_step=lambda state: seen.append(len(state._rows)))
    assert seen == [N - 1, 1] * 2
    with pytest.raises(UserError, match=r"one item of the 'weak' view.*raise batch_size"):
        run("an", make_options={**options, "batch": 1})


def test_a_prior_is_asked_for_before_any_step():
    network, method = make("cap")
    object.__setattr__(method.problem, "prior", None)
    with pytest.raises(UserError, match="prior"):
        engine.train(
            network,
            method,
            as_source(items()[0]),
            engine.Settings(device="cpu"),
            on_step=lambda _: pytest.fail("late"),
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "64"}, "precision"),
        ({"accumulate": 0}, "accumulate"),
        ({"patience": 0}, "patience"),
        ({"device": "toaster"}, "toaster"),
        ({"precision": "16"}, "bf16"),
    ],
)
def test_settings_that_do_not_exist(change, words):
    with refusal(words):
        run("an", settings=change)


def test_scores_of_no_items():
    result, _ = run("an")
    scores = engine.score(result.network, result.method, as_source(np.zeros((0, D), np.float32)))
    assert scores.shape == (0, K)


class Sentences:
    """Texts of ones, of given lengths; tells how many padded tokens each batch has."""

    shape = ()

    def __init__(self, lengths):
        self.lengths, self.tokens = np.asarray(lengths), []

    def __len__(self):
        return len(self.lengths)

    def batch(self, index, view, *, seed, epoch):
        lengths = self.lengths[index]
        self.tokens.append(len(index) * int(lengths.max()))
        return (torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]).long()


def test_texts_are_scored_in_chunks_of_so_many_tokens():
    class Count(nn.Module):
        n_features = D

        def forward(self, batch):
            return batch.sum(1, keepdim=True).float().expand(-1, D) / 1e4

    network, method = make("an", net=Count)
    source = Sentences([3] * 2000 + [5000, 5000, 20_000, 7])
    scores = engine.score(network.eval(), method, source)
    assert len(scores) == len(source)
    assert max(source.tokens) == 20_000
    assert sorted(source.tokens)[-2] <= 1 << 14
    alone = engine.score(network, method, Sentences([20_000]))
    np.testing.assert_array_equal(scores[2002], alone[0])
    assert engine.score(network, method, Sentences(np.zeros(0, np.int64))).shape == (0, K)


class TwoViews(Plain):
    def plan(self):
        mixture = {"complete": 4, "incomplete": 6}
        return [
            self.stage(
                "train", 2, mixture=mixture, views={"complete": ("weak",), "incomplete": ("weak", "strong")}
            )
        ]

    def loss(self, batch):
        seen = dict(batch.rows)
        weak, strong = batch.outputs["weak"].scores, batch.outputs["strong"].scores
        assert seen["weak"] == slice(0, len(batch.index))
        assert len(strong) == seen["strong"].stop - seen["strong"].start
        assert seen["strong"].stop == len(batch.index)
        complete = (batch.labels[: seen["strong"].start] >= 0).all()
        assert bool(complete)
        assert not bool((batch.labels[seen["strong"]] >= 0).all(1).any())
        target = torch.sigmoid(weak[seen["strong"]]).detach()
        return self.mean(
            nn.functional.binary_cross_entropy_with_logits(strong, target, reduction="none"), batch
        )


def test_views_cover_the_rows_they_say():
    result, state = run(TwoViews)
    assert all(math.isfinite(r["loss"]) for r in result.history)
    batch = state.batch({"complete": np.array([3, 1]), "incomplete": np.array([40, 41, 42])})
    want = as_source(items()[0])
    epoch = 1000 * state.stage_index + state.epoch
    torch.testing.assert_close(batch.inputs["weak"], torch.from_numpy(items()[0][[3, 1, 40, 41, 42]]))
    torch.testing.assert_close(
        batch.inputs["strong"], want.batch(np.array([40, 41, 42]), "strong", seed=0, epoch=epoch)
    )


def test_views_of_groups_that_stand_apart_are_refused():
    class Apart(Plain):
        def plan(self):
            mixture = {"complete": 2, "unlabelled": 2, "incomplete": 2}
            views = {"complete": ("strong",), "incomplete": ("strong",)}
            return [self.stage("train", 1, mixture=mixture, views=views)]

    with pytest.raises(ValueError, match="next to each other"):
        run(Apart)


def test_item_state_starts_as_declared_and_counts_its_changes(tmp_path):
    slots = {"soft": Slot("float32", fill=float("nan")), "age": Slot("int16", per="item", fill=3)}
    for state in (ItemState(slots, 5, 2), ItemState(slots, 5, 2, budget=1, directory=tmp_path)):
        assert state["soft"].shape == (5, 2)
        assert np.isnan(state["soft"]).all()
        assert state["age"].tolist() == [3] * 5
        state.write("age", np.array([7, 8]), np.array([4, 0]))
        assert state["age"].tolist() == [8, 3, 3, 3, 7]
        assert state.version == 1
        rows = state.take(np.array([4, 4, 1]))
        assert rows["age"].tolist() == [7, 7, 3]
        rows["age"][0] = 99
        assert state["age"][4] == 7
        other = ItemState(slots, 5, 2)
        other.restore(state.arrays(), state.version)
        np.testing.assert_array_equal(other["age"], state["age"])
        assert other.version == 1


def test_batch_norm_over_several_processes_is_warned_of():
    """Its statistics are those of a process's part of a batch; one that keeps its statistics is no matter."""
    X, _ = items()
    for norms in (True, False):
        _, method = make("an", tune="all")
        body = nn.Sequential(nn.Linear(D, 4), nn.BatchNorm1d(4) if norms else nn.Tanh())
        body.n_features = 4
        fabric = SimpleNamespace(
            device=torch.device("cpu"), world_size=2, global_rank=0, is_global_zero=True, strategy=None
        )
        network = Network(body, method.head(4))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            engine.Run(network, method, as_source(X), engine.Settings(device="cpu"), fabric)
        assert [("batch norm" in str(w.message)) for w in seen] == [True] * norms
