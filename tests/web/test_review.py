"""The state of a review: answers, undo, order, filters, counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.completion import Answer
from labelwise.errors import UserError
from labelwise.web import Filters, Request
from tests.web.conftest import LABELS, make_data, open_review


def ask(review, item, label, answer, reviewer="ann", name=None):
    name = name or f"id-{np.random.default_rng().integers(1 << 60)}"
    review.answer([Request(name, Answer(item, label, answer, reviewer))])
    return name


def test_the_open_entries_come_most_likely_first_and_answered_ones_go(review):
    k = 1
    is_open = review.given[:, k] == -1
    total, rows = review.entries(Filters("dog"), size=5)
    best = np.argsort(-np.where(is_open, review.scores[:, k], -1), kind="stable")[:5]
    assert total == is_open.sum()
    assert rows == best.tolist()
    ask(review, review.data.items[rows[0]], "dog", 1)
    assert review.entries(Filters("dog", asker="ann"), size=4)[1] == best[1:].tolist()


@pytest.mark.parametrize("order", ["likely", "unlikely", "uncertain", "random"])
def test_every_order_holds_every_open_row_once(review, order):
    total, rows = review.entries(Filters("cat", order=order), size=200)
    assert sorted(rows) == np.flatnonzero(review.given[:, 0] == -1).tolist()
    assert total == len(rows)


def test_an_unread_item_or_a_new_label_has_no_score_and_can_be_answered(tmp_path):
    data = make_data(tmp_path)
    data.scores[3] = np.nan
    data.given[3] = -1
    review = open_review(tmp_path, data)
    review.add_label("boat", "ann")
    assert review.card(3, 0)["score"] is None
    ask(review, "item 3", "boat", 1)
    assert review.card(3, 3)["answer"] == 1
    assert review.entries(Filters("boat"), size=200)[0] == len(data.items) - 1


def test_undo_brings_back_what_held_before_and_only_ones_own(review):
    first = ask(review, "item 1", "cat", 1, "ann")
    second = ask(review, "item 1", "cat", 0, "ben")
    assert review.card(1, 0)["answer"] == 0
    assert review.undo("undo-one", "ann", [second]) == []
    assert review.card(1, 0)["answer"] == 0
    review.undo("undo-two", "ben", [second])
    assert (review.card(1, 0)["answer"], review.card(1, 0)["by"]) == (1, "ann")
    review.undo("undo-six", "ann", [first])
    assert review.card(1, 0)["answer"] is None
    assert review.undo("undo-ten", "ann") == []


def test_a_request_sent_twice_counts_once(review):
    ask(review, "item 1", "cat", 1, name="same-id-1")
    ask(review, "item 1", "cat", 1, name="same-id-1")
    ask(review, "item 2", "cat", 1, name="other-id")
    review.undo("undo-once", "ann")
    review.undo("undo-once", "ann")
    assert len(review.store.answers()) == 3
    assert review.progress()["yes"] == 1


def test_a_skip_is_no_answer_where_there_is_one(review):
    ask(review, "item 1", "cat", 1, "ann")
    ask(review, "item 1", "cat", -1, "ben")
    assert review.card(1, 0)["answer"] == 1
    assert review.progress()["agreement"] == {"entries": 0, "same": 0}


def test_agreement_second_opinions_and_disputes(review):
    for item, ann, ben in (("item 1", 1, 1), ("item 2", 1, 0)):
        ask(review, item, "cat", ann, "ann")
        ask(review, item, "cat", ben, "ben")
    ask(review, "item 4", "cat", 1, "ann")
    assert review.progress()["agreement"] == {"entries": 2, "same": 1}
    assert review.entries(Filters("cat", state="disputed"))[1] == [2]
    assert review.entries(Filters("cat", state="second", asker="ben"))[1] == [4]
    assert review.entries(Filters("cat", state="second", asker="ann"))[1] == []
    latest = review.entries(Filters("cat", state="all", reviewer="ben"), size=200)[1]
    assert sorted(latest) == [1, 2]


def test_two_people_at_work_get_different_rows_while_there_are_some(review):
    first = review.entries(Filters("cat", asker="ann"), size=10)[1]
    second = review.entries(Filters("cat", asker="ben"), size=10)[1]
    assert not set(first) & set(second)
    total, everything = review.entries(Filters("cat", asker="ben"), size=200)
    assert sorted(everything) == np.flatnonzero(review.given[:, 0] == -1).tolist()
    assert total == len(everything)


def test_search_finds_ids_and_texts_in_any_case(review):
    assert review.entries(Filters("cat", state="all", search="ITEM 17"), size=9)[1] == [17]
    assert review.entries(Filters("cat", state="all", search="number 23 <B>"), size=9)[1] == [23]
    assert review.items(Filters(state="all", search="nowhere"))[0] == 0


def test_answers_are_there_after_opening_again(tmp_path):
    review = open_review(tmp_path)
    ask(review, "item 1", "cat", 1)
    ask(review, "item 2", "dog", 0)
    undone = ask(review, "item 5", "dog", 0)
    review.undo("undo-last", "ann", [undone])
    review.add_label("boat", "ann")
    before = {**review.progress("cat"), "version": 1}, review.all_label_counts()
    review.store.close()
    again = open_review(tmp_path)
    assert (again.progress("cat"), again.all_label_counts()) == before
    assert again.labels == [*LABELS, "boat"]


def test_given_entries_change_only_where_somebody_says_so(review):
    row, column = np.argwhere(review.given == 1)[0]
    ask(review, review.data.items[row], review.labels[column], 0)
    matrix, changed = review.matrix()
    assert changed == 1
    assert matrix[row, column] == 0
    others = review.given.copy()
    others[row, column] = 0
    np.testing.assert_array_equal(matrix, others)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters("dgo"), "did you mean 'dog'"),
        (Filters("cat", state="opn"), "did you mean 'open'"),
        (Filters("cat", order="best"), "order is 'best'"),
    ],
)
def test_what_cannot_be_asked_is_refused(review, filters, words):
    with pytest.raises(UserError, match=words):
        review.entries(filters)


def test_a_label_is_added_once(review):
    review.add_label("  red   boat ", "ann")
    assert review.labels[-1] == "red boat"
    for name in ("Red Boat", "", "x" * 201, "a\x1bb"):
        with pytest.raises(UserError):
            review.add_label(name, "ann")


steps = st.lists(
    st.tuples(
        st.sampled_from(["ann", "ben"]),
        st.integers(0, 3),
        st.sampled_from(LABELS),
        st.sampled_from([1, 0, -1, "undo"]),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_counts_are_those_of_the_matrix_and_of_the_store(tmp_path_factory, steps):
    """Whatever is answered: single counts equal a slow count, and the state that ``Answers`` makes of the history."""
    folder = tmp_path_factory.mktemp("steps")
    review = open_review(folder, make_data(folder, n=4))
    for number, (reviewer, row, label, answer) in enumerate(steps):
        if answer == "undo":
            review.undo(f"undo-{number}", reviewer)
        else:
            ask(review, f"item {row}", label, answer, reviewer, f"step-{number}")
    latest = {(row.item, row.label): row.answer for row in review.store.answers().latest().rows}
    for row, item in enumerate(review.data.items):
        for column, label in enumerate(review.labels):
            assert review.card(row, column)["answer"] == latest.get((item, label))
    is_open = (review.given == -1) & (review.answers == 2)
    for column, label in enumerate(review.labels):
        counts = review.label_counts(label)
        assert counts["yes"] == (review.answers[:, column] == 1).sum()
        assert counts["no"] == (review.answers[:, column] == 0).sum()
        assert counts["skipped"] == (review.answers[:, column] == -1).sum()
        assert counts["open"] == is_open[:, column].sum()
        judged = review.answers[review.given[:, column] == -1, column]
        n = int(((judged == 1) | (judged == 0)).sum())
        assert (counts["precision"] or {"n": 0})["n"] == n
        assert counts["suggested"] == (is_open & review.suggested)[:, column].sum()
    np.testing.assert_array_equal(review.tally.open_in_row, is_open.sum(axis=1))
    review.store.close()
