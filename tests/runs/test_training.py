"""Oracle methods by the command line's way: the true labels come from a table of their own, matched by item."""

import numpy as np
import pandas as pd
import pytest

from labelwise import runs
from labelwise.errors import UserError

ORACLE = "bce_single_positive_all_negatives"


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    truth = pd.DataFrame(X, columns=[f"f{k}" for k in range(5)]).assign(
        id=[f"n{i}" for i in range(60)], **{name: (X[:, k] > 0.3).astype(int) for k, name in enumerate("abc")}
    )
    given = truth.copy()
    for name in "abc":
        given[name] = given[name].where((given[name] == 1) & (rng.random(60) < 0.6))
    given.to_csv(tmp_path / "given.csv", index=False)
    truth.sample(frac=1, random_state=0).to_csv(tmp_path / "truth.csv", index=False)
    truth[:50].to_csv(tmp_path / "short.csv", index=False)
    return tmp_path


def config(tables, **given):
    return runs.RunConfig.build({"table": str(tables / "given.csv"), "method": ORACLE, **given})


def test_true_labels_are_matched_by_item(tables):
    outcome = runs.train(config(tables, true_labels=str(tables / "truth.csv")), tables / "run")
    assert outcome.method == ORACLE
    from labelwise.runs.inputs import read_inputs

    inputs = read_inputs(config(tables, true_labels=str(tables / "truth.csv")))
    known = inputs.table.annotations.matrix == 1
    assert (inputs.true_labels >= 0).all()
    assert (inputs.true_labels[known] == 1).all()


@pytest.mark.parametrize(
    ("given", "words"), [({}, ("true-labels",)), ({"true_labels": "short.csv"}, ("n50", "short"))]
)
def test_what_is_missing_is_said_before_anything_is_written(tables, given, words):
    given = {name: str(tables / value) for name, value in given.items()}
    with pytest.raises(UserError) as caught:
        runs.train(config(tables, **given), tables / "run")
    assert all(word in str(caught.value) for word in words)
    assert not (tables / "run").exists()
