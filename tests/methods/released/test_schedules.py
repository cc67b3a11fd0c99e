"""What the released codes of self-training and of ROLE do around the stages, each an option and off by default."""

import numpy as np
import pytest
import torch

from labelwise.errors import UserError
from labelwise.methods.role import adam
from tests.engine.cases import N, Stop, assert_same, assert_same_items, labels, run, stop_at

SELF_TRAINING = ("cap", "bbam", "mat")
WHOLE = {"tune": "all", "epochs": 10, "dropout": 0.0}


def rates(method="cap", **values):
    """Return the learning rate of every step of the second stage."""
    seen = []

    def watch(state):
        if state.stage_index == 1:
            seen.append(state.optimisers["main"].param_groups[0]["lr"])

    run(method, on_step=watch, make_options={**WHOLE, "hyperparameters": values})
    return np.array(seen)


@pytest.mark.parametrize("method", SELF_TRAINING)
def test_a_cycle_of_more_epochs_stays_unfinished(method):
    """One cycle of 10 epochs, cut after 7: the rate follows the cosine of the longer cycle, step by step."""
    found = rates(method, cycle_epochs=10)
    steps = len(found) // 7 * 10
    rise = 0.2 * steps - 1
    peak, first = 0.01, 0.01 / 25
    for number, rate in enumerate(found, start=1):
        # ``number`` steps were taken when the rate is read, and the schedule has moved on.
        if number <= rise:
            expected = peak + (first - peak) * (1 + np.cos(np.pi * number / rise)) / 2
        else:
            fall = (number - rise) / (steps - 1 - rise)
            expected = first / 1e4 + (peak - first / 1e4) * (1 + np.cos(np.pi * fall)) / 2
        assert rate == pytest.approx(expected, rel=1e-6)
    assert found[-1] > 0.2 * peak
    assert rates(method)[-1] < 0.02 * peak


def test_forty_epochs_of_which_28_run_end_at_31_percent_of_the_peak():
    fall = (28 / 40 - 0.2) / 0.8
    assert (1 + np.cos(np.pi * fall)) / 2 == pytest.approx(0.31, abs=0.005)


def test_a_cycle_shorter_than_its_stage_is_refused():
    with pytest.raises(
        UserError, match="cycle_epochs is 3, and the second stage of method 'cap' has 7 epochs"
    ):
        run("cap", make_options={**WHOLE, "hyperparameters": {"cycle_epochs": 3}})


@pytest.mark.parametrize("method", SELF_TRAINING)
def test_the_second_stage_starts_from_the_average(method):
    values = {"second_start": "averaged", "ema_decay": 0.9}
    ends, starts = {}, {}

    def watch(state):
        if state.stage_index == 0:
            ends.update({k: v.clone() for k, v in state.averaged.network.state_dict().items()})

    def begin(state):
        if state.stage_index == 1 and not starts:
            starts.update({k: v.clone() for k, v in state.averaged.network.state_dict().items()})
            raise Stop

    def step(state):
        watch(state)
        begin(state)

    with pytest.raises(Stop):
        run(method, on_step=step, make_options={**WHOLE, "hyperparameters": values})
    # After one step at decay 2/11 the new average is 9/11 of the moved weights: a rate near 0 leaves the start.
    ends, starts = {}, {}
    with pytest.raises(Stop):
        run(method, on_step=step, make_options={**WHOLE, "rate": 1e-7, "hyperparameters": values})
    for name, value in ends.items():
        torch.testing.assert_close(starts[name], value, atol=1e-4, rtol=1e-4)


def test_a_start_from_the_average_is_another_run_than_one_from_the_raw_weights():
    raw, _ = run("cap", make_options=WHOLE)
    averaged, _ = run("cap", make_options={**WHOLE, "hyperparameters": {"second_start": "averaged"}})
    left, right = raw.network.state_dict(), averaged.network.state_dict()
    assert any(not torch.equal(left[name], right[name]) for name in left)


def test_the_warm_up_has_the_batches_asked_for():
    sizes = {}

    def watch(state):
        sizes.setdefault(state.stage_index, sum(map(len, state.batches()[0].values())))

    run("bbam", on_step=watch, make_options={**WHOLE, "hyperparameters": {"warm_up_batch": 7}})
    assert sizes == {0: 7, 1: 16}


OPTIONS = {
    "cap": {"second_start": "averaged", "cycle_epochs": 40, "warm_up_batch": 8},
    "bbam": {"labelled_negatives": "frozen", "from_zero": True, "second_start": "averaged"},
    "role_linear_init": {"new_estimator": True},
}


