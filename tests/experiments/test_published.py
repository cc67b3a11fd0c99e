"""The printed numbers, and the identity that shows which of them rest on an oracle's count."""

import csv
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.experiments import load_spec, published, tables

LABELS = {"VOC": 20, "COCO": 80, "AWA": 85, "Ohsumed": 23, "AAPD": 54}
FRACTIONS = (0.05, 0.1, 0.15, 0.2)
EXCEPTIONS = {
    # Hamming losses that do not fit the set's cardinality of 1.47: 1.62, 1.56, 1.51.
    ("VOC", 0.1): "mixed",
    ("VOC", 0.15): "mixed",
    ("VOC", 0.2): "mixed",
    ("Ohsumed", 0.15): "misprint",
    ("AAPD", 0.2): "misprint",
}


def cardinality(dataset, method, fraction):
    """Return the labels an item that a row implies if it predicts as many labels in total as there are."""
    found = {
        number.metric: number.value
        for number in published("bbam-table")
        if number.cell == (dataset, method, "semi_supervised", fraction)
    }
    return found["hamming_loss"] * LABELS[dataset] / (2 * (1 - found["micro_f1"]))


def test_every_line_of_the_files_is_a_record_with_types():
    folder = files("labelwise.experiments") / "published"
    lines = [
        row for path in folder.iterdir() if path.name.endswith(".csv") for row in csv.DictReader(path.open())
    ]
    assert len(lines) == len(published())
    assert Counter(number.table for number in published()) == Counter(row["table"] for row in lines)
    for number in published():
        assert number.value is None or (isinstance(number.value, float) and 0 < number.value < 100)
        assert number.value is not None or number.note
        assert number.labelled_fraction in (None, *FRACTIONS, 0.5)
    assert {"hml-table2", "em-apl-poster", "bbam-table", "bbam-ablation", "cap-readme"} <= set(tables())
    (ours,) = [n for n in published("em-apl-poster") if n.dataset == "NUS" and n.method == "em_apl"]
    assert (ours.value, ours.std, ours.metric) == (47.59, 0.22, "map")


def test_an_unknown_table_is_one_line():
    with pytest.raises(UserError, match="there is no published table 'hml-table9': did you mean"):
        published("hml-table9")


@pytest.mark.parametrize("dataset", LABELS)
def test_bbam_rows_satisfy_the_identity_of_the_oracle_count(dataset):
    """Where as many labels are predicted as there are, Hamming = 2 (1 - micro-F1) cardinality / K."""
    implied = {f: cardinality(dataset, "bbam", f) for f in FRACTIONS if (dataset, f) not in EXCEPTIONS}
    expected = {"VOC": 1.47, "COCO": 2.91, "AWA": 31.97, "Ohsumed": 1.62, "AAPD": 2.39}[dataset]
    np.testing.assert_allclose(list(implied.values()), expected, rtol=0.01)


def test_the_exceptions_are_exceptions():
    implied = {place: cardinality(place[0], "bbam", place[1]) for place in EXCEPTIONS}
    np.testing.assert_allclose([implied["VOC", f] for f in FRACTIONS[1:]], [1.62, 1.56, 1.51], atol=0.01)
    assert implied["Ohsumed", 0.15] < 1.1
    assert implied["AAPD", 0.2] > 7


@pytest.mark.parametrize("dataset", ["Ohsumed", "AAPD"])
@pytest.mark.parametrize("method", ["softmatch", "flatmatch"])
def test_text_baselines_satisfy_it_with_the_test_sets_cardinality(dataset, method):
    implied = [cardinality(dataset, method, fraction) for fraction in FRACTIONS]
    np.testing.assert_allclose(implied, {"Ohsumed": 1.662, "AAPD": 2.418}[dataset], rtol=0.003)


@pytest.mark.parametrize(
    ("dataset", "method"),
    [(d, m) for d in ("VOC", "COCO") for m in ("softmatch", "flatmatch", "mime", "drml", "cap")]
    + [("AWA", method) for method in ("softmatch", "flatmatch", "mime", "drml", "cap")]
    + [(dataset, method) for dataset in ("Ohsumed", "AAPD") for method in ("drml", "cap")],
)
def test_the_other_rows_do_not(dataset, method):
    """Their counts vary from column to column, or are not the set's: a threshold decided."""
    implied = np.array([cardinality(dataset, method, fraction) for fraction in FRACTIONS])
    true = {"VOC": 1.47, "COCO": 2.92, "AWA": 31.9, "Ohsumed": 1.662, "AAPD": 2.418}[dataset]
    assert np.abs(implied / true - 1).max() > 0.02


def test_each_spec_judges_its_rows_by_the_rule_that_the_identity_shows():
    oracle = {
        (name, row)
        for name in ("bbam-images", "bbam-text", "bbam-ablation")
        for row, given in load_spec(name).rows.items()
        if given.rule == "oracle_cardinality"
    }
    assert oracle == {
        ("bbam-images", "bbam"),
        ("bbam-text", "bbam"),
        ("bbam-text", "softmatch"),
        ("bbam-text", "flatmatch"),
        ("bbam-ablation", "bbam"),
        ("bbam-ablation", "bbam_without_bbam"),
    }


def test_misprints_carry_a_note():
    noted = {(n.dataset, n.method, n.labelled_fraction, n.metric) for n in published() if n.note}
    assert {
        ("Ohsumed", "bbam", 0.15, "hamming_loss"),
        ("AAPD", "bbam", 0.2, "hamming_loss"),
        ("AWA", "softmatch", 0.1, "one_error"),
        ("COCO", "epr", None, "map"),
    } <= noted


def test_no_cell_is_printed_twice_in_a_table():
    cells = [(number.table, *number.cell, number.metric) for number in published()]
    assert [cell for cell, count in Counter(cells).items() if count > 1] == []


def test_the_ablation_repeats_the_main_tables_rows():
    main = {(n.cell, n.metric): n.value for n in published("bbam-table")}
    for number in published("bbam-ablation"):
        if number.method == "bbam":
            assert main[number.cell, number.metric] == number.value
    assert {number.dataset for number in published("bbam-ablation")} == {"VOC", "COCO"}
