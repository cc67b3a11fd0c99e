"""A model card says what the run's records say, in Markdown that holds no mark of anybody's."""

from __future__ import annotations

import re

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.runs import RunConfig, train
from labelwise.runs.card import card
from labelwise.runs.records import read_evaluation

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 4)).round(3)
Y = (X @ RANDOM.normal(size=(4, 2)) > 0).astype(int)


def run_of(folder, names, known):
    rows = [",".join(["f1", "f2", "f3", "f4", *names])]
    rows += [
        ",".join([*map(str, X[i]), *(str(Y[i, k]) if known(i, k) else "" for k in range(2))])
        for i in range(120)
    ]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    train(RunConfig(table=str(folder / "table.csv"), method="ridge"), folder / "run")
    return folder / "run"


def test_a_card_holds_states_rule_and_figures(tmp_path):
    run = run_of(tmp_path, ["late", "<b>|x*"], lambda i, k: i % 2 == 0)
    path = card(run, license="apache-2.0")
    text = path.read_text()
    assert path == run / "README.md"
    assert text.startswith('---\nlibrary_name: labelwise\nlicense: "apache-2.0"\n')
    assert re.search(r"\| &lt;b&gt;\\\|x\\\* \| \d+ \| \d+ \| 60 \| \d\.\d{4} \|", text), text
    assert "120 unknown (50.0%)" in text
    assert "## What these labels cannot tell" in text
    assert "| mAP |" in text
    assert "| micro-F1 |" in text
    assert "learnt\\_thresholds" in text
    assert str(tmp_path) not in text
    for title in ("Data and its labels", "How it was made", "Figures", "Limits", "Licence", "Use"):
        assert f"## {title}\n" in text
    assert "of rows that the judged model had not seen" in text
    assert "## Licence\n\napache-2.0\n" in text
    # As the hub's own library reads the front matter, offline.
    data = pytest.importorskip("huggingface_hub").ModelCard.load(path).data
    assert data.license == "apache-2.0"
    figures = {result.metric_type: result for result in data.eval_results}
    record = read_evaluation(run / "evaluation.json")["figures"]
    assert figures["map"].metric_value == round(record["metrics"]["map"], 4)
    assert figures["micro_f1"].metric_name == f"micro-F1 by {record['rule']}"
    assert figures["map"].dataset_name == f"{record['n_items']} held-out items of table.csv"


def test_a_card_without_figures_says_why(tmp_path):
    run = run_of(tmp_path, ["late", "lost"], lambda i, k: Y[i, k] == 1)
    text = card(run, tmp_path / "card.md").read_text()
    assert "None: what is known of the labels judges nothing." in text
    assert "license" not in text.split("---")[1]
    assert "model-index" not in text
    assert "None was named: ask whoever gave you the model" in text


def test_a_card_is_refused_where_there_is_no_finished_run(tmp_path):
    with pytest.raises(UserError, match="there is no such run"):
        card(tmp_path / "none")
    run = run_of(tmp_path, ["late", "lost"], lambda i, k: True)
    with pytest.raises(UserError, match=r"the ending '\.txt' is none of \.md"):
        card(run, tmp_path / "card.txt")