@pytest.mark.parametrize("method", OPTIONS)
def test_with_these_options_a_run_resumes_to_the_bit_wherever_it_was_killed(method, tmp_path):
    options = {"make_options": {**WHOLE, "epochs": 5, "hyperparameters": OPTIONS[method]}}
    total = [0]
    whole, last = run(method, on_step=lambda _: total.__setitem__(0, total[0] + 1), **options)
    for stop in range(2, total[0] + 1, 3):
        folder = tmp_path / str(stop)
        with pytest.raises(Stop):
            run(method, folder, on_step=stop_at(stop, stop - 1), **options)
        again, resumed = run(method, folder, **options)
        assert_same(whole, again)
        assert_same_items(last, resumed)


def kept(values, epochs=6):
    """Return the targets of every epoch of the second stage."""
    seen = {}

    def watch(state):
        if state.stage_index == 1:
            seen[state.epoch] = state.state["target"].copy()

    make_options = {**WHOLE, "epochs": epochs, "rate": 0.05}
    run(
        "bbam",
        on_step=watch,
        make_options={**make_options, "hyperparameters": {"negative_ratio": 1.0, "warm_up": 0.2, **values}},
    )
    return list(seen.values())


def test_frozen_negatives_of_complete_rows_are_those_of_the_first_epoch():
    given = labels("partial")
    complete = (given >= 0).all(1)
    renewed, frozen, every = (kept({"labelled_negatives": v}) for v in ("renewed", "frozen", "all"))
    assert any((one[complete] != renewed[0][complete]).any() for one in renewed)
    np.testing.assert_array_equal(frozen[0], renewed[0])
    for one in frozen:
        np.testing.assert_array_equal(one[complete], frozen[0][complete])
    for one in every:
        np.testing.assert_array_equal(one[complete], given[complete])
        assert (one[~complete] == -1).any(), "unlabelled rows are sampled all the same"


def test_the_first_statistics_are_mixed_with_zeros_once():
    def first(values, epochs):
        seen = []

        def watch(state):
            if state.stage_index == 1 and state.step == 1:
                seen.append(state.method.mean_positive.clone())

        make_options = {
            **WHOLE,
            "epochs": epochs,
            "hyperparameters": {"momentum": 0.25, "warm_up": 0.2, **values},
        }
        run("bbam", on_step=watch, make_options=make_options)
        return seen

    plain, mixed = first({}, 5), first({"from_zero": True}, 5)
    torch.testing.assert_close(mixed[0], 0.75 * plain[0])
    # Afterwards the old ones are mixed in, as ever: a second mixing with zeros would leave three quarters again.
    assert (mixed[1] > 0.85 * plain[1]).all()


def test_a_new_estimator_ends_where_dense_adam_does_and_forgets_its_moments():
    """Between the stages every row's estimate is where dense Adam left it, and its moments are none."""
    seen = {}

    def watch(state):
        seen.setdefault("steps", []).append((state.stage_index, int(state.method.updates)))
        if state.stage_index == 0:
            seen["before"] = {name: state.state[name].copy() for name in state.state}
            seen["updates"] = int(state.method.updates)
        elif "first" not in seen:
            seen["first"] = {name: state.state[name].copy() for name in state.state}
            seen["rows"] = np.concatenate(list(state.batches()[0].values()))

    options = {"tune": "head", "epochs": 7, "kind": "partial_positive", "rate": 0.01}
    run(
        "role_linear_init",
        on_step=watch,
        make_options={**options, "hyperparameters": {"new_estimator": True}},
    )
    second = [number for stage, number in seen["steps"] if stage == 1]
    assert second == list(range(1, len(second) + 1))
    untouched = np.setdiff1d(np.arange(N), seen["rows"])
    assert len(untouched)
    before, after = seen["before"], seen["first"]
    for name in ("first", "second", "steps"):
        assert not after[name][untouched].any()
    # Dense Adam with gradient 0, in a loop, from the step at which each row was last moved.
    for row in untouched:
        theta, one, two = (
            torch.from_numpy(before[n][row : row + 1].copy()) for n in ("theta", "first", "second")
        )
        for step in range(int(before["steps"][row]) + 1, seen["updates"] + 1):
            adam(theta, one, two, torch.tensor([[step]]), torch.zeros_like(theta), 10.0 * 0.01)
        np.testing.assert_allclose(after["theta"][row], theta[0].numpy(), atol=1e-4)


def test_none_of_it_is_on_by_default():
    from labelwise.methods import get

    for method, values in OPTIONS.items():
        defaults = get(method).spec.hyperparameters
        assert all(defaults[name].default != value for name, value in values.items())


@pytest.mark.parametrize("method", OPTIONS)
def test_a_record_holds_them_where_they_were_set(method):
    """So that a model of before they were there is saved again as it was."""
    from labelwise.methods import get

    spec = get(method).spec
    assert not set(spec.record(spec.resolve({}))) & set(OPTIONS[method])
    assert set(spec.record(spec.resolve(OPTIONS[method]))) >= set(OPTIONS[method])
