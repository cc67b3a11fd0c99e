"""What an ensemble says of itself: as text, and as a record."""

import json

import pytest

from labelwise.ensemble import Explanation, Gate
from labelwise.ensemble.explanation import member_words

RECORD = {
    "rows": 2400,
    "labelled": 120,
    "members": [
        {"name": "c", "weight": 0.2, "value": 0.31},
        {"name": "c1.rbf3", "weight": 0.75, "value": -0.02},
        {"name": "kd_w1.rbf1", "weight": 0.05},
        {"name": "l", "weight": 0.0},
    ],
    "gains": [{"name": "smoothing", "gain": 0.031, "error": 0.004}, {"name": "trees", "gain": -0.002}],
    "gates": [{"name": "ensemble", "t": 3.4, "gain": 0.041, "error": 0.012, "share": 1.0}],
    "notes": ["labels of two positives count little"],
    "bytes": {"pool": 2_000_000, "trees": 0},
}


def test_the_text_names_members_gains_and_gate():
    text = str(Explanation.from_dict(RECORD))
    assert text.splitlines() == [
        "120 of 2,400 rows have a known entry",
        "gate      ensemble open: +0.041 average precision on rows left out (t 3.4, standard error 0.012)",
        "member     75%  Gaussian kernel 3: standardised, smoothed (R2 −0.020)",
        "member     20%  standardised (R2 0.310)",
        "member      5%  student, Gaussian kernel 1: whitened, smoothed",
        "adds      smoothing +0.031 (standard error 0.004)",
        "adds      trees −0.002",
        "size      pool 2.0 MB",
        "note      labels of two positives count little",
    ]


def test_a_record_is_read_as_it_was_written():
    made = Explanation.from_dict(RECORD)
    assert Explanation.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert Explanation.from_dict({**RECORD, "later": 1}) == made
    assert [member.name for member in made.members] == ["c1.rbf3", "c", "kd_w1.rbf1", "l"]
    assert Explanation.from_dict({}) == Explanation()
    assert made.size == 2_000_000
    assert Explanation().size is None


@pytest.mark.parametrize("shares", [(), (0.0,), (0.0, 0.25), (0.0, 0.0)])
def test_members_that_are_not_used_are_called_so(shares):
    gates = [{"name": "ensemble", "t": -1.0, "gain": -0.01, "share": share} for share in shares]
    made = Explanation.from_dict({**RECORD, "gates": gates})
    assert made.closed is (bool(shares) and not any(shares))
    assert ("tuned ridge solution" in str(made)) is made.closed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("d1", "centred, smoothed"),
        ("c8", "standardised, smoothed six times"),
        ("p1.ntk", "network kernel: principal components, smoothed"),
        ("trees.x", "trees: features as given"),
        ("z.rbf3", "z.rbf3"),
        ("<b>mine</b>", "<b>mine</b>"),
    ],
)
def test_members_have_words(name, words):
    assert member_words(name) == words


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (Gate("ensemble", None, None, None, 0.0), "closed: the known entries are too few to tell a gain"),
        (
            Gate("ensemble", -0.4, -0.01, 0.025, 0.0),
            "closed: −0.010 average precision on rows left out (t −0.4, standard error 0.025)",
        ),
        (
            Gate("names", 1.2, 0.02, None, 0.5),
            "open by 50%: +0.020 average precision on rows left out (t 1.2)",
        ),
    ],
)
def test_gates_say_how_far_they_are_open(gate, words):
    assert gate.words == words


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1},
        {"labelled": True},
        {"members": {"name": "c"}},
        {"members": [{"name": "c", "weight": float("nan")}]},
        {"members": [{"weight": 1.0}]},
        {"gains": [3]},
        {"gates": [{"name": "ensemble", "t": "much", "share": 1.0}]},
        {"notes": "one"},
        {"bytes": {"pool": 0.5}},
    ],
)
def test_another_record_is_refused(change):
    with pytest.raises(ValueError, match="is no "):
        Explanation.from_dict({**RECORD, **change})


def test_no_record_is_refused():
    with pytest.raises(ValueError, match="no record"):
        Explanation.from_dict([])  # type: ignore[arg-type]
