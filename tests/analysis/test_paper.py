"""The data of the papers' figures: slow loops beside the formulas, on a small real fit."""

import itertools
import math

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise import analysis
from labelwise.data import digits_canvases, digits_features
from labelwise.errors import UserError


@pytest.fixture(scope="module")
def digits():
    images, Y, names = digits_canvases(200)
    return (
        digits_features(images, filters=48),
        Y,
        np.asarray(lw.simulate.single_positive(Y, seed=1200)),
        names,
    )


def fitted(method, digits, **more):
    X, _, observed, names = digits
    model = lw.MultiLabelClassifier(method, validation=None, **{"epochs": 3, "learning_rate": 1e-2} | more)
    return model.fit(X, observed, label_names=names)


@pytest.fixture(scope="module")
def hml(digits):
    return fitted("hml_fixed", digits, hyperparameters={"margin": 0.1})


@pytest.fixture(scope="module")
def linear(digits):
    return fitted("an", digits)


def rows(columns, **wanted):
    mask = np.logical_and.reduce([columns[name] == value for name, value in wanted.items()])
    return {name: values[mask] for name, values in columns.items()}


def cosine_of(model, X):
    """Cosines by hand: scaled features with the constant coordinate, and the weights, both of length 1."""
    z = np.stack(
        [
            model.fitted_.source(X).batch(np.array([i]), "weak", seed=0, epoch=0)[0].numpy()
            for i in range(len(X))
        ]
    )
    W = model.network_.head.weight.detach().numpy()
    if W.shape[1] > z.shape[1]:
        z = np.column_stack([z, np.ones(len(z))])
    return np.array([[w @ x / np.linalg.norm(w) / np.linalg.norm(x) for w in W] for x in z])


@pytest.mark.parametrize("which", ["hml", "linear"])
def test_cosine_gradients_count_each_entry_in_its_group(which, digits, request):
    model = request.getfixturevalue(which)
    X, truth, observed, _ = digits
    found = analysis.cosine_gradients(model, X, observed, truth, bins=7)
    cosines, p = cosine_of(model, X), model.decision_scores(X).astype(float)
    values = {"cosine": {}, "gradient": {}}
    for i in range(len(X)):
        for k in range(truth.shape[1]):
            given = observed[i, k] == 1
            group = "positives" if given else "false negatives" if truth[i, k] == 1 else "true negatives"
            values["cosine"].setdefault(group, []).append(cosines[i, k])
            values["gradient"].setdefault(group, []).append(1 - p[i, k] if given else p[i, k])
    for quantity, groups in values.items():
        for group, mine in groups.items():
            part = rows(found, quantity=quantity, group=group)
            assert len(part["low"]) == 7
            assert (part["density"] * (part["high"] - part["low"])).sum() == pytest.approx(1)
            for low, high, density in zip(part["low"], part["high"], part["density"], strict=True):
                inside = sum(low + 1e-5 < v < high - 1e-5 for v in mine)
                at_most = sum(low - 1e-5 <= v <= high + 1e-5 for v in mine)
                count = density * (high - low) * len(mine)
                assert inside - 1e-6 <= count <= at_most + 1e-6


def test_cosine_gradients_of_an_unfitted_classifier_are_refused(digits):
    X, _, observed, _ = digits
    with pytest.raises(UserError, match=r"not fitted: call fit\(X, Y\) first"):
        analysis.cosine_gradients(lw.MultiLabelClassifier("hml"), X, observed)


def test_cosine_gradients_show_the_function_that_training_shaped(hml, digits):
    X, _, observed, _ = digits
    curve = rows(analysis.cosine_gradients(hml, X, observed, bins=200), quantity="probability")
    want = [1 / (1 + math.exp(-20 * math.cos(math.acos(c) + 0.1))) for c in curve["low"]]
    assert curve["density"] == pytest.approx(want, abs=0.02)
    assert {"positives", "negatives"} < set(analysis.cosine_gradients(hml, X, observed)["group"].tolist())


def test_gradient_difference_is_the_loop(digits):
    _, _, observed, _ = digits
    p = np.random.default_rng(0).random(observed.shape)
    total = 0.0
    for i, k in np.ndindex(p.shape):
        total += 1 - p[i, k] if observed[i, k] == 1 else -p[i, k]
    assert analysis.gradient_difference(p, observed) == pytest.approx(abs(total) / len(p))


