"""Empty cells are filled and words encoded on request, by what the training table was found to hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from labelwise.data import Preparation, read_table
from labelwise.errors import UserError

FRAME = pd.DataFrame(
    {
        "id": list("abcdef"),
        "f0": [1.0, np.nan, 3.0, 3.0, np.nan, 9.0],
        "f1": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
        "feature_colour": ["red", "blue", "red", None, "green", "red"],
        "late": [1, 0, 1, 0, 1, 0],
    }
)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_features_are_what_scikit_learn_makes_of_them(tmp_path: Path, strategy: str, ending: str) -> None:
    path = tmp_path / f"t.{ending}"
    FRAME.to_csv(path, index=False) if ending == "csv" else FRAME.to_parquet(path)
    table = read_table(path, impute=strategy, encode="onehot")
    numbers = SimpleImputer(strategy=strategy).fit_transform(FRAME[["f0", "f1"]])
    words = OneHotEncoder(sparse_output=False).fit_transform(FRAME[["feature_colour"]].fillna(""))
    assert table.features is not None
    np.testing.assert_array_equal(table.features, np.hstack([numbers, words]).astype(np.float32))
    colours = [f"feature_colour={word}" for word in ("(empty)", "blue", "green", "red")]
    assert table.feature_names == ("f0", "f1", *colours)
    assert any(f"{strategy.replace('_', ' ')} of training: 'f0' (2)" in note for note in table.notes)


def test_another_table_is_filled_with_what_training_learnt(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    trained = read_table(tmp_path / "t.csv", impute="mean", encode="onehot")
    assert trained.preparation is not None
    record = json.loads(json.dumps(trained.preparation.to_dict()))
    kept = Preparation.from_dict(record)
    new = pd.DataFrame(
        {"feature_colour": ["violet", "blue"], "f1": [np.nan, 2.0], "f0": [100.0, np.nan], "late": [1, 0]}
    )
    new.to_csv(tmp_path / "new.csv", index=False)
    table = read_table(tmp_path / "new.csv", expect=(trained.feature_names, ("late",)), preparation=kept)
    assert table.features is not None
    np.testing.assert_allclose(table.features, [[100, 3, 0, 0, 0, 0], [4, 2, 0, 1, 0, 0]])
    told = " ".join(table.notes)
    assert "'f0' (1), 'f1' (1)" in told
    assert "'feature_colour' (1: 'violet')" in told
    new.drop(columns="feature_colour").to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(UserError, match="'feature_colour' are not in the file"):
        read_table(tmp_path / "new.csv", expect=(trained.feature_names, ("late",)), preparation=kept)


def test_without_the_options_the_message_says_how(tmp_path: Path) -> None:
    FRAME[["f0", "late"]].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"row 2 \(line 3\), column 'f0'.*--impute"):
        read_table(tmp_path / "t.csv")
    FRAME[["f1", "feature_colour", "late"]].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        UserError, match=r"row 1 \(line 2\), column 'feature_colour'.*'red', not a number.*--encode onehot"
    ):
        read_table(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"row 1 \(line 2\), column 'feature_colour'.*--encode onehot"):
        read_table(tmp_path / "t.csv", impute="mean")
    FRAME.assign(f0=np.nan).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match="column 'f0' is empty in all rows"):
        read_table(tmp_path / "t.csv", impute="mean", encode="onehot")
    many = pd.DataFrame({"f0": range(3, 63), "x_note": [f"word{i}" for i in range(60)], "late": [1, 0] * 30})
    many.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match="60 different words, which are no categories"):
        read_table(tmp_path / "t.csv", encode="onehot")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"columns": 3},
        {"columns": ["a"], "impute": None, "values": {"a": "x"}, "categories": {}},
        {"columns": None},
    ],
)
def test_a_damaged_record_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(UserError, match="damaged"):
        Preparation.from_dict(record)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(-1e3, 1e3, width=32), st.sampled_from([None, "red", "blue", "a=b", "7"])
        ),
        min_size=3,
        max_size=12,
    )
)
def test_a_table_read_again_by_its_own_record_is_the_same(tmp_path: Path, rows) -> None:
    frame = pd.DataFrame(rows, columns=["f0", "f1"]).assign(late=[1, 0, 1] + [0] * (len(rows) - 3))
    frame.to_parquet(tmp_path / "t.parquet")
    try:
        table = read_table(tmp_path / "t.parquet", impute="median", encode="onehot")
    except UserError:
        return
    again = read_table(
        tmp_path / "t.parquet", expect=(table.feature_names, ("late",)), preparation=table.preparation
    )
    assert table.features is not None
    np.testing.assert_array_equal(again.features, table.features)
    assert np.isfinite(table.features).all()
