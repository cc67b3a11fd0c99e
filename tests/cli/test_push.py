"""``labelwise push`` writes or sends the model, its card and the recipe of a server."""

from __future__ import annotations

import json

import numpy as np

from labelwise import MultiLabelClassifier


def test_push_writes_what_it_would_send_and_sends_the_same(lw, refused, tables, tmp_path, monkeypatch):
    run, folder = tmp_path / "run", tmp_path / "tags"
    assert lw("train", tables.semi, "--method", "ridge", "--out", run).exit_code == 0
    result = lw("push", run, "--out", folder, "--license", "mit")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "written" in result.output
    assert "licence" not in result.output
    model = MultiLabelClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(
        MultiLabelClassifier.from_pretrained(run).predict_proba(tables.X), model.predict_proba(tables.X)
    )
    card = (folder / "README.md").read_text()
    assert "on semi.csv" in card
    assert 'from_pretrained("tags")' in card
    assert str(tmp_path) not in card

    sent = {}

    def push_to_hub(self, repo, **options):
        sent.update(repo=repo, **options)
        return "https://hub.example/owner/tags/commit/1"

    monkeypatch.setattr(MultiLabelClassifier, "push_to_hub", push_to_hub)
    result = lw("push", run, "owner/tags", "--private", "--json")
    assert json.loads(result.stdout) == {"sent": "https://hub.example/owner/tags/commit/1"}
    assert (sent["repo"], sent["private"], sent["background"].name) == ("owner/tags", True, "owner/tags")
    assert "it names no licence" in lw("push", run, "owner/tags").output
    assert "give a repository" in refused("push", run)
    assert "give a repository" in refused("push", run, "owner/tags", "--out", tmp_path / "x")
    assert "is not empty" in refused("push", run, "--out", folder)