def test_wasserstein_distance_is_the_area_between_distribution_functions():
    draw = np.random.default_rng(1)
    scores, labels = draw.random((60, 4)), draw.integers(-1, 2, (60, 4))
    labels[:, 2] = np.where(labels[:, 2] == 0, -1, labels[:, 2])
    found = analysis.wasserstein_distances(scores, labels)
    assert np.isnan(found[2])
    for k in (0, 1, 3):
        points = np.sort(scores[:, k])
        area = 0.0
        for left, right in itertools.pairwise(points):
            shares = [np.mean(scores[labels[:, k] == state, k] <= left) for state in (0, 1)]
            area += abs(shares[0] - shares[1]) * (right - left)
        assert found[k] == pytest.approx(area)


def test_prediction_densities_are_of_known_entries_of_one_label():
    scores, labels = np.array([[0.1], [0.15], [0.9], [0.95]]), np.array([[0], [1], [1], [-1]])
    found = analysis.prediction_densities(scores, labels, 0, bins=2)
    assert rows(found, group="positives")["density"].tolist() == [1, 1]
    assert rows(found, group="negatives")["density"].tolist() == [2, 0]
    with pytest.raises(UserError, match="label=3"):
        analysis.prediction_densities(scores, labels, 3)


@pytest.mark.parametrize("which", ["hml", "linear"])
def test_landscape_is_the_loss_of_a_moved_head(which, digits, request):
    model = request.getfixturevalue(which)
    X, truth, _, _ = digits
    partly = np.where(np.arange(truth.size).reshape(truth.shape) % 3 == 0, -1, truth)
    found = analysis.loss_landscape(model, X, partly, radius=0.5, steps=3, seed=4)
    before = {name: value.clone() for name, value in model.network_.state_dict().items()}
    centre = rows(found, a=0.0, b=0.0)["loss"].item()

    def loss():
        p = np.clip(model.decision_scores(X).astype(float), 1e-7, 1 - 1e-7)
        known = [(p[i, k], partly[i, k]) for i, k in np.ndindex(p.shape) if partly[i, k] >= 0]
        return sum(-math.log(v if y else 1 - v) for v, y in known) / len(known)

    assert centre == pytest.approx(loss(), rel=1e-4)
    from labelwise._random import generator

    weight = model.network_.head.weight
    moved = weight.detach().clone()
    for which_way, step in ((1, 0.5), (2, -0.5)):
        drawn = generator(4, "landscape", which_way)
        for name, value in model.network_.head.named_parameters():
            d = torch.from_numpy(drawn.standard_normal(tuple(value.shape))).float()
            if name == "weight":
                for k in range(len(d)):
                    moved[k] += step * d[k] / d[k].norm() * weight[k].detach().norm()
    with torch.no_grad():
        weight.copy_(moved)
        there = loss()
    model.network_.load_state_dict(before)
    assert rows(found, a=0.5, b=-0.5)["loss"].item() == pytest.approx(there, rel=1e-4)


def test_landscape_changes_nothing_and_repeats(linear, digits):
    X, truth, _, _ = digits
    scores = linear.decision_scores(X)
    one, two = (analysis.loss_landscape(linear, X, truth, steps=3, most_rows=50) for _ in range(2))
    assert (one["loss"] == two["loss"]).all()
    assert (linear.decision_scores(X) == scores).all()


def test_vdfd_by_epoch_ends_where_the_run_ends(digits):
    X, truth, _, names = digits
    model = lw.MultiLabelClassifier("bam", epochs=3, learning_rate=1e-2, validation=None)
    found = analysis.vdfd_by_epoch(model, X[:120], truth[:120], X[120:], truth[120:], label_names=names)
    assert found["epoch"].tolist() == sorted([1, 2, 3] * 10)
    assert not hasattr(model, "network_")
    angles = np.arccos(cosine_of(model.fit(X[:120], truth[:120], label_names=names), X[120:]))
    for k, name in enumerate(names):
        positives, negatives = (angles[truth[120:, k] == state, k] for state in (1, 0))
        want = positives.var(ddof=1) - negatives.var(ddof=1)
        assert rows(found, epoch=3, label=name)["vdfd"].item() == pytest.approx(want, abs=1e-5)
    first, last = (rows(found, epoch=e)["vdfd"] for e in (1, 3))
    assert (first != last).any()


def test_vdfd_by_epoch_refuses_what_has_no_epochs_or_angles(digits):
    X, truth, _, _ = digits
    with pytest.raises(UserError, match="closed form"):
        analysis.vdfd_by_epoch(lw.MultiLabelClassifier("ridge"), X, truth, X, truth)
    with pytest.raises(UserError, match="no angles"):
        analysis.vdfd_by_epoch(lw.MultiLabelClassifier("drml", epochs=1), X, truth, X, truth)


