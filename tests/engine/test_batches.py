"""An epoch is one pass over the pacing group, the others cycle, and all of it follows from the key alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.engine.batches import make_batches, rank_share
from labelwise.errors import UserError
from labelwise.methods import Stage

sizes = st.integers(0, 40)
counts = st.integers(1, 12)


def draw(a, b, c, mixture, **key):
    groups = {"a": np.arange(a), "b": np.arange(1000, 1000 + b), "c": np.arange(2000, 2000 + c)}
    return make_batches(groups, mixture, **{"seed": 0, "stage": 0, "epoch": 0, **key})


@given(sizes, sizes, sizes, counts, counts, counts)
def test_each_item_of_the_pacing_group_once(a, b, c, x, y, z):
    sized, mixture = {"a": a, "b": b, "c": c}, {"a": x, "b": y, "c": z}
    present = [name for name in mixture if sized[name]]
    if not present:
        with pytest.raises(UserError, match="a or b or c"):
            draw(a, b, c, mixture)
        return
    batches = draw(a, b, c, mixture)
    *cycled, pacer = present
    assert all(list(batch) == present for batch in batches)
    seen = np.concatenate([batch[pacer] for batch in batches])
    assert len(seen) == len(set(seen)) == sized[pacer]
    assert all(index.dtype == np.int64 for batch in batches for index in batch.values())
    for name in cycled:
        times = Counter(np.concatenate([batch[name] for batch in batches]).tolist())
        assert max(times.values()) - min([*times.values()] + [0] * (len(times) < sized[name])) <= 1


@given(sizes, sizes, sizes, counts, counts, counts)
def test_the_places_of_a_batch(a, b, c, x, y, z):
    sized, mixture = {"a": a, "b": b, "c": c}, {"a": x, "b": y, "c": z}
    present = [name for name in mixture if sized[name]]
    if not present:
        return
    batches = draw(a, b, c, mixture)
    whole, kept = x + y + z, sum(mixture[name] for name in present)
    wanted = {name: max(1, round(mixture[name] * whole / kept)) for name in present}
    for batch in batches[:-1]:
        assert {name: len(index) for name, index in batch.items()} == wanted
    last = batches[-1]
    share = len(last[present[-1]]) / wanted[present[-1]]
    assert 0 < share <= 1
    for name in present[:-1]:
        assert len(last[name]) == max(1, round(share * wanted[name]))


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_function_of_the_key_only(seed, stage, epoch):
    key = {"seed": seed, "stage": stage, "epoch": epoch}
    mixture = {"a": 2, "c": 3}
    np.random.seed(seed)  # noqa: NPY002 - the global generator must not matter
    one, two = draw(7, 3, 30, mixture, **key), draw(7, 3, 30, mixture, **key)
    assert all(np.array_equal(p[n], q[n]) for p, q in zip(one, two, strict=True) for n in p)
    for name in key:
        other = draw(7, 3, 30, mixture, **{**key, name: key[name] + 1})
        assert any(not np.array_equal(p[n], q[n]) for p, q in zip(one, other, strict=True) for n in p)


def test_every_cycle_has_its_own_order():
    batches = draw(5, 0, 40, {"a": 5, "c": 5})
    orders = {tuple(batch["a"]) for batch in batches}
    assert len(batches) == 8
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(orders) > 1


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_processes_share_a_batch_evenly_and_hold_all_of_it(world):
    stage = Stage("s", 1, {"labelled": 3, "unlabelled": 4}, {}, {"unlabelled": ("weak", "strong")})
    for first in range(6):
        members = {"labelled": np.arange(first), "unlabelled": np.arange(10, 14)}
        whole = [None] * (first + 4)
        sizes = []
        for rank in range(world):
            index, views = rank_share(members, stage, rank=rank, world=world)
            whole[rank::world] = index.tolist()
            sizes.append(len(index))
            assert index[views["strong"]].tolist() == [i for i in index if i >= 10]
        assert whole == [*range(first), *range(10, 14)]
        assert max(sizes) - min(sizes) <= 1
