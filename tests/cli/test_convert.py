"""``labelwise convert`` tells what it wrote where."""

from __future__ import annotations

import pytest


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,text,cat,dog\nt1,a cat,1,0\nt2,nothing,,\nt3,a dog,,1\n")
    return path


def test_each_state_is_counted_and_the_second_place_is_told(lw, table, tmp_path):
    result = lw("convert", table, tmp_path / "tasks.json", "--to", "label-studio")
    assert result.exit_code == 0, result.output
    assert "3 items, 2 labels" in result.output
    assert "entries  2 relevant, 1 irrelevant, 3 unknown" in result.output
    assert "beside   meta.labelwise of each task: 1 irrelevant and 3 unknown entries" in result.output


def test_there_and_back_needs_no_word_on_what_is_not_listed(lw, answer, table, tmp_path):
    lw("convert", table, tmp_path / "tasks.json", "--to", "label-studio")
    back = answer("convert", tmp_path / "tasks.json", tmp_path / "back.csv")
    assert (back["relevant"], back["irrelevant"], back["unknown"]) == (2, 1, 3)
    assert (
        tmp_path / "back.csv"
    ).read_text() == "id,text,cat,dog\n1,a cat,1,0\n2,nothing,,\n3,a dog,,1\n".replace(
        "\n1,", "\nt1,"
    ).replace("\n2,", "\nt2,").replace("\n3,", "\nt3,")


def test_mistakes_are_one_line(refused, table, tmp_path):
    assert "name it by --to: label-studio, label-studio-min, argilla" in refused(
        "convert", table, tmp_path / "out.json"
    )
    assert "no format ends in '.doc'" in refused("convert", table, tmp_path / "out.doc")
    assert "did you mean 'label-studio'" in refused(
        "convert", table, tmp_path / "o.json", "--to", "label_studio"
    )
    assert "is the file to read" in refused("convert", table, table)
    assert "no such file" in refused("convert", tmp_path / "none.json", tmp_path / "out.csv")
    assert "give two files" in refused("convert", table)
    lines = "ImageID,LabelName,Confidence\na,x,1\n"
    (tmp_path / "v.csv").write_text(lines)
    assert "which has no use for --unlisted" in refused(
        "convert", tmp_path / "v.csv", tmp_path / "o.csv", "--unlisted", "absent"
    )


def test_formats_are_listed(lw):
    output = lw("convert", "--formats").output
    assert "label-studio" in output
    assert "says all three states" in output


def test_a_converted_table_trains(lw, tmp_path):
    rows = ["ImageID,Source,LabelName,Confidence"]
    rows += [f"i{i},verification,{'even' if i % 2 else 'odd'},{int(i % 3 > 0)}" for i in range(60)]
    (tmp_path / "v.csv").write_text("\n".join(rows) + "\n")
    assert lw("convert", tmp_path / "v.csv", tmp_path / "table.csv").exit_code == 0
    described = lw("describe", tmp_path / "table.csv").output
    assert "60 items, 2 labels" in described
    tasks = "".join(
        f'{{"id": "t{i}", "text": "{"late parcel" if i % 2 else "broken cup"} {i}", "late": {i % 2}}}\n'
        for i in range(40)
    )
    (tmp_path / "t.jsonl").write_text(tasks)
    assert lw("convert", tmp_path / "t.jsonl", tmp_path / "tasks.json", "--to", "label-studio").exit_code == 0
    assert lw("convert", tmp_path / "tasks.json", tmp_path / "t.parquet").exit_code == 0
    described = lw("describe", tmp_path / "t.parquet").output
    assert "40 items, 1 labels" in described or "40 items, 1 label" in described


def test_a_table_that_went_through_another_format_trains(lw, answer, tables, tmp_path):
    assert lw("convert", tables.semi, tmp_path / "semi.arff").exit_code == 0
    assert lw("convert", tmp_path / "semi.arff", tmp_path / "again.csv").exit_code == 0
    run = ("--method", "ridge", "--out")
    first = answer("train", tables.semi, *run, tmp_path / "first")
    second = answer("train", tmp_path / "again.csv", *run, tmp_path / "second")
    assert second["figures"]["metrics"] == first["figures"]["metrics"]