def test_epoch_seconds_are_the_history(hml, linear, digits):
    found = analysis.epoch_seconds({"one": hml, "two": linear, "none": fitted("ridge", digits)})
    assert found["method"].tolist() == ["one", "two"]
    seconds = sorted(record["seconds"] for record in hml.history_)
    assert (found["low"][0], found["seconds"][0], found["high"][0]) == tuple(seconds)
    assert found["epochs"].tolist() == [3, 3]


def test_correlation_pairs_are_the_equation(hml, digits):
    names = digits[3]
    found = analysis.correlation_pairs(hml, scale=5, margin=0.1, least=0)
    W = hml.network_.head.weight.detach().numpy()[:, :48].astype(float)
    assert len(found["first"]) == 45
    assert (np.diff(found["correlation"]) <= 0).all()
    for a, b, corr in zip(found["first"], found["second"], found["correlation"], strict=True):
        u, v = W[names.index(a)], W[names.index(b)]
        angle = math.acos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
        assert corr == pytest.approx(1 / (1 + math.exp(-5 * math.cos(angle + 0.1))), rel=1e-5)
    with pytest.raises(UserError, match="lower least"):
        analysis.correlation_pairs(hml, least=1.0)


def test_stack_names_each_part():
    part = {"x": np.array([1, 2])}
    assert {
        k: v.tolist() for k, v in analysis.stack({"a": part, "b": {"x": np.array([3])}}, "run").items()
    } == {
        "run": ["a", "a", "b"],
        "x": [1, 2, 3],
    }
    with pytest.raises(UserError, match="like with like"):
        analysis.stack({"a": part, "b": {"y": np.array([3])}}, "run")
    with pytest.raises(UserError, match="nothing"):
        analysis.stack({}, "run")


def test_shapes_that_do_not_fit_are_refused(hml, digits):
    X, truth, observed, _ = digits
    with pytest.raises(UserError, match="Y has shape"):
        analysis.cosine_gradients(hml, X, observed[:5])
    with pytest.raises(UserError, match="Y_true has shape"):
        analysis.cosine_gradients(hml, X, observed, truth[:, :3])
    with pytest.raises(UserError, match="200 items"):
        analysis.loss_landscape(hml, X, truth[:5])
    with pytest.raises(UserError, match="steps=4"):
        analysis.loss_landscape(hml, X, truth, steps=4)
    with pytest.raises(UserError, match="one score an entry"):
        analysis.wasserstein_distances([[0.5]], truth)


def test_drawn_items_have_two_labels_and_are_the_same_for_every_model():
    random = np.random.default_rng(0)
    Y = (random.random((200, 5)) < 0.25).astype(np.int8)
    rows = analysis.drawn_items(Y, 6, seed=3)
    assert len(rows) == 6
    assert (Y[rows].sum(1) >= 2).all()
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, analysis.drawn_items(Y.copy(), 6, seed=3))
    assert set(rows) != set(analysis.drawn_items(Y, 6, seed=4))
    with pytest.raises(UserError, match="no item has two relevant labels"):
        analysis.drawn_items(np.eye(4, dtype=np.int8))


def test_top_predictions_are_the_highest_scores_in_a_slow_loop():
    random = np.random.default_rng(1)
    scores = random.random((4, 6)).round(1)
    Y = random.integers(-1, 2, (4, 6)).astype(np.int8)
    Y[0, :2] = 1
    seen = np.where((np.arange(6) == Y.argmax(1)[:, None]) & (Y == 1), 1, -1).astype(np.int8)
    names = [f"l{k}" for k in range(6)]
    found = analysis.top_predictions(scores, Y, names, ["a", "b", "c", "d"], Y=seen, k=3)
    place = 0
    for i, item in enumerate("abcd"):
        order = sorted(range(6), key=lambda k: (-scores[i, k], k))[:3]
        for rank, k in enumerate(order, start=1):
            assert (found["item"][place], found["rank"][place]) == (item, rank)
            assert (found["label"][place], found["score"][place]) == (names[k], scores[i, k])
            assert found["relevant"][place] == Y[i, k]
            assert found["truth"][place] == ", ".join(names[k] for k in range(6) if Y[i, k] == 1)
            assert found["given"][place] == ", ".join(names[k] for k in range(6) if seen[i, k] == 1)
            place += 1
    assert place == len(found["item"])
    assert set(analysis.top_predictions(scores, Y, names, ["a", "b", "c", "d"])["given"]) == {""}
