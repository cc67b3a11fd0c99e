"""Sets that nobody tuned `auto` on: what they are, and when a cell is called below a reference."""

import numpy as np
import pytest

from benchmarks.studies import unseen
from benchmarks.studies import unseen_sets as cases

WITHOUT_DATA = [
    name for name, family in cases.FAMILY.items() if family in ("small tables", "scikit-learn's tables")
]


def learner(value):
    return {"map": value, "micro_f1": 0.5, "ece": 0.02, "seconds": 1.0, "opened": None, "warnings": []}


def figures(auto, ridge=0.5, logistic=0.4):
    values = {"auto": auto, "ridge": ridge, "logistic": logistic, "logistic_l2": logistic}
    sizes = {"rows": 10, "columns": 2, "labels": 3, "labelled": 5}
    return sizes | {name: learner(value) for name, value in values.items()}


def test_there_are_enough_cells_and_each_case_has_three_settings():
    cells = unseen.cells()
    assert len(cells) == len({*cells}) >= 150
    assert {name for name, _ in cells} == {*cases.CASES}
    assert {setting for _, setting in cells} == {*unseen.KINDS} == {*unseen.COST}


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_a_case_shows_every_label_in_both_signs_and_is_a_function_of_its_seed(name):
    if name == "digits":
        pytest.skip("it takes long to read")
    X, Y, X_test, Y_test = cases.CASES[name](1)
    assert len(X) == len(Y) <= 1_500
    assert X.shape[1] == X_test.shape[1]
    for part in (Y, Y_test):
        assert part.dtype == np.int8
        assert (part.any(axis=0) & ~part.all(axis=0)).all()
    again = cases.CASES[name](1)
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(Y_test, again[3])


@pytest.mark.parametrize(
    ("gains", "below"),
    [
        ([-0.002], ""),
        ([-0.004], "ridge"),
        ([-0.004, -0.005, -0.006], "ridge"),
        ([-0.03, 0.02, -0.01], ""),
        ([0.1, 0.1, 0.1], ""),
    ],
)
def test_below_is_by_more_than_three_thousandths_and_two_errors(gains, below):
    row = unseen.compared([figures(0.5 + gain) for gain in gains], unseen.LEAST)
    assert row["below"] == below
    assert row["over_ridge"] == pytest.approx(np.mean(gains), abs=1e-4)
    if len(gains) == 3:
        assert row["se_ridge"] == pytest.approx(np.std(gains, ddof=1) / np.sqrt(3), abs=1e-4)


def test_a_cell_is_computed_once_and_the_table_has_what_is_there(tmp_path, monkeypatch, capsys):
    asked = []

    def run(name, setting, seed):
        asked.append((name, setting, seed))
        return figures(0.49 if name == "30 rows" else 0.6)

    monkeypatch.setattr(unseen, "run", run)
    cell = ("30 rows", "all labels")
    for _ in range(2):
        row = unseen.measured(*cell, 3, tmp_path)
    assert asked == [(*cell, seed) for seed in range(3)]
    assert (row["seeds"], row["below"], row["ece_auto"]) == (3, "ridge", 0.02)
    assert unseen.measured("one label", "all labels", 3, tmp_path, compute=False) is None
    told = unseen.summary([row, unseen.measured("one label", "all labels", 3, tmp_path)])
    assert told[-1]["cells"] == "2 all"
    assert told[-1]["below_ridge"] == 1
    assert asked[3:] == [("one label", "all labels", 0)]


def test_a_small_cell_really_runs():
    found = unseen.run("30 rows, 60 columns", "all labels", 0)
    assert found["labelled"] == 30
    assert all(0 < found[one]["map"] <= 1 for one in ("auto", *unseen.REFERENCES))
    assert found["auto"]["warnings"] == []
