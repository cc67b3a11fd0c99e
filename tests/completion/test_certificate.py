"""What is certified holds, more answers never take it away, and nothing given changes."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labelwise as lw
from labelwise.completion import Answer, Answers, certify, next_to_certify
from labelwise.completion.certificate import Plan
from labelwise.completion.entries import Answered, Entries
from labelwise.completion.exact import log_evidence
from tests.refusals import refused


def table(n=120, k=4, seed=0, hidden=0.7, sharp=4.0):
    random = np.random.default_rng(seed)
    logits = random.normal(0, sharp, size=(n, k))
    truth = (random.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    Y = np.where(random.random((n, k)) < hidden, -1, truth).astype(np.int8)
    return 1 / (1 + np.exp(-logits)), Y, truth


def answers_to(rows, columns, truth):
    return Answers(
        tuple(
            Answer(str(row), f"label_{k}", int(truth[row, k]), time="2026-01-01T00:00:00+00:00")
            for row, k in zip(rows, columns, strict=True)
        )
    )


def asked(scores, Y, truth, size, batch=20, **options):
    answers = Answers()
    while len(answers) < size:
        plan = certify(scores, Y, answers, **options).plan
        rows, columns = next_to_certify(plan, min(batch, size - len(answers)))
        if not len(rows):
            break
        answers = answers.merge(answers_to(rows.tolist(), columns.tolist(), truth))
    return answers


def test_a_set_is_certified_by_the_evidence_of_its_first_answers():
    scores, Y, truth = table()
    answers = asked(scores, Y, truth, 60, pilot=0)
    certificate = certify(scores, Y, answers, pilot=0)
    plan = certificate.plan
    # The ranking, by a slow sort.
    unknown = sorted(map(tuple, np.argwhere(Y == -1)), key=lambda at: -scores[at])
    assert [(int(r), int(k)) for r, k in zip(plan.rows, plan.columns, strict=True)] == [
        (int(r), int(k)) for r, k in unknown
    ]
    said = {(one.item, one.label): one.answer for one in answers.rows}
    reached = 0
    for m, _, most in plan.ladder:
        assert most == int(np.ceil(0.9 * m - 1e-9)) - 1
        values = []
        for place in np.argsort(plan.numbers[:m]):
            key = str(plan.rows[place]), f"label_{plan.columns[place]}"
            if key not in said:
                break
            values.append(said[key])
        if not values or log_evidence(values, m, most).max() < -log(0.05):
            break
        reached = m
    assert certificate.depth == reached > 0
    inside = [(int(r), int(k)) for r, k in unknown[:reached] if (str(r), f"label_{k}") not in said]
    assert sorted(zip(certificate.rows.tolist(), certificate.columns.tolist(), strict=True)) == sorted(inside)
    yes = sum(value for value in said.values())
    yes_inside = sum(said.get((str(r), f"label_{k}"), 0) for r, k in unknown[:reached])
    bound = int(np.ceil(0.9 * reached))
    assert certificate.lower == pytest.approx((bound - yes_inside + yes) / (len(inside) + yes))
    assert certificate.lower_unasked == pytest.approx((bound - yes_inside) / len(inside))


@pytest.mark.parametrize("claim", ["filled", "unasked"])
def test_the_true_precision_is_the_certified_one(claim):
    """Where the best entries are right in nine of ten or fewer, nearly nothing may be certified."""
    random = np.random.default_rng(1)
    wrong = filled = 0
    for round_ in range(60):
        n = 400
        scores = random.random((n, 1)) * 0.5 + 0.5
        truth = (random.random((n, 1)) < 0.89).astype(np.int8)
        Y = np.full((n, 1), -1, np.int8)
        options = {"pilot": 0, "seed": round_, "claim": claim}
        answers = asked(scores, Y, truth, 120, batch=40, **options)
        certificate = certify(scores, Y, answers, **options)
        if certificate.inferred:
            filled += 1
            unasked = truth[certificate.rows, certificate.columns]
            told = answers.latest().rows
            new = [*unasked, *(1 for one in told if one.answer == 1)]
            precision = np.mean(new) if claim == "filled" else unasked.mean()
            wrong += precision < 0.9 - 1e-9
    assert wrong <= 6, (wrong, filled)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), size=st.integers(0, 60), more=st.integers(0, 40))
def test_more_answers_never_take_a_certificate_away(seed, size, more):
    scores, Y, truth = table(seed=seed % 11)
    answers = asked(scores, Y, truth, size, pilot=0, seed=seed)
    before = certify(scores, Y, answers, pilot=0, seed=seed)
    random = np.random.default_rng(seed)
    others = random.permutation(np.argwhere(Y == -1))[:more]
    after = certify(
        scores, Y, answers.merge(answers_to(others[:, 0], others[:, 1], truth)), pilot=0, seed=seed
    )
    reached = [plan.rejected(place, plan.answers) for plan in (before.plan, after.plan) for place in range(3)]
    assert all(now or not then for then, now in zip(reached[:3], reached[3:], strict=True))
    if after.inferred and before.inferred:
        assert after.depth >= before.depth


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 500), size=st.integers(0, 80), pilot=st.sampled_from([0, 10]))
def test_nothing_given_is_overwritten(seed, size, pilot):
    scores, Y, truth = table(seed=seed % 13, n=60)
    answers = asked(scores, Y, truth, size, pilot=pilot, seed=seed)
    # Answers that contradict what is given change nothing either.
    given_entries = np.argwhere(Y >= 0)[:5]
    answers = answers.merge(answers_to(given_entries[:, 0], given_entries[:, 1], 1 - truth))
    certificate = certify(scores, Y, answers, pilot=pilot, seed=seed)
    filled = certificate.filled()
    np.testing.assert_array_equal(filled[Y >= 0], Y[Y >= 0])
    said = {(one.item, one.label): one.answer for one in answers.latest().rows}
    for row, k in np.argwhere((Y == -1) & (filled >= 0)):
        answer = said.get((str(row), f"label_{k}"))
        assert filled[row, k] == (1 if answer is None else answer)


def test_the_pilot_comes_first_calibrates_and_is_no_evidence():
    scores, Y, truth = table(n=300, sharp=1.0)
    nothing = certify(scores, Y, pilot=30)
    rows, columns = next_to_certify(nothing.plan, 500)
    # The last third waits for the answers to the others.
    assert len(rows) == 20
    assert nothing.plan.calibration is None
    assert nothing.missing > 30 + 20
    part = answers_to(rows[:18], columns[:18], truth)
    assert certify(scores, Y, part, pilot=30).plan.calibration is None
    left, _ = next_to_certify(certify(scores, Y, part, pilot=30).plan, 50)
    assert len(left) == 2
    first = answers_to(rows, columns, truth)
    more_rows, more_columns = next_to_certify(certify(scores, Y, first, pilot=30).plan, 500)
    assert len(more_rows) == 10
    plan = certify(scores, Y, first.merge(answers_to(more_rows, more_columns, truth)), pilot=30).plan
    assert plan.calibration is not None
    pilot = {*zip(rows.tolist(), columns.tolist(), strict=True)}
    pilot |= {*zip(more_rows.tolist(), more_columns.tolist(), strict=True)}
    assert len(pilot) == 30
    assert not pilot & {*zip(plan.rows.tolist(), plan.columns.tolist(), strict=True)}


def test_the_answers_that_are_missing_do_certify():
    scores, Y, _ = table(n=300, sharp=12.0)
    certificate = certify(scores, Y, pilot=0)
    assert not certificate.inferred
    needed = certificate.missing
    rows, columns = next_to_certify(certificate.plan, needed)
    yes = np.ones_like(Y)
    assert certify(scores, Y, answers_to(rows, columns, yes), pilot=0).inferred
    assert not certify(scores, Y, answers_to(rows[:-1], columns[:-1], yes), pilot=0).inferred
    assert f"{needed} more answers" in str(certificate)


def test_entries_in_blocks_are_the_best_of_all():
    random = np.random.default_rng(0)
    logits = np.round(random.normal(size=(50, 6)), 1)
    Y = np.where(random.random((50, 6)) < 0.3, 1, -1).astype(np.int8)
    logits[7] = np.nan
    blocks = [logits[start : start + 9] for start in range(0, 50, 9)]
    names = [f"label_{k}" for k in range(6)]
    entries = Entries.streamed(iter(blocks), Y, items=[str(i) for i in range(50)], label_names=names, most=40)
    usable = [(-logits[i, k], i, k) for i, k in np.argwhere(Y == -1) if i != 7]
    expected = sorted((int(i), int(k)) for _, i, k in sorted(usable)[:40])
    assert [*zip(entries.rows.tolist(), entries.columns.tolist(), strict=True)] == expected
    assert entries.n_unknown == len(usable)


def test_answers_that_find_no_unknown_entry_are_told():
    Y = np.array([[1, -1], [-1, 0]], np.int8)
    given_answers = answers_to([0, 0, 1, 9], [0, 1, 0, 0], np.ones((10, 2), int))
    answered = Answered.of(given_answers, Y, ["0", "1"], ["label_0", "label_1"])
    assert answered.places.tolist() == [1, 2]
    assert len(answered.notes) == 2
    np.testing.assert_array_equal(answered.into(Y), [[1, 1], [1, 0]])


def test_what_cannot_be_certified_is_refused():
    scores, Y, _ = table()
    refused(lambda: certify(scores, Y, precision=1.0), "precision")
    refused(lambda: certify(scores, Y, confidence=0), "confidence")
    refused(lambda: certify(scores, Y, claim="all"), "claim")
    empty = Plan.of(Entries.of(scores, np.zeros_like(Y)))
    assert not len(next_to_certify(empty, 5)[0])


def test_complete_ranks_what_is_unknown():
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 6))
    truth = (X @ random.normal(size=(6, 3)) + 0.3 * random.normal(size=(120, 3)) > 0).astype(np.int8)
    Y = np.where(random.random((120, 3)) < 0.5, -1, truth).astype(np.int8)
    model = lw.MultiLabelClassifier("ridge").fit(X, Y, label_names=["x", "y", "z"])
    completion = lw.complete(model, X, Y)
    frame = completion.frame
    assert list(frame.columns) == [
        "item", "label", "probability", "expected_precision", "lower", "upper", "decision", "source",
    ]  # fmt: skip
    assert len(frame) == (Y == -1).sum()
    assert (frame["probability"].diff().dropna() <= 1e-12).all()
    np.testing.assert_allclose(
        frame["expected_precision"], frame["probability"].cumsum() / np.arange(1, len(frame) + 1)
    )
    assert frame["lower"].isna().all()
    assert set(frame["decision"]) == {"open"}
    assert completion.calibrated

    plan, answers = completion.plan, Answers()
    for _ in range(6):
        rows, columns = next_to_certify(plan, 10)
        more = tuple(
            Answer(str(r), "xyz"[k], int(truth[r, k]), time="2026-01-01T00:00:00+00:00")
            for r, k in zip(rows.tolist(), columns.tolist(), strict=True)
        )
        answers = answers.merge(Answers(more))
        completion = lw.complete(model, X, Y, answers=answers)
        plan = completion.plan
    frame = completion.frame
    assert (frame["source"] == "confirmed").sum() == 60
    assert frame["lower"].notna().any()
    assert (frame["lower"].dropna() <= frame["upper"].dropna()).all()
    source, filled = completion.source(), completion.filled()
    assert ((source == "given") == (Y >= 0)).all()
    assert (source == "confirmed").sum() == 60
    assert (filled[source == "inferred"] == 1).all()
    assert (source == "inferred").sum() == completion.certificate.inferred
    # Rows that the model has not seen take its own scores.
    other = lw.complete(model, X, Y, seen=False)
    logits = model.decision_function(X)[Y == -1]
    np.testing.assert_allclose(
        np.sort(other.frame["probability"]), np.sort(1 / (1 + np.exp(-logits))), rtol=1e-6
    )
    refused(lambda: lw.complete(model, X, truth), "unknown")


def test_what_the_pilot_confirmed_counts_with_what_is_filled():
    """The slow count: of all that is filled, the pilot's among it, the certified share is at least the wanted one."""
    scores, Y, truth = table(n=600, sharp=6.0)
    answers = asked(scores, Y, truth, 200, pilot=60)
    certificate = certify(scores, Y, answers, pilot=60)
    plan = certificate.plan
    pilot = sum(int(truth[row, k]) for row, k in zip(*plan.pilot, strict=True))
    assert plan.confirmed == pilot > 0
    for m, _, most in plan.ladder:
        # The most relevant entries of the set with which less than .9 of set and pilot would be.
        assert most == max(T for T in range(m) if T + pilot < 0.9 * (m + pilot) - 1e-9)
    assert certificate.inferred
    filled = (certificate.filled() == 1) & (Y == -1)
    assert certificate.lower >= 0.9
    assert truth[filled].mean() >= certificate.lower
    # At a precision that the pilot alone would hold, no set is certified without evidence.
    low = certify(scores, Y, asked(scores, Y, truth, 60, pilot=60), pilot=60, precision=0.3)
    assert all(most >= 0 for _, _, most in low.plan.ladder)
