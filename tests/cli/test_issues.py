"""``labelwise issues``."""

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import FEATURES, LABELS, write_rows


@pytest.fixture(scope="module")
def planted(tables, tmp_path_factory):
    """A table of which ten given entries are wrong, and unknown ones."""
    random = np.random.default_rng(1)
    wrong = {
        (int(row), int(k))
        for row, k in zip(random.permutation(140)[:10], random.integers(0, 3, 10), strict=True)
    }
    lines = []
    for i in range(140):
        cells = [int(tables.Y[i, k]) ^ ((i, k) in wrong) if (i + k) % 4 else "" for k in range(3)]
        lines.append([f"i{i}", *(f"{v:.5f}" for v in tables.X[i]), *cells])
    folder = tmp_path_factory.mktemp("issues")
    write_rows(folder / "t.csv", ["id", *FEATURES, *LABELS], lines)
    return folder, {(f"i{i}", LABELS[k]) for i, k in wrong if (i + k) % 4}


@pytest.fixture(scope="module")
def run(planted):
    from labelwise.runs import RunConfig, train

    folder, _ = planted
    config = RunConfig(table=str(folder / "t.csv"), item_column="id", label_columns=LABELS, method="ridge")
    train(config, folder / "run")
    return folder / "run"


def test_planted_mistakes_are_found_and_unknown_entries_never(answer, planted, run, tmp_path):
    folder, wrong = planted
    found = answer("issues", run, "--limit", 10, "--out", tmp_path / "issues.csv")
    first = {(entry["item"], entry["label"]) for entry in found["entries"]}
    assert len(first & wrong) >= 0.6 * len(wrong)
    written = pd.read_csv(tmp_path / "issues.csv")
    assert written["quality"].is_monotonic_increasing
    table = pd.read_csv(folder / "t.csv").set_index("id")
    assert len(written) == table[LABELS].notna().to_numpy().sum() == found["n_known"]
    assert all(table.loc[row.item, row.label] == row.given for row in written.itertuples())
    assert written["issue"].sum() == found["n_issues"] > 0


def test_one_sign_and_words(lw, answer, run):
    entries = answer("issues", run, "--given", "no", "--rank-by", "likelihood_ratio")["entries"]
    assert {entry["given"] for entry in entries} == {0}
    result = lw("issues", run, "--limit", 3)
    assert result.exit_code == 0, result.output
    assert "estimated to be wrong; each row scored as if the model had not seen it" in result.stdout


def test_positives_alone_are_ranked_and_the_rest_is_said_not_to_be_identified(answer, tables, tmp_path):
    from labelwise.runs import RunConfig, train

    train(
        RunConfig(table=str(tables.single), item_column="id", label_columns=LABELS, method="ridge"),
        tmp_path / "run",
    )
    found = answer("issues", tmp_path / "run")
    assert found["n_issues"] == 0
    assert "one state alone is given" in found["notes"][0]
    assert len(found["entries"]) == 20


def test_what_cannot_be_is_refused(refused, run, planted, tmp_path):
    assert "both, yes, no" in refused("issues", run, "--given", "maybe")
    assert "there is no ranking" in refused("issues", run, "--rank-by", "worst")
    assert "there is no filter" in refused("issues", run, "--filter-by", "worst")
    assert "the table itself" in refused("issues", run, "--out", planted[0] / "t.csv")
    assert "no such run" in refused("issues", tmp_path / "none")
