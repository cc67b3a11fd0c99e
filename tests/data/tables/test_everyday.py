"""Tables as spreadsheets and other programs leave them: read and told, or refused with what really helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelwise.data import TableOptions, read_table
from labelwise.data.tables.filling import write_filled
from labelwise.errors import UserError

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(40, 2)).round(2)
Y = (X > 0).astype(int)


def table(path: Path, rows: list[list[object]], mark: str = ",", **given: object):
    text = "\r\n".join(mark.join(map(str, row)) for row in rows) + "\r\n"
    path.write_bytes(text.encode(str(given.pop("encoding", "utf-8"))))
    return read_table(path, **given)


def rows(*more: list[object]) -> list[list[object]]:
    head = ["id", "height", "weight", "late", "damaged"]
    return [head, *([f"{i:03d}", *X[i], *Y[i]] for i in range(len(X))), *more]


def test_numbers_are_features_and_states_are_labels_whatever_their_names(tmp_path: Path) -> None:
    found = table(tmp_path / "t.csv", rows())
    assert found.feature_names == ("height", "weight")
    assert found.annotations.label_names == ("late", "damaged")
    assert "features: 'height', 'weight' (2), by their numbers" in found.roles
    assert any("as labels, since they hold 1 and 0: 'late', 'damaged'" in note for note in found.notes)


def test_a_column_that_may_be_either_is_still_asked(tmp_path: Path) -> None:
    counts = [[*row, "children" if i == 0 else (0, 1, 1, 2)[i % 4]] for i, row in enumerate(rows())]
    with pytest.raises(UserError, match=r"column 'children': '2' is no label state .* \(--label-columns\)"):
        table(tmp_path / "t.csv", counts)
    words = [[*row, "city" if i == 0 else "Bonn"] for i, row in enumerate(rows())]
    with pytest.raises(UserError, match=r"'Bonn' is no label state .* give --labels-column 'city'"):
        table(tmp_path / "t.csv", words)
    with pytest.raises(UserError, match="no label columns"):
        table(tmp_path / "t.csv", [row[:3] for row in rows()])


def test_days_are_no_features_and_no_labels(tmp_path: Path) -> None:
    for days in ("2024-03-{:02d}", "{:02d}.03.2024", "2024-03-{:02d} 10:00:00", "3/{:02d}/2024"):
        dated = [[*row, "day" if i == 0 else days.format(1 + i % 28)] for i, row in enumerate(rows())]
        for given in ({}, {"label_columns": ["late", "damaged"]}):
            found = table(tmp_path / "t.csv", dated, **given)
            assert found.feature_names == ("height", "weight")
            assert any("'day' is no feature and no label: it holds dates" in note for note in found.notes)


def commas(value: float) -> str:
    return f"{value * 1000:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize("spelt", [lambda v: str(v).replace(".", ","), commas])
def test_decimal_commas_are_read_and_told_and_written_back(tmp_path: Path, spelt) -> None:
    lines = [row if i == 0 else [row[0], *map(spelt, row[1:3]), *row[3:]] for i, row in enumerate(rows())]
    lines[5][4] = ""
    found = table(tmp_path / "t.csv", lines, ";")
    scale = 1000 if spelt is commas else 1
    np.testing.assert_allclose(found.features, (X * scale).astype(np.float32), rtol=1e-6)
    assert any("'height', 'weight': a comma is read as the decimal point" in note for note in found.notes)
    states = found.annotations.matrix.copy()
    states[states < 0] = 1
    write_filled(found, TableOptions(), states, tmp_path / "out.csv")
    lines[5][4] = 1
    assert (tmp_path / "out.csv").read_bytes().decode().split("\r\n")[:-1] == [
        ";".join(map(str, row)) for row in lines
    ]


def test_states_with_a_decimal_comma(tmp_path: Path) -> None:
    lines = [row if i == 0 else [*row[:3], f"{row[3]},0", row[4]] for i, row in enumerate(rows())]
    assert (table(tmp_path / "t.csv", lines, ";").annotations.matrix == Y).all()


def test_commas_that_may_part_thousands_are_asked(tmp_path: Path) -> None:
    lines = [row if i == 0 else [*row[:2], f'"{1 + i},257"', *row[3:]] for i, row in enumerate(rows())]
    with pytest.raises(
        UserError, match=r"'2,257'.* a comma may .* write such numbers with a point and without"
    ):
        table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"])


@pytest.mark.parametrize("odd", ["heavy", "#DIV/0!", "12 kg", "3%"])
def test_one_cell_among_numbers_is_not_advised_to_be_a_category(tmp_path: Path, odd: str) -> None:
    lines = rows()
    lines[7][1] = odd
    with pytest.raises(UserError) as caught:
        table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"])
    assert "row 7 (line 8), column 'height'" in str(caught.value)
    assert "onehot" not in str(caught.value)
    assert "--impute" in str(caught.value)
    with pytest.raises(UserError, match="row 7"):
        table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"], require_items=False)


@pytest.mark.parametrize("names", [["", ""], ["Unnamed: 5", "Unnamed: 6"], ["", "Unnamed: 6"]])
def test_empty_columns_and_rows_that_a_spreadsheet_adds_are_left_out_and_told(tmp_path, names) -> None:
    lines = [[*row, *(names if i == 0 else ["", ""])] for i, row in enumerate(rows())]
    found = table(tmp_path / "t.csv", [*lines, [""] * 7, ["", " ", *[""] * 5]])
    assert (len(found), found.feature_names) == (40, ("height", "weight"))
    assert any("Columns without a name and without content are left out: 2" in n for n in found.notes)
    assert any("Rows at the end without content are left out: 2" in n for n in found.notes)
    states = found.annotations.matrix.copy()
    states[0, 0] = -1
    write_filled(found, TableOptions(), states, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [",".join(map(str, row)) for row in rows()]


def test_a_column_without_a_name_that_holds_something_is_refused(tmp_path: Path) -> None:
    lines = [[*row, "" if i != 3 else "note"] for i, row in enumerate(rows())]
    with pytest.raises(UserError, match="column 6 has no name; name it"):
        table(tmp_path / "t.csv", lines)


def test_an_empty_row_between_others_is_no_end(tmp_path: Path) -> None:
    lines = rows()
    lines.insert(4, [""] * 5)
    with pytest.raises(UserError, match=r"row 4 \(line 5\)"):
        table(tmp_path / "t.csv", lines)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "a,ü\n1,0\n".encode("cp1252"), "CSV UTF-8"),
        ("t.csv", "a,ü\n1,0\n".encode("utf-16"), "iconv -f UTF-16 -t UTF-8 t.csv"),
        ("t.csv", "a,ü\n1,0\n".encode("cp1252"), "iconv -f CP1252 -t UTF-8 t.csv"),
        ("t.xlsx", b"PK", "save the sheet as CSV UTF-8"),
        ("t.ods", b"PK", "save the sheet as CSV UTF-8"),
        ("t.csv.zip", b"PK", "unpack it"),
        ("t.txt", b"a\tb\n", "name it .tsv"),
        ("t.feather", b"", "to_parquet"),
        ("t.pkl", b"", "to_parquet"),
        ("t", b"", "a table ends in .csv"),
    ],
)
def test_what_is_not_read_is_refused_with_the_next_step(tmp_path, name, content, says) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_table(tmp_path / name)
    assert says in str(caught.value)


def test_a_line_above_the_names_is_told(tmp_path: Path) -> None:
    for title in (["# exported by us"], ["Report", "", "", "", ""]):
        with pytest.raises(UserError, match=r"line 1 .* title"):
            table(tmp_path / "t.csv", [title, *rows()])


def test_marks_and_words_are_states_and_stay_as_they_are(tmp_path: Path) -> None:
    for yes, no in (("x", ""), ("ja", "nein"), ("WAHR", "FALSCH"), ("Y", "N"), ("✓", "")):
        lines = [r if i == 0 else [*r[:3], *(yes if s else no for s in r[3:])] for i, r in enumerate(rows())]
        found = table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"])
        assert ((found.annotations.matrix == 1) == (Y == 1)).all()
        states = np.where(found.annotations.matrix < 0, 0, -1).astype(np.int8)
        states[0] = -1
        write_filled(found, TableOptions(label_columns=["late", "damaged"]), states, tmp_path / "out.csv")
        again = read_table(tmp_path / "out.csv", label_columns=["late", "damaged"])
        assert (again.annotations.matrix[1:] == Y[1:]).all()


def test_the_mark_and_the_line_ends_of_a_file_stay(tmp_path: Path) -> None:
    lines = rows()
    lines[3][3] = ""
    found = table(tmp_path / "t.csv", lines, encoding="utf-8-sig")
    states = np.where(found.annotations.matrix < 0, 1, -1).astype(np.int8)
    write_filled(found, TableOptions(), states, tmp_path / "out.csv")
    lines[3][3] = 1
    text = "\r\n".join(",".join(map(str, row)) for row in lines) + "\r\n"
    assert (tmp_path / "out.csv").read_bytes() == text.encode("utf-8-sig")


def test_paths_from_windows_are_found_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "photos" / "a b").mkdir(parents=True)
    (tmp_path / "photos" / "a b" / "ü 1.jpg").write_bytes(b"x")
    folder = {"images": tmp_path / "photos"}
    found = table(tmp_path / "t.csv", [["file", "sea"], ["a b\\ü 1.jpg", 1]], **folder)
    assert found.contents == [str((tmp_path / "photos" / "a b" / "ü 1.jpg").resolve())]
    assert any("1 of the pictures' names have a backslash" in note for note in found.notes)
    for path in ("C:\\me\\1.jpg", "\\\\server\\1.jpg"):
        with pytest.raises(UserError, match=r"row 1 \(line 2\), column 'file': .* Windows .*--images"):
            table(tmp_path / "t.csv", [["file", "sea"], [path, 1]], **folder)


def test_addresses_of_pictures_are_not_fetched(tmp_path: Path) -> None:
    lines = [["file", "sea"], ["https://example.org/1.jpg", 1], ["https://example.org/2.jpg", 0]]
    with pytest.raises(UserError, match="addresses, and nothing is fetched: download"):
        table(tmp_path / "t.csv", lines)


def test_a_file_without_names_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than once: '0'; if line 1 is a row, write names above it"):
        table(tmp_path / "t.csv", [[0.5, 1, 0, 0], [0.7, 1, 0, 1]])


@pytest.mark.parametrize("content", ["message,late\nthe parcel came late today,1\n", "g1,late\n0.5,1\n"])
def test_a_model_does_not_read_other_columns_in_the_place_of_its_own(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    for required in (False, True):
        with pytest.raises(UserError, match="the model's feature columns 'f1', 'f2' are not in the file"):
            read_table(tmp_path / "t.csv", expect=(["f1", "f2"], ["late"]), require_labels=required)


def test_units_are_no_categories(tmp_path: Path) -> None:
    lines = [row if i == 0 else [row[0], f"{row[1]} kg", *row[2:]] for i, row in enumerate(rows())]
    with pytest.raises(UserError, match="write the number without its unit or sign"):
        table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"])


@pytest.mark.parametrize("cell", ["inf", "1e300"])
def test_what_is_infinite_is_not_advised_to_be_imputed(tmp_path: Path, cell: str) -> None:
    lines = rows()
    lines[3][2] = cell
    with pytest.raises(UserError, match=r"row 3 .* infinite or beyond float32; mend or drop"):
        table(tmp_path / "t.csv", lines, label_columns=["late", "damaged"])


def test_a_column_beside_features_known_by_name_is_told_with_its_reason(tmp_path: Path) -> None:
    lines = [["f1", "f2", "price", "late"], *([*X[i], 3.5 + i, Y[i, 0]] for i in range(len(X)))]
    found = table(tmp_path / "t.csv", lines, label_columns="late")
    assert found.feature_names == ("f1", "f2")
    assert "not used: 'price', beside features known by name; --feature-columns takes it in" in found.roles
