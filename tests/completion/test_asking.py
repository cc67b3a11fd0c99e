"""Which entries to ask next."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.completion import next_entries
from labelwise.completion.asking import average_precision_slopes
from tests.refusals import refused

BY = ("missing", "uncertain", "gain", "random")


def problem(seed=0, n=12, k=3):
    random = np.random.default_rng(seed)
    return random.random((n, k)), random.choice([1, 0, -1], size=(n, k), p=[0.2, 0.2, 0.6]).astype(np.int8)


def entries(frame):
    return list(zip(frame["row"], frame["column"], strict=True))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(BY), st.integers(1, 50), st.booleans())
def test_unknown_entries_alone_each_once_and_as_many_as_asked_for(seed, by, size, items) -> None:
    scores, Y = problem(seed)
    found = next_entries(scores, Y, size, by, items=items, seed=seed)
    asked = entries(found)
    assert len(set(asked)) == len(asked)
    assert all(Y[entry] == -1 for entry in asked)
    open_rows = (Y < 0).any(axis=1)
    if items:
        rows = list(dict.fromkeys(found["row"]))
        assert len(rows) == min(size, open_rows.sum())
        assert len(asked) == (Y[rows] < 0).sum()
    else:
        assert len(asked) == min(size, (Y < 0).sum())
        assert (np.diff(found["value"]) <= 0).all()
    assert found.equals(next_entries(scores, Y, size, by, items=items, seed=seed))


def test_each_strategy_by_its_formula() -> None:
    scores, Y = problem(3)
    unknown = [tuple(entry) for entry in np.argwhere(Y < 0)]
    assert entries(next_entries(scores, Y, 5, "missing")) == sorted(unknown, key=lambda e: -scores[e])[:5]
    closest = sorted(unknown, key=lambda e: abs(scores[e] - 0.5))[:5]
    assert entries(next_entries(scores, Y, 5, "uncertain")) == entries(next_entries(scores, Y, 5)) == closest
    items = list(dict.fromkeys(next_entries(scores, Y, 4, "missing", items=True)["row"]))
    sums = {row: sum(scores[row, k] for k in range(3) if Y[row, k] < 0) for row in range(len(Y))}
    assert items == sorted(sums, key=lambda row: -sums[row])[:4]


def expected_average_precision(p, order):
    total = sum(p)
    return sum(p[i] * sum(p[j] for j in order[: r + 1]) / (r + 1) for r, i in enumerate(order)) / total


@pytest.mark.parametrize("seed", range(3))
def test_slopes_are_those_of_the_expected_average_precision(seed) -> None:
    p = np.random.default_rng(seed).random(7)
    order = sorted(range(7), key=lambda i: -p[i])
    for i in range(7):
        up, down = p.copy(), p.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        slope = (expected_average_precision(up, order) - expected_average_precision(down, order)) / 2e-6
        assert average_precision_slopes(p)[i] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert average_precision_slopes(np.zeros(3)).tolist() == [0, 0, 0]


def test_gain_by_its_formula() -> None:
    scores, Y = problem(5)
    found = next_entries(scores, Y, 100, "gain")
    for row in found.itertuples():
        column = Y[:, row.column] < 0
        p = scores[column, row.column]
        slope = average_precision_slopes(p)[np.flatnonzero(np.flatnonzero(column) == row.row)[0]]
        q = scores[row.row, row.column]
        assert row.value == pytest.approx(2 * q * (1 - q) * abs(slope))


def test_chance_depends_on_the_seed_and_is_even() -> None:
    scores, Y = np.full((20, 5), 0.3), np.full((20, 5), -1)
    draws = [entries(next_entries(scores, Y, 10, "random", seed=seed)) for seed in range(200)]
    assert len({tuple(draw) for draw in draws}) == 200
    count = np.zeros((20, 5))
    for draw in draws:
        for entry in draw:
            count[entry] += 1
    assert count.min() > 5  # 20 are expected
    assert count.max() < 42


def test_names_stand_beside_places() -> None:
    scores, Y = problem()
    found = next_entries(scores, Y, 3, item_ids=[f"i{i}" for i in range(12)], label_names=["a", "b", "c"])
    assert [f"i{row}" for row in found["row"]] == list(found["item"])
    assert ["abc"[column] for column in found["column"]] == list(found["label"])


def test_what_cannot_be_is_refused() -> None:
    scores, Y = problem()
    refused(lambda: next_entries(scores, Y, 3, "best"), "there is no strategy 'best'")
    refused(lambda: next_entries(scores, Y, 3, "audit"), "labelwise.audit.draw")
    refused(lambda: next_entries(scores, Y, 0), "size is 0")
    refused(lambda: next_entries(scores[:, :2], Y, 3), "scores has shape (12, 2) but Y (12, 3)")
    refused(lambda: next_entries(scores + 1, Y, 3), "give probabilities")
    refused(lambda: next_entries(scores, Y, 3, label_names=["a"]), "1 labels are named, and there are 3")
    assert next_entries(np.full((12, 3), np.nan), Y, 3).empty
