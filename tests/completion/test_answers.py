import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.completion import Answer, Answers
from labelwise.errors import Notice, UserError

ITEMS, LABELS, REVIEWERS = ["a", "b"], ["x", "y"], ["", "Ann", "Bo"]
times = st.integers(0, 30).map(lambda second: f"2026-01-01T00:00:{second:02d}Z")
rows = st.builds(
    Answer,
    st.sampled_from(ITEMS),
    st.sampled_from(LABELS),
    st.sampled_from([1, 0, -1]),
    st.sampled_from(REVIEWERS),
    times,
    st.sampled_from(["review", "audit", "import", "undo"]),
    st.sampled_from(["", "first"]),
    st.one_of(st.just(math.nan), st.floats(1e-6, 1)),
)
histories = st.lists(rows, max_size=25).map(lambda values: Answers(tuple(values)))
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8)


def at(second: int, answer: int, reviewer: str = "", source: str = "review", item: str = "a") -> Answer:
    return Answer(item, "x", answer, reviewer, f"2026-01-01T00:00:{second:02d}Z", source)


@settings(max_examples=40, deadline=None)
@given(histories, histories, histories)
def test_merging_is_the_union_in_any_order(one, two, three) -> None:
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(one) == one
    assert one.merge(two).latest() == two.merge(one).latest()


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(12)), st.lists(rows, min_size=12, max_size=12))
def test_the_order_of_rows_changes_nothing_where_times_are_given(order, values) -> None:
    assert Answers(tuple(values)) == Answers(tuple(values[place] for place in order))


@settings(max_examples=50, deadline=None)
@given(histories)
def test_latest_is_the_last_answer_that_was_not_taken_back(history) -> None:
    for item in ITEMS:
        for label in LABELS:
            left = []
            for reviewer in REVIEWERS:
                stack = []
                for row in history.rows:  # in the order of time
                    if (row.item, row.label, row.reviewer) == (item, label, reviewer):
                        if row.source != "undo":
                            stack.append(row)
                        elif stack:
                            stack.pop()
                left += stack
            said = [row for row in left if row.answer != -1] or left
            last = max(said, key=[*history.rows].index, default=None)
            found = [row for row in history.latest().rows if (row.item, row.label) == (item, label)]
            assert [row.answer for row in found] == ([] if last is None else [last.answer])


@settings(max_examples=50, deadline=None)
@given(histories, st.lists(st.sampled_from([1, 0, -1]), min_size=4, max_size=4))
def test_apply_never_changes_a_given_entry(history, states) -> None:
    Y = np.array(states, np.int8).reshape(2, 2)
    before = Y.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = history.apply(Y, ITEMS, LABELS)
    known = before >= 0
    assert (out[known] == before[known]).all()
    assert (before == Y).all()
    joined = history.join(Y, ITEMS, LABELS)
    assert joined.joined == ((out >= 0) & ~known).sum()
    assert ((joined.source == "given") == known).all()
    assert ((joined.source == "confirmed") == ((out >= 0) & ~known)).all()
    over = history.join(Y, ITEMS, LABELS, overwrite=True)
    for row in history.latest().rows:
        if row.answer != -1:
            assert over.Y[ITEMS.index(row.item), LABELS.index(row.label)] == row.answer


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.builds(
            Answer,
            texts,
            texts.filter(str.strip),
            st.sampled_from([1, 0, -1]),
            texts,
            times,
            st.just("review"),
            texts,
            st.floats(1e-9, 1),
        ),
        max_size=8,
    )
)
def test_what_was_written_is_read_again(tmp_path_factory, values) -> None:
    history = Answers(tuple(values))
    folder = tmp_path_factory.mktemp("answers")
    for name in ("answers.csv", "answers.sqlite"):
        history.write(folder / name)
        assert Answers.read(folder / name) == history
    assert Answers.from_frame(history.frame) == history


def test_line_ends_commas_and_words_for_nothing_survive_a_file(tmp_path) -> None:
    history = Answers(
        tuple(at(1, 1, item=item) for item in ('a,"b"', "two\nlines", "r\rn", "NA", "1.0", "-3"))
    )
    history.write(tmp_path / "a.csv")
    assert Answers.read(tmp_path / "a.csv") == history


