"""``train --hierarchy FILE``: forms of the file, what is told, and refusals."""

import json

import pandas as pd
import pytest

from tests.classifier.test_hierarchy import GIVEN, NAMES, PARTIAL, X, coherent


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(X[:300], columns=[f"f{i}" for i in range(8)])
    for k, name in enumerate(NAMES):
        frame[name] = [{1: "1", 0: "0", -1: ""}[int(state)] for state in PARTIAL[:, k]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


FORMS = {
    "h.json": json.dumps(GIVEN),
    "h.csv": "child,parent\ncat,animal\n dog , animal\nanimal,thing\ncar,thing\n",
    "plain.csv": "cat,animal\ndog,animal\nanimal,thing\ncar,thing\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_pairs_is_read_told_and_kept(lw, table, tmp_path, form):
    (tmp_path / form).write_text(FORMS[form])
    labels = [part for name in NAMES for part in ("--label-columns", name)]
    command = ("train", table, *labels, "--method", "ridge", "--hierarchy", tmp_path / form)
    result = lw(*command, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    notes = json.loads(result.stdout)["notes"]
    (told,) = [note for note in notes if note.startswith("the hierarchy filled")]
    assert "relevant" in told
    assert told.removeprefix("t") in " ".join((tmp_path / "run" / "report.html").read_text().split())
    result = lw("predict", tmp_path / "run", table, "--out", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "p.csv")
    columns = [next(c for c in found.columns if c.endswith(name)) for name in NAMES]
    assert coherent(found[columns].to_numpy())


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        (
            "child,parent\ncat,animal\nanimal,cat\n",
            "h.csv",
            "hierarchy has a cycle: 'cat' > 'animal' > 'cat'",
        ),
        ("cat,beast\n", "h.csv", "hierarchy names no label 'beast'"),
        ("cat,animal,thing\n", "h.csv", "has a row of 3 fields; write two: child,parent"),
        ('{"cat": 3}', "h.json", "hierarchy of 'cat' is 3"),
        ("[1]", "h.json", "is not a JSON object"),
        ("{", "h.json", "is not JSON"),
        (None, "h.json", "No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(refused, table, tmp_path, text, form, message):
    if text is not None:
        (tmp_path / form).write_text(text)
    labels = [part for name in NAMES for part in ("--label-columns", name)]
    said = refused(
        "train",
        table,
        *labels,
        "--hierarchy",
        tmp_path / form,
        "--method",
        "ridge",
        "--out",
        tmp_path / "run",
    )
    assert "hierarchy (--hierarchy): " in said
    assert message in said
    assert not (tmp_path / "run").exists()
