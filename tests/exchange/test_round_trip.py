"""Every format gives back the label states of a random table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.exchange import FORMATS, convert, read_labels
from tests.exchange.cases import NAME, by_name, labelled, scores_by_name

TABLES = ("csv", "tsv", "parquet", "jsonl")
KINDS = {
    **dict.fromkeys(("coco", "lvis", "cvat", "fiftyone"), ("image",)),
    "doccano": ("text",),
    **dict.fromkeys(("libsvm",), ("features",)),
    **dict.fromkeys(("meka", "huggingface", "huggingface-multihot"), ("image", "text", "features")),
}
"""The kinds of items that a format holds, where they are not pictures and texts."""
SCORED = ("label-studio", "argilla", "fiftyone")
OTHERS = [one for one in FORMATS if one.name not in TABLES]


SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def through(form, items, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{form.endings[0]}"
        form.write(path, items)
        return read_labels(path, form.name, **options)[0]


@pytest.mark.parametrize("form", OTHERS, ids=lambda form: form.name)
@SETTINGS
@given(data=st.data())
def test_a_format_gives_back_the_states(form, data):
    items = data.draw(labelled(kinds=KINDS.get(form.name, ("image", "text"))))
    again = through(form, items)
    assert by_name(again) == by_name(items)


@pytest.mark.parametrize("form", [one for one in FORMATS if one.name in SCORED], ids=lambda form: form.name)
@SETTINGS
@given(data=st.data())
def test_a_format_gives_back_the_scores(form, data):
    items = data.draw(labelled(kinds=KINDS.get(form.name, ("image", "text")), scores=True))
    again = through(form, items)
    assert by_name(again) == by_name(items)
    assert scores_by_name(again) == scores_by_name(items)


@pytest.mark.parametrize("form", [one for one in FORMATS if one.name in TABLES], ids=lambda form: form.name)
@SETTINGS
@given(data=st.data())
def test_a_table_gives_back_the_states(form, data):
    unquoted = NAME.filter(lambda name: form.name not in ("csv", "tsv") or name[0] != '"')
    # A picture's path that leads out of the folder is refused, rightly.
    inside = NAME.filter(lambda name: "/" not in name and name.strip(".") != "")
    items = data.draw(labelled(kinds=("image", "text", "features"), name=unquoted, item=inside))
    columns = {"label_columns": list(items.label_names)}
    columns |= {"delimiter": {"csv": ",", "tsv": "\t"}[form.name]} if form.name in ("csv", "tsv") else {}
    if items.kind == "text":
        columns["text_column"] = "text" if "text" not in items.label_names else "text_of_item"
    if items.kind != "image":
        columns["item_column"] = next(
            name for name in ("id", "item", "item_id") if name not in items.label_names
        )
    else:
        columns["item_column"] = "image" if "image" not in items.label_names else "image_of_item"
    assert by_name(through(form, items, **columns)) == by_name(items)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_numbers_keep_the_digits_that_somebody_wrote(tmp_path, ending):
    (tmp_path / "given.csv").write_text("id,f0,f1,late\na,1.257,-0.1,1\nb,3,1e-07,0\n")
    convert(tmp_path / "given.csv", tmp_path / f"again{ending}")
    text = (tmp_path / f"again{ending}").read_text()
    assert "1.257" in text
    assert "-0.1" in text
    assert "1e-07" in text
    assert "0000" not in text