def test_a_file_needs_item_label_and_answer_alone(tmp_path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("label,item,answer,colour\nx,a,yes,red\nx,a,no,blue\ny,b,skip,\n", "utf-8-sig")
    read = Answers.read(path)
    assert [(row.item, row.label, row.answer, row.source) for row in read.rows] == [
        *(("a", "x", 1, "import"), ("a", "x", 0, "import")),
        ("b", "y", -1, "import"),
    ]
    assert [row.answer for row in read.latest().rows] == [0, -1]


def test_undo_brings_back_the_answer_before_it() -> None:
    history = [at(1, 1), at(2, 0)]
    assert Answers((*history, at(3, -1, source="undo"))).latest().rows[0].answer == 1
    twice = (*history, at(3, -1, source="undo"), at(4, -1, source="undo"))
    assert len(Answers(twice).latest()) == 0
    # One too many takes nothing that comes later.
    assert Answers((*twice, at(5, -1, source="undo"), at(6, 1))).latest().rows[0].answer == 1
    assert len(Answers(twice)) == 4


def test_undo_takes_back_nobody_elses_answer() -> None:
    history = Answers((at(1, 1, "Ann"), at(2, 0, "Bo"), at(3, -1, "Bo", "undo")))
    assert history.latest().rows[0].answer == 1


def test_a_skip_does_not_hide_an_answer() -> None:
    assert Answers((at(1, 1, "Ann"), at(2, -1, "Bo"))).latest().rows[0].answer == 1
    assert Answers((at(1, -1, "Ann"),)).latest().rows[0].answer == -1


def test_drawn_has_the_draws_probability_and_the_last_answer() -> None:
    asked = Answer("a", "x", 1, "", "2026-01-01T00:00:01Z", "audit", "first", 0.25)
    again = Answer("a", "x", 1, "", "2026-01-01T00:00:02Z", "audit", "second", 0.5)
    history = Answers((asked, again, at(3, 0)))
    assert [(row.draw, row.probability, row.answer) for row in history.drawn().rows] == [
        ("first", 0.25, 0),
        ("second", 0.5, 0),
    ]
    assert [row.probability for row in history.drawn("first").rows] == [0.25]


def test_apply_tells_of_conflicts_and_of_ids_and_labels_that_it_lacks() -> None:
    history = Answers((at(1, 0), at(2, 1, item="gone"), at(3, 1)._replace(label="z")))
    with pytest.warns(
        Notice, match=r"1 answers contradict a given entry \(a / x\): the given ones were kept"
    ):
        out = history.apply([[1, -1]], ["a"], ["x", "y"])
    assert out.tolist() == [[1, -1]]
    joined = history.join([[1, -1]], ["a"], ["x", "y"])
    assert (joined.unknown_items, joined.unknown_labels, joined.conflicts) == (
        ("gone",),
        ("z",),
        (("a", "x"),),
    )


def test_apply_warns_of_nothing_where_all_joined() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Answers((at(1, 0),)).apply([[-1, 1]], ["a"], ["x", "y"]).tolist() == [[0, 1]]


def test_an_id_of_several_rows_stands_for_all() -> None:
    assert Answers((at(1, 1),)).apply([[-1], [0], [-1]], ["a", "b", "a"], ["x"]).tolist() == [[1], [0], [1]]


def test_kappa_is_agreement_beyond_chance() -> None:
    ours, theirs = [1, 1, 0, 0, 1, 0, 1, 1], [1, 0, 0, 0, 1, 1, 1, 1]
    values = [
        Answer(str(place), "x", answer, name, f"2026-01-01T00:00:0{place}Z")
        for name, answers in (("Ann", ours), ("Bo", theirs))
        for place, answer in enumerate(answers)
    ]
    table = Answers(tuple(values)).agreement().set_index("label")
    observed = sum(a == b for a, b in zip(ours, theirs, strict=True)) / 8
    chance = sum(
        (sum(a == state for a in ours) / 8) * (sum(b == state for b in theirs) / 8) for state in (0, 1)
    )
    assert table.loc["x", "agreement"] == pytest.approx(observed)
    assert table.loc["x", "kappa"] == pytest.approx((observed - chance) / (1 - chance))
    assert table.loc["", "entries"] == 8
    assert table.loc["x", "disagreements"] == 2


def test_kappa_of_three_is_the_mean_over_pairs_and_skips_count_nowhere() -> None:
    answers = {"Ann": [1, 0, 1, 0], "Bo": [1, 0, 0, 0], "Cy": [0, 0, 1, -1]}
    values = [
        Answer(str(place), "x", answer, name, "2026-01-01T00:00:00Z")
        for name, states in answers.items()
        for place, answer in enumerate(states)
    ]
    row = Answers(tuple(values)).agreement().iloc[0]
    # Ann and Bo: .75 beside .5 by chance; Ann and Cy: 2/3 beside 4/9; Bo and Cy: 1/3 beside 5/9; 4, 3 and 3 entries.
    kappas = [(4, 0.25 / 0.5), (3, (2 / 3 - 4 / 9) / (5 / 9)), (3, (1 / 3 - 5 / 9) / (4 / 9))]
    assert row["kappa"] == pytest.approx(sum(n * kappa for n, kappa in kappas) / 10)
    assert row["agreement"] == pytest.approx((3 + 2 + 1) / 10)


def test_one_constant_answer_tells_no_kappa() -> None:
    both = Answers((at(1, 1, "Ann"), at(2, 1, "Bo")))
    assert math.isnan(both.agreement().iloc[0]["kappa"])
    assert both.agreement().iloc[0]["agreement"] == 1
    assert Answers().agreement().empty


def test_times_of_any_zone_are_one_time() -> None:
    assert (
        Answer("a", "x", 1, time="2026-01-31T14:05:00+01:00").checked().time == "2026-01-31T13:05:00.000000Z"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": 2}, "the answer 2 is none of"),
        ({"answer": "maybe"}, "none of 1"),
        ({"item": ""}, "needs an item and a label"),
        ({"label": " "}, "needs an item and a label"),
        ({"label": "a\x1b[2J"}, "control character"),
        ({"source": "given"}, "the source of an answer is one of"),
        ({"time": "yesterday"}, "'yesterday' is no time"),
        ({"probability": 0.0}, "inclusion probability 0.0"),
        ({"probability": "much"}, "inclusion probability 'much'"),
        ({"reviewer": "x" * 10_001}, "10,001 characters"),
    ],
)
def test_what_is_no_answer_is_refused(change, words) -> None:
    with pytest.raises(UserError, match=words):
        Answers((at(1, 1)._replace(**change),))


