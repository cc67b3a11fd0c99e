"""``train --rule recall --recall SHARE``."""

import json

import numpy as np
import pandas as pd

from labelwise import simulate

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((120, 6)).astype(np.float32)
T = (X @ RANDOM.standard_normal((6, 4)) + RANDOM.standard_normal((120, 4)) > 0.5).astype(np.int8)
SINGLE = simulate.single_positive(T, seed=0)


def test_the_command_line_takes_it(lw, tmp_path):
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)])
    frame["tags"] = [";".join(f"l{k}" for k in np.flatnonzero(row == 1)) for row in SINGLE]
    frame.to_csv(tmp_path / "t.csv", index=False)
    command = ("train", tmp_path / "t.csv", "--labels-column", "tags", "--method", "ridge", "--json")
    result = lw(*command, "--rule", "recall", "--recall", "0.7", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rule"] == "recall(0.7)"
    result = lw(*command, "--rule", "recall", "--recall", "1.5", "--out", tmp_path / "other")
    assert result.exit_code == 2
    assert "recall=1.5" in result.stderr + result.stdout
