"""Label Studio's tasks, as its task format describes them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.exchange import convert, read_labels
from tests.exchange.cases import by_name


def choices(*names, control="topic", **more):
    result = {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": list(names)}}
    return result | more


def annotation(*results, **more):
    return (
        {"id": 7, "completed_by": 1, "was_cancelled": False, "ground_truth": False}
        | more
        | {"result": results}
    )


TASKS = [
    {
        "id": 11,
        "data": {"text": "late again"},
        "annotations": [annotation(choices("late", "refund"))],
        "predictions": [],
    },
    {"id": 12, "data": {"text": "thanks"}, "annotations": [annotation()]},
    {"id": 13, "data": {"text": "later"}, "annotations": []},
    {"id": 14, "data": {"text": "skipped"}, "annotations": [annotation(choices("late"), was_cancelled=True)]},
    {
        "id": 15,
        "data": {"text": "two say so"},
        "annotations": [annotation(choices("late", "damaged")), annotation(choices("late"))],
    },
    {
        "id": 16,
        "data": {"text": "the truth"},
        "annotations": [annotation(choices("late")), annotation(choices("damaged"), ground_truth=True)],
    },
]


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(TASKS))
    return path


def test_what_is_not_chosen_is_asked_for(tasks):
    with pytest.raises(UserError, match=r"--unlisted unknown \(nobody said\) or --unlisted absent"):
        read_labels(tasks)


def test_choices_are_relevant_and_the_others_as_is_said(tasks):
    items, form = read_labels(tasks, unlisted="absent")
    assert form.name == "label-studio"
    assert items.items == ("11", "12", "13", "14", "15", "16")
    assert items.label_names == ("damaged", "late", "refund")
    assert items.contents[0] == "late again"
    # Nobody labelled the third, the fourth was cancelled; two annotators differ on "damaged" of the fifth; the
    # ground truth of the sixth counts alone.
    assert items.matrix.tolist() == [[0, 1, 1], [0, 0, 0], [-1, -1, -1], [-1, -1, -1], [-1, 1, 0], [1, 0, 0]]
    assert "1 entries on which annotators differ are unknown" in items.notes
    unknown, _ = read_labels(tasks, unlisted="unknown")
    assert unknown.matrix.tolist() == np.where(items.matrix == 1, 1, -1).tolist()


def test_several_controls_are_told_apart(tmp_path):
    path = tmp_path / "two.json"
    task = {
        "id": 1,
        "data": {"image": "a.jpg"},
        "annotations": [annotation(choices("a"), choices("b", control="mood"))],
    }
    path.write_text(json.dumps([task]))
    with pytest.raises(
        UserError, match=r"several controls: 'topic', 'mood'; name the one .* --labels-column"
    ):
        read_labels(path, unlisted="absent")
    assert read_labels(path, unlisted="absent", labels_column="mood")[0].label_names == ("b",)


def test_other_results_are_left_out_and_told(tmp_path):
    path = tmp_path / "boxes.json"
    box = {
        "from_name": "b",
        "to_name": "img",
        "type": "rectanglelabels",
        "value": {"rectanglelabels": ["car"]},
    }
    path.write_text(
        json.dumps([{"id": 1, "data": {"image": "a.jpg"}, "annotations": [annotation(choices("x"), box)]}])
    )
    items, _ = read_labels(path, unlisted="absent")
    assert items.kind == "image"
    assert items.label_names == ("x",)
    assert "left out, since they are no choices: results of 1 rectanglelabels" in items.notes


def test_predictions_give_scores_a_label(tmp_path):
    path = tmp_path / "scored.json"
    results = [choices("a", score=0.9), choices("b", score=0.25)]
    task = {
        "id": 1,
        "data": {"text": "x"},
        "annotations": [annotation(choices("a"))],
        "predictions": [{"model_version": "m", "score": 0.5, "result": results}],
    }
    path.write_text(json.dumps([task]))
    items, _ = read_labels(path, unlisted="unknown")
    np.testing.assert_allclose(items.scores, [[0.9, 0.25]], atol=1e-7)


def test_an_answer_changed_in_the_tool_wins_over_what_was_written_beside(tmp_path, tasks):
    path = tmp_path / "out.json"
    convert(tasks, path, to_format="label-studio", unlisted="absent")
    written = json.loads(path.read_text())
    assert written[0]["meta"]["labelwise"] == {"rest": "absent", "labels": ["damaged", "late", "refund"]}
    # An annotator takes "late" from the first task, and gives it to the second, of which it was said to be absent.
    written[0]["annotations"][0]["result"][0]["value"]["choices"] = ["refund"]
    written[1]["annotations"][0]["result"] = [choices("late", control="labels")]
    path.write_text(json.dumps(written))
    states = by_name(read_labels(path)[0])
    assert (states["11", "late"], states["11", "refund"], states["12", "late"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"id": 1', "is not JSON"),
        ("[" * 100_000, "nests too deep"),
        ('[{"id": ' + "9" * 5000 + "}]", "a number too long"),
        ("[1]", "record 1 is 1, not an object"),
        ('[{"id": 1, "data": 3}]', "task 1: 'data' is 3, not an object"),
        ('[{"id": [], "data": {}}]', r"task 1: its id is \[\]"),
        ('[{"id": 1, "data": {}, "annotations": 3}]', "'annotations' is 3"),
        ('[{"id": 1, "data": {}, "annotations": [{"result": [3]}]}]', r"'result' is \[3\]"),
        (
            '[{"id": 1, "data": {}, "annotations": [{"result": [{"type": "choices", "value": {}}]}]}]',
            "its choices is None",
        ),
        ('[{"id": 1, "data": {}, "meta": {"labelwise": {"rest": "no"}}}]', "labelwise.rest is 'no'"),
        ('[{"id": "\\ud800", "data": {}}]', "half a character"),
        ("[]", "holds no items"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as refusal:
        read_labels(path, "label-studio", unlisted="absent")
    assert "broken.json" in str(refusal.value)
    assert len(str(refusal.value)) < 500