def test_files_that_are_none_of_answers_are_refused(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("item,tag,answer\na,x,1\n")
    with pytest.raises(UserError, match=r"a\.csv has no column 'label'"):
        Answers.read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("item,label,answer\na,x,1\na,x,2\n")
    with pytest.raises(UserError, match=r"b\.csv, answer 2: the answer '2'"):
        Answers.read(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("item,label,answer\na,x\n")
    with pytest.raises(UserError, match=r"answer 1 has 2 fields of 3"):
        Answers.read(tmp_path / "c.csv")
    with pytest.raises(UserError, match="cannot be read"):
        Answers.read(tmp_path / "d.csv")
    with pytest.raises(UserError, match="give one of these endings"):
        Answers().write(tmp_path / "e.txt")
    with pytest.raises(UserError, match=r"holds no answers\.sqlite"):
        Answers.read(tmp_path)
    (tmp_path / "f.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match="no database of answers"):
        Answers.read(tmp_path / "f.sqlite")


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match="1 items and 2 labels"):
        Answers().apply([[1, 0], [0, 1]], ["a"], ["x", "y"])


def test_a_frame_with_missing_values_reads_as_defaults() -> None:
    frame = pd.DataFrame(
        {"item": [3], "label": ["x"], "answer": [1.0], "reviewer": [None], "probability": [None]}
    )
    row = Answers.from_frame(frame).rows[0]
    assert (row.item, row.answer, row.reviewer) == ("3", 1, "")
    assert math.isnan(row.probability)


def test_no_can_be_kept_out() -> None:
    history = Answers((at(1, 0), at(2, 1, item="b"), at(3, 0, item="c")))
    joined = history.join([[-1], [-1], [1]], ["a", "b", "c"], ["x"], negatives=False)
    assert joined.Y.tolist() == [[-1], [1], [1]]
    assert (joined.joined, joined.kept_out, joined.conflicts) == (1, 1, (("c", "x"),))
